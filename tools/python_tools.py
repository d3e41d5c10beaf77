#!/usr/bin/env python3
"""Installs the Python packages that tests use as peers, once, into the cache.

    python_tools.py NAME...     prints the folder of each, to be put on PYTHONPATH
    python_tools.py --all       installs every one, prints nothing

Exit status 3: a package cannot be had from the registry. Everything is pinned, so that a test which
fails after an update of a peer fails in the change that updates it.
"""
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from go_tools import cache_dir

TOOLS = {
    "pykitops": [
        "kitops==1.5.0",
        "pydantic==2.14.4",
        "pydantic_core==2.50.5",
        "annotated-types==0.8.0",
        "typing-inspection==0.4.5",
        "typing_extensions==4.16.0",
        "PyYAML==6.0.4",
        "python-dotenv==1.2.4",
    ],
}
UNREACHABLE = 3


def target(name):
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"  # some of them are compiled
    return cache_dir() / "python" / f"{name}-{TOOLS[name][0].split('==')[1]}-{tag}"


def install(name):
    print(f"fetching {TOOLS[name][0]}", file=sys.stderr)
    scratch = target(name).with_suffix(".new")
    shutil.rmtree(scratch, ignore_errors=True)
    p = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps",
         "--only-binary", ":all:", "--target", scratch, *TOOLS[name]],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if p.returncode:
        sys.stderr.write(p.stdout[-4000:])
        return False
    os.replace(scratch, target(name))
    return True


def main():
    names = list(TOOLS) if sys.argv[1:] == ["--all"] else sys.argv[1:]
    if not names or any(n not in TOOLS for n in names):
        raise SystemExit(f"usage: python_tools.py --all | NAME...   ({' '.join(TOOLS)})")
    cache_dir().mkdir(parents=True, exist_ok=True)
    with open(cache_dir() / "python.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in names:
            if not target(name).exists() and not install(name):
                raise SystemExit(UNREACHABLE)
    if sys.argv[1] != "--all":
        print("\n".join(str(target(n)) for n in names))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Compiles every header of the tree by itself.

    check_headers.py BUILD      BUILD/compile_commands.json says with which options
"""
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Headers that are bodies of a table, included more than once with another macro each time.
NOT_ALONE = {"banned.h"}


def options(build, source):
    """The compiler and its options for source, without its output and input."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if Path(entry["directory"], entry["file"]).resolve() == (ROOT / source).resolve():
            words = shlex.split(entry["command"])
            keep, skip = [], False
            for word in words:
                if skip or word in ("-c", "-MD", "-MMD") or word.endswith(source):
                    skip = False
                elif word in ("-o", "-MF", "-MQ"):
                    skip = True
                else:
                    keep.append(word)
            if "ccache" in keep[0]:
                keep = keep[1:]
            return keep
    raise SystemExit(f"{source} is not in {build}/compile_commands.json")


def compile_alone(job):
    header, command, build = job
    text = f'#include "{header}"\ntypedef int not_empty;\n'
    p = subprocess.run([*command, "-Werror", "-fsyntax-only", "-x", "c", "-"], cwd=build,
                       input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    return header, p.returncode, p.stdout


def main():
    build = Path(sys.argv[1]).resolve()
    by_top = {"include": "hub/main.c", "lib": "hub/main.c", "hub": "hub/main.c",
              "cli": "cli/main.c", "fuzz": "hub/main.c", "test": "hub/main.c"}  # fmt: skip
    jobs = []
    for top, source in by_top.items():
        command = options(build, source)
        jobs += [(f, command, build) for f in sorted((ROOT / top).rglob("*.h")) if f.name not in NOT_ALONE]
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, code, out in pool.map(compile_alone, jobs):
            if code:
                bad += 1
                print(f"{header.relative_to(ROOT)} does not compile alone:\n{out}")
    print(f"{len(jobs)} headers, {bad} do not compile alone")
    return 1 if bad or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())

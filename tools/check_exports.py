#!/usr/bin/env python3
"""Compares what libkitvault.so exports with what include/ declares as KV_API.

    check_exports.py LIBRARY
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def declared():
    names = set()
    for header in sorted((ROOT / "include").rglob("*.h")):
        text = re.sub(r"/\*.*?\*/", " ", header.read_text(), flags=re.S)
        text = re.sub(r"^[ \t]*#(?:.*\\\n)*.*$", "", text, flags=re.M)
        for m in re.finditer(r"\bKV_API\b([^;{]*)[;{]", text):
            function = re.search(r"\b(kv_\w+)\s*\(", m.group(1))
            variable = re.search(r"\b(kv_\w+)\s*(?:\[[^]]*\])?\s*$", m.group(1))
            found = function or variable
            if not found:
                raise SystemExit(f"{header}: cannot read the declaration '{m.group(0).strip()}'")
            names.add(found.group(1))
    return names


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library],
                         stdout=subprocess.PIPE, text=True, check=True).stdout  # fmt: skip
    return {line.split()[0].split("@")[0] for line in out.splitlines()}


def main():
    want, got = declared(), exported(sys.argv[1])
    for name in sorted(want - got):
        print(f"{name} is declared in include/ and not exported")
    for name in sorted(got - want):
        print(f"{name} is exported and not declared in include/ with KV_API")
    print(f"{len(want & got)} functions declared and exported")
    return 0 if want == got and want else 1


if __name__ == "__main__":
    sys.exit(main())

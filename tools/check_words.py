#!/usr/bin/env python3
"""Looks for text that no committed file may have: paths of the machine it was written on, marks
of unfinished work, tabs and trailing blanks in our own sources.

    check_words.py
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SELF = "tools/check_words.py"
RECORDED = ("test/data/", "fuzz/corpus/", "fuzz/crash/")  # bytes of others, kept as they are
MARKS = [
    (re.compile(r"(?<![\w.{}*$])/(work|root)/\w"), "a path of somebody's machine"),
    (re.compile(r"(?<![\w.{}*$])/home/\w+/"), "a path of somebody's machine"),
    (re.compile(r"\b(TODO|FIXME|XXX)\b"), "a mark of unfinished work"),
]
LAYOUT = [
    (re.compile(r"[ \t]+$", re.M), "blanks at the end of a line"),
    (re.compile(r"^ *\t", re.M), "a tab"),
    (re.compile(r"\r"), "a carriage return"),
]
OURS = (".c", ".h", ".py", ".sh", ".def", ".sql", ".build")


def main():
    out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                         stdout=subprocess.PIPE, check=True).stdout.decode()  # fmt: skip
    names = [n for n in out.split("\0") if n and n != SELF and not n.startswith(RECORDED)]
    bad = 0
    for name in names:
        path = ROOT / name
        if path.is_symlink() or not path.is_file():
            continue
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:
            continue
        for pattern, what in MARKS + (LAYOUT if name.endswith(OURS) else []):
            for m in pattern.finditer(text):
                bad += 1
                print(f"{name}:{text.count(chr(10), 0, m.start()) + 1}: {what}: {m.group(0).strip()}")
    print(f"{len(names)} files, {bad} findings")
    return 1 if bad or not names else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""The benchmarks of ./dev bench: ratios against a peer or the machine's limit, in one run.

    run.py [NAME...] [--pairs N] [--dir DIR]

NAME is one of start, pack, repack, gzip, memory, hub, move, audit; all without. Peers: kit by its path
(KIT=/path/to/kit), the CNCF registry, which is built from the Go module proxy; what is absent is
said and left out. DIR
(default: the temporary folder) should be on the disk that is to be measured and have 30 GB free for
all of them. A ratio is the median over pairs of runs that took turns (A B A B ...), so that a
machine whose speed drifts does not decide it. Absolute times mean nothing elsewhere.
"""
import argparse
import importlib
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
from common import Bench  # noqa: E402

NAMES = ("start", "pack", "repack", "gzip", "memory", "hub", "move", "audit")


def main():
    ap = argparse.ArgumentParser(prog="./dev bench")
    ap.add_argument("names", nargs="*", choices=[[], *NAMES], metavar="NAME")
    ap.add_argument("--pairs", type=int, default=5, help="pairs of runs behind each ratio (5)")
    ap.add_argument("--dir", help="where the data lies while it is measured")
    args = ap.parse_args()
    bench = None
    for name in args.names or NAMES:
        work = Path(tempfile.mkdtemp(prefix=f"kitvault-bench-{name}-", dir=args.dir))
        bench = Bench(work, args.pairs)
        print(f"\n{name}", flush=True)
        try:
            importlib.import_module(f"bench_{name}").run(bench)
        finally:
            bench.stop_all()
            shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""pack again of a tree that did not change: 2 GiB in four files, and 20,000 small files; kit reads them again."""
import time

from bench_pack import make_tree
from common import drop_behind

SMALL, FOLDERS = 20_000, 100


def make_small(tree):
    for i in range(FOLDERS):
        (tree / f"d/{i:02d}").mkdir(parents=True)
    for i in range(SMALL):
        (tree / f"d/{i % FOLDERS:02d}/{i}.txt").write_text(f"{i}\n" * (i % 400))
    (tree / "Kitfile").write_text("manifestVersion: 1.0.0\ndatasets: [{name: d, path: d}]\n")


def run(bench):
    kit = bench.kit()
    for name, make in (("2 GiB in four files", make_tree), (f"{SMALL:,} small files", make_small)):
        tree = bench.fresh("tree")
        make(tree)
        time.sleep(3)  # files that changed in the last two seconds are read again
        homes = {}

        def again(program, tree=tree, homes=homes):
            if program not in homes:
                homes[program] = bench.fresh(f"home-{len(homes)}")
                bench.timed([program, "pack", tree, "-t", "bench:v1"], home=homes[program])
                drop_behind()
            return bench.timed([program, "pack", tree, "-t", "bench:v1"], home=homes[program])[0]

        if not kit:
            bench.row(f"pack again, {name}", f"{again(bench.kitvault) * 1000:.0f} ms")
            continue
        a, b, r = bench.ratios(lambda again=again: again(bench.kitvault), lambda again=again: again(kit))
        bench.row(f"pack again, {name}, kit / kitvault", f"{r:.0f} x", "50 x", r >= 50, f"{a * 1000:.0f} ms, kit {b:.2f} s")
        look = lambda tree=tree: bench.timed(["find", tree, "-size", "-1k"])[0]  # noqa: E731
        a, b, r = bench.ratios(look, lambda again=again: again(kit))
        bench.row("find, which only asks for each file's size, over kit", f"{r:.0f} x", note=f"{a * 1000:.0f} ms")

"""pack of 512 MiB of weights with gzip, against kit."""
import array
import os
import random

from common import MIB, drop_behind

SIZE, STEP = 512 * MIB, 4 * MIB


def make_weights(path):
    """float32 values as those of a layer; their lowest bytes differ everywhere."""
    r = random.Random(1)
    piece = bytearray(array.array("f", (r.gauss(0, 0.02) for _ in range(STEP // 4))).tobytes())
    with open(path, "wb") as f:
        for _ in range(SIZE // STEP):
            piece[0::4] = os.urandom(STEP // 4)
            f.write(piece)


def run(bench):
    tree = bench.fresh("tree")
    make_weights(tree / "w.safetensors")
    (tree / "Kitfile").write_text("manifestVersion: 1.0.0\nmodel: {path: w.safetensors}\n")

    def pack(program):
        home = bench.fresh("home")
        drop_behind()
        return bench.timed([program, "pack", tree, "-t", "bench:v1", "--compression", "gzip"], home=home)[0]

    def stored():
        return sum(f.stat().st_size for f in (bench.work / "home").rglob("*") if f.is_file()) / SIZE

    kit = bench.kit()
    if not kit:
        bench.row("pack with gzip", f"{pack(bench.kitvault):.1f} s", note=f"stored {100 * stored():.1f} %")
        return
    pack(kit)
    theirs = stored()
    pack(bench.kitvault)
    sizes = f"stored {100 * stored():.1f} %, kit {100 * theirs:.1f} %"
    _, _, r = bench.ratios(lambda: pack(bench.kitvault), lambda: pack(kit))
    bench.row("pack with gzip, kit / kitvault", f"{r:.2f} x", "5 x", r >= 5, sizes)

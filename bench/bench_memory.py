"""Peak memory of the commands for a model of 9 GiB, and of the hub while it takes four uploads."""
import threading

from common import GIB, megabytes

LIMIT_KIB = 64 * 1024


def run(bench):
    hub, address = bench.start_hub()
    tree = bench.fresh("tree")
    with open(tree / "weights.bin", "wb") as f:
        f.truncate(9 * GIB)  # sparse: the bytes are zeros, the work is the same
    (tree / "Kitfile").write_text("manifestVersion: 1.0.0\nmodel:\n  path: weights.bin\n")
    ref = f"{address}/bench/big:v1"
    home, other = bench.fresh("home"), bench.fresh("other")

    def step(name, argv, where):
        spent, peak = bench.timed(argv, home=where)
        bench.row(f"{name} of 9 GiB", megabytes(peak), "64 MiB", peak <= LIMIT_KIB, f"{9 / spent:.2f} GiB/s")

    # What is no longer needed goes away at once: three copies at most lie on the disk.
    step("pack", [bench.kitvault, "pack", tree, "-t", ref], home)
    step("push", [bench.kitvault, "push", ref, "--plain-http"], home)
    bench.fresh("home")
    step("pull", [bench.kitvault, "pull", ref, "--plain-http"], other)
    bench.stop(hub)
    bench.fresh(f"hub{address.split(':')[1]}")
    step("unpack", [bench.kitvault, "unpack", ref, "-d", bench.work / "out"], other)
    for name in ("other", "out", "tree"):
        bench.fresh(name)

    hub, address = bench.start_hub()
    homes = []
    for i in range(4):
        tree, home = bench.fresh(f"tree{i}"), bench.fresh(f"home{i}")
        with open(tree / "weights.bin", "wb") as f:
            f.truncate(GIB)
            f.write(bytes([i + 1]))
        (tree / "Kitfile").write_text("manifestVersion: 1.0.0\nmodel:\n  path: weights.bin\n")
        bench.timed([bench.kitvault, "pack", tree, "-t", f"{address}/bench/up{i}:v1"], home=home)
        homes.append(home)
    threads = [threading.Thread(target=bench.timed, args=([bench.kitvault, "push", f"{address}/bench/up{i}:v1",
                                                           "--plain-http"],), kwargs={"home": home})
               for i, home in enumerate(homes)]  # fmt: skip
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    peak = bench.peak_kib(hub)
    bench.row("hub, four uploads of 1 GiB at once", megabytes(peak), "64 MiB", peak <= LIMIT_KIB)

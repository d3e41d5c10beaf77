"""pack of four files of 512 MiB, against kit and against what two threads can read, hash and write."""
import hashlib
import os
import threading

from common import GIB, MIB, drop_behind

FILES, FILE_BYTES, STEP = 4, 512 * MIB, MIB


def make_tree(tree):
    base = os.urandom(STEP - 8)
    for i in range(FILES):
        with open(tree / f"w{i}.bin", "wb") as f:
            for k in range(FILE_BYTES // STEP):
                f.write(base + (i << 32 | k).to_bytes(8, "little"))
    parts = "".join(f"  - path: w{i}.bin\n" for i in range(1, FILES))
    (tree / "Kitfile").write_text(f"manifestVersion: 1.0.0\nmodel:\n  path: w0.bin\n  parts:\n{parts}")


def limit(tree, out, durable):
    """Seconds to read, hash and write the files with two threads, as plainly as it can be done."""
    import time

    files = [tree / f"w{i}.bin" for i in range(FILES)]
    lock = threading.Lock()

    def work():
        buf = bytearray(STEP)
        while True:
            with lock:
                if not files:
                    return
                path = files.pop()
            h = hashlib.sha256()
            with open(path, "rb", buffering=0) as src, open(out / path.name, "wb", buffering=0) as dst:
                while n := src.readinto(buf):
                    view = memoryview(buf)[:n]
                    h.update(view)
                    dst.write(view)
                if durable:
                    os.fdatasync(dst.fileno())

    began = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return time.monotonic() - began


def run(bench):
    tree = bench.fresh("tree")
    make_tree(tree)
    total = FILES * FILE_BYTES / GIB

    def pack(program, **env):
        home = bench.fresh("home")
        drop_behind()
        return bench.timed([program, "pack", tree, "-t", "bench:v1"], home=home, env=env)[0]

    def bare(durable):
        out = bench.fresh("home")
        drop_behind()
        return limit(tree, out, durable)

    ours = lambda: pack(bench.kitvault)  # noqa: E731
    durable = lambda: pack(bench.kitvault, KITVAULT_SYNC="on")  # noqa: E731
    a, b, r = bench.ratios(ours, lambda: bare(False))
    bench.row("limit: read + SHA-256 + write", f"{total / b:.2f} GiB/s", note="two threads, same files and disk")
    bench.row("pack, of that limit", f"{100 * r:.0f} %", "80 %", r >= 0.8, f"{total / a:.2f} GiB/s")
    a, b, r = bench.ratios(durable, lambda: bare(True))
    bench.row("limit, durable", f"{total / b:.2f} GiB/s")
    bench.row("pack with KITVAULT_SYNC=on, of that limit", f"{100 * r:.0f} %", "80 %", r >= 0.8, f"{total / a:.2f} GiB/s")
    kit = bench.kit()
    if kit:
        _, _, r = bench.ratios(lambda: bare(False), lambda: pack(kit))
        bench.row("that limit over kit", f"{r:.2f} x", note="two threads that only read, hash and write")
        _, b, r = bench.ratios(ours, lambda: pack(kit))
        bench.row("pack, kit / kitvault", f"{r:.2f} x", "3 x", r >= 3, f"kit {total / b:.2f} GiB/s")

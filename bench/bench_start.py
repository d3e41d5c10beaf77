"""How quickly the programs are there."""
import statistics
import subprocess
import time
import urllib.request


def run(bench):
    rounds = 20 * bench.pairs

    def start(argv):
        began = time.perf_counter()
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began

    ours = [start([bench.kitvault, "version"]) for _ in range(rounds)]
    bare = [start(["/bin/true"]) for _ in range(rounds)]
    ms = 1000 * (statistics.median(ours) - statistics.median(bare))
    bench.row("kitvault version, over /bin/true", f"{ms:.2f} ms", "5 ms", ms < 5)
    kit = bench.kit()
    if kit:
        theirs = [start([kit, "version"]) for _ in range(rounds // 4)]
        bench.row("kit version / kitvault version", f"{statistics.median(theirs) / statistics.median(ours):.1f} x")

    ready = []
    for i in range(2 * bench.pairs + 2):
        data, port = bench.work / f"ready{i % 2}", bench.free_port()
        began = time.perf_counter()
        p = subprocess.Popen([bench.kitvaultd, "serve", "--data", data, "--listen", f"127.0.0.1:{port}"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        bench.servers.append(p)
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).close()
                break
            except OSError:
                time.sleep(0.001)
        spent = 1000 * (time.perf_counter() - began)
        bench.stop(p)
        if i >= 2:  # the first two make their data, with a password to hash
            ready.append(spent)
        else:
            bench.row("hub ready, first start", f"{spent:.0f} ms", note="makes its database and administrator")
    ms = statistics.median(ready)
    bench.row("hub ready, later starts", f"{ms:.0f} ms", "100 ms", ms < 100)

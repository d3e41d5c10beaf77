"""The hub against the CNCF registry: uploads, downloads, requests per second, memory."""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request

from common import GIB, MIB, ROOT, drop_behind, megabytes

LARGE = 512 * MIB
CONNECTIONS, SECONDS = 32, 3
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def compile_driver(bench):
    out = bench.work / "bench_load"
    cc = os.environ.get("CC") or shutil.which("cc")
    subprocess.run([cc, "-O2", "-D_GNU_SOURCE", "-o", out, ROOT / "bench/bench_load.c"], check=True)
    return out


class Target:
    """One registry with one repository on it."""

    def __init__(self, bench, driver, process, address):
        self.bench, self.driver, self.process, self.address = bench, driver, process, address
        self.n = 0

    def load(self, *words):
        p = subprocess.run([self.driver, self.address, *map(str, words)], stdout=subprocess.PIPE, text=True)
        if p.returncode:
            sys.exit(f"the load on {self.address} failed")
        return [float(x) for x in p.stdout.split()]

    def put(self, path, digest):
        return self.load("put", "bench/r", path, digest)[0]

    def upload(self, path):
        """GiB/s of one upload of content that is new to the registry."""
        self.n += 1
        with open(path, "r+b") as f:
            f.write(f"{self.address} {self.n}".encode().ljust(64))
        h = hashlib.sha256()
        with open(path, "rb") as f:
            while block := f.read(MIB):
                h.update(block)
        digest = f"sha256:{h.hexdigest()}"
        drop_behind()
        return LARGE / GIB / self.put(path, digest), digest

    def rate(self, path, connections=CONNECTIONS):
        requests, seconds, n = self.load("get", path, connections, SECONDS)
        return requests / seconds, n / seconds / GIB

    def put_manifest(self, text, tag):
        r = urllib.request.Request(f"http://{self.address}/v2/bench/r/manifests/{tag}", text, method="PUT",
                                   headers={"Content-Type": MANIFEST_TYPE})  # fmt: skip
        urllib.request.urlopen(r, timeout=30).close()


def small_things(bench, target):
    """A small blob and a manifest over it; returns the paths to GET."""
    small = bench.work / "small"
    small.write_bytes(os.urandom(1024))
    digest = "sha256:" + hashlib.sha256(small.read_bytes()).hexdigest()
    target.put(small, digest)
    layer = {"mediaType": "application/octet-stream", "digest": digest, "size": 1024}
    text = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": layer, "layers": [layer]}).encode()
    target.put_manifest(text, "v1")
    return f"/v2/bench/r/blobs/{digest}", "/v2/bench/r/manifests/v1"


def pair_of(bench, ours, theirs, figure):
    """Medians of a rate (higher is better) of both, and of ours / theirs."""
    theirs = theirs or ours
    b, a, r = bench.ratios(lambda: figure(theirs), lambda: figure(ours))
    return a, b, r


def peak_under_load(bench, target, path, n=4):
    """Peak memory after n uploads at once."""
    files = []
    for i in range(n):
        copy = bench.work / f"copy{i}"
        shutil.copyfile(path, copy)
        with open(copy, "r+b") as f:
            f.write(f"{target.address} at once {i}".encode().ljust(64))
        with open(copy, "rb") as f:
            files.append((copy, "sha256:" + hashlib.file_digest(f, "sha256").hexdigest()
                          if hasattr(hashlib, "file_digest") else "sha256:" + hashlib.sha256(f.read()).hexdigest()))  # fmt: skip
    threads = [threading.Thread(target=target.put, args=f) for f in files]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return bench.peak_kib(target.process)


def run(bench):
    driver = compile_driver(bench)
    ours = Target(bench, driver, *bench.start_hub())
    program = bench.registry()
    theirs = Target(bench, driver, *bench.start_registry(program)) if program else None
    large = bench.work / "large"
    block = os.urandom(MIB - 8)
    with open(large, "wb") as f:
        for i in range(LARGE // MIB):
            f.write(block + i.to_bytes(8, "little"))

    digests = {}

    def upload(target):
        rate, digests[target] = target.upload(large)
        return rate

    rows = []
    a, b, r = pair_of(bench, ours, theirs, upload)
    rows.append(("upload, one blob, durable", f"{a:.2f} GiB/s", f"{b:.2f}", r, 2))
    a, b, r = pair_of(bench, ours, theirs, lambda t: t.rate(f"/v2/bench/r/blobs/{digests[t]}", 1)[1])
    rows.append(("download, one blob", f"{a:.2f} GiB/s", f"{b:.2f}", r, 1))
    paths = {t: small_things(bench, t) for t in (ours, theirs) if t}
    time.sleep(0.2)
    a, b, r = pair_of(bench, ours, theirs, lambda t: t.rate(paths[t][1])[0])
    rows.append(("manifest GET", f"{a:,.0f} /s", f"{b:,.0f}", r, 5))
    a, b, r = pair_of(bench, ours, theirs, lambda t: t.rate(paths[t][0])[0])
    rows.append(("blob GET of 1 KiB", f"{a:,.0f} /s", f"{b:,.0f}", r, 10))
    for what, mine, other, ratio, goal in rows:
        if theirs:
            bench.row(what, f"{ratio:.2f} x", f"{goal} x", ratio >= goal, f"{mine} against {other}")
        else:
            bench.row(what, mine)
    mine = peak_under_load(bench, ours, large)
    other = peak_under_load(bench, theirs, large) if theirs else 0
    bench.row("peak memory of the hub", megabytes(mine), "64 MiB", mine <= 64 * 1024)
    if theirs:
        bench.row("the same, registry / hub", f"{other / mine:.2f} x", "2 x", other >= 2 * mine, megabytes(other))

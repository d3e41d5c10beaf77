"""The audit log: changes per second that are on the disk with their leaf, from 32 connections at once,
beside what the disk can do one by one."""
import http.client
import json
import os
import statistics
import sys
import threading
import time
import urllib.request

from bench_hub import MANIFEST_TYPE, Target, compile_driver, small_things

CONNECTIONS, SECONDS, RECORD = 32, 3, 512


def syncs_per_second(folder):
    """One writer that appends a record and waits for the disk: the limit without group commit."""
    fd = os.open(folder / "synced", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    record, n, began = os.urandom(RECORD), 0, time.monotonic()
    while time.monotonic() - began < SECONDS:
        os.write(fd, record)
        os.fdatasync(fd)
        n += 1
    spent = time.monotonic() - began
    os.close(fd)
    os.unlink(folder / "synced")
    return n / spent


def last_leaf(address):
    with urllib.request.urlopen(f"http://{address}/api/v1/audit/events", timeout=30) as r:
        return json.load(r)["items"][0]["leaf"]["seq"]


class Tagger(threading.Thread):
    """Gives one manifest new tags over one connection: each is a transaction with one leaf."""

    def __init__(self, address, manifest, name, until):
        super().__init__()
        self.address, self.manifest, self.tag, self.until = address, manifest, name, until
        self.n, self.failure = 0, None

    def run(self):
        c = http.client.HTTPConnection(self.address, timeout=60)
        while time.monotonic() < self.until:
            path = f"/v2/bench/r/manifests/{self.tag}-{self.n}"
            c.request("PUT", path, self.manifest, {"Content-Type": MANIFEST_TYPE})
            answer = c.getresponse()
            answer.read()
            if answer.status != 201:
                self.failure = f"PUT {path}: {answer.status}"
                break
            self.n += 1
        c.close()


def leaves_per_second(address, manifest, connections, name):
    before, began = last_leaf(address), time.monotonic()
    taggers = [Tagger(address, manifest, f"{name}-{i}", began + SECONDS) for i in range(connections)]
    for t in taggers:
        t.start()
    for t in taggers:
        t.join()
    spent = time.monotonic() - began
    failure = next((t.failure for t in taggers if t.failure), None)
    leaves, tags = last_leaf(address) - before, sum(t.n for t in taggers)
    if failure or leaves < tags:
        sys.exit(failure or f"{tags} tags, and {leaves} leaves only")
    return tags / spent


def run(bench):
    process, address = bench.start_hub()
    target = Target(bench, compile_driver(bench), process, address)
    _, path = small_things(bench, target)
    request = urllib.request.Request(f"http://{address}{path}", headers={"Accept": MANIFEST_TYPE})
    with urllib.request.urlopen(request, timeout=30) as r:
        manifest = r.read()
    runs = iter(range(1000))
    one = [leaves_per_second(address, manifest, 1, f"one{next(runs)}") for _ in range(bench.pairs)]
    many, limit, ratio = [], [], []
    for _ in range(bench.pairs):
        many.append(leaves_per_second(address, manifest, CONNECTIONS, f"many{next(runs)}"))
        limit.append(syncs_per_second(bench.work))
        ratio.append(many[-1] / limit[-1])
    bench.row("fdatasync of this disk, one after another", f"{statistics.median(limit):,.0f} /s")
    bench.row("leaves, 1 connection", f"{statistics.median(one):,.0f} /s")
    bench.row(f"leaves, {CONNECTIONS} connections", f"{statistics.median(many):,.0f} /s",
              note=f"{statistics.median(ratio):.2f} x of the disk's fdatasync; the client is Python")  # fmt: skip

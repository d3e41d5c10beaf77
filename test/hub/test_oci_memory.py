"""The hub's memory stays bounded, whatever comes at once."""
import json
import threading

from harness import pattern, sanitized
from oci import Oci, describe, digest

MIB = 1 << 20
LIMIT_KIB = 64 * 1024


def at_once(*calls):
    failed = []

    def run(call):
        try:
            call()
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=run, args=(c,)) for c in calls]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed, failed


def test_uploads(own_hub):
    """Four at once, in the ways clients send them."""
    oci = Oci(own_hub.host)
    block = pattern(MIB)
    n = 64

    def streamed(name):
        o = oci.at(name)
        pieces = [name.encode().ljust(32)] + [block] * n
        where = o.request("PATCH", o.start(), pieces, chunked=True)["Location"]
        assert o.finish(where, digest(b"".join(pieces))).status == 201

    def whole(name):
        oci.at(name).push_blob(name.encode().ljust(32) + block * n)

    at_once(*[lambda i=i: streamed(f"s/{i}") for i in range(2)], *[lambda i=i: whole(f"w/{i}") for i in range(2)])
    assert own_hub.peak_rss_kib() < LIMIT_KIB or sanitized()


def test_downloads(own_hub):
    oci = Oci(own_hub.host)
    d = oci.push_blob(pattern(MIB) * 32)
    at_once(*[lambda: oci.blob(d)] * 8)
    assert own_hub.peak_rss_kib() < LIMIT_KIB or sanitized()


def test_manifests_as_large_as_they_may_be(own_hub):
    oci = Oci(own_hub.host)
    layer = oci.descriptor(b"x")
    large = [
        oci.image(annotations={str(i): "x" * 10_000 for i in range(780)}),
        oci.image(annotations={f"{i:06d}": "x" for i in range(500_000)}),  # many small values
        oci.image(layers=[layer] * 58_000),
        oci.image(subject=describe(b"s"), annotations={str(i): "y" * 10_000 for i in range(780)}),
    ]
    assert all(7 * MIB < len(m) <= 8 * MIB for m in large)

    def push(tag, data):
        assert oci.put(tag, data).status == 201
        assert oci.get(tag).body == data

    at_once(*[lambda i=i: push(f"t{i}", large[i % 4]) for i in range(8)])
    at_once(*[lambda: json.loads(oci.referrers(describe(b"s")["digest"]).body)] * 6)
    missing = [{"mediaType": "x/y", "size": 1, "digest": f"sha256:{i:064x}"} for i in range(60_000)]
    r = oci.put("missing", oci.image(layers=missing))
    assert (r.status, len(r.json()["errors"])) == (400, 60_000)
    assert own_hub.peak_rss_kib() < LIMIT_KIB or sanitized()

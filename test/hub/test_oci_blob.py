"""Blobs: GET, HEAD, ranges, conditions, deletes, and who can see them. oci-registry.md 2 and 3."""

import pytest

from oci import Oci, digest

pytestmark = pytest.mark.asan

DATA = bytes(range(256)) * 8  # 2048 bytes


@pytest.fixture
def oci(open_hub, name):
    return Oci(open_hub.host, name)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_get_and_head(oci, algorithm):
    d = oci.push_blob(DATA, algorithm)
    for method in ("GET", "HEAD"):
        r = oci.blob(d, method=method)
        assert r.status == 200
        assert r.body == (DATA if method == "GET" else b"")
        assert r["Content-Length"] == "2048"
        assert r["Docker-Content-Digest"] == d
        assert r["Content-Type"] == "application/octet-stream"
        assert r["Accept-Ranges"] == "bytes"
        assert r["ETag"] == f'"{d}"'
        assert r["X-Content-Type-Options"] == "nosniff"
        assert "no-transform" in r["Cache-Control"] and "max-age=31536000" in r["Cache-Control"]
        assert r["Docker-Distribution-API-Version"] == "registry/2.0"
        assert r["Content-Encoding"] is None


@pytest.mark.parametrize(
    "value, status, want",
    [
        ("bytes=500-1499", 206, (500, 1499)),
        ("bytes=500-", 206, (500, 2047)),
        ("bytes=-500", 206, (1548, 2047)),
        ("bytes=-5000", 206, (0, 2047)),
        ("bytes=2000-5000", 206, (2000, 2047)),
        ("bytes=0-0", 206, (0, 0)),
        ("bytes=2047-", 206, (2047, 2047)),
        ("bytes=500-0", 416, None),
        ("bytes=2048-", 416, None),
        ("bytes=5000-10000", 416, None),
        ("bytes=-0", 416, None),
        ("lines=1-2", 200, None),
        ("bytes=abc", 200, None),
        ("bytes=-", 200, None),
        ("bytes=", 200, None),
        ("bytes=0-1,4-5", 200, None),
        ("bytes=99999999999999999999-", 416, None),
    ],
)
def test_range(oci, value, status, want):
    d = oci.push_blob(DATA)
    r = oci.blob(d, {"Range": value})
    assert r.status == status, r
    if status == 206:
        first, last = want
        assert r.body == DATA[first : last + 1]
        assert r["Content-Range"] == f"bytes {first}-{last}/2048"
        assert r["Content-Length"] == str(last - first + 1)
        assert r["Docker-Content-Digest"] == d
    elif status == 416:
        assert r["Content-Range"] == "bytes */2048"
        assert r["Content-Length"] == str(len(r.body))
    else:
        assert r.body == DATA and r["Content-Range"] is None


def test_head_ignores_range(oci):
    r = oci.blob(oci.push_blob(DATA), {"Range": "bytes=0-9"}, "HEAD")
    assert (r.status, r["Content-Length"], r["Content-Range"]) == (200, "2048", None)


def test_zero_bytes(oci):
    d = oci.push_blob(b"")
    assert d.endswith("7852b855")
    assert (oci.blob(d).status, oci.blob(d).body) == (200, b"")
    assert oci.blob(d, {"Range": "bytes=0-"}).status == 416


def test_conditions(oci):
    d = oci.push_blob(DATA)
    other = '"' + digest(b"other") + '"'
    r = oci.blob(d, {"If-None-Match": f'"{d}"'})
    assert (r.status, r.body, r["ETag"]) == (304, b"", f'"{d}"')
    assert oci.blob(d, {"If-None-Match": f'{other}, W/"{d}"'}).status == 304
    assert oci.blob(d, {"If-None-Match": "*"}).status == 304
    assert oci.blob(d, {"If-None-Match": other}).status == 200
    assert oci.blob(d, {"If-Range": f'"{d}"', "Range": "bytes=0-9"}).status == 206
    r = oci.blob(d, {"If-Range": other, "Range": "bytes=0-9"})
    assert (r.status, r.body) == (200, DATA)
    # A date cannot be told apart from the day of another blob: the whole is the safe answer.
    r = oci.blob(d, {"If-Range": "Tue, 24 Nov 2026 00:00:00 GMT", "Range": "bytes=0-9"})
    assert r.status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_unknown(oci, method):
    oci.push_blob(DATA)
    r = oci.request(method, oci.url("blobs/" + digest(b"never pushed")))
    assert r.status == 404
    if method != "HEAD":
        assert r.codes() == ["BLOB_UNKNOWN"]
    assert int(r["Content-Length"]) > 0 if method != "HEAD" else True


@pytest.mark.parametrize(
    "bad",
    [
        "sha256:" + "A" * 64,
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha512:" + "a" * 64,
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha256:baddigeststring",
    ],
)
def test_bad_digest(oci, bad):
    for method in ("GET", "DELETE"):
        r = oci.request(method, oci.url("blobs/" + bad))
        # The spec gives DELETE no 400, and a blob nobody can have is also one that is not here.
        assert r.status == (400 if method == "GET" else 404), r


def test_digest_may_be_percent_encoded(oci):
    d = oci.push_blob(DATA)
    assert oci.blob(d.replace(":", "%3A")).body == DATA
    assert oci.blob(d.replace(":", "%3a")).body == DATA


def test_delete_unlinks_here_only(oci, name):
    d = oci.push_blob(DATA)
    other = oci.at(name + "/other")
    other.push_blob(DATA)
    r = oci.delete_blob(d)
    assert (r.status, r["Content-Length"], r.body) == (202, "0", b"")
    for method in ("HEAD", "GET"):
        assert oci.blob(d, method=method).status == 404
    assert oci.delete_blob(d).status == 404
    assert other.blob(d).body == DATA
    oci.push_blob(DATA)
    assert oci.blob(d).body == DATA


def test_blob_is_seen_only_where_it_is_linked(oci, name):
    d = oci.push_blob(DATA)
    other = oci.at(name + "/other")
    other.push_blob(b"something else")
    assert other.blob(d).status == 404
    assert other.delete_blob(d).status == 404
    assert oci.blob(d).status == 200


def test_same_bytes_under_two_algorithms(oci):
    for algorithm in ("sha256", "sha512"):
        d = oci.push_blob(DATA, algorithm)
        assert oci.blob(d).body == DATA

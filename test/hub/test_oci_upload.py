"""Uploads: every row of oci-registry.md 4."""

import re
import time
from urllib.parse import quote

import pytest

from oci import Oci, digest

pytestmark = pytest.mark.asan

A, B, C = b"a" * 1000, b"b" * 1000, b"c" * 500
ALL = A + B + C


@pytest.fixture
def oci(open_hub, name):
    return Oci(open_hub.host, name)


def assert_here(oci, d, data):
    assert oci.blob(d, method="HEAD")["Content-Length"] == str(len(data))
    assert oci.blob(d).body == data


def test_post(oci):
    r = oci.request("POST", oci.url("blobs/uploads/"))
    assert r.status == 202
    assert re.fullmatch(r"/v2/%s/blobs/uploads/[0-9a-f-]{36}" % oci.repo, r["Location"])
    assert r["Range"] == "0-0"
    assert r["Docker-Upload-UUID"] == r["Location"].rsplit("/", 1)[1]
    assert r["Content-Length"] == "0" and r.body == b""


def test_post_without_slash_and_with_a_type(oci):
    assert oci.request("POST", oci.url("blobs/uploads")).status == 202
    r = oci.request("POST", oci.url("blobs/uploads/"), headers={"Content-Type": "application/json"})
    assert r.status == 202


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_post_then_put(oci, algorithm):
    d = digest(ALL, algorithm)
    r = oci.finish(oci.start(), d, ALL)
    assert (r.status, r["Docker-Content-Digest"], r["Content-Length"]) == (201, d, "0")
    assert r["Location"] == oci.url("blobs/" + d)
    assert_here(oci, d, ALL)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("chunked", [False, True])
def test_post_with_the_whole_blob(oci, algorithm, chunked):
    d = digest(ALL, algorithm)
    path = oci.url("blobs/uploads/?digest=" + quote(d))
    r = oci.request("POST", path, [A, B, C] if chunked else ALL, chunked=chunked)
    assert r.status == 201, r
    assert (r["Location"], r["Docker-Content-Digest"]) == (oci.url("blobs/" + d), d)
    assert_here(oci, d, ALL)


def test_post_with_digest_and_nothing_else_starts_a_session(oci):
    d = digest(ALL)
    r = oci.request("POST", oci.url("blobs/uploads/?digest=" + d))
    assert r.status == 202
    assert oci.finish(r["Location"], d, ALL).status == 201


def test_post_with_the_empty_blob(oci):
    r = oci.request("POST", oci.url("blobs/uploads/?digest=" + digest(b"")))
    assert r.status == 201
    assert oci.blob(digest(b"")).status == 200


def test_post_mismatch_keeps_nothing(oci):
    d = digest(b"something else")
    r = oci.request("POST", oci.url("blobs/uploads/?digest=" + d), ALL)
    assert (r.status, r.codes()) == (400, ["DIGEST_INVALID"])
    assert oci.blob(d).status == 404 and oci.blob(digest(ALL)).status == 404


@pytest.mark.parametrize("bad", ["sha256:short", "md5:d41d8cd98f00b204e9800998ecf8427e", "", "x"])
def test_post_bad_digest(oci, bad):
    r = oci.request("POST", oci.url("blobs/uploads/?digest=" + bad), ALL)
    assert (r.status, r.codes()) == (400, ["DIGEST_INVALID"])


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_declared_algorithm(oci, algorithm):
    where = oci.start("?digest-algorithm=" + algorithm)
    r = oci.patch(where, A, 0)
    r = oci.patch(r["Location"], B + C, len(A))
    d = digest(ALL, algorithm)
    assert oci.finish(r["Location"], d).status == 201
    assert_here(oci, d, ALL)


def test_algorithm_declared_and_another_used(oci):
    for declared, used in (("sha512", "sha256"), ("sha256", "sha512")):
        where = oci.start("?digest-algorithm=" + declared)
        r = oci.patch(where, ALL)
        d = digest(ALL, used)
        assert oci.finish(r["Location"], d).status == 201
        assert_here(oci, d, ALL)


def test_unknown_algorithm(oci):
    r = oci.request("POST", oci.url("blobs/uploads/?digest-algorithm=md5"))
    assert (r.status, r.codes()) == (400, ["DIGEST_INVALID"])


def test_chunks(oci):
    where = oci.start()
    at = 0
    for piece in (A, B, C):
        r = oci.patch(where, piece, at)
        at += len(piece)
        assert r.status == 202
        assert r["Range"] == f"0-{at - 1}"
        assert r["Docker-Upload-UUID"] == where.rsplit("/", 1)[1]
        assert r["Content-Length"] == "0"
        where = r["Location"]
    d = digest(ALL)
    assert oci.finish(where, d).status == 201
    assert_here(oci, d, ALL)


def test_last_chunk_in_the_put(oci):
    r = oci.patch(oci.start(), A + B, 0)
    d = digest(ALL)
    r = oci.finish(r["Location"], d, C, {"Content-Range": f"{len(A + B)}-{len(ALL) - 1}"})
    assert r.status == 201
    assert_here(oci, d, ALL)


def test_stream(oci):
    where = oci.start()
    r = oci.request("PATCH", where, [A, B], chunked=True)
    assert (r.status, r["Range"]) == (202, "0-1999")
    d = digest(ALL)
    r = oci.request("PUT", r["Location"] + "?digest=" + d, [C], chunked=True)
    assert r.status == 201
    assert_here(oci, d, ALL)


@pytest.mark.parametrize("form", ["{}-{}", "bytes {}-{}/2500", "bytes {}-{}/*"])
def test_forms_of_content_range(oci, form):
    r = oci.request("PATCH", oci.start(), A, {"Content-Range": form.format(0, 999)})
    assert (r.status, r["Range"]) == (202, "0-999")


@pytest.mark.parametrize("value", ["0", "a-b", "0-", "-999", "0-999-3", "999-0", "bytes=0-999", "0 - 999"])
def test_content_range_that_is_none(oci, value):
    where = oci.start()
    r = oci.request("PATCH", where, A, {"Content-Range": value})
    assert r.status in (400, 416), r
    assert oci.patch(where, A, 0).status == 202


def test_length_and_range_disagree(oci):
    where = oci.start()
    r = oci.request("PATCH", where, A, {"Content-Range": "0-1999"})
    assert r.status in (400, 416)
    r = oci.request("GET", where)
    assert (r.status, r["Range"]) == (204, "0-0")


@pytest.mark.parametrize("start", [500, 1001, 2000, 0])
def test_out_of_order(oci, start):
    where = oci.start()
    where = oci.patch(where, A, 0)["Location"]
    r = oci.patch(where, B, start)
    assert r.status == 416
    assert (r["Range"], r["Docker-Upload-UUID"]) == ("0-999", where.rsplit("/", 1)[1])
    state = oci.request("GET", where)
    assert (state.status, state["Range"], state.body) == (204, "0-999", b"")
    d = digest(ALL)
    # Out of order as a PUT: refused, and the session goes on.
    r = oci.finish(where, d, C, {"Content-Range": f"{start}-{start + len(C) - 1}"})
    assert r.status == 416
    state = oci.request("GET", f"{where}?digest={d}")
    assert (state.status, state["Range"]) == (204, "0-999")
    r = oci.patch(state["Location"], B, 1000)
    assert r.status == 202
    assert oci.finish(r["Location"], d, C).status == 201
    assert_here(oci, d, ALL)


def test_earlier_location_stays_good_for_questions(oci):
    first = oci.start()
    second = oci.patch(first, A, 0)["Location"]
    assert oci.patch(first, A, 0).status == 416
    for where in (first, second, first + "?digest=" + digest(ALL)):
        r = oci.request("GET", where)
        assert (r.status, r["Range"]) == (204, "0-999")
        assert r["Location"]


def test_get_and_head_of_a_session(oci):
    where = oci.start()
    for method in ("GET", "HEAD"):
        r = oci.request(method, where)
        assert (r.status, r["Range"], r["Location"]) == (204, "0-0", where)


def test_wrong_digest_ends_the_session(oci):
    where = oci.patch(oci.start(), ALL)["Location"]
    r = oci.finish(where, digest(b"other"))
    assert (r.status, r.codes()) == (400, ["DIGEST_INVALID"])
    assert oci.request("GET", where).status == 404
    assert oci.blob(digest(b"other")).status == 404
    assert oci.blob(digest(ALL)).status == 404


def test_missing_or_bad_digest_keeps_the_session(oci):
    where = oci.patch(oci.start(), ALL)["Location"]
    assert oci.request("PUT", where).status == 400
    assert oci.finish(where, "sha256:zz").status == 400
    assert oci.finish(where, "md5:d41d8cd98f00b204e9800998ecf8427e").status == 400
    assert oci.finish(where, digest(ALL)).status == 201


def test_cancel(oci):
    where = oci.patch(oci.start(), A)["Location"]
    r = oci.request("DELETE", where)
    assert (r.status, r.body) == (204, b"")
    assert r["Docker-Upload-UUID"] == where.rsplit("/", 1)[1]
    for method, body in (("GET", None), ("PATCH", A), ("DELETE", None), ("HEAD", None)):
        r = oci.request(method, where, body)
        assert r.status == 404
        if method != "HEAD":
            assert r.codes() == ["BLOB_UPLOAD_UNKNOWN"]
    r = oci.finish(where, digest(A))
    assert (r.status, r.codes()) == (404, ["BLOB_UPLOAD_UNKNOWN"])


@pytest.mark.parametrize(
    "id", ["00000000-0000-4000-8000-000000000000", "nonsense", "..", "%2e%2e", "a" * 300]
)
def test_unknown_session(oci, id):
    r = oci.request("PATCH", oci.url("blobs/uploads/" + id), A)
    assert r.status in (400, 404), r


def test_session_belongs_to_its_repository(oci, name):
    where = oci.start()
    other = oci.at(name + "/other")
    stolen = other.url("blobs/uploads/" + where.rsplit("/", 1)[1])
    for method, body in (("GET", None), ("PATCH", A), ("DELETE", None)):
        assert oci.request(method, stolen, body).status == 404
    assert other.finish(stolen, digest(b"")).status == 404
    assert oci.patch(where, A, 0).status == 202


def test_finished_session_is_gone(oci):
    where = oci.start()
    assert oci.finish(where, digest(ALL), ALL).status == 201
    assert oci.request("GET", where).status == 404
    assert oci.finish(where, digest(ALL), ALL).status == 404


def test_empty_chunks(oci):
    where = oci.start()
    assert oci.request("PATCH", where, b"").status == 202
    assert oci.finish(where, digest(b"")).status == 201
    assert_here(oci, digest(b""), b"")


def test_same_blob_twice(oci):
    assert oci.push_blob(ALL) == oci.push_blob(ALL)
    assert_here(oci, digest(ALL), ALL)


def test_kit_style_ranges_are_exact(oci):
    """kit takes anything but 0-<what it sent> as fatal."""
    where, at = oci.start(), 0
    for piece in (A, b"x", C):
        r = oci.patch(where, piece, at)
        at += len(piece)
        assert r["Range"] == f"0-{at - 1}"
        where = r["Location"]


def test_two_writers_at_once(oci, open_hub):
    """A session that somebody writes to is not written to by another."""
    import http.client

    where = oci.start()
    slow = http.client.HTTPConnection(open_hub.host, timeout=30)
    slow.putrequest("PATCH", where)
    slow.putheader("Content-Length", "2000")
    slow.endheaders()
    slow.send(A)
    time.sleep(0.3)
    r = oci.patch(where, B)
    assert r.status in (409, 416), r
    slow.send(B)
    r = slow.getresponse()
    r.read()
    assert (r.status, r.headers["Range"]) == (202, "0-1999")
    slow.close()
    assert oci.finish(where, digest(A + B)).status == 201


def test_broken_connection_keeps_what_arrived(oci, open_hub):
    import http.client

    where = oci.start()
    broken = http.client.HTTPConnection(open_hub.host, timeout=30)
    broken.putrequest("PATCH", where)
    broken.putheader("Content-Length", str(len(ALL)))
    broken.endheaders()
    broken.send(A)
    time.sleep(0.2)
    broken.close()
    for _ in range(50):
        r = oci.request("GET", where)
        if r.status == 204:
            break
        time.sleep(0.1)
    assert r.status == 204
    have = 0 if r["Range"] == "0-0" else int(r["Range"].split("-")[1]) + 1
    assert have <= len(A)
    r = oci.patch(where, ALL[have:], have)
    assert r.status == 202, r
    assert oci.finish(r["Location"], digest(ALL)).status == 201
    assert_here(oci, digest(ALL), ALL)


def test_broken_put_keeps_no_blob(oci, open_hub):
    import http.client

    where = oci.start()
    broken = http.client.HTTPConnection(open_hub.host, timeout=30)
    broken.putrequest("PUT", where + "?digest=" + digest(ALL))
    broken.putheader("Content-Length", str(len(ALL)))
    broken.endheaders()
    broken.send(A)
    time.sleep(0.2)
    broken.close()
    time.sleep(0.2)
    assert oci.blob(digest(ALL)).status == 404
    assert oci.push_blob(ALL)


def test_expect_continue_is_refused_before_the_body(oci, open_hub):
    import socket

    host, port = open_hub.host.split(":")
    s = socket.create_connection((host, int(port)), timeout=10)
    path = oci.url("blobs/uploads/00000000-0000-4000-8000-000000000000")
    s.sendall(
        f"PATCH {path} HTTP/1.1\r\nHost: {open_hub.host}\r\nContent-Length: 1000000\r\n"
        f"Expect: 100-continue\r\n\r\n".encode()
    )
    assert s.recv(12) == b"HTTP/1.1 404"
    s.close()
    where = oci.start()
    s = socket.create_connection((host, int(port)), timeout=10)
    s.sendall(
        f"PATCH {where} HTTP/1.1\r\nHost: {open_hub.host}\r\nContent-Length: 1000\r\n"
        f"Expect: 100-continue\r\n\r\n".encode()
    )
    assert s.recv(1000).startswith(b"HTTP/1.1 100")
    s.sendall(A)
    assert s.recv(12) == b"HTTP/1.1 202"
    s.close()

"""The hub's HTTP layer, from a socket: what it refuses, how it keeps and ends connections."""
import contextlib
import json
import re
import resource
import signal
import socket
import threading
import time
import urllib.request

import pytest

from harness import http, sanitized
from rawhttp import Raw, get, wait_until

pytestmark = pytest.mark.asan
HOST = "Host: hub\r\n"
PUT = "PUT /v2/raw/test/manifests/v1 HTTP/1.1\r\n" + HOST


def metric(hub, name):
    page = http("GET", hub.url + "/metrics").body.decode()
    return float(re.search(rf"^{name} (\S+)$", page, re.M).group(1))


# --- heads that break a rule: an answer, then the end ---

REFUSED = {
    "conflicting lengths": (400, PUT + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    "repeated length": (400, PUT + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
    "list of lengths": (400, PUT + "Content-Length: 1,1\r\n\r\n"),
    "signed length": (400, PUT + "Content-Length: +1\r\n\r\n"),
    "negative length": (400, PUT + "Content-Length: -1\r\n\r\n"),
    "hex length": (400, PUT + "Content-Length: 0x1\r\n\r\n"),
    "length with text": (400, PUT + "Content-Length: 1a\r\n\r\n"),
    "empty length": (400, PUT + "Content-Length: \r\n\r\n"),
    "huge length": (400, PUT + "Content-Length: 99999999999999999999\r\n\r\n"),
    "length beyond 2^63": (413, PUT + "Content-Length: 9223372036854775808\r\n\r\n"),
    "length and chunked": (
        400, PUT + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "chunked and length": (
        400, PUT + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    "gzip, chunked": (501, PUT + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "chunked, gzip": (400, PUT + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    "chunked in quotes": (501, PUT + 'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n'),
    "x chunked": (501, PUT + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "chunked in 1.0": (
        400, "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "folded header": (400, PUT + "X: a\r\n b\r\n\r\n"),
    "folded first header": (400, "GET / HTTP/1.1\r\n " + HOST + "\r\n"),
    "bare CR": (400, PUT + "X: a\rb\r\n\r\n"),
    "bare LF": (400, "GET / HTTP/1.1\n" + HOST + "\n"),
    "LF in headers": (400, PUT + "X: a\nY: b\r\n\r\n"),
    "NUL in a value": (400, PUT + "X: a\0b\r\n\r\n"),
    "NUL in a name": (400, PUT + "X\0: a\r\n\r\n"),
    "NUL in the target": (400, "GET /\0 HTTP/1.1\r\n" + HOST + "\r\n"),
    "control character": (400, PUT + "X: a\x08\r\n\r\n"),
    "blank in a name": (400, PUT + "X Y: a\r\n\r\n"),
    "blank before the colon": (400, PUT + "Content-Length : 5\r\n\r\n"),
    "no name": (400, PUT + ": a\r\n\r\n"),
    "no colon": (400, PUT + "X\r\n\r\n"),
    "two hosts": (400, "GET / HTTP/1.1\r\n" + HOST + HOST + "\r\n"),
    "no host": (400, "GET / HTTP/1.1\r\n\r\n"),
    "host with a blank": (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "HTTP/0.9": (505, "GET /\r\n\r\n"),
    "HTTP/2.0": (505, "GET / HTTP/2.0\r\n" + HOST + "\r\n"),
    "HTTP/3": (400, "GET / HTTP/3\r\n" + HOST + "\r\n"),
    "not HTTP": (400, "GET / FTP/1.1\r\n" + HOST + "\r\n"),
    "preface of HTTP/2": (400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TLS hello": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "unknown method": (400, "BREW / HTTP/1.1\r\n" + HOST + "\r\n"),
    "tunnel": (400, "CONNECT a:80 HTTP/1.1\r\n" + HOST + "\r\n"),
    "two blanks": (400, "GET  / HTTP/1.1\r\n" + HOST + "\r\n"),
    "blank in the target": (400, "GET /a b HTTP/1.1\r\n" + HOST + "\r\n"),
    "fragment": (400, "GET /#a HTTP/1.1\r\n" + HOST + "\r\n"),
    "broken escape": (400, "GET /?a=%z HTTP/1.1\r\n" + HOST + "\r\n"),
    "other expectation": (417, PUT + "Content-Length: 1\r\nExpect: tea\r\n\r\n"),
    "long target": (414, "GET /" + "a" * 9000 + " HTTP/1.1\r\n" + HOST + "\r\n"),
    "long header": (431, PUT + "X: " + "a" * 17000 + "\r\n\r\n"),
    "endless header": (431, PUT + "X: " + "a" * 60000),
    "many headers": (431, PUT + "".join(f"X{i}: a\r\n" for i in range(101)) + "\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("shape", REFUSED)
def test_refuses(open_hub, shape):
    want, request = REFUSED[shape]
    with Raw(open_hub) as c:
        # What follows must not be taken for a request.
        with contextlib.suppress(ConnectionError):
            c.send(request, get("/healthz"))
        status, headers, body = c.answer()
        assert (status, headers["connection"]) == (want, "close")
        assert json.loads(body)["errors"][0]["code"]
        assert c.is_closed()


BROKEN_CHUNKS = {
    "no size": "\r\nab\r\n0\r\n\r\n",
    "0x": "0x2\r\nab\r\n0\r\n\r\n",
    "sign": "+2\r\nab\r\n0\r\n\r\n",
    "blank": " 2\r\nab\r\n0\r\n\r\n",
    "huge": "fffffffffffffffff\r\nab\r\n0\r\n\r\n",
    "longer than its size": "1\r\nab\r\n0\r\n\r\n",
    "LF": "2\nab\r\n0\r\n\r\n",
    "LF behind the data": "2\r\nab\n0\r\n\r\n",
    "long extension": "2;" + "x" * 2000 + "\r\nab\r\n0\r\n\r\n",
    "endless trailer": "0\r\nX: " + "a" * 40000 + "\r\n\r\n",
}


@pytest.mark.parametrize("shape", BROKEN_CHUNKS)
def test_refuses_chunks(open_hub, shape):
    head = PUT + "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n"
    with Raw(open_hub) as c:
        with contextlib.suppress(ConnectionError):
            c.send(head, "Transfer-Encoding: chunked\r\n\r\n", BROKEN_CHUNKS[shape], get("/healthz"))
        status, headers, _ = c.answer()
        assert (status, headers["connection"]) == (400, "close")
        assert c.is_closed()


def test_a_body_that_ends_early_is_refused(open_hub):
    with Raw(open_hub) as c:
        c.send(PUT, "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{}")
        c.sock.shutdown(socket.SHUT_WR)
        status, _, body = c.answer()
        assert (status, json.loads(body)["errors"][0]["code"]) == (400, "SIZE_INVALID")


# --- keeping and ending connections ---


def test_pipelined_requests_are_answered_in_order(open_hub):
    with Raw(open_hub) as c:
        c.send(get("/healthz"), get("/nowhere"), get("/readyz") * 20)
        assert c.answer()[2] == b"ok\n"
        assert c.answer()[0] == 404
        for _ in range(20):
            assert c.answer()[2] == b"ready\n"


def test_requests_byte_by_byte(open_hub):
    with Raw(open_hub) as c:
        for byte in get("/healthz") * 2:
            c.send(bytes([byte]))
        assert [c.answer()[0], c.answer()[0]] == [200, 200]


def test_a_pipeline_behind_a_chunked_body(open_hub):
    """The next request begins in the buffer the body came in."""
    body = "".join(f"{len(p):x}\r\n{p}\r\n" for p in ["x" * 70000, "y"]) + "0\r\n\r\n"
    with Raw(open_hub) as c:
        c.send("POST /healthz HTTP/1.1\r\n", HOST, "Transfer-Encoding: chunked\r\n\r\n")
        c.send("1\r\na\r\n0\r\n\r\n", get("/healthz"))
        assert [c.answer()[0], c.answer()[0]] == [405, 200]
        upload = http("POST", open_hub.url + "/v2/raw/pipeline/blobs/uploads/")
        path = upload.headers["Location"]
        c.send(f"PATCH {path} HTTP/1.1\r\n", HOST, "Transfer-Encoding: chunked\r\n\r\n")
        c.send(body, get("/readyz") * 300)
        status, headers, _ = c.answer()
        assert (status, headers["range"]) == (202, "0-70000")
        assert all(c.answer()[0] == 200 for _ in range(300))


def test_old_protocol(open_hub):
    with Raw(open_hub) as c:
        c.send("GET /healthz HTTP/1.0\r\n\r\n")
        status, headers, _ = c.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert c.is_closed()
    with Raw(open_hub) as c:
        for _ in range(2):
            c.send("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            status, headers, _ = c.answer()
            assert (status, headers["connection"]) == (200, "keep-alive")


def test_close_when_asked(open_hub):
    with Raw(open_hub) as c:
        c.send(get("/healthz", "Connection: close"), get("/healthz"))
        assert c.answer()[1]["connection"] == "close"
        assert c.is_closed()


def test_head_has_no_body(open_hub):
    with Raw(open_hub) as c:
        c.send("HEAD /healthz HTTP/1.1\r\n", HOST, "\r\n", "HEAD /nowhere HTTP/1.1\r\n", HOST, "\r\n")
        status, headers, _ = c.answer(body=False)
        assert (status, headers["content-length"]) == (200, "3")
        assert c.answer(body=False)[0] == 404
        c.send(get())
        assert c.answer()[2] == b"ok\n"


def test_method_and_path(open_hub):
    with Raw(open_hub) as c:
        c.send("POST /healthz HTTP/1.1\r\n", HOST, "Content-Length: 0\r\n\r\n")
        status, headers, _ = c.answer()
        assert (status, headers["allow"]) == (405, "GET, HEAD")
        c.send("GET http://elsewhere:1/healthz?x HTTP/1.1\r\n", HOST, "\r\n")
        assert c.answer()[0] == 200
        c.send("OPTIONS * HTTP/1.1\r\n", HOST, "\r\n")
        assert c.answer()[0] == 404


def test_the_answer_arrives_though_the_body_was_not_read(open_hub):
    """Closing at once would reset the connection and take the answer away."""
    for _ in range(20):
        with Raw(open_hub) as c:
            c.send("PUT /nowhere HTTP/1.1\r\n", HOST, "Content-Length: 50000000\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                c.send(b"x" * 500000)
            status, headers, _ = c.answer()
            assert (status, headers["connection"]) == (404, "close")


def test_a_small_unread_body_keeps_the_connection(open_hub):
    with Raw(open_hub) as c:
        c.send("PUT /nowhere HTTP/1.1\r\n", HOST, "Content-Length: 60000\r\n\r\n", b"x" * 60000)
        c.send(get())
        assert [c.answer()[0], c.answer()[0]] == [404, 200]


# --- Expect: 100-continue ---


def upload_head(hub, length, name="raw/expect"):
    path = http("POST", f"{hub.url}/v2/{name}/blobs/uploads/").headers["Location"]
    return (f"PATCH {path} HTTP/1.1\r\nHost: hub\r\nContent-Length: {length}\r\n"
            "Expect: 100-continue\r\n\r\n")  # fmt: skip


def test_continue_is_sent_when_the_body_is_wanted(open_hub):
    with Raw(open_hub) as c:
        c.send(upload_head(open_hub, 5))
        assert c.head() == (100, {})
        c.send("hello", get())
        assert [c.answer()[0], c.answer()[0]] == [202, 200]


def test_no_continue_when_the_body_came_along(open_hub):
    with Raw(open_hub) as c:
        c.send(upload_head(open_hub, 5) + "hello")
        assert c.answer()[0] == 202


def test_refused_before_a_byte_of_body(hub):
    with Raw(hub) as c:
        c.send("POST /v2/a/b/blobs/uploads/ HTTP/1.1\r\n", HOST)
        c.send("Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n")
        status, headers, _ = c.answer()
        assert (status, headers["connection"]) == (401, "close")
        assert c.is_closed()


# --- those who are slow, and those who are many ---


@pytest.fixture
def strict_hub(make_hub):
    return make_hub("--no-auth", "--http-head-timeout=1", "--http-body-timeout=1",
                    "--http-idle-timeout=2", "--http-min-rate=1000")  # fmt: skip


def test_slow_head(strict_hub):
    with Raw(strict_hub) as c:
        c.send("GET /healthz HT")
        assert c.answer()[0] == 408
        assert c.is_closed()
    with Raw(strict_hub) as c:  # one that never pauses
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in get("/healthz", "X: " + "a" * 200):
                c.send(bytes([byte]))
                time.sleep(0.02)
        assert time.monotonic() - started < 4
        with contextlib.suppress(ConnectionError):
            assert c.answer()[0] == 408


def test_idle(strict_hub):
    with Raw(strict_hub) as fresh, Raw(strict_hub) as used:
        used.send(get())
        assert used.answer()[0] == 200
        assert fresh.is_closed() and used.is_closed()


def test_slow_body(strict_hub):
    with Raw(strict_hub) as c:
        c.send(upload_head(strict_hub, 1000))
        assert c.head()[0] == 100
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - started < 5:
                c.send("x")
                time.sleep(0.05)
        assert c.answer()[0] in (408, 400)


def test_a_body_at_the_minimum_rate_is_taken(strict_hub):
    with Raw(strict_hub) as c:
        c.send(upload_head(strict_hub, 16000))
        assert c.head()[0] == 100
        for _ in range(16):
            c.send("x" * 1000)
            time.sleep(0.2)
        assert c.answer()[0] == 202


def test_slow_reader(strict_hub):
    """One that asks for much and reads nothing does not keep its thread."""
    blob = b"z" * (32 << 20)
    import hashlib

    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    put = http("POST", f"{strict_hub.url}/v2/raw/slow/blobs/uploads/?digest={digest}", blob)
    assert put.status == 201
    with Raw(strict_hub) as c:
        c.send(get(f"/v2/raw/slow/blobs/{digest}"))
        time.sleep(0.3)
        wait_until(lambda: metric(strict_hub, "kv_http_in_flight") == 1, 10)


@pytest.mark.parametrize("n", [200])
def test_slow_heads_and_bodies_beside_normal_traffic(make_hub, n):
    hub = make_hub("--no-auth", "--http-body-timeout=30")
    with contextlib.ExitStack() as stack:
        for i in range(n):
            stack.enter_context(Raw(hub)).send("GET /healthz HTTP/1.1\r\nX: ")
        bodies = [stack.enter_context(Raw(hub)) for _ in range(n)]
        for c in bodies:
            c.send(upload_head(hub, 100000), "x" * 10)
        wait_until(lambda: metric(hub, "kv_http_in_flight") > n, 20)
        with Raw(hub) as c:
            times = []
            for _ in range(200):
                started = time.monotonic()
                c.send(get())
                assert c.answer()[0] == 200
                times.append(time.monotonic() - started)
        assert sorted(times)[100] < 0.1
        assert hub.peak_rss_kib() < 64 * 1024 or sanitized()


@pytest.mark.parametrize("n", [2000, pytest.param(10000, marks=pytest.mark.slow)])
def test_idle_connections_cost_little(make_hub, n):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < n + 500:
        pytest.skip(f"the limit of open files is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    hub = make_hub("--no-auth", "--http-max-connections-per-address=0",
                   f"--http-max-connections={n + 100}")  # fmt: skip
    before = metric(hub, "process_resident_memory_bytes")
    socks = []
    try:
        for _ in range(n):
            socks.append(socket.create_connection(("127.0.0.1", hub.port), 10))
        wait_until(lambda: metric(hub, "kv_http_connections") > n, 20)
        each = (metric(hub, "process_resident_memory_bytes") - before) / n
        assert each < 1024 or sanitized(), f"{each} bytes per idle connection"
        for s in socks[:: n // 50]:  # all of them still work
            s.sendall(get())
            assert s.recv(100).startswith(b"HTTP/1.1 200 ")
        assert metric(hub, "kv_http_workers") < 100
    finally:
        for s in socks:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: metric(hub, "kv_http_connections") < 10, 20)


def test_too_many_connections(make_hub):
    hub = make_hub("--no-auth", "--http-max-connections=20")
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(Raw(hub)) for _ in range(19)]
        for c in held:
            c.send(get())
            assert c.answer()[0] == 200
        more = [stack.enter_context(Raw(hub)) for _ in range(5)]
        refused = 0
        for c in more:
            with contextlib.suppress(ConnectionError, EOFError):
                c.send(get())
                refused += c.answer()[0] == 503
        assert refused >= 3
        held[0].send(get())
        assert held[0].answer()[0] == 200
    wait_until(lambda: metric(hub, "kv_http_connections") == 1)


def test_too_many_connections_of_one_address(make_hub):
    hub = make_hub("--no-auth", "--http-max-connections-per-address=4")
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(Raw(hub, source="127.0.0.2")) for _ in range(4)]
        for c in held:
            c.send(get())
            assert c.answer()[0] == 200
        with Raw(hub, source="127.0.0.2") as c:
            assert c.answer()[0] == 503
        with Raw(hub, source="127.0.0.3") as c:
            c.send(get())
            assert c.answer()[0] == 200


def test_too_many_requests(make_hub):
    hub = make_hub("--no-auth", "--http-max-requests=8")
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            c = stack.enter_context(Raw(hub))
            with contextlib.suppress(ConnectionError):
                c.send(get().replace(b"GET /healthz", b"PUT /v2/a/b/manifests/x").replace(
                    b"\r\n\r\n", b"\r\nContent-Length: 1000\r\n\r\n"))  # fmt: skip
        with Raw(hub) as c:
            c.send(get())
            status, headers, _ = c.answer()
            assert (status, headers["retry-after"]) == (503, "1")
    wait_until(lambda: hub.request("GET", "/healthz").status == 200)


# --- stopping ---


def test_a_running_request_ends_before_the_hub_does(make_hub):
    hub = make_hub("--no-auth")
    with Raw(hub) as idle, Raw(hub) as c:
        idle.send(get())
        assert idle.answer()[0] == 200
        c.send(upload_head(hub, 5))
        assert c.head()[0] == 100
        c.send("he")
        hub.process.send_signal(signal.SIGTERM)
        assert idle.is_closed()
        with pytest.raises(OSError):
            Raw(hub, timeout=2)
        c.send("llo")
        status, headers, _ = c.answer()
        assert (status, headers["connection"]) == (202, "close")
        assert hub.process.wait(10) == 0
    assert not (hub.data / "listen").exists()
    hub.stop()


def test_a_request_that_does_not_end_is_cut(make_hub):
    hub = make_hub("--no-auth", "--stop-grace=1")
    with Raw(hub) as c:
        c.send(upload_head(hub, 5))
        assert c.head()[0] == 100
        c.send("he")
        started = time.monotonic()
        hub.process.send_signal(signal.SIGTERM)
        assert hub.process.wait(10) == 0
        assert 0.9 < time.monotonic() - started < 8
    hub.stop()


def test_stop_under_load(make_hub):
    hub = make_hub("--no-auth")
    stop = threading.Event()
    odd = []

    def client():
        while not stop.is_set():
            try:
                with urllib.request.urlopen(hub.url + "/readyz", timeout=5) as r:
                    if r.read() != b"ready\n":
                        odd.append(r.status)
            except OSError:
                return

    threads = [threading.Thread(target=client) for _ in range(8)]
    for t in threads:
        t.start()
    time.sleep(0.5)
    hub.stop()
    stop.set()
    for t in threads:
        t.join()
    assert not odd

"""kitvaultd as a program: arguments, address, log, metrics, TLS."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

from harness import Hub, clean_env, http, program
from rawhttp import Raw, get, wait_until

pytestmark = pytest.mark.asan


def run(*args, env=None):
    return subprocess.run(
        [program("kitvaultd"), *map(str, args)], env=clean_env("/nonexistent", **(env or {})),
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip


def log_lines(hub):
    return [json.loads(line) for line in hub.log_text().splitlines()]


# --- arguments ---


def test_help_names_every_setting():
    out = run("--help").stdout
    keys = re.findall(r"^(\S+) = ", run("config").stdout, re.M)
    assert len(keys) > 15
    for key in keys:
        assert "--" + re.sub(r"[._]", "-", key) in out
    assert run().stdout == run("help").stdout == run("serve", "--help").stdout == out


def test_version():
    assert re.fullmatch(r"kitvaultd \d+\.\d+\.\d+\S*\n", run("version").stdout)


def test_config_shows_where_a_setting_comes_from(tmp_path):
    conf = tmp_path / "hub.conf"
    conf.write_text("# mine\nlisten = file:1\nhttp.idle_timeout = 7\nlog.level = debug\n")
    r = run("config", "--config", conf, "--log-level=warn", env={"KITVAULT_LISTEN": "env:2"})
    assert r.returncode == 0
    for line in ("listen = env:2", "http.idle_timeout = 7", "log.level = warn", "data = "):
        assert f"\n{line}\n" in "\n" + r.stdout
    conf.write_text(r.stdout)
    assert run("config", "--config", conf).stdout == r.stdout


@pytest.mark.parametrize(
    "args, message",
    [
        (["bogus"], "unknown command 'bogus'"),
        (["serve"], "--data DIR is needed"),
        (["serve", "--data"], "flag needs an argument: --data"),
        (["serve", "--bogus"], "unknown flag: --bogus"),
        (["serve", "--data=/nonexistent/x", "--log-level=loud"], "not 'loud'"),
        (["serve", "--data=x", "--listen=nowhere"], "expected HOST:PORT"),
        (["serve", "--data=x", "--listen=127.0.0.1:99999"], "expected HOST:PORT"),
        (["serve", "--data=x", "--listen=::1:80"], "expected HOST:PORT"),
        (["serve", "--data=x", "--listen=no.such.host.invalid:0"], "cannot listen on"),
        (["serve", "--data=x", "--listen=0.0.0.0:0", "--no-auth"], "only on a loopback address"),
        (["serve", "--data=x", "--tls-cert=a"], "need each other"),
        (["serve", "--data=x", "--listen=127.0.0.1:0", "--tls-cert=/nonexistent/c",
          "--tls-key=k"], "certificate '/nonexistent/c'"),
        (["version", "x"], "takes no arguments"),
    ],
)  # fmt: skip
def test_wrong_arguments(args, message, tmp_path):
    args = [a.replace("--data=x", f"--data={tmp_path}/data") for a in args]
    r = run(*args)
    assert r.returncode == 1
    assert message in r.stderr and r.stderr.startswith("kitvaultd: ")
    assert r.stdout == ""


def test_manual(tmp_path):
    page = run("manual").stdout
    for key in re.findall(r"^(\S+) = ", run("config").stdout, re.M):
        assert f"File: \\fB{key}\\fR;" in page
    lines = page.split(".SH EXAMPLES\n.nf\n")[1].split("\n.fi")[0].replace("\\-", "-").splitlines()
    assert len(lines) == 2
    for line in lines:
        words = line.split()
        words[0] = program(words[0])
        p = subprocess.Popen(words, cwd=tmp_path, env=clean_env(tmp_path), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)  # fmt: skip
        if "serve" in words:
            wait_until(lambda: (tmp_path / "hub" / "listen").exists())
            p.send_signal(signal.SIGTERM)
        out, err = p.communicate(timeout=20)
        assert p.returncode == 0, err
        assert "serve" in words or b"http.idle_timeout = 60" in out


def test_manual_is_roff(tmp_path):
    man = shutil.which("man") or shutil.which("groff")
    if not man:
        pytest.skip("no man here")
    page = tmp_path / "kitvaultd.8"
    page.write_text(run("manual").stdout)
    words = [man, "--warnings", "-l", page] if man.endswith("man") else [man, "-man", "-Tutf8", "-ww", page]
    r = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert r.returncode == 0 and r.stderr == "" and "idle" in r.stdout


# --- starting ---


def test_chosen_port_is_written_down(tmp_path):
    data = tmp_path / "data"
    with open(tmp_path / "log", "w") as log:
        p = subprocess.Popen(
            [program("kitvaultd"), "serve", "--data", data, "--listen", "127.0.0.1:0"],
            env=clean_env(tmp_path), stderr=log, stdout=log,
        )  # fmt: skip
    try:
        wait_until(lambda: (data / "listen").exists())
        address = (data / "listen").read_text().strip()
        assert http("GET", f"http://{address}/readyz").status == 200
        lines = [json.loads(x) for x in (tmp_path / "log").read_text().splitlines()]
        listening = next(x for x in lines if x["msg"] == "listening")
        assert listening["address"] == address and not listening["tls"]
    finally:
        p.send_signal(signal.SIGTERM)
        assert p.wait(20) == 0


def test_one_hub_per_data_directory(hub):
    r = run("serve", "--data", hub.data, "--listen", "127.0.0.1:0")
    assert r.returncode == 1
    assert "another hub is using" in r.stderr
    assert hub.request("GET", "/readyz").status == 200


def test_address_in_use(hub, tmp_path):
    r = run("serve", "--data", tmp_path / "d", "--listen", hub.host)
    assert r.returncode == 1
    assert f"cannot listen on '{hub.host}': Address already in use" in r.stderr
    assert not (tmp_path / "d").exists()


def test_ready_soon(tmp_path):
    """The figure is 100 ms; here with room for a loaded machine and for sanitizers."""
    hub = Hub(tmp_path / "hub")
    started = time.monotonic()
    hub.start()
    took = time.monotonic() - started
    hub.stop()
    assert took < 3


def test_ipv6(tmp_path):
    data = tmp_path / "data"
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    p = subprocess.Popen(
        [program("kitvaultd"), "serve", "--data", data, "--listen", "[::1]:0", "--no-auth"],
        env=clean_env(tmp_path), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: (data / "listen").exists())
        address = (data / "listen").read_text().strip()
        assert address.startswith("[::1]:")
        assert http("GET", f"http://{address}/healthz").body == b"ok\n"
    finally:
        p.send_signal(signal.SIGTERM)
        assert p.wait(20) == 0


# --- log and metrics ---


def test_a_request_is_one_log_line(own_hub):
    r = own_hub.request("GET", "/v2/a/b/tags/list?token=hidden", headers={"User-Agent": "tester"})
    request_id = r.headers["X-Request-Id"]
    line = wait_until(
        lambda: [x for x in log_lines(own_hub) if x.get("request") == request_id][-1:]
    )[0]
    assert line["msg"] == "request" and line["level"] == "info"
    assert line["method"] == "GET" and line["path"] == "/v2/a/b/tags/list"
    assert line["status"] == 404 and line["agent"] == "tester" and line["peer"] == "127.0.0.1"
    assert line["us"] > 0 and line["out"] > 0
    assert "hidden" not in own_hub.log_text()


def test_request_ids_differ(own_hub):
    ids = {own_hub.request("GET", "/healthz").headers["X-Request-Id"] for _ in range(50)}
    assert len(ids) == 50


def test_log_level_is_read_again(make_hub, tmp_path):
    conf = tmp_path / "hub.conf"
    conf.write_text("log.requests = false\n")
    hub = make_hub("--no-auth", "--config", conf)

    def read_again(text):
        before = hub.log_text().count("read again")
        conf.write_text(text)
        os.kill(hub.pid, signal.SIGHUP)
        wait_until(lambda: hub.log_text().count("read again") > before)
        return hub.request("GET", "/healthz").headers["X-Request-Id"]

    logged = read_again("log.requests = true\n")
    wait_until(lambda: logged in hub.log_text())
    silent = read_again("log.requests = false\n")
    conf.write_text("log.level = loud\n")
    os.kill(hub.pid, signal.SIGHUP)
    wait_until(lambda: "reload: log.level: expected" in hub.log_text())
    assert hub.request("GET", "/healthz").status == 200
    hub.stop()  # a request is logged after its answer, so only now is it sure that none was
    assert silent not in hub.log_text()


def test_metrics_are_prometheus_text(own_hub):
    own_hub.request("GET", "/v2/nobody/here/tags/list")
    own_hub.request("GET", "/nowhere")
    page = own_hub.request("GET", "/metrics")
    assert page.headers["Content-Type"] == "text/plain; version=0.0.4"
    text = page.body.decode()
    typed = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
            continue
        if line.startswith("#"):
            continue
        m = re.fullmatch(r'([a-z_]+)(\{([a-z]+="[^"\\\n]*",?)+\})? [0-9.e+-]+', line)
        assert m, line
        name = re.sub(r"_(bucket|sum|count)$", "", m.group(1))
        assert name in typed or m.group(1) in typed, line
    counted = (
        'kv_http_requests_total{route="/v2/{name*}/tags/list",method="GET",code="404"} 1\n',
        'kv_http_requests_total{route="none",method="any",code="404"} 1\n',
    )  # after the answer is out, so perhaps not on the first page
    wait_until(lambda: all(c in own_hub.request("GET", "/metrics").body.decode() for c in counted))
    for name in ("kv_build_info", "kv_http_in_flight", "process_resident_memory_bytes"):
        assert name in typed


def test_metrics_count_bytes(own_hub):
    own_hub.request("POST", "/v2/a/b/blobs/uploads/", b"x" * 1000)
    text = own_hub.request("GET", "/metrics").body.decode()
    assert re.search(r'kv_bytes_total\{direction="in",adapter="oci"\} \d+', text)


# --- TLS ---


def make_certificate(path, name):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", path / "key.pem", "-out", path / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


class TlsHub(Hub):
    def is_ready(self):
        context = ssl.create_default_context(cafile=self.base / "cert.pem")
        with Raw(self, tls=context) as c:
            c.send(get("/readyz"))
            return c.answer()[0] == 200


@pytest.fixture
def tls_hub(tmp_path):
    base = tmp_path / "tls"
    base.mkdir()
    make_certificate(base, "first")
    hub = TlsHub(base, "--no-auth", "--tls-cert", base / "cert.pem", "--tls-key", base / "key.pem",
                 "--http-head-timeout=2")  # fmt: skip
    hub.start()
    yield hub
    hub.stop()


def trusting(hub):
    return ssl.create_default_context(cafile=hub.base / "cert.pem")


def subject(c):
    return dict(x[0] for x in c.sock.getpeercert()["subject"])["commonName"]


def test_tls_serves(tls_hub):
    with Raw(tls_hub, tls=trusting(tls_hub)) as c:
        c.send(get(), get("/nowhere"), get())
        assert [c.answer()[0] for _ in range(3)] == [200, 404, 200]
        assert c.sock.version() in ("TLSv1.2", "TLSv1.3")
        c.send(get("/healthz", "Connection: close"))
        assert c.answer()[0] == 200
        assert c.is_closed()


def test_tls_moves_large_bodies(tls_hub):
    import hashlib

    blob = os.urandom(1 << 20) * 20
    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    with Raw(tls_hub, tls=trusting(tls_hub), timeout=60) as c:
        c.send(f"POST /v2/a/b/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: hub\r\n")
        c.send(f"Content-Length: {len(blob)}\r\n\r\n", blob)
        assert c.answer()[0] == 201
        c.send(get(f"/v2/a/b/blobs/{digest}"))
        status, _, body = c.answer()
        assert status == 200 and body == blob


def test_tls_reload(tls_hub):
    with Raw(tls_hub, tls=trusting(tls_hub)) as old:
        old.send(get())
        assert old.answer()[0] == 200 and subject(old) == "first"
        make_certificate(tls_hub.base, "second")
        os.kill(tls_hub.pid, signal.SIGHUP)
        wait_until(lambda: "read again" in tls_hub.log_text())
        with Raw(tls_hub, tls=trusting(tls_hub)) as c:
            c.send(get())
            assert c.answer()[0] == 200 and subject(c) == "second"
        old.send(get())
        assert old.answer()[0] == 200
        (tls_hub.base / "cert.pem").write_text("rubbish")
        os.kill(tls_hub.pid, signal.SIGHUP)
        wait_until(lambda: "reload: cannot use certificate" in tls_hub.log_text())
        old.send(get())
        assert old.answer()[0] == 200
    make_certificate(tls_hub.base, "third")  # the hub still has the second


def test_tls_refuses_old_protocols_and_plain_text(tls_hub):
    with Raw(tls_hub) as c:
        c.send(get())
        assert c.is_closed()
    with Raw(tls_hub) as c:  # a handshake that does not go on
        c.send(b"\x16\x03\x01\x02\x00\x01\x00")
        assert c.is_closed(8)


def test_tls_slow_head(tls_hub):
    with Raw(tls_hub, tls=trusting(tls_hub)) as c:
        c.send("GET / HT")
        try:
            assert c.answer()[0] == 408
        except (ConnectionError, EOFError, ssl.SSLError):
            pytest.fail("no answer")


def client_hello(hub):
    out = ssl.MemoryBIO()
    client = trusting(hub).wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


@pytest.mark.parametrize("sent", [0, 1, 100, None], ids=["nothing", "one byte", "a part", "a whole hello"])
def test_tls_handshakes_that_stall(tls_hub, sent):
    """Many of them keep nobody else out, and the hub is rid of them after the time of a head."""
    hello = client_hello(tls_hub)
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(Raw(tls_hub)) for _ in range(100)]
        for c in stalled:
            c.send(hello[:sent])
        with Raw(tls_hub, tls=trusting(tls_hub)) as c:
            c.send(get("/readyz"))
            assert c.answer()[0] == 200
        for c in stalled:  # to a whole hello there was an answer, with nothing behind it
            c.sock.settimeout(20)
            with contextlib.suppress(ConnectionResetError):
                while sent is None and c.sock.recv(65536):
                    pass
            assert sent is None or c.is_closed(20)
    with Raw(tls_hub, tls=trusting(tls_hub)) as c:
        c.send(get("/readyz"))
        assert c.answer()[0] == 200


def test_tls_handshake_that_never_pauses(tls_hub):
    hello = client_hello(tls_hub)
    sent = 0
    with Raw(tls_hub) as c, contextlib.suppress(ConnectionError):
        for sent in range(len(hello)):
            c.send(hello[sent : sent + 1])
            time.sleep(0.02)
    assert sent < len(hello) - 1  # 5 s and more for all of it, where 2 s are allowed

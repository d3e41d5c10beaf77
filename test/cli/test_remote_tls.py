"""Certificates and proxies on the way to a registry."""
import subprocess

import pytest

from harness import need
from proxy import Proxy

CONF = """
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = keyCertSign
[server]
subjectAltName = IP:127.0.0.1,DNS:localhost
[client]
extendedKeyUsage = clientAuth
"""


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    """A folder with ca, server and client certificates and keys."""
    folder = tmp_path_factory.mktemp("certs")
    (folder / "conf").write_text(CONF)

    def openssl(*argv):
        subprocess.run([need("openssl"), *argv], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "server", "client"):
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "conf",
                "-subj", f"/CN=test {name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        signer = ["-signkey", "ca.key"] if name == "ca" else ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
        openssl("x509", "-req", "-in", f"{name}.csr", "-days", "2", "-extfile", "conf", "-extensions", name,
                *signer, "-out", f"{name}.pem")  # fmt: skip
    return folder


@pytest.fixture
def tls(registry, certs):
    p = Proxy(registry.port, cert=(certs / "server.pem", certs / "server.key"))
    yield p
    p.stop()


def test_unknown_authority(packed, tls, certs):
    ref = f"{tls.host}/team/demo:v1"
    err = packed.fails("push", "demo:v1", ref)
    assert err.startswith("[ERROR] Failed to push: ") and "certificate" in err
    packed.ok("push", "--tls-verify=false", "demo:v1", ref)
    packed.ok("pull", "--tls-cert", certs / "ca.pem", ref)
    packed.ok("pull", "--tls-cert", certs / "client.pem", "--tls-cert", certs / "ca.pem", ref)
    assert "certificate" in packed.fails("pull", "--tls-cert", certs / "client.pem", ref)


def test_unreadable_authority(packed, tls, certs):
    err = packed.fails("pull", "--tls-cert", certs / "nope.pem", f"{tls.host}/team/demo:v1")
    assert f"cannot read certificates from '{certs}/nope.pem'" in err


def test_client_certificate(packed, registry, certs):
    p = Proxy(registry.port, cert=(certs / "server.pem", certs / "server.key"), client_ca=certs / "ca.pem")
    try:
        ref = f"{p.host}/team/demo:v1"
        trust = ["--tls-cert", certs / "ca.pem"]
        own = ["--cert", certs / "client.pem", "--key", certs / "client.key"]
        packed.fails("push", *trust, "demo:v1", ref)
        packed.ok("push", *trust, *own, "demo:v1", ref)
        env = {"KITOPS_CLIENT_CERT": certs / "client.pem", "KITOPS_CLIENT_KEY": certs / "client.key"}
        packed.ok("pull", *trust, ref, env=env)
        packed.ok("pull", *trust, "--cert", "nope", "--key", "nope", ref, env=env)
        assert "nope" in packed.fails("pull", *trust, "--cert", "nope", "--key", "nope", ref)
    finally:
        p.stop()


def test_plain_server_asked_with_tls(packed, registry):
    err = packed.fails("push", "demo:v1", f"{registry.host}/team/demo:v1")
    assert "the server does not speak HTTPS on this port" in err


@pytest.fixture
def forward(registry):
    p = Proxy(registry.port)
    yield p
    p.stop()


def test_proxy_option(packed, registry, forward):
    ref = f"{registry.host}/team/demo:v1"
    packed.ok("push", "--plain-http", "--proxy", forward.url, "demo:v1", ref)
    assert forward.proxied > 0


def test_proxy_of_the_environment(packed, registry, forward):
    """It is not used for this machine itself, as in kit; other names go through it."""
    ref = f"{registry.host}/team/demo:v1"
    env = {"http_proxy": forward.url, "HTTP_PROXY": forward.url}
    packed.ok("push", "--plain-http", "demo:v1", ref, env=env)
    assert forward.proxied == 0
    for name in ("http_proxy", "HTTP_PROXY"):
        before = forward.proxied
        packed.ok("push", "--plain-http", "demo:v1", "far.example/team/demo:v1", env={name: forward.url})
        assert forward.proxied > before
    before = forward.proxied
    env = {"HTTP_PROXY": forward.url, "NO_PROXY": "far.example"}
    packed.fails("push", "--plain-http", "demo:v1", "far.example/team/demo:v1", env=env)
    assert forward.proxied == before


def test_no_proxy_there(packed, registry):
    err = packed.fails("push", "--plain-http", "--proxy", "http://127.0.0.1:1", "demo:v1", f"{registry.host}/a/b:c")
    assert "cannot connect" in err

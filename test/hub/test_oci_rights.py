"""Who sees and does what over the registry API, and that nobody learns of what they may not see."""
import json
import urllib.parse

import pytest

from harness import http
from oci import Oci, digest

pytestmark = pytest.mark.asan

DATA = b"the bytes of a secret blob"


class People:
    """Signed-in clients of one hub: people.anna.at("team/demo")."""

    def __init__(self, hub):
        self.hub = hub
        self.root = Oci(hub.host, "team/demo", *hub.admin)
        self.nobody = Oci(hub.host, "team/demo")

    def add(self, name, **grants):
        """grants: namespace="read" or "write"."""
        password = f"the password of {name}"
        self.api("POST", "users", {"name": name, "password": password})
        for ns, role in grants.items():
            self.api("PUT", f"users/{name}/grants/{ns}", {"role": role})
        setattr(self, name, Oci(self.hub.host, "team/demo", name, password))

    def api(self, method, path, body):
        r = self.hub.request(method, "/api/v1/" + path, json.dumps(body).encode(),
                             {"Content-Type": "application/json"}, self.hub.admin)  # fmt: skip
        assert r.status < 300, r


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    from harness import Hub

    hub = Hub(tmp_path_factory.mktemp("people")).start()
    p = People(hub)
    p.add("writer", team="write", lib="read")
    p.add("reader", team="read")
    p.add("stranger", other="write")
    p.tagged = p.root.push("v1")
    p.blob = p.root.push_blob(DATA)
    p.root.at("secret/base").push_blob(b"only there")
    p.root.at("lib/base").push_blob(b"shared bytes")
    yield p
    hub.stop()


READS = [
    ("GET", "manifests/v1", 200),
    ("HEAD", "manifests/v1", 200),
    ("GET", "tags/list", 200),
    ("GET", "referrers/" + digest(b"x"), 200),
    ("GET", "blobs/" + digest(DATA), 200),
]


@pytest.mark.parametrize("method, path, status", READS)
def test_reading(people, method, path, status):
    for who, want in (("root", status), ("writer", status), ("reader", status), ("stranger", 404), ("nobody", 401)):
        o = getattr(people, who)
        r = o.request(method, o.url(path))
        assert r.status == want, (who, r)
        if want == 401:
            assert r.headers.get_all("WWW-Authenticate")[0].startswith("Bearer realm=")


@pytest.mark.parametrize("method, path, status", READS)
def test_what_is_hidden_looks_like_what_is_not_there(people, method, path, status):
    for who in ("stranger", "nobody"):
        o = getattr(people, who)
        there, nowhere = o.request(method, o.url(path)), o.request(method, o.at("no/where").url(path))
        assert there.status == nowhere.status
        assert there.body.replace(b"team/demo", b"") == nowhere.body.replace(b"no/where", b"")


WRITES = [
    ("POST", "blobs/uploads/", b""),
    ("POST", "blobs/uploads/?digest=" + digest(b"d"), b"d"),
    ("PATCH", "blobs/uploads/00000000-0000-4000-8000-000000000000", b"d"),
    ("PUT", "manifests/v2", b"{}"),
    ("DELETE", "manifests/v2", None),
    ("DELETE", "blobs/" + digest(b"not there"), None),
]


@pytest.mark.parametrize("method, path, body", WRITES)
def test_writing(people, method, path, body):
    for who, want in (("reader", 403), ("stranger", 404), ("nobody", 401)):
        o = getattr(people, who)
        assert o.request(method, o.url(path), body).status == want, who
    r = people.writer.request(method, people.writer.url(path), body)
    assert r.status in (201, 202, 400, 404), r


def test_body_is_not_read_before_the_right_is_checked(people):
    import socket

    host, port = people.hub.host.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.sendall(
            f"POST /v2/team/demo/blobs/uploads/?digest={digest(DATA)} HTTP/1.1\r\nHost: {people.hub.host}\r\n"
            f"Content-Length: 100000000\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert s.recv(12) == b"HTTP/1.1 401"


def mount(o, d, source=None):
    r = o.request("POST", o.url(f"blobs/uploads/?mount={d}" + (f"&from={source}" if source else "")))
    assert r.status in (201, 202), r
    if r.status == 202:
        assert o.finish(r["Location"], digest(b"fallback"), b"fallback").status == 201
    else:
        assert r["Location"] == o.url("blobs/" + d) and r["Docker-Content-Digest"] == d
        assert o.blob(d, method="HEAD").status == 200
    return r.status == 201


def test_mount(people):
    w = people.writer.at("team/mounted")
    shared, secret = digest(b"shared bytes"), digest(b"only there")
    assert mount(w, shared, "lib/base")
    assert not mount(w, secret, "secret/base")
    assert not mount(w, secret)
    assert not mount(w, secret, "lib/base")
    assert not mount(w, shared, "secret/base")
    assert not mount(w, shared, "no/where")
    assert not mount(w, digest(b"nowhere at all"))
    assert w.blob(secret).status == 404
    assert mount(people.writer.at("team/anonymously"), shared)
    assert mount(people.root.at("new/repository"), secret)


def test_mount_with_a_token_needs_both_scopes(people):
    shared = digest(b"shared bytes")
    word = people.writer.auth["Authorization"]

    def signed(*scopes):
        query = urllib.parse.urlencode([("service", "kitvault")] + [("scope", s) for s in scopes])
        r = http("GET", f"{people.hub.url}/token?{query}", headers={"Authorization": word})
        o = people.nobody.at("team/by-token")
        o.auth = {"Authorization": "Bearer " + r.json()["token"]}
        return o

    push, pull = "repository:team/by-token:pull,push", "repository:lib/base:pull"
    # The client is told to come back with a token that reaches both, where its user may have one.
    o = signed(push)
    r = o.request("POST", o.url(f"blobs/uploads/?mount={shared}&from=lib/base"))
    assert r.status == 401
    assert 'scope="repository:team/by-token:pull,push repository:lib/base:pull"' in r["WWW-Authenticate"]
    assert not mount(signed(push, "repository:secret/base:pull"), digest(b"only there"), "secret/base")
    assert mount(signed(push, pull), shared, "lib/base")
    r = signed(pull).request("POST", people.nobody.at("team/by-token").url("blobs/uploads/"))
    assert r.status == 401
    assert 'error="insufficient_scope"' in r.headers.get_all("WWW-Authenticate")[0]


def test_upload_of_somebody_else(people):
    where = people.root.start()
    for method, body in (("GET", None), ("PATCH", b"x"), ("DELETE", None)):
        assert people.writer.request(method, where, body).status == 404
    assert people.writer.finish(where, digest(b"")).status == 404
    assert people.root.patch(where, b"x", 0).status == 202


def test_catalog_shows_what_may_be_read(people):
    def names(o):
        return set(o.request("GET", "/v2/_catalog").json()["repositories"])

    everything = names(people.root)
    assert {"team/demo", "secret/base", "lib/base"} <= everything
    assert names(people.reader) == {n for n in everything if n.startswith("team/")}
    assert names(people.writer) == {n for n in everything if n.startswith(("team/", "lib/"))}
    assert names(people.stranger) == set()
    assert people.nobody.request("GET", "/v2/_catalog").status == 401


def test_namespaces_are_not_for_everybody_to_make(people):
    assert people.writer.at("brandnew/x").request("POST", "/v2/brandnew/x/blobs/uploads/").status == 404
    assert people.stranger.at("other/first").push("v1")
    assert people.root.at("single").push("v1")


def test_history_names_who_did_what(people):
    o = people.writer.at("team/history")
    first = o.push("v1")
    second = o.push("v1")
    assert o.delete("v1").status == 202
    r = people.hub.request("GET", "/api/v1/repos/team/history/-/tags/v1/history", auth=people.hub.admin)
    events = [(e["leaf"]["action"], e["actor_name"], e["leaf"].get("old", {}).get("digest"),
               e["leaf"].get("new", {}).get("digest"), e["leaf"].get("new", {}).get("number"))
              for e in r.json()["items"]]  # fmt: skip
    assert events == [
        ("tag.deleted", "writer", second, None, None),
        ("tag.moved", "writer", first, second, 2),
        ("tag.created", "writer", None, first, 1),
    ]

"""Hubs for tests that only speak HTTP."""
import json
import urllib.parse

import pytest

from harness import Hub
from oci import Oci


@pytest.fixture(scope="session")
def open_hub(tmp_path_factory):
    """One hub without authorisation for all tests of a run that keep to repositories of their own."""
    hub = Hub(tmp_path_factory.mktemp("open-hub"), "--no-auth").start()
    yield hub
    hub.stop()


@pytest.fixture
def own_hub(make_hub):
    """A hub without authorisation that nobody else uses."""
    return make_hub("--no-auth")


@pytest.fixture
def name(request):
    """A repository's name that no other test uses."""
    word = "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-")
    while "--" in word:
        word = word.replace("--", "-")
    return f"{request.module.__name__.rpartition('.')[2].replace('_', '-')}/{word}"[:200].rstrip("-")


class Closed:
    """A hub with authorisation and a few people: anna writes "team", rita reads it, otto has nothing."""

    PASSWORD = "correct horse: battery"  # a colon, as passwords may have

    def __init__(self, hub):
        self.hub = hub
        self.admin = hub.admin
        for name in ("anna", "rita", "otto"):
            self.api("POST", "users", {"name": name, "password": self.PASSWORD}, want=201)
        self.grant("anna", "team", "write")
        self.grant("rita", "team", "read")

    def user(self, name):
        """(user, password) for basic auth; None for nobody."""
        if name is None:
            return None
        return self.admin if name == "admin" else (name, self.PASSWORD)

    def api(self, method, path, body=None, as_user="admin", want=200):
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data is not None else None
        r = self.hub.request(method, f"/api/v1/{path}", data, headers, self.user(as_user))
        assert r.status == want, (r.status, r.body)
        return r.json() if r.body else None

    def grant(self, name, ns, role):
        return self.api("PUT", f"users/{name}/grants/{ns}", {"role": role})

    def oci(self, name, repo="team/demo"):
        return Oci(self.hub.host, repo, *(self.user(name) or ()))

    def token(self, name, *scopes):
        query = urllib.parse.urlencode([("service", "kitvault"), *(("scope", s) for s in scopes)])
        r = self.hub.request("GET", f"/token?{query}", auth=self.user(name))
        assert r.status == 200, r.body
        return r.json()


@pytest.fixture(scope="session")
def closed(tmp_path_factory):
    """One for all tests of a run that do not change what anna, rita and otto are."""
    hub = Hub(tmp_path_factory.mktemp("closed-hub")).start()
    yield Closed(hub)
    hub.stop()


@pytest.fixture
def own_closed(make_hub):
    return Closed(make_hub())

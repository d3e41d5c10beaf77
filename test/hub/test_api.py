"""/api/v1: users and what is common to all of it. docs/api.md."""
import pytest

pytestmark = pytest.mark.asan


def error(closed, method, path, body=None, as_user="admin", want=400):
    e = closed.api(method, path, body, as_user, want)["error"]
    assert set(e) >= {"code", "message", "request_id"}
    return e["code"], e["message"]


def test_me(closed):
    me = closed.api("GET", "me", as_user="anna")
    assert me["name"] == "anna"
    assert me["kind"] == "user"
    assert (me["admin"], me["disabled"]) == (False, False)
    assert {"namespace": "team", "role": "write"} in me["grants"]
    assert closed.api("GET", "me")["admin"] is True


def test_challenge_is_basic_alone(closed):
    r = closed.hub.request("GET", "/api/v1/me")
    assert r.status == 401
    assert r.headers.get_all("WWW-Authenticate") == ['Basic realm="kitvault", charset="UTF-8"']
    assert r.json()["error"]["code"] == "unauthorized"
    token = closed.token("admin")["token"]
    r = closed.hub.request("GET", "/api/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert r.status == 401


def test_life_of_a_user(closed):
    u = closed.api("POST", "users", {"name": "ursula", "password": "twelve letters", "email": "u@example.org"}, want=201)
    assert (u["name"], u["admin"], u["grants"]) == ("ursula", False, [])
    assert "email" not in u and "password" not in u
    assert error(closed, "POST", "users", {"name": "ursula", "password": "twelve letters"}, want=409) == (
        "conflict",
        "there is a user 'ursula' already",
    )
    assert closed.api("GET", "users/ursula") == u
    assert closed.grant("ursula", "lab", "read")["grants"] == [{"namespace": "lab", "role": "read"}]
    assert closed.grant("ursula", "lab", "write")["grants"] == [{"namespace": "lab", "role": "write"}]
    assert closed.grant("ursula", "_", "read")["grants"] == [
        {"namespace": "_", "role": "read"},
        {"namespace": "lab", "role": "write"},
    ]
    assert closed.grant("ursula", "lab", "none")["grants"] == [{"namespace": "_", "role": "read"}]
    closed.api("PUT", "users/ursula/password", {"password": "thirteen more"}, want=204)
    r = closed.hub.request("GET", "/api/v1/users/ursula", auth=("ursula", "thirteen more"))
    assert r.json()["id"] == u["id"]


def test_an_administrator_made_by_another(closed):
    u = closed.api("POST", "users", {"name": "second", "password": "twelve letters", "admin": True}, want=201)
    assert u["admin"] is True
    r = closed.hub.request("GET", "/api/v1/users", auth=("second", "twelve letters"))
    assert r.status == 200


def test_list_in_pages(closed):
    everybody = [u["name"] for u in closed.api("GET", "users?limit=500")["items"]]
    assert everybody == sorted(everybody)
    assert {"admin", "anna", "otto", "rita"} <= set(everybody)
    names, query = [], "users?limit=2"
    while query:
        page = closed.api("GET", query)
        assert len(page["items"]) <= 2
        names += [u["name"] for u in page["items"]]
        query = f"users?limit=2&cursor={page['next_cursor']}" if "next_cursor" in page else None
    assert names == everybody


def test_who_may(closed):
    for method, path, body in [
        ("GET", "users", None),
        ("POST", "users", {"name": "mallory", "password": "twelve letters"}),
        ("PUT", "users/anna/grants/team", {"role": "write"}),
        ("GET", "audit/events", None),
    ]:
        assert error(closed, method, path, body, "anna", 403)[0] == "forbidden"
    assert closed.api("GET", "users/anna", as_user="anna")["name"] == "anna"
    for name in ("rita", "nobody"):
        assert error(closed, "GET", f"users/{name}", None, "anna", 404) == ("not_found", f"no user '{name}'")
        body = {"password": "twelve letters"}
        assert error(closed, "PUT", f"users/{name}/password", body, "anna", 404)[0] == "not_found"


@pytest.mark.parametrize(
    "method, path, body, words",
    [
        ("POST", "users", b"", "line 1"),
        ("POST", "users", b"[]", "object"),
        ("POST", "users", b'{"name":"x1"', ""),
        ("POST", "users", {"name": "x1"}, "password"),
        ("POST", "users", {"name": "x1", "password": "twelve letters", "rank": 1}, "rank"),
        ("POST", "users", {"name": "x1", "password": 5}, "password"),
        ("POST", "users", {"name": "x1", "password": "eleven char"}, "password"),
        ("POST", "users", {"name": "x1", "password": "p" * 1025}, "password"),
        ("POST", "users", {"name": "X1", "password": "twelve letters"}, "user name"),
        ("POST", "users", b'{"name":"x1","name":"x2","password":"twelve letters"}', "name"),
        ("PUT", "users/anna/grants/team", {"role": "owner"}, "role"),
        ("PUT", "users/anna/grants/api", {"role": "read"}, "namespace"),
        ("PUT", "users/anna/grants/Team", {"role": "read"}, "namespace"),
        ("GET", "users?limit=0", None, "limit"),
        ("GET", "users?limit=501", None, "limit"),
        ("GET", "users?limit=x", None, "limit"),
        ("GET", "audit/events?cursor=x", None, "cursor"),
        ("GET", "audit/events?since=x", None, "since"),
    ],
)
def test_bad_requests(closed, method, path, body, words):
    code, message = error(closed, method, path, body)
    assert code == "invalid"
    assert words in message
    assert "twelve letters" not in message


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_body_of_another_type(closed, kind):
    headers = {"Content-Type": kind} if kind else None
    body = b'{"name":"x1","password":"twelve letters"}'
    r = closed.hub.request("POST", "/api/v1/users", body, headers, closed.admin)
    assert (r.status, r.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_json_with_a_charset(closed):
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    r = closed.hub.request("PUT", "/api/v1/users/otto/grants/team", b'{"role":"none"}', headers, closed.admin)
    assert r.status == 200


def test_too_large(closed):
    assert error(closed, "POST", "users", b" " * 70000, want=413)[0] == "too_large"


def test_nothing_there(closed):
    assert error(closed, "PUT", "users/nobody/grants/team", {"role": "read"}, want=404)[0] == "not_found"
    assert error(closed, "GET", "nothing", want=404)[0] == "not_found"
    assert error(closed, "DELETE", "users/anna", want=405)[0] == "unsupported"

"""Who may do what on /v2/, and the token service."""
import base64
import urllib.parse

import pytest

from harness import Hub
from oci import Oci, digest

pytestmark = pytest.mark.asan


def challenges(response):
    return response.headers.get_all("WWW-Authenticate")


def bearer(oci, token):
    oci.auth = {"Authorization": f"Bearer {token}"}
    return oci


# --- challenges ---


def test_ping(closed):
    nobody = closed.oci(None).request("GET", "/v2/")
    assert nobody.status == 401
    assert nobody.codes() == ["UNAUTHORIZED"]
    assert challenges(nobody) == [
        f'Bearer realm="http://{closed.hub.host}/token",service="kitvault"',
        'Basic realm="kitvault", charset="UTF-8"',
    ]
    assert closed.oci("otto").request("GET", "/v2/").status == 200
    token = closed.token("otto")["token"]
    assert bearer(closed.oci(None), token).request("GET", "/v2/").status == 200


def test_challenge_names_the_scope(closed):
    nobody = closed.oci(None)
    for response, scope in [
        (nobody.tags(), "repository:team/demo:pull"),
        (nobody.get("v1"), "repository:team/demo:pull"),
        (nobody.put("v1", b"{}"), "repository:team/demo:pull,push"),
        (nobody.delete("v1"), "repository:team/demo:pull,push,delete"),
        (
            nobody.request("POST", "/v2/team/demo/blobs/uploads/?mount=sha256:00&from=team/other"),
            "repository:team/demo:pull,push repository:team/other:pull",
        ),
    ]:
        assert response.status == 401
        assert f',scope="{scope}"' in challenges(response)[0]


def test_public_url_is_the_realm(make_hub):
    hub = make_hub("--public-url", "https://hub.example/")
    first = challenges(Oci(hub.host).request("GET", "/v2/"))[0]
    assert first.startswith('Bearer realm="https://hub.example/token",')


def test_a_strange_host_makes_no_realm(closed):
    r = closed.oci(None).request("GET", "/v2/", headers={"Host": 'x",error="y'})
    assert r.status in (400, 401)
    assert not any("error" in c for c in challenges(r) or [])


# --- rights ---

EXISTING, ABSENT = "team/rights", "team/absent"


@pytest.fixture(scope="module")
def pushed(closed):
    return closed.oci("anna", EXISTING).push("v1")


READS = {
    "tags": lambda o: o.tags(),
    "manifest": lambda o: o.get("v1"),
    "blob": lambda o: o.blob("sha256:" + "0" * 64),
    "referrers": lambda o: o.referrers("sha256:" + "0" * 64),
}
WRITES = {
    "start an upload": lambda o: o.request("POST", o.url("blobs/uploads/")),
    "put a manifest": lambda o: o.put("v2", b"{}"),
    "delete a tag": lambda o: o.delete("v9"),
    "delete a blob": lambda o: o.delete_blob("sha256:" + "0" * 64),
}


@pytest.mark.parametrize("repo", [EXISTING, ABSENT])
@pytest.mark.parametrize("act", READS | WRITES)
def test_refusals_do_not_tell_what_exists(closed, pushed, repo, act):
    call = (READS | WRITES)[act]
    nobody, stranger = call(closed.oci(None, repo)), call(closed.oci("otto", repo))
    assert (nobody.status, nobody.codes()) == (401, ["UNAUTHORIZED"])
    assert (stranger.status, stranger.codes()) == (404, ["NAME_UNKNOWN"])
    assert stranger.json()["errors"][0]["message"] == f"repository '{repo}' not found"
    if act in WRITES:
        reader = call(closed.oci("rita", repo))
        assert (reader.status, reader.codes()) == (403, ["DENIED"])


def test_reader_and_writer(closed, pushed):
    reader, writer = closed.oci("rita", EXISTING), closed.oci("anna", EXISTING)
    assert reader.get("v1").status == 200
    assert reader.get(pushed, method="HEAD").status == 200
    assert writer.delete_blob(writer.push_blob(b"mine")).status == 202
    assert writer.at("other/x").tags().status == 404
    assert writer.at("team2/x").tags().status == 404
    assert writer.at("team").tags().status == 404  # the namespace of short names is "_"


def test_catalog_shows_what_one_may_read(closed, pushed):
    closed.oci("admin", "private/thing").push("v1")
    names = {
        who: closed.oci(who).request("GET", "/v2/_catalog?n=1000").json()["repositories"]
        for who in ("admin", "rita", "otto")
    }
    assert EXISTING in names["rita"] and "private/thing" not in names["rita"]
    assert {EXISTING, "private/thing"} <= set(names["admin"])
    assert names["otto"] == []
    assert closed.oci(None).request("GET", "/v2/_catalog").status == 401


def test_mount_needs_pull_of_the_source(closed):
    d = closed.oci("admin", "private/source").push_blob(b"only for some")
    for source in ("&from=private/source", ""):
        r = closed.oci("anna").request("POST", f"/v2/team/demo/blobs/uploads/?mount={d}{source}")
        assert r.status == 202  # as if it were not there
    assert closed.oci("anna").blob(d).status == 404
    closed.grant("anna", "private", "read")
    r = closed.oci("anna").request("POST", f"/v2/team/demo/blobs/uploads/?mount={d}&from=private/source")
    assert r.status == 201
    closed.grant("anna", "private", "none")


# --- the token service ---


def test_token_answer(closed):
    t = closed.token("anna", "repository:team/demo:pull,push", "repository:private/x:pull")
    assert t["token"] == t["access_token"]
    assert t["scope"] == "repository:team/demo:pull,push"  # what was asked and is granted
    assert t["expires_in"] >= 3600
    assert t["issued_at"].endswith("Z")


@pytest.mark.parametrize(
    "scopes, granted",
    [
        ([], ""),
        (["repository:team/demo:*"], "repository:team/demo:pull,push,delete"),
        (["repository:team/demo:pull repository:team/b:pull"], "repository:team/demo:pull repository:team/b:pull"),
        (["repository:team/demo:pull", "repository:team/demo:push"], "repository:team/demo:pull,push"),
        (["registry:catalog:*", "repository(x):team/demo:pull,fly"], "repository:team/demo:pull"),
        (["repository:host:5000/team/demo:pull"], ""),
        (["repository:private/x:pull,push"], ""),
    ],
)
def test_token_scopes(closed, scopes, granted):
    assert closed.token("anna", *scopes)["scope"] == granted


def test_token_refusals(closed):
    ask = closed.hub.request
    wrong = ask("GET", "/token?service=x", auth=("anna", "wrong"))
    assert wrong.status == 401
    assert wrong.headers.get_all("WWW-Authenticate") == ['Basic realm="kitvault", charset="UTF-8"']
    assert ask("GET", "/token?scope=team/demo", auth=closed.user("anna")).status == 400
    many = "&".join(f"scope=repository:team/r{i}:pull" for i in range(70))
    assert ask("GET", f"/token?{many}", auth=closed.user("anna")).status in (400, 413)


def post_form(closed, auth=None, **fields):
    body = urllib.parse.urlencode(fields).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return closed.hub.request("POST", "/token", body, headers, auth)


def test_token_by_form(closed):
    name, password = closed.user("anna")
    scope = "repository:team/demo:pull repository:team/b:push"
    r = post_form(closed, grant_type="password", username=name, password=password, service="x", scope=scope)
    assert r.status == 200
    assert r.json()["scope"] == scope
    assert r.headers["Cache-Control"] == "no-store"
    assert post_form(closed, (name, password), service="x", scope=scope).json()["scope"] == scope
    assert post_form(closed, grant_type="password", username=name, password="wrong").status == 401
    assert post_form(closed, grant_type="refresh_token", refresh_token="x").status == 400
    assert post_form(closed, grant_type="password", username=name, password="%").status == 401
    assert closed.hub.request("POST", "/token", b"scope=%zz").status == 400
    assert closed.hub.request("POST", "/token", b"a=b&" * 20000).status == 413


def test_token_is_bounded_by_its_scope(closed):
    closed.oci("anna", "team/bound").push("v1")
    pull = closed.token("anna", "repository:team/bound:pull")["token"]
    assert bearer(closed.oci(None, "team/bound"), pull).get("v1").status == 200
    for repo, call, scope in [
        ("team/bound", lambda o: o.put("v2", b"{}"), "repository:team/bound:pull,push"),
        ("team/other", lambda o: o.tags(), "repository:team/other:pull"),
    ]:
        r = call(bearer(closed.oci(None, repo), pull))
        assert r.status == 401
        assert f'scope="{scope}",error="insufficient_scope"' in challenges(r)[0]
    # what its owner may not do is answered as to the owner
    assert bearer(closed.oci(None, "private/x"), pull).tags().status == 404


def test_token_for_a_mount_needs_both(closed):
    d = closed.oci("anna", "team/mount-a").push_blob(b"to be mounted")
    url = f"/v2/team/mount-b/blobs/uploads/?mount={d}&from=team/mount-a"
    one = closed.token("anna", "repository:team/mount-b:pull,push")["token"]
    r = bearer(closed.oci(None), one).request("POST", url)
    assert r.status == 401
    scope = "repository:team/mount-b:pull,push repository:team/mount-a:pull"
    assert f'scope="{scope}",error="insufficient_scope"' in challenges(r)[0]
    both = closed.token("anna", *scope.split())["token"]
    assert bearer(closed.oci(None), both).request("POST", url).status == 201


def test_anonymous_token_is_none(closed):
    token = closed.token(None, "repository:team/demo:pull")
    assert token["scope"] == ""
    r = bearer(closed.oci(None), token["token"]).tags()
    assert r.status == 401


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer x", "Bearer kvs_x.y", "Basic", "Basic !!!", "Basic " + base64.b64encode(b"anna").decode(),
     "Basic " + base64.b64encode(b":").decode(), "Digest x", "x"],
)  # fmt: skip
def test_broken_authorization(closed, header):
    o = closed.oci(None)
    o.auth = {"Authorization": header}
    assert o.tags().status == 401
    assert closed.hub.request("GET", "/healthz", headers={"Authorization": header}).status == 200


def test_changed_token(closed):
    token = closed.token("anna", "repository:team/demo:pull")["token"]
    changed = token[:20] + ("A" if token[20] != "A" else "B") + token[21:]
    r = bearer(closed.oci(None), changed).tags()
    assert r.status == 401
    assert 'error="invalid_token"' in challenges(r)[0]


def test_a_new_password_ends_what_was(own_closed):
    c = own_closed
    c.oci("anna").push("v1")
    token = c.token("anna", "repository:team/demo:pull")["token"]
    o = bearer(c.oci(None), token)
    assert o.get("v1").status == 200
    c.api("PUT", "users/anna/password", {"password": "a new password"}, as_user="anna", want=204)
    assert o.get("v1").status == 401
    assert c.oci("anna").get("v1").status == 401
    assert Oci(c.hub.host, "team/demo", "anna", "a new password").get("v1").status == 200


def test_a_grant_counts_at_once(own_closed):
    c = own_closed
    c.oci("anna").push("v1")
    assert c.oci("otto").get("v1").status == 404
    c.grant("otto", "team", "read")
    assert c.oci("otto").get("v1").status == 200
    token = c.token("otto", "repository:team/demo:pull")["token"]
    assert bearer(c.oci(None), token).get("v1").status == 200
    c.grant("otto", "team", "none")
    assert bearer(c.oci(None), token).get("v1").status == 404


def test_tokens_outlive_a_restart(own_closed):
    c = own_closed
    c.oci("anna").push("v1")
    token = c.token("anna", "repository:team/demo:pull")["token"]
    c.hub.restart()
    assert bearer(c.oci(None), token).get("v1").status == 200


def test_guessing_is_slowed_down(own_closed):
    c = own_closed
    statuses = [Oci(c.hub.host, "team/demo", "anna", f"guess {i}").tags().status for i in range(12)]
    assert statuses[:11] == [401] * 11
    assert statuses[11] == 429
    r = Oci(c.hub.host, "team/demo", "anna", "guess").tags()
    assert (r.status, r.codes()) == (429, ["TOOMANYREQUESTS"])
    assert 1 <= int(r["Retry-After"]) <= 4
    assert c.oci("rita").tags().status == 404  # signed in; there is no such repository yet


def test_no_secret_in_the_log(own_closed):
    c = own_closed
    token = c.token("anna", "repository:team/demo:pull")["token"]
    bearer(c.oci(None), token).tags()
    post_form(c, grant_type="password", username="anna", password=c.PASSWORD)
    c.api("PUT", "users/otto/password", {"password": "a new password"}, want=204)
    log = c.hub.log_text()
    for secret in (c.PASSWORD, "a new password", token, c.hub.admin_password, base64.b64encode(
            f"anna:{c.PASSWORD}".encode()).decode()):  # fmt: skip
        assert secret not in log


def test_open_hub_asks_nobody(open_hub):
    o = Oci(open_hub.host, "auth/open")
    assert o.request("GET", "/v2/").status == 200
    d = o.push("v1")
    assert o.get("v1")["Docker-Content-Digest"] == d
    assert open_hub.request("GET", "/token?scope=repository:auth/open:pull").status == 200
    assert open_hub.request("GET", "/api/v1/me").json() == {
        "name": "", "kind": "anonymous", "admin": True, "grants": []}  # fmt: skip
    # credentials that nobody asked for do no harm
    assert Oci(open_hub.host, "auth/open", "x", "y").get("v1").status == 200


def test_admin_password_from_a_file(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("chosen by hand\n")
    hub = Hub(tmp_path / "hub", "--admin-password-file", secret).start()
    try:
        assert not (hub.data / "initial-admin-password").exists()
        assert hub.request("GET", "/api/v1/me", auth=("admin", "chosen by hand")).json()["admin"] is True
        secret.write_text("changed later, to no effect\n")
        hub.restart()
        assert hub.request("GET", "/api/v1/me", auth=("admin", "chosen by hand")).status == 200
        assert "chosen by hand" not in hub.log_text()
    finally:
        hub.stop()


def test_upload_is_bound_to_its_starter(closed):
    mine = closed.oci("anna")
    location = mine.start()
    data = b"only mine"
    closed.grant("otto", "team", "write")
    try:
        r = closed.oci("otto").finish(location, digest(data), data)
        assert r.status == 404
    finally:
        closed.grant("otto", "team", "none")
    assert mine.finish(location, digest(data), data).status == 201


def test_metrics_count_sign_ins(own_closed):
    c = own_closed
    c.hub.request("GET", "/v2/", auth=("anna", "wrong"))
    bearer(c.oci(None), c.token("anna")["token"]).request("GET", "/v2/")
    bearer(c.oci(None), "kvs_x.y").request("GET", "/v2/")
    page = c.hub.request("GET", "/metrics").body.decode()
    value = dict(line.rsplit(" ", 1) for line in page.splitlines() if line.startswith("kv_a"))
    assert value['kv_auth_total{method="password",outcome="failed"}'] == "1"
    assert value['kv_auth_total{method="token",outcome="ok"}'] == "1"
    assert value['kv_auth_total{method="token",outcome="failed"}'] == "1"
    assert int(value["kv_audit_events_total"]) >= 8


@pytest.mark.parametrize("ns", ["api", "ui", "token", "static"])
def test_words_the_hub_needs_are_no_namespaces(closed, ns):
    o = closed.oci("admin", f"{ns}/x")
    r = o.finish(o.start(), digest(b"x"), b"x")
    assert r.status == 400
    assert "namespace" in r.json()["errors"][0]["message"]

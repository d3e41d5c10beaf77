"""The audit log: what is in it, what is not, that it proves itself, and that it survives."""
import base64
import contextlib
import hashlib
import http.client
import json
import re
import shutil
import sqlite3
import time

import pytest

from oci import Oci

pytestmark = pytest.mark.asan

CRASH_STATUS = 86


def leaves(hub, auth=None):
    """All leaves, oldest first."""
    out, query = [], "limit=500"
    while query:
        r = hub.request("GET", f"/api/v1/audit/events?{query}", auth=auth)
        assert r.status == 200, r.body
        page = r.json()
        out += [i["leaf"] for i in page["items"]]
        query = f"limit=500&cursor={page['next_cursor']}" if "next_cursor" in page else None
    return out[::-1]


def canonical(leaf):
    """RFC 8785, for leaves without fractions or characters beyond ASCII."""
    return json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def root_of(hashes):
    """RFC 6962 section 2.1, as it is written there."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root_of(hashes[:k]) + root_of(hashes[k:])).digest()


def leaf_hash(data):
    return hashlib.sha256(b"\0" + data).digest()


def published(data):
    """(leaves, checkpointed size, root) of DATA/tlog, every tile checked against the entries."""
    tlog = data / "tlog"
    _, size, root = (tlog / "checkpoint").read_text().splitlines()
    size = int(size)

    def tile(kind, n, width):
        path = tlog / "tile" / kind / f"{n:03}"
        return (path if width == 256 else path.with_name(f"{n:03}.p") / str(width)).read_bytes()

    entries = []
    for n in range((size + 255) // 256):
        width = min(256, size - n * 256)
        raw = tile("entries", n, width)
        while raw:
            length = int.from_bytes(raw[:2], "big")
            entries.append(raw[2 : 2 + length])
            raw = raw[2 + length :]
    assert len(entries) == size
    hashes = [leaf_hash(e) for e in entries]
    for n in range((size + 255) // 256):
        assert tile("0", n, min(256, size - n * 256)) == b"".join(hashes[n * 256 : n * 256 + 256])
    return entries, size, base64.b64decode(root)


def check_log(found):
    for i, leaf in enumerate(found):
        assert leaf["seq"] == i + 1
        assert leaf["v"] == 1
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", leaf["time"])
        assert i == 0 or leaf["time"] >= found[i - 1]["time"]
    last = {}
    for leaf in found:
        o = leaf.get("object", {})
        if "id" not in o:
            assert "prev_object_seq" not in leaf
            continue
        key = (o["type"], o["id"], o.get("ref") if o["type"] == "tag" else o.get("digest") if o["type"] == "blob" else "")
        assert leaf.get("prev_object_seq") == last.get(key)
        last[key] = leaf["seq"]


def test_what_a_day_leaves(own_closed):
    c = own_closed
    one = c.oci("anna").push("v1")
    two = c.oci("anna").push("v1")
    assert c.oci("anna").delete("v1").status == 202
    assert c.oci("anna").delete(two).status == 202
    found = leaves(c.hub, c.admin)
    check_log(found)
    actions = [leaf["action"] for leaf in found if leaf["action"] != "token.created"]
    assert actions[:3] == ["node.started", "user.created", "member.added"]
    after = [a for a in actions if a.startswith(("repo.", "version.", "tag."))]
    assert after == [
        "repo.created", "version.pushed", "tag.created", "version.pushed", "tag.moved", "tag.deleted",
        "version.trashed",
    ]  # fmt: skip
    moved = next(leaf for leaf in found if leaf["action"] == "tag.moved")
    assert (moved["old"]["digest"], moved["new"]["digest"]) == (one, two)
    assert moved["object"]["repo"] == "team/demo"
    assert moved["object"]["ref"] == "v1"
    assert moved["actor"]["type"] == "user"
    assert moved["actor"]["roles"] == ["write"]
    assert moved["source"]["adapter"] == "oci"
    assert moved["outcome"] == "ok"
    numbers = [leaf["new"]["number"] for leaf in found if leaf["action"] == "version.pushed"]
    assert numbers == [1, 2]


def test_a_tag_tells_the_number_of_its_version(own_closed):
    c = own_closed
    one = c.oci("anna").push("v1")
    data = c.oci("anna").get("v1").body
    assert c.oci("anna").put("again", data).status == 201  # a version that has its number
    two = c.oci("anna").push("v1")
    assert c.oci("anna").put("v1", data).status == 201
    found = [leaf for leaf in leaves(c.hub, c.admin) if leaf["action"] in ("tag.created", "tag.moved")]
    assert [(leaf["object"]["ref"], leaf["new"]["digest"], leaf["new"]["number"]) for leaf in found] == [
        ("v1", one, 1), ("again", one, 1), ("v1", two, 2), ("v1", one, 1),
    ]  # fmt: skip


def test_files_prove_themselves(own_closed):
    c = own_closed
    for i in range(140):  # beyond a full tile
        c.grant("otto", "team", "read" if i % 2 else "none")
        c.grant("otto", "lab", "none" if i % 2 else "read")
    found = leaves(c.hub, c.admin)
    c.hub.stop()
    entries, size, root = published(c.hub.data)
    assert size >= len(found) + 1 and size > 256
    assert root == root_of([leaf_hash(e) for e in entries])
    assert [canonical(leaf) for leaf in found] == entries[: len(found)]
    assert json.loads(entries[-1])["action"] == "node.stopped"
    # the database has noted the same root
    with contextlib.closing(sqlite3.connect(c.hub.data / "hub.db")) as db:
        rows = db.execute("SELECT size, root, note FROM audit_checkpoint ORDER BY size").fetchall()
    assert rows[-1][:2] == (size, root)
    assert rows[-1][2] == (c.hub.data / "tlog/checkpoint").read_text()
    c.hub.start(c.hub.port)


def test_personal_data_is_not_in_it(own_closed):
    c = own_closed
    c.api("POST", "users", {"name": "emma", "password": "twelve letters", "email": "emma@example.org"}, want=201)
    c.hub.request("GET", "/api/v1/users", headers={"User-Agent": "emmas-own-client/7"}, auth=c.admin)
    c.hub.request("GET", "/v2/", auth=("emma", "my secret typed wrongly"))
    c.hub.request("GET", "/v2/", auth=("my secret typed as a name", "x"))
    time.sleep(1.5)
    found = leaves(c.hub, c.admin)
    assert any(leaf["action"] == "auth.failed" for leaf in found)
    c.hub.stop()
    text = b"\n".join(published(c.hub.data)[0])
    for secret in (b"127.0.0.1", b"emma@", b"emmas-own", b"my secret", b"twelve", b"Python-urllib"):
        assert secret not in text
    with contextlib.closing(sqlite3.connect(c.hub.data / "hub.db")) as db:
        kinds = dict(db.execute("SELECT value, hash FROM pii WHERE kind = 'email'").fetchall())
        assert not db.execute("SELECT 1 FROM pii WHERE value LIKE '%secret%'").fetchall()
    created = next(leaf for leaf in found if leaf["object"].get("name") == "emma")
    assert created["pii_hash"]["email"] == kinds["emma@example.org"]
    c.hub.start(c.hub.port)


def test_refusals_are_in_it(own_closed):
    c = own_closed
    c.oci("anna").push("v1")
    for _ in range(3):
        assert c.oci("rita").put("v2", b"{}").status == 403
        assert c.oci("otto").get("v1").status == 404
    c.hub.request("GET", "/v2/", auth=("anna", "wrong"))
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        denied = [leaf for leaf in leaves(c.hub, c.admin) if leaf["outcome"] == "denied"]
        if len(denied) >= 3:
            break
        time.sleep(0.2)
    c.hub.restart()  # the rest of the hour's count is written at the stop
    denied = [leaf for leaf in leaves(c.hub, c.admin) if leaf["outcome"] == "denied"]
    count = {}
    for leaf in denied:
        key = (leaf["action"], leaf["code"])
        count[key] = count.get(key, 0) + leaf["detail"]["count"]
    assert count == {
        ("version.pushed", "forbidden"): 3,
        ("version.pulled", "forbidden"): 3,
        ("auth.failed", "bad_credentials"): 1,
    }


def test_pulls_are_counted(own_closed):
    c = own_closed
    d = c.oci("anna").push("v1")
    for _ in range(5):
        assert c.oci("rita").get("v1").status == 200
    c.hub.restart()
    pulls = [leaf for leaf in leaves(c.hub, c.admin) if leaf["action"] == "version.pulled"]
    assert sum(leaf["detail"]["count"] for leaf in pulls) == 5
    assert 1 <= len(pulls) <= 2
    assert {leaf["object"]["digest"] for leaf in pulls} == {d}
    rita = c.api("GET", "users/rita")["id"]
    assert {leaf["actor"]["id"] for leaf in pulls} == {rita}


def test_events_in_pages_and_followed(own_closed):
    c = own_closed
    everything = leaves(c.hub, c.admin)
    page = c.api("GET", "audit/events?limit=3")
    assert [i["leaf"]["seq"] for i in page["items"]] == [len(everything) - i for i in range(3)]
    assert page["items"][0]["actor_name"] == "admin"
    page = c.api("GET", "audit/events?since=2&limit=3")
    assert [i["leaf"]["seq"] for i in page["items"]] == [3, 4, 5]
    assert "next_cursor" not in page
    assert c.api("GET", f"audit/events?since={len(everything) + 50}")["items"] == []


def test_history(own_closed):
    c = own_closed
    anna = c.oci("anna")
    one, two = anna.push("v1"), anna.push("v1")
    other = anna.push("v2")
    anna.delete("v2")
    anna.at("team/else").push("v1")

    def history(path, as_user="rita", want=200):
        return c.api("GET", f"repos/team/demo/-/{path}", as_user=as_user, want=want)

    of_tag = history("tags/v1/history")["items"]
    assert [(i["leaf"]["action"], i["leaf"].get("old"), i["leaf"]["new"]["digest"]) for i in of_tag] == [
        ("tag.moved", of_tag[0]["leaf"]["old"], two),
        ("tag.created", None, one),
    ]
    assert of_tag[0]["leaf"]["old"]["digest"] == one
    assert {i["actor_name"] for i in of_tag} == {"anna"}
    assert [i["leaf"]["action"] for i in history("tags/v2/history")["items"]] == ["tag.deleted", "tag.created"]
    assert [i["leaf"]["action"] for i in history(f"versions/{other}/history")["items"]][-2:] == [
        "tag.created",
        "version.pushed",
    ]
    whole = history("history")["items"]
    assert whole[-1]["leaf"]["action"] == "repo.created"
    assert {i["leaf"]["object"]["repo"] for i in whole} == {"team/demo"}
    first = history("history?limit=2")
    rest = history(f"history?limit=500&cursor={first['next_cursor']}")
    assert first["items"] + rest["items"] == whole

    assert history("tags/nothing/history")["items"] == []
    history("history", as_user="otto", want=404)
    history("tags/%20/history", want=400)
    history("versions/sha256:xyz/history", want=400)
    assert c.api("GET", "repos/team/absent/-/history", want=404)["error"]["code"] == "not_found"
    assert c.hub.request("GET", "/api/v1/repos/team/demo/-/history").status == 401


def test_the_database_refuses_changes_of_it(own_closed):
    c = own_closed
    c.oci("anna").push("v1")
    c.hub.stop()
    with contextlib.closing(sqlite3.connect(c.hub.data / "hub.db")) as db:
        for table in ("audit_leaf", "audit_node", "audit_checkpoint", "tag", "role_grant"):
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(f"DELETE FROM {table}")
        for change in ("audit_leaf SET time = 0", "audit_node SET idx = 7", "tag SET digest = 'x'",
                       "role_grant SET role = 'admin'", "audit_checkpoint SET size = 1"):  # fmt: skip
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(f"UPDATE {change}")
    c.hub.start(c.hub.port)


# --- faults ---


def run_until_crash(hub, step):
    """Starts the hub, which ends at step by itself."""
    hub.env = {"KITVAULT_CRASH_AT": step}
    with contextlib.suppress(AssertionError):
        hub.start()
        hub.process.wait(20)
    process, hub.process = hub.process, None
    if process:
        assert process.wait(20) == CRASH_STATUS, hub.log_text()
    hub.env = {}


@pytest.mark.parametrize("step", ["tlog.after-tile", "tlog.before-checkpoint"])
def test_killed_while_publishing(own_closed, step):
    c = own_closed
    for i in range(150):
        c.grant("otto", "team", "read" if i % 2 else "none")
        c.grant("otto", "lab", "none" if i % 2 else "read")
    c.hub.env = {"KITVAULT_CRASH_AT": step}
    c.hub.stop()
    run_until_crash(c.hub, step)
    c.hub.start()
    c.hub.stop()
    entries, size, root = published(c.hub.data)
    assert root == root_of([leaf_hash(e) for e in entries])
    check_log([json.loads(e) for e in entries])
    c.hub.start()


def test_killed_before_the_first_administrator(make_hub, tmp_path):
    from harness import Hub

    hub = Hub(tmp_path / "new")
    run_until_crash(hub, "admin.after-password-file")
    assert hub.admin_password
    hub.start()
    try:
        assert hub.request("GET", "/api/v1/me", auth=hub.admin).status == 200
    finally:
        hub.stop()


def test_killed_without_a_word(own_closed):
    c = own_closed
    d = c.oci("anna").push("v1")
    before = leaves(c.hub, c.admin)
    c.hub.process.kill()
    c.hub.process.wait()
    c.hub.process = None
    c.hub.start(c.hub.port)
    after = leaves(c.hub, c.admin)
    assert [leaf["seq"] for leaf in after] == list(range(1, len(after) + 1))
    assert after[: len(before)] == before
    assert c.oci("rita").get("v1")["Docker-Content-Digest"] == d


def test_an_older_database_put_back_is_noticed(own_closed):
    c = own_closed
    c.hub.stop()
    saved = c.hub.data / "saved.db"
    shutil.copy(c.hub.data / "hub.db", saved)
    c.hub.start()
    c.oci("anna").push("v1")
    c.hub.stop()
    kept = (c.hub.data / "tlog/checkpoint").read_text()
    saved.replace(c.hub.data / "hub.db")
    for name in ("hub.db-wal", "hub.db-shm"):
        (c.hub.data / name).unlink(missing_ok=True)
    c.hub.start()
    deadline = time.monotonic() + 10
    while "put back from an older copy" not in c.hub.log_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "put back from an older copy" in c.hub.log_text()
    assert (c.hub.data / "tlog/checkpoint").read_text() == kept


def test_concurrent_pushes_leave_no_gap(own_hub):
    import threading

    failures = []

    def push(n):
        try:
            for i in range(6):
                Oci(own_hub.host, f"many/r{n % 3}").push(f"t{n}-{i}")
        except (AssertionError, OSError, http.client.HTTPException) as e:
            failures.append(e)

    threads = [threading.Thread(target=push, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    found = leaves(own_hub)
    check_log(found)
    for repo in range(3):
        numbers = [
            leaf["new"]["number"]
            for leaf in found
            if leaf["action"] == "version.pushed" and leaf["object"]["repo"] == f"many/r{repo}"
        ]
        assert numbers == list(range(1, len(numbers) + 1))
    assert sum(leaf["action"] == "tag.created" for leaf in found) == 48

"""Commands that manage a hub: users, rights, history, audit log. The hub's own rules: test/hub."""
import json
import re
import signal
import time

import pytest

from harness import make_model

PASSWORD = "a long enough password"


def log_in(kit, hub, user, password):
    kit.ok("login", hub.host, "-u", user, "--password-stdin", "--plain-http", stdin=password)


@pytest.fixture
def admin(kit, hub):
    """A person who is logged in as the hub's administrator."""
    log_in(kit, hub, *hub.admin)
    kit.hub = hub.host
    return kit


@pytest.fixture
def anna(admin, hub, make_kit):
    """A user with write access to team, logged in."""
    admin.ok("hub", "user", "add", hub.host, "anna", "--password-stdin", "--plain-http", stdin=PASSWORD)
    admin.ok("hub", "user", "grant", hub.host, "anna", "team", "write", "--plain-http")
    person = make_kit("anna")
    log_in(person, hub, "anna", PASSWORD)
    return person


def push(kit, hub, name, **changes):
    make_model(kit.cwd / "m", **changes)
    kit.ok("pack", "m", "-t", f"{hub.host}/{name}")
    out = kit.ok("push", f"{hub.host}/{name}", "--plain-http")
    return re.search(r"^Pushed (sha256:\w+)$", out, re.M).group(1)


def rows(out):
    return [re.split(r" {3,}", line) for line in out.splitlines()[1:]]


# --- users ---


def test_add_and_list_users(admin):
    assert admin.ok(
        "hub", "user", "add", admin.hub, "bob", "--password-stdin", "--email", "bob@example.com",
        "--plain-http", stdin=PASSWORD + "\n",
    ) == "Added user bob\n"  # fmt: skip
    assert admin.ok(
        "hub", "user", "add", admin.hub, "root2", "--admin", "--password-stdin", "--plain-http",
        stdin=PASSWORD,
    ) == "Added user root2\n"  # fmt: skip
    out = admin.ok("hub", "user", "list", admin.hub, "--plain-http")
    assert out.splitlines()[0].split() == ["NAME", "KIND", "CREATED", "RIGHTS"]
    assert [r[:2] for r in rows(out)] == [
        ["admin", "administrator"],
        ["bob", "user"],
        ["root2", "administrator"],
    ]
    users = json.loads(admin.ok("hub", "user", "list", admin.hub, "--format=json", "--plain-http"))
    assert [u["name"] for u in users] == ["admin", "bob", "root2"]
    assert "password" not in json.dumps(users)


def test_grant(admin, anna, hub):
    for right, sentence in (
        ("read", "User anna may pull from team\n"),
        ("write", "User anna may pull from, push to and delete in team\n"),
        ("none", "User anna has no rights in team\n"),
    ):
        assert admin.ok("hub", "user", "grant", hub.host, "anna", "team", right, "--plain-http") == sentence
    err = admin.fails("hub", "user", "grant", hub.host, "anna", "team", "own")
    assert err.startswith('Error: invalid right "own": must be read, write or none\n\nUsage:\n')
    err = admin.fails("hub", "user", "grant", hub.host, "nobody", "team", "read", "--plain-http")
    assert err.startswith("[ERROR] Failed to grant: ") and "nobody" in err


def test_granted_rights_hold(admin, anna, hub):
    push(anna, hub, "team/demo:v1")
    make_model(anna.cwd / "other")
    anna.ok("pack", "other", "-t", f"{hub.host}/closed/demo:v1")
    assert "Pushed" not in anna("push", f"{hub.host}/closed/demo:v1", "--plain-http").out
    admin.ok("hub", "user", "grant", hub.host, "anna", "team", "read", "--plain-http")
    anna.ok("pull", f"{hub.host}/team/demo:v1", "--plain-http")
    anna.fails("push", f"{hub.host}/team/demo:v1", f"{hub.host}/team/demo:v2", "--plain-http")


def test_passwd(admin, anna, hub):
    new = "another good password"
    assert anna.ok("hub", "user", "passwd", hub.host, "anna", "--password-stdin", "--plain-http", stdin=new) == (
        "Changed the password of anna\n"
    )
    anna.fails("login", hub.host, "-u", "anna", "--password-stdin", "--plain-http", stdin=PASSWORD)
    log_in(anna, hub, "anna", new)
    # Others need an administrator.
    err = anna.fails("hub", "user", "passwd", hub.host, "admin", "--password-stdin", "--plain-http", stdin=new)
    assert err.startswith("[ERROR] Failed to change the password of 'admin': ")
    admin.ok("hub", "user", "passwd", hub.host, "anna", "--password-stdin", "--plain-http", stdin=PASSWORD)
    log_in(anna, hub, "anna", PASSWORD)


def test_password_input(admin):
    def add(**kw):
        return admin.fails("hub", "user", "add", admin.hub, "bob", "--plain-http", **kw)

    assert add() == (
        "[ERROR] Invalid arguments: no terminal to ask for a password; use --password-stdin\n"
    )
    assert admin.fails("hub", "user", "add", admin.hub, "bob", "--password-stdin", "--plain-http", stdin="\n") == (
        "[ERROR] Invalid arguments: the password is empty\n"
    )
    err = admin.fails("hub", "user", "add", admin.hub, "bob", "--password-stdin", "--plain-http", stdin="short")
    assert err.startswith("[ERROR] Failed to add user 'bob': ") and "short" not in err.split(": ", 1)[1].replace("shorter", "")


def test_add_twice(admin, anna):
    err = admin.fails("hub", "user", "add", admin.hub, "anna", "--password-stdin", "--plain-http", stdin=PASSWORD)
    assert err.startswith("[ERROR] Failed to add user 'anna': ")
    assert PASSWORD not in err


def test_not_signed_in(hub, make_kit):
    stranger = make_kit("stranger")
    err = stranger.fails("hub", "user", "list", hub.host, "--plain-http")
    assert err == f"[ERROR] Failed to list users: not logged in to {hub.host}, or with a wrong password\n"


def test_not_an_administrator(anna, hub):
    for argv in (["hub", "user", "list"], ["audit", "tail"]):
        err = anna.fails(*argv, hub.host, "--plain-http")
        assert err.startswith("[ERROR] Failed to ")
        assert err.count("\n") == 1


def test_no_hub_there(kit, registry):
    err = kit.fails("audit", "tail", registry.host, "--plain-http")
    assert "may be no KitVault hub" in err
    err = kit.fails("audit", "tail", "127.0.0.1:1", "--plain-http")
    assert err.startswith("[ERROR] Failed to read the audit log: ")


# --- history ---


@pytest.fixture
def moved(anna, hub):
    """team/demo with v1, and latest moved from the first to the second version."""
    first = push(anna, hub, "team/demo:v1")
    anna.ok("push", f"{hub.host}/team/demo:v1", f"{hub.host}/team/demo:latest", "--plain-http")
    second = push(anna, hub, "team/demo:latest", **{"README.md": "# changed\n"})
    return anna, f"{hub.host}/team/demo", first, second


def short(digest):
    return digest[:19]


def test_history_of_a_tag(moved):
    kit, name, first, second = moved
    out = kit.ok("history", f"{name}:latest", "--plain-http")
    assert out.splitlines()[0].split() == ["SEQ", "TIME", "WHO", "EVENT", "WHAT"]
    assert [[r[2], r[3], r[4].split(" n:")[0]] for r in rows(out)] == [
        ["anna", "tag.moved", f"team/demo:latest {short(first)} -> {short(second)}"],
        ["anna", "tag.created", f"team/demo:latest (none) -> {short(first)}"],
    ]
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]+Z", r[1]) for r in rows(out))


def test_history_of_a_repository_and_a_version(moved):
    kit, name, first, second = moved
    events = [r[3] for r in rows(kit.ok("history", name, "--plain-http"))]
    assert events.count("version.pushed") == 2
    assert events.count("tag.moved") == 1
    newest = rows(kit.ok("history", name, "--limit", "1", "--plain-http"))
    assert len(newest) == 1 and newest[0] == rows(kit.ok("history", name, "--plain-http"))[0]
    version = rows(kit.ok("history", f"{name}@{second}", "--plain-http"))
    assert {r[3] for r in version} == {"version.pushed", "tag.moved"}
    assert [r[4] for r in version if r[3] == "version.pushed"] == [f"team/demo@{short(second)} n:2"]


def test_history_as_json(moved):
    kit, name, first, second = moved
    events = json.loads(kit.ok("history", f"{name}:latest", "--format", "json", "--plain-http"))
    assert [e["leaf"]["action"] for e in events] == ["tag.moved", "tag.created"]
    assert events[0]["leaf"]["new"]["digest"] == second


def test_history_errors(moved):
    kit, name, _, _ = moved
    assert kit.fails("history", "demo:v1") == (
        "[ERROR] Invalid arguments: can not check remote: demo:v1 does not contain registry\n"
    )
    assert kit.fails("history", f"{name}s", "--plain-http").startswith(
        f"[ERROR] Failed to get the history of {name}s: "
    )
    for words in (["-n", "-1"], ["--format", "xml"]):
        assert kit.fails("history", name, *words).startswith("Error: invalid ")


# --- audit log ---


def test_audit_tail(admin, moved):
    out = admin.ok("audit", "tail", admin.hub, "--plain-http", "--lines", "3")
    assert len(rows(out)) == 3
    seqs = [int(r[0]) for r in rows(admin.ok("audit", "tail", admin.hub, "--plain-http", "-n500"))]
    assert seqs == list(range(1, len(seqs) + 1))
    assert "user.created" in admin.ok("audit", "tail", admin.hub, "-n", "500", "--plain-http")


def test_audit_tail_as_json(admin, moved):
    out = admin.ok("audit", "tail", admin.hub, "--format=json", "-n", "500", "--plain-http")
    leaves = [json.loads(line) for line in out.splitlines()]
    # Exactly the bytes that were hashed: canonical JSON.
    for line, leaf in zip(out.splitlines(), leaves):
        assert line == json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert [leaf["seq"] for leaf in leaves] == list(range(1, len(leaves) + 1))
    assert PASSWORD not in out


def test_audit_follow(admin, anna, hub):
    p = admin.popen("audit", "tail", hub.host, "-n", "0", "--follow", "--plain-http")
    time.sleep(0.5)
    push(anna, hub, "team/followed:v1")
    time.sleep(2.5)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=30)
    assert (p.returncode, err) == (0, b"")
    assert b"team/followed:v1" in out
    assert out.startswith(b"SEQ ")


def test_audit_arguments(admin):
    for words in (["-n", "501"], ["-n=-1"], ["--format", "yaml"]):
        assert admin.fails("audit", "tail", admin.hub, *words).startswith("Error: invalid ")

"""login, logout and what the kept login is used for."""
import base64
import json
import os
import pty
import stat
import subprocess
import termios

import pytest

from harness import clean_env, make_model, program
from proxy import Proxy

pytestmark = pytest.mark.asan

NET = "--plain-http"
ANN = ("ann", "s3:cret")


@pytest.fixture
def gate(registry):
    """A registry behind a login."""
    p = Proxy(registry.port)
    p.asks, p.login = "basic", ANN
    yield p
    p.stop()


@pytest.fixture(params=["basic", "token"])
def any_gate(gate, request):
    gate.asks = request.param
    return gate


def file_of(kit):
    return kit.kitops_home / "credentials.json"


def kept(kit):
    return json.loads(file_of(kit).read_text())


def sign_in(kit, gate, login=ANN):
    return kit.ok("login", NET, gate.host, "-u", login[0], "--password-stdin", stdin=f"{login[1]}\n")


# --- login ---


def test_login_keeps_what_kit_keeps(kit, any_gate):
    assert sign_in(kit, any_gate) == "Log in successful\n"
    auth = base64.b64encode(b"ann:s3:cret").decode()
    assert file_of(kit).read_text() == (
        '{\n\t"auths": {\n\t\t"%s": {\n\t\t\t"auth": "%s"\n\t\t}\n\t}\n}' % (any_gate.host, auth)
    )
    assert stat.S_IMODE(file_of(kit).stat().st_mode) == 0o600
    assert kit.ok("logout", any_gate.host) == f"Successfully logged out from {any_gate.host}\n"
    assert file_of(kit).read_text() == '{\n\t"auths": {}\n}'
    assert kit.ok("logout", any_gate.host) == f"Successfully logged out from {any_gate.host}\n"


def test_login_sweeps_what_a_killed_one_left(kit, gate):
    kit.kitops_home.mkdir(parents=True)
    left = kit.kitops_home / "credentials.json.tmp-0123456789abcdef"
    left.write_text("a secret")
    sign_in(kit, gate)
    assert not left.exists()


def test_wrong_password_is_not_kept(kit, any_gate):
    r = kit("login", NET, any_gate.host, "-u", "ann", "-p", "wrong")
    assert r.code == 1
    assert r.out == (
        "Warning: Using --password via CLI is insecure. Consider using --password-stdin instead\n"
    )
    assert r.err.startswith(f"[ERROR] Failed to validate the credentials for {any_gate.host}: ")
    assert "401 (Unauthorized)" in r.err
    assert not file_of(kit).exists()


def test_token_server_says_why(kit, gate):
    gate.asks = "token"
    err = kit.fails("login", NET, gate.host, "-u", "ann", "-p", "wrong")
    assert "refused: got response 401 (Unauthorized) from remote: wrong name or password" in err


def test_refresh_token(kit, gate):
    gate.asks, gate.refresh_token = "token", "R3FRESH"
    assert kit.ok("login", NET, gate.host, "--password", "R3FRESH") == "Log in successful\n"
    assert kept(kit) == {"auths": {gate.host: {"identitytoken": "R3FRESH"}}}
    make_model(kit.cwd / "m")
    kit.ok("pack", "m", "-t", "demo:v1")
    kit.ok("push", NET, "demo:v1", f"{gate.host}/team/demo:v1")
    assert all("Basic" not in s.headers.get("Authorization", "") for s in gate.requests)


def test_a_registry_without_login_takes_any(kit, registry):
    assert kit.ok("login", NET, registry.host, "-u", "x", "-p", "y").endswith("Log in successful\n")


@pytest.mark.parametrize(
    "argv, stdin, out, err",
    [
        (
            ["-u", "ann", "-p", "x", "--password-stdin"],
            "y",
            "Warning: Using --password via CLI is insecure. Consider using --password-stdin instead\n",
            "[ERROR] Invalid arguments: cannot use both --password and --password-stdin\n",
        ),
        (
            ["-u", "ann", "--password-stdin"],
            " \n",
            "",
            "[ERROR] Invalid arguments: failed to read password from stdin: got empty string\n",
        ),
        (["-u", "ann"], "x", None, "[ERROR] Invalid arguments: attempting to read input from non-terminal\n"),
        ([], "x", None, "[ERROR] Invalid arguments: attempting to read input from non-terminal\n"),
    ],
)
def test_bad_arguments(kit, argv, stdin, out, err):
    r = kit("login", "hub.example", *argv, stdin=stdin)
    assert (r.code, r.err) == (1, err)
    assert out is None or r.out == out


def test_registry_is_needed(kit):
    for command in ("login", "logout"):
        assert kit.fails(command).startswith("Error: accepts 1 arg(s), received 0\n")


@pytest.mark.parametrize("n", range(12))
def test_asks_on_a_terminal(kit, gate, n):
    """Often: an answer typed the moment the question appears was thrown away now and then."""
    master, slave = pty.openpty()
    p = subprocess.Popen(
        [program("kit"), "login", NET, gate.host],
        env=clean_env(kit.home, **kit.env), stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    seen = read_until(master, b"Username: ")
    os.write(master, b"ann\n")
    seen += read_until(master, b"Password: ")
    assert not termios.tcgetattr(master)[3] & termios.ECHO
    os.write(master, b"s3:cret\n")
    seen += read_until(master, b"Log in successful")
    assert p.wait(10) == 0
    os.close(master)
    assert b"s3:cret" not in seen and b"ann" in seen
    assert list(kept(kit)["auths"]) == [gate.host]


def read_until(fd, text):
    got = b""
    while text not in got:
        got += os.read(fd, 1024)
    return got


# --- what is kept is used ---


def test_push_and_pull_with_login(packed, any_gate, make_kit):
    ref = f"{any_gate.host}/team/demo:v1"
    sign_in(packed, any_gate)
    any_gate.forget()
    packed.ok("push", NET, "demo:v1", ref)
    other = make_kit()
    assert other.fails("pull", NET, ref).startswith(
        f"[ERROR] Failed to fetch {ref}: "
    )
    sign_in(other, any_gate)
    any_gate.forget()
    other.ok("pull", NET, ref)


def test_one_token_serves_a_push(packed, gate):
    gate.asks = "token"
    sign_in(packed, gate)
    gate.tokens.clear()
    gate.scopes.clear()
    packed.ok("push", NET, "demo:v1", f"{gate.host}/team/demo:v1")
    assert gate.scopes == [["repository:team/demo:pull,push"]]


def test_tokens_by_what_is_done(packed, gate):
    gate.asks = "token"
    sign_in(packed, gate)
    ref = f"{gate.host}/team/demo:v1"
    packed.ok("push", NET, "demo:v1", ref)
    gate.scopes.clear()
    packed.ok("pull", NET, ref)
    packed.ok("remove", NET, "--remote", "--force", ref)
    assert ["repository:team/demo:pull"] in gate.scopes
    assert ["repository:team/demo:pull,delete"] in gate.scopes


def test_token_that_expires_on_the_way(packed, gate):
    gate.asks = "token"
    sign_in(packed, gate)

    def expire(h):
        gate.tokens[:] = ["gone"]
        h.challenge()
        return True

    gate.on("POST .*/uploads/", expire)
    packed.ok("push", NET, "demo:v1", f"{gate.host}/team/demo:v1")


def test_push_without_login(packed, gate):
    r = packed("push", NET, "demo:v1", f"{gate.host}/team/demo:v1")
    assert r.code == 1
    assert "got response 401 (Unauthorized) from remote." in r.err
    assert r.err.endswith(" Ensure the repository exists and you have push access to it.\n")


def test_secrets_are_not_shown(packed, any_gate):
    sign_in(packed, any_gate)
    ref = f"{any_gate.host}/team/demo:v1"
    for argv in (["push", NET, "demo:v1", ref], ["pull", NET, ref], ["login", NET, any_gate.host, "-p", "s3:cret"]):
        r = packed(*argv, "-vv")
        assert "s3:cret" not in r.out + r.err
        assert base64.b64encode(b"ann:s3:cret").decode() not in r.out + r.err
        assert "token-" not in r.out + r.err


# --- our hub ---


def test_hub_with_login(packed, hub, make_kit):
    ref = f"{hub.host}/team/demo:v1"
    assert "401 (Unauthorized)" in packed.fails("push", NET, "demo:v1", ref)
    err = packed.fails("login", NET, hub.host, "-u", "admin", "--password-stdin", stdin="wrong")
    assert f"login to '{hub.host}' refused" in err
    packed.ok("login", NET, hub.host, "-u", "admin", "--password-stdin", stdin=hub.admin_password)
    packed.ok("push", NET, "demo:v1", ref)
    packed.ok("tag", "demo:v1", ref)
    copy = f"{hub.host}/other/copy:v1"
    packed.ok("push", NET, ref, copy)
    stranger = make_kit("stranger")
    assert "401 (Unauthorized)" in stranger.fails("pull", NET, copy)
    friend = make_kit("friend")
    friend.ok("login", NET, hub.host, "-u", "admin", "--password-stdin", stdin=hub.admin_password)
    friend.ok("pull", NET, copy)
    friend.ok("unpack", copy, "-d", "out")
    packed.ok("remove", NET, "--remote", copy)
    assert ": not found" in friend.fails("pull", NET, copy)


# --- other tools' files ---


def docker_config(kit, **content):
    path = kit.home / ".docker/config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_dockers_login_is_used_and_left_alone(packed, gate):
    auth = base64.b64encode(b"ann:s3:cret").decode()
    path = docker_config(packed, auths={f"https://{gate.host}/v1/": {"auth": auth}}, psFormat="x")
    before = path.read_bytes()
    packed.ok("push", NET, "demo:v1", f"{gate.host}/team/demo:v1")
    packed.ok("logout", gate.host)
    assert path.read_bytes() == before
    elsewhere = packed.home / "elsewhere"
    path.parent.rename(elsewhere)
    ref = f"{gate.host}/team/demo:v1"
    packed.fails("pull", NET, ref)
    packed.ok("pull", NET, ref, env={"DOCKER_CONFIG": elsewhere})


def test_our_login_comes_first(packed, gate):
    wrong = base64.b64encode(b"ann:wrong").decode()
    docker_config(packed, auths={gate.host: {"auth": wrong}})
    sign_in(packed, gate)
    packed.ok("push", NET, "demo:v1", f"{gate.host}/team/demo:v1")


def test_unknown_keys_stay(kit, gate):
    kit.kitops_home.mkdir()
    file_of(kit).write_text('{"HttpHeaders": {"X": "y"}, "auths": {"other": {"auth": "YTpi", "email": "e"}}}')
    sign_in(kit, gate)
    assert kept(kit)["HttpHeaders"] == {"X": "y"}
    assert kept(kit)["auths"]["other"] == {"auth": "YTpi", "email": "e"}


HELPER = """#!/bin/sh
# Keeps one login in a file; fails as Docker's helpers do.
store="$HOME/kept.json"
case "$1" in
get) read server; [ -e "$store" ] && cat "$store" && exit 0
     echo "credentials not found in native keychain"; exit 1;;
store) cat > "$store";;
erase) read server; rm -f "$store";;
esac
"""


@pytest.fixture
def helper(kit):
    folder = kit.home / "bin"
    folder.mkdir()
    program_path = folder / "docker-credential-test"
    program_path.write_text(HELPER)
    program_path.chmod(0o755)
    kit.env["PATH"] = f"{folder}:{os.environ['PATH']}"
    return program_path


@pytest.mark.parametrize("how", ["store", "host"])
def test_a_helper_keeps_the_login(packed, gate, helper, how):
    packed.kitops_home.mkdir(exist_ok=True)
    config = {"credsStore": "test"} if how == "store" else {"credHelpers": {gate.host: "test"}}
    file_of(packed).write_text(json.dumps(config))
    sign_in(packed, gate)
    assert kept(packed) == config
    in_helper = json.loads((packed.home / "kept.json").read_text())
    assert in_helper == {"ServerURL": gate.host, "Username": "ann", "Secret": "s3:cret"}
    packed.ok("push", NET, "demo:v1", f"{gate.host}/team/demo:v1")
    packed.ok("logout", gate.host)
    assert not (packed.home / "kept.json").exists()
    packed.fails("push", NET, "demo:v1", f"{gate.host}/team/demo:v2")


def test_a_helper_that_fails(packed, gate, helper):
    packed.kitops_home.mkdir(exist_ok=True)
    file_of(packed).write_text('{"credsStore": "test"}')
    helper.write_text("#!/bin/sh\necho the keychain is locked\nexit 1\n")
    err = packed.fails("push", NET, "demo:v1", f"{gate.host}/team/demo:v1")
    assert "'docker-credential-test get' failed with status 1: the keychain is locked" in err


def test_dockers_missing_helper_is_no_reason_to_stop(packed, registry):
    docker_config(packed, credsStore="not-installed")
    packed.ok("push", NET, "demo:v1", f"{registry.host}/team/demo:v1")


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "credentials.json'"),
        ('{"auths": []}', "auths: expected an object"),
        ('{"auths": {"HOST": {"auth": "!"}}}', "auth is not base64 of user:password"),
        ('{"credsStore": "../sh"}', "bad name of a credential helper: '../sh'"),
    ],
)
def test_broken_file(packed, gate, text, message):
    packed.kitops_home.mkdir(exist_ok=True)
    file_of(packed).write_text(text.replace("HOST", gate.host))
    assert message in packed.fails("push", NET, "demo:v1", f"{gate.host}/team/demo:v1")

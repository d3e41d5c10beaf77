"""Transfers that break: what is tried again, what is refused, and that the next try succeeds."""
import contextlib
import os
import re
import signal
import time

import pytest

from harness import make_model, pattern
from proxy import (
    Proxy,
    answer,
    cut_answer,
    cut_request,
    flip,
    hold_request,
    lose_answer,
    no_ranges,
    refuse_body,
    stall,
    stall_request,
)

pytestmark = pytest.mark.asan

NET = "--plain-http"
MIB = 2**20


@pytest.fixture(params=["cncf", "hub"])
def proxy(request):
    if request.param == "cncf":
        peer = request.getfixturevalue("registry")
    else:
        peer = request.getfixturevalue("make_hub")("--no-auth")
    p = Proxy(peer.port)
    yield p
    p.stop()


@pytest.fixture
def packed(kit):
    """demo:v1 with one layer large enough for a PATCH; its other layers are small."""
    make_model(kit.cwd / "m", **{"model.safetensors": pattern(MIB) * 12})
    kit.ok("pack", "m", "-t", "demo:v1")
    return kit


def blobs(kit):
    folder = kit.storage / "blobs/sha256"
    return {p.name: p.read_bytes() for p in folder.iterdir()} if folder.exists() else {}


def big_blob(kit):
    return max(blobs(kit).items(), key=lambda item: len(item[1]))[0]


def sizes(folder):
    """name -> size of all files below, also while a process gives them other names."""
    found = {}
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found[name] = os.stat(os.path.join(where, name)).st_size
    return found


def ingest(kit):
    return sizes(kit.storage / "ingest")


@pytest.fixture
def pushed(packed, proxy):
    packed.ref = f"{proxy.host}/team/demo:v1"
    packed.ok("push", NET, "demo:v1", packed.ref)
    proxy.forget()
    return packed


def check_whole(kit, other):
    assert blobs(other) == blobs(kit)
    assert not ingest(other)


# --- pushes ---


@pytest.mark.parametrize(
    "name, line, action",
    [
        ("broken PATCH", "^PATCH", cut_request(5 * MIB)),
        ("broken at once", "^PATCH", cut_request(0)),
        ("answer of the PATCH lost", "^PATCH", lose_answer),
        ("answer of the closing PUT lost", "^PUT .*/uploads/", lose_answer),
        ("broken small PUT", "^PUT .*/uploads/.*digest=", cut_request(100)),
        ("busy", "^POST", answer(503, {"Retry-After": "0"})),
        ("too many", "^HEAD", answer(429, {"Retry-After": "0"})),
        ("busy in the middle", "^PATCH", answer(502)),
        ("no PATCH", "^PATCH", answer(405)),
        ("too large for a proxy", "^PATCH", refuse_body(413)),
        ("manifest answered by nobody", "^PUT .*/manifests/", lose_answer),
    ],
)
def test_push_gets_through(packed, proxy, make_kit, name, line, action):
    ref = f"{proxy.host}/team/demo:v1"
    proxy.on(line, action)
    packed.ok("push", NET, "demo:v1", ref)
    assert proxy.rules[0].times == 0, "the fault never came"
    proxy.forget()
    other = make_kit()
    other.ok("pull", NET, ref)
    check_whole(packed, other)


def test_push_goes_on_in_its_session(packed, make_hub, make_kit):
    hub = make_hub("--no-auth")
    proxy = Proxy(hub.port)
    try:
        proxy.on("^PATCH", cut_request(8 * MIB))
        packed.ok("push", NET, "demo:v1", f"{proxy.host}/team/demo:v1")
        second = proxy.seen("^PATCH")[1]
        start = int(second.headers["Content-Range"].split("-")[0])
        assert start > 0 and second.sent < 12 * MIB
    finally:
        proxy.stop()


def test_push_in_chunks_that_fit(packed, proxy):
    def limit(h):
        if h.body_left > 2 * MIB:
            return refuse_body(413)(h)
        return False

    proxy.on("^(PATCH|PUT)", limit, times=-1)
    packed.ok("push", NET, "demo:v1", f"{proxy.host}/team/demo:v1")
    assert max(s.sent for s in proxy.seen("^PATCH")) <= 2 * MIB


def test_push_gives_up(packed, proxy):
    proxy.on("^PATCH", cut_request(0), times=99)
    err = packed.fails("push", NET, "demo:v1", f"{proxy.host}/team/demo:v1")
    assert err.startswith("[ERROR] Failed to push: failed to copy sha256:" + big_blob(packed))
    assert not proxy.seen("^PUT .*/manifests/")
    proxy.forget()
    packed.ok("push", NET, "demo:v1", f"{proxy.host}/team/demo:v1")


@pytest.mark.parametrize("status", [403, 404, 405, 413, 500])
def test_push_refused(packed, proxy, status):
    body = b'{"errors":[{"code":"X","message":"because I say so"}]}'
    retry = {"Retry-After": "0"}
    proxy.on("^POST", answer(status, {"Content-Type": "application/json", **retry}, body), times=99)
    err = packed.fails("push", NET, "demo:v1", f"{proxy.host}/team/demo:v1")
    assert f": got response {status} (" in err and err.endswith(") from remote: because I say so.\n")


def test_a_damaged_blob_is_not_pushed(packed, proxy):
    name = big_blob(packed)
    path = packed.storage / "blobs/sha256" / name
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    err = packed.fails("push", NET, "demo:v1", f"{proxy.host}/team/demo:v1")
    assert f"the registry finds blob sha256:{name} damaged" in err
    path.write_bytes(bytes(data[:-512]))
    err = packed.fails("push", NET, "demo:v1", f"{proxy.host}/team/demo:v1")
    assert f"blob sha256:{name} has {len(data) - 512} bytes in local storage, not {len(data)}" in err


# --- pulls ---


@pytest.mark.parametrize(
    "name, line, action",
    [
        ("broken blob", "^GET .*/blobs/sha256:BIG", cut_answer(5 * MIB)),
        ("broken at once", "^GET .*/blobs/sha256:BIG", cut_answer(0)),
        ("broken manifest", "^GET .*/manifests/", cut_answer(100)),
        ("busy", "^GET .*/blobs/", answer(503, {"Retry-After": "0"})),
        ("too many", "^GET .*/manifests/", answer(429, {"Retry-After": "0"})),
    ],
)
def test_pull_gets_through(pushed, proxy, make_kit, name, line, action):
    proxy.on(line.replace("BIG", big_blob(pushed)), action)
    other = make_kit()
    other.ok("pull", NET, pushed.ref)
    assert proxy.rules[0].times == 0
    check_whole(pushed, other)


def test_pull_goes_on_where_it_broke(pushed, proxy, make_kit):
    big = big_blob(pushed)
    proxy.on(f"^GET .*/blobs/sha256:{big}", cut_answer(5 * MIB))
    other = make_kit()
    other.ok("pull", NET, pushed.ref)
    first, second = proxy.seen(f"^GET .*/blobs/sha256:{big}")
    assert "Range" not in first.headers
    assert re.fullmatch(r"bytes=[1-9]\d{6,}-", second.headers["Range"]) and second.status == 206


def test_pull_from_a_registry_without_ranges(pushed, proxy, make_kit):
    big = big_blob(pushed)
    proxy.on(f"^GET .*/blobs/sha256:{big}", cut_answer(5 * MIB))
    proxy.on(f"^GET .*/blobs/sha256:{big}", no_ranges)
    other = make_kit()
    other.ok("pull", NET, pushed.ref)
    check_whole(pushed, other)


def test_pull_gives_up_and_a_later_one_goes_on(pushed, proxy, make_kit):
    big = big_blob(pushed)
    line = f"^GET .*/blobs/sha256:{big}"
    proxy.on(line, cut_answer(5 * MIB)).on(line, cut_answer(0), times=99)
    other = make_kit()
    err = other.fails("pull", NET, pushed.ref)
    assert err.startswith("[ERROR] Failed to pull: failed to get model layer: ")
    have = ingest(other)[big]
    assert 0 < have <= 5 * MIB
    assert big not in blobs(other) and other.ok("list").count("\n") == 1
    proxy.forget()
    other.ok("pull", NET, pushed.ref)
    assert proxy.seen(line)[0].headers["Range"] == f"bytes={have}-"
    check_whole(pushed, other)


@pytest.mark.parametrize("kind", ["blob", "config", "manifest"])
def test_wrong_bytes_are_refused(pushed, proxy, make_kit, kind):
    other = make_kit()
    if kind == "manifest":
        digest = re.search(r"sha256:\w+", pushed.ok("push", NET, "demo:v1", pushed.ref)).group()
        proxy.forget()
        proxy.on("^GET .*/manifests/", flip(200))
        err = other.fails("pull", NET, f"{proxy.host}/team/demo@{digest}")
        assert f"content of {digest} has digest sha256:" in err
    else:
        name = big_blob(pushed) if kind == "blob" else config_of(pushed)
        proxy.on(f"^GET .*/blobs/sha256:{name}", flip(10))
        err = other.fails("pull", NET, pushed.ref)
        what = "model" if kind == "blob" else "config"
        assert err == (
            f"[ERROR] Failed to pull: failed to get {what} layer: "
            "downloaded file hash does not match descriptor\n"
        )
        assert name not in blobs(other) and name not in ingest(other)
    assert other.ok("list").count("\n") == 1
    proxy.forget()
    other.ok("pull", NET, pushed.ref)
    check_whole(pushed, other)


def config_of(kit):
    [name] = [n for n, data in blobs(kit).items() if data.startswith(b'{"manifestVersion"')]
    return name


def test_a_damaged_part_of_before(pushed, proxy, make_kit):
    """Quirk 27 of kit: it never gets over one."""
    big = big_blob(pushed)
    other = make_kit()
    folder = other.storage / "ingest"
    folder.mkdir(parents=True)
    (folder / big).write_bytes(b"damaged" * 1000)
    other.ok("pull", NET, pushed.ref)
    assert [s.headers.get("Range") for s in proxy.seen(f"/blobs/sha256:{big}")] == ["bytes=7000-", None]
    check_whole(pushed, other)


def test_others_parts_are_left_alone(pushed, make_kit):
    """Quirk 11 of kit: it removes them."""
    other = make_kit()
    folder = other.storage / "ingest"
    folder.mkdir(parents=True)
    (folder / ("0" * 64)).write_bytes(b"another download")
    other.ok("pull", NET, pushed.ref)
    assert ingest(other) == {"0" * 64: 16}


def test_a_wrong_size(pushed, proxy, make_kit):
    big = big_blob(pushed)
    proxy.on(f"^GET .*/blobs/sha256:{big}", answer(200, {}, b"short"))
    err = make_kit().fails("pull", NET, pushed.ref)
    assert f"sha256:{big} has 5 bytes at the registry, not " in err


def test_missing_blob(pushed, proxy, make_kit):
    big = big_blob(pushed)
    proxy.on(f"^GET .*/blobs/sha256:{big}", answer(404))
    err = make_kit().fails("pull", NET, pushed.ref)
    assert err == (
        "[ERROR] Failed to pull: failed to get model layer: "
        f"{proxy.host}/team/demo@sha256:{big}: not found\n"
    )


# --- packed straight to a registry ---


@pytest.mark.parametrize(
    "line, action",
    [
        ("^PATCH", cut_request(5 * MIB)),
        ("^PATCH", lose_answer),
        ("^PATCH", answer(502)),
        ("^POST", answer(503, {"Retry-After": "0"})),
        ("^PUT .*/uploads/", lose_answer),
    ],
    ids=["cut", "answer lost", "busy", "busy at first", "end lost"],
)
def test_a_packed_stream_gets_through(packed, proxy, make_kit, line, action):
    """The first chunk is still in the buffer; what is lost at the end had come in."""
    ref = f"{proxy.host}/team/demo:v1"
    proxy.on(line, action)
    packed.ok("pack", "m", "-t", ref, "--push", NET)
    assert proxy.rules[0].times == 0
    other = make_kit()
    other.ok("pull", NET, ref)
    check_whole(packed, other)


def test_a_packed_stream_in_chunks_that_fit(packed, proxy, make_kit):
    def limit(h):
        if h.body_left > 2 * MIB:
            return refuse_body(413)(h)
        return False

    proxy.on("^(PATCH|PUT)", limit, times=-1)
    ref = f"{proxy.host}/team/demo:v1"
    packed.ok("pack", "m", "-t", ref, "--push", NET)
    proxy.forget()
    other = make_kit()
    other.ok("pull", NET, ref)
    check_whole(packed, other)


def test_a_packed_stream_that_breaks_for_good(packed, proxy, make_kit):
    """A lost session cannot begin again: the bytes are gone. Nothing is tagged."""
    ref = f"{proxy.host}/team/demo:v1"
    later = lambda h: False  # noqa: E731
    proxy.on("^PATCH", later).on("^PATCH", answer(404))
    err = packed.fails("pack", "m", "-t", ref, "--push", NET)
    assert err.startswith("[ERROR] Failed to pack model kit: error processing model: ")
    assert "got response 404" in err
    assert not proxy.seen("^PUT .*/manifests/")


# --- straight into a directory ---


def unpacked(kit, name="out"):
    return sorted(p.relative_to(kit.cwd / name) for p in (kit.cwd / name).rglob("*") if p.is_file())


@pytest.mark.parametrize("command", [["unpack", "-d", "out"], ["pull", "--unpack", "out"]], ids=["unpack", "pull"])
@pytest.mark.parametrize(
    "action, words",
    [
        (flip(3 * MIB), "is damaged: its bytes have another digest"),
        (answer(200, {}, b"short"), " has 5 bytes at the registry, not "),
        (answer(404), "not found"),
    ],
    ids=["wrong bytes", "wrong length", "missing"],
)
def test_only_verified_files_get_names(pushed, proxy, make_kit, command, action, words):
    big = big_blob(pushed)
    proxy.on(f"^GET .*/blobs/sha256:{big}", action)
    other = make_kit()
    err = other.fails(*command, NET, pushed.ref)
    assert words in err
    assert "model.safetensors" not in map(str, unpacked(other)) and not blobs(other)
    assert not [p for p in (other.cwd / "out").iterdir() if p.name.startswith(".kitvault-unpack")]


def test_a_broken_stream_into_a_directory(pushed, proxy, make_kit):
    big = big_blob(pushed)
    line = f"^GET .*/blobs/sha256:{big}"
    proxy.on(line, cut_answer(5 * MIB)).on(line, no_ranges)
    other = make_kit()
    other.ok("pull", NET, pushed.ref, "--unpack", "out")
    assert (other.cwd / "out/model.safetensors").read_bytes() == pattern(MIB) * 12
    assert not blobs(other)


def test_a_killed_stream_into_a_directory(pushed, proxy, make_kit):
    big = big_blob(pushed)
    proxy.on(f"^GET .*/blobs/sha256:{big}", stall(5 * MIB))
    other = make_kit()
    process = other.popen("pull", NET, pushed.ref, "--unpack", "out")
    kill_when(process, lambda: max(sizes(other.cwd / "out").values(), default=0) > 4 * MIB)
    assert not (other.cwd / "out/model.safetensors").exists()
    proxy.forget()
    other.ok("unpack", NET, pushed.ref, "-d", "out", "-o")
    assert (other.cwd / "out/model.safetensors").read_bytes() == pattern(MIB) * 12
    assert not [p for p in (other.cwd / "out").iterdir() if p.name.startswith(".kitvault-unpack")]


# --- the process is killed ---


@pytest.mark.parametrize("step", ["pull.before-commit", "ingest.before-rename", "pull.after-blobs", "pull.after-list"])
def test_pull_killed(pushed, make_kit, step):
    other = make_kit()
    r = other("pull", NET, pushed.ref, env={"KITVAULT_CRASH_AT": step})
    assert r.code == 86
    listed = other.ok("list").count("\n") - 1
    assert listed == (1 if step == "pull.after-list" else 0)
    for name, data in blobs(other).items():
        assert blobs(pushed)[name] == data
    other.ok("pull", NET, pushed.ref)
    assert blobs(other) == blobs(pushed)
    other.ok("unpack", pushed.ref, "-d", "out")


def test_push_killed(packed, proxy, make_kit):
    ref = f"{proxy.host}/team/demo:v1"
    r = packed("push", NET, "demo:v1", ref, env={"KITVAULT_CRASH_AT": "push.before-manifest"})
    assert r.code == 86
    make_kit("none").fails("pull", NET, ref)
    packed.ok("push", NET, "demo:v1", ref)
    make_kit().ok("pull", NET, ref)


def kill_when(process, ready):
    """SIGKILL once ready() holds; it must come to that."""
    end = time.monotonic() + 60
    while not ready():
        assert process.poll() is None and time.monotonic() < end, "it never got there"
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=20)


def notes(kit):
    folder = kit.kitops_home / "cache/uploads"
    return sorted(folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("at", [1, 3 * MIB, 8 * MIB + 1, 12 * MIB - 1])
def test_pull_killed_anywhere(pushed, proxy, make_kit, at):
    big = big_blob(pushed)
    line = f"^GET .*/blobs/sha256:{big}"
    proxy.on(line, stall(at))
    other = make_kit()
    kill_when(other.popen("pull", NET, pushed.ref), lambda: ingest(other).get(big, 0) == at)
    assert big not in blobs(other)
    proxy.forget()
    other.ok("pull", NET, pushed.ref)
    assert proxy.seen(line)[0].headers["Range"] == f"bytes={at}-"
    check_whole(pushed, other)


@pytest.mark.parametrize("at", [0, 5 * MIB + 1, 12 * MIB])
def test_push_killed_anywhere(packed, proxy, make_kit, at):
    ref = f"{proxy.host}/team/demo:v1"
    proxy.on("^PATCH", hold_request(at))
    process = packed.popen("push", NET, "demo:v1", ref)
    kill_when(process, lambda: [s for s in proxy.seen("^PATCH") if s.sent >= at and s.status])
    [note] = notes(packed)
    assert note.stat().st_mode & 0o777 == 0o600
    proxy.forget()
    packed.ok("push", NET, "demo:v1", ref)
    assert not notes(packed)
    other = make_kit()
    other.ok("pull", NET, ref)
    check_whole(packed, other)


def test_push_goes_on_after_a_kill(packed, make_hub, make_kit):
    hub = make_hub("--no-auth")
    proxy = Proxy(hub.port)
    try:
        ref = f"{proxy.host}/team/demo:v1"
        proxy.on("^PATCH", hold_request(10 * MIB))
        process = packed.popen("push", NET, "demo:v1", ref)
        kill_when(process, lambda: [s for s in proxy.seen("^PATCH") if s.status])
        proxy.forget()
        packed.ok("push", NET, "demo:v1", ref)
        [patch] = [s for s in proxy.seen("^PATCH") if s.status == 202]
        start = int(patch.headers["Content-Range"].split("-")[0])
        assert start > 0 and patch.sent <= 12 * MIB + 4096 - start
        assert not notes(packed)
        other = make_kit()
        other.ok("pull", NET, ref)
        check_whole(packed, other)
    finally:
        proxy.stop()


def test_push_after_a_damaged_part(packed, make_hub, make_kit):
    """What the killed process sent was spoilt on the way: found at the end, and sent again."""
    hub = make_hub("--no-auth")
    proxy = Proxy(hub.port)
    try:
        ref = f"{proxy.host}/team/demo:v1"
        proxy.on("^PATCH", hold_request(10 * MIB))
        process = packed.popen("push", NET, "demo:v1", ref)
        kill_when(process, lambda: [s for s in proxy.seen("^PATCH") if s.status])
        place = proxy.seen("^PATCH")[0].path
        [note] = notes(packed)
        spoil = hub.request("POST", "/v2/team/demo/blobs/uploads/")
        other_place = spoil.headers["Location"]
        assert hub.request("PATCH", other_place, b"x" * MIB).status == 202
        note.write_text(note.read_text().replace(place, other_place))
        proxy.forget()
        packed.ok("push", NET, "demo:v1", ref)
        other = make_kit()
        other.ok("pull", NET, ref)
        check_whole(packed, other)
    finally:
        proxy.stop()


@pytest.mark.parametrize("text", ["", "kitvault upload 1\n", "something else\n" * 3, "x" * 300_000],
                         ids=["empty", "cut", "foreign", "large"])
def test_push_with_a_torn_note(packed, proxy, text):
    ref = f"{proxy.host}/team/demo:v1"
    proxy.on("^PATCH", hold_request(MIB))
    process = packed.popen("push", NET, "demo:v1", ref)
    kill_when(process, lambda: [s for s in proxy.seen("^PATCH") if s.status])
    [note] = notes(packed)
    note.write_text(text)
    proxy.forget()
    packed.ok("push", NET, "demo:v1", ref)
    assert not notes(packed)


# --- the user stops it ---


def interrupt(process, until):
    end = time.monotonic() + 20
    while not until() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.decode() == "[ERROR] Interrupted\n"


def test_pull_interrupted(pushed, proxy, make_kit):
    big = big_blob(pushed)
    proxy.on(f"^GET .*/blobs/sha256:{big}", stall(5 * MIB))
    other = make_kit()
    interrupt(other.popen("pull", NET, pushed.ref), lambda: ingest(other).get(big, 0) > 4 * MIB)
    assert big not in blobs(other) and other.ok("list").count("\n") == 1
    proxy.forget()
    other.ok("pull", NET, pushed.ref)
    assert proxy.seen(f"^GET .*/blobs/sha256:{big}")[0].headers["Range"]
    check_whole(pushed, other)


def test_push_interrupted(packed, proxy):
    ref = f"{proxy.host}/team/demo:v1"
    proxy.on("^PATCH", stall_request)
    interrupt(packed.popen("push", NET, "demo:v1", ref), lambda: proxy.seen("^PATCH"))
    assert not proxy.seen("^PUT .*/manifests/")
    proxy.forget()
    packed.ok("push", NET, "demo:v1", ref)


def test_the_rate_is_limited(packed, proxy, make_kit):
    """Never faster than asked for; all blobs together."""
    ref = f"{proxy.host}/team/demo:v1"
    begun = time.monotonic()
    packed.ok("push", NET, "--limit-rate", "12M", "demo:v1", ref)
    pushed = time.monotonic()
    assert pushed - begun > 0.8
    other = make_kit()
    other.ok("pull", NET, "--limit-rate=12m", ref)
    assert time.monotonic() - pushed > 0.8
    check_whole(packed, other)


@pytest.mark.parametrize("rate", ["0", "1023", "fast", "K", "1KB", "-1", "99999999999999999999", "18446744073709551615K"])
def test_rates_that_are_none(kit, rate):
    err = kit.fails("pull", NET, f"--limit-rate={rate}", "127.0.0.1:1/team/demo:v1")
    assert err.startswith(f"[ERROR] Invalid arguments: invalid argument for limit-rate ({rate}): must be ")


def test_a_slow_pull_interrupted(pushed, proxy, make_kit):
    big = big_blob(pushed)
    other = make_kit()
    process = other.popen("pull", NET, "--limit-rate=10K", pushed.ref)
    interrupt(process, lambda: ingest(other).get(big, 0) > 0)
    assert 0 < ingest(other)[big] < 12 * MIB


def test_a_slow_push_interrupted(packed, proxy):
    ref = f"{proxy.host}/team/demo:v1"
    process = packed.popen("push", NET, "--limit-rate=10K", "demo:v1", ref)
    interrupt(process, lambda: proxy.seen("^PATCH"))


def test_full_disk(pushed, make_kit):
    other = make_kit()
    other.ok("version")
    err = other.fails("pull", NET, pushed.ref, env={"KITOPS_HOME": "/dev/full/home"})
    assert "/dev/full/home" in err

"""Killed at every marked step, a full disk: nothing partial is ever served, and the next try works."""
import contextlib
import hashlib
import http.client
import os
import resource
import socket
import subprocess
from pathlib import Path

import pytest

from harness import Hub, pattern
from oci import Oci, digest

pytestmark = pytest.mark.asan

CRASH_STATUS = 86
DATA = pattern(3_000_000)

BLOB_STEPS = [
    "blob.before-sync",
    "blob.before-rename",
    "blob.after-rename",
    "hub.blob-before-link",
    "hub.blob-before-commit",
    "hub.blob-after-commit",
]
MANIFEST_STEPS = [
    "blob.before-sync",
    "blob.before-rename",
    "blob.after-rename",
    "hub.manifest-before-tx",
    "hub.manifest-before-commit",
    "hub.manifest-after-commit",
]


def crash(hub, step, act):
    """Runs act against the hub, which ends at step in the middle of it, and starts it again."""
    hub.stop()
    hub.env = {"KITVAULT_CRASH_AT": step}
    hub.start(hub.port)
    with pytest.raises((OSError, http.client.HTTPException)):
        act()
    process, hub.process = hub.process, None
    assert process.wait(20) == CRASH_STATUS, hub.log_text()
    hub.env = {}
    hub.start(hub.port)


def check_store(hub):
    """Whatever has a final name is whole."""
    for algorithm in ("sha256", "sha512"):
        for path in (hub.data / "blobs" / algorithm).iterdir():
            assert hashlib.new(algorithm, path.read_bytes()).hexdigest() == path.name


@pytest.mark.parametrize("step", BLOB_STEPS)
@pytest.mark.parametrize("known", [False, True], ids=["new repository", "known repository"])
def test_killed_in_an_upload(own_hub, step, known):
    oci = Oci(own_hub.host)
    if known:
        oci.push_blob(b"first")
    d = digest(DATA)
    where = oci.start()
    crash(own_hub, step, lambda: oci.finish(where, d, DATA))
    check_store(own_hub)
    r = oci.blob(d)
    assert r.status == 404 or r.body == DATA
    # The session is either gone or goes on; in both cases the blob can be pushed.
    state = oci.request("GET", where)
    assert state.status in (204, 404)
    if state.status == 204:
        have = 0 if state["Range"] == "0-0" else int(state["Range"].split("-")[1]) + 1
        r = oci.finish(where, d, DATA[have:])
        assert r.status in (201, 404), r
    assert oci.push_blob(DATA) == d
    assert oci.blob(d).body == DATA


def test_killed_between_chunks(own_hub):
    """What a saved upload has received outlives the hub, with the state of its digest."""
    oci = Oci(own_hub.host)
    big = pattern(6_000_000)
    where = oci.start()
    assert oci.patch(where, big, 0).status == 202
    assert oci.patch(where, b"tail", len(big)).status == 202
    own_hub.kill()
    own_hub.start(own_hub.port)
    r = oci.request("GET", where)
    assert (r.status, r["Range"]) == (204, f"0-{len(big) - 1}")  # the tail was not worth a sync yet
    assert oci.patch(where, b"tail", len(big) + 4).status == 416
    r = oci.patch(where, b"other tail", len(big))
    assert r.status == 202
    d = digest(big + b"other tail")
    assert oci.finish(where, d).status == 201
    assert oci.blob(d).body == big + b"other tail"
    check_store(own_hub)


def test_killed_while_saving(own_hub):
    oci = Oci(own_hub.host)
    big = pattern(6_000_000)
    where = oci.start()
    crash(own_hub, "hub.upload-saved", lambda: oci.patch(where, big))
    r = oci.request("GET", where)
    assert (r.status, r["Range"]) == (204, "0-0")
    assert oci.patch(where, big).status == 202
    assert oci.finish(where, digest(big)).status == 201


def test_stopped_between_chunks(own_hub):
    """A graceful stop saves even small pieces."""
    oci = Oci(own_hub.host)
    where = oci.start("?digest-algorithm=sha512")
    for i in range(5):
        assert oci.patch(where, b"piece%d" % i, 6 * i).status == 202
    own_hub.restart()
    r = oci.request("GET", where)
    assert (r.status, r["Range"]) == (204, "0-29")
    d = digest(b"piece0piece1piece2piece3piece4!", "sha512")
    assert oci.finish(where, d, b"!", {"Content-Range": "30-30"}).status == 201
    assert oci.blob(d).status == 200


@pytest.mark.parametrize("step", MANIFEST_STEPS)
def test_killed_in_a_manifest_put(own_hub, step):
    oci = Oci(own_hub.host)
    data = oci.image()
    old = oci.push("latest")
    crash(own_hub, step, lambda: oci.put("latest", data))
    check_store(own_hub)
    r = oci.get("latest")
    assert r["Docker-Content-Digest"] in (old, digest(data))
    # Together or not at all.
    assert (oci.get(digest(data)).status == 200) == (r["Docker-Content-Digest"] == digest(data))
    assert (step == "hub.manifest-after-commit") == (r.body == data)
    assert oci.put("latest", data).status == 201
    assert oci.get("latest").body == data


def test_killed_in_a_delete(own_hub):
    oci = Oci(own_hub.host)
    d = oci.push("v1")
    crash(own_hub, "hub.delete-before-commit", lambda: oci.delete(d))
    assert oci.get("v1")["Docker-Content-Digest"] == d
    assert oci.delete(d).status == 202
    assert oci.get("v1").status == 404


class SmallDisk(Hub):
    """A hub whose data folder is a file system of 8 MiB, seen by nobody else."""

    def inside_of(self, *argv):
        words = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
        self.data.mkdir(exist_ok=True)
        return [*words, "sh", "-c", 'mount -t tmpfs -o size=8m none "$0" && exec "$@"', str(self.data), *argv]

    def command(self, port):
        return self.inside_of(*super().command(port))

    @property
    def inside(self):
        return Path(f"/proc/{self.pid}/root{self.data}")


@pytest.fixture
def small_disk(tmp_path):
    hub = SmallDisk(tmp_path / "small", "--no-auth")
    probe = subprocess.run(hub.inside_of("true"), stderr=subprocess.PIPE)
    if probe.returncode != 0:
        pytest.skip(f"no private mounts here: {probe.stderr.decode().strip()}")
    yield hub.start()
    hub.stop()


def test_full_disk(small_disk):
    oci = Oci(small_disk.host)
    old = oci.push("v1")
    big = pattern(9_000_000)
    for _ in range(2):
        where = oci.start()
        r = oci.finish(where, digest(big), big)
        assert (r.status, len(r.json()["errors"])) == (507, 1), r
        assert oci.request("GET", where).status == 404
        assert oci.request("POST", oci.url("blobs/uploads/?digest=" + digest(big)), big).status == 507
    assert oci.patch(oci.start(), big).status == 507
    assert oci.blob(digest(big)).status == 404
    assert not list((small_disk.inside / "uploads").iterdir())  # the space is given back at once
    assert oci.get("v1")["Docker-Content-Digest"] == old
    assert oci.push_blob(DATA) == digest(DATA)
    assert oci.blob(digest(DATA)).body == DATA


@pytest.mark.parametrize("length, status", [(9_000_000, b"507"), (10**17, b"413 507")])
def test_too_large_for_the_disk_is_refused_before_it_is_sent(small_disk, length, status):
    oci = Oci(small_disk.host)
    where = oci.start()
    with socket.create_connection(("127.0.0.1", small_disk.port), timeout=20) as s:
        s.sendall(
            f"PATCH {where} HTTP/1.1\r\nHost: {small_disk.host}\r\nContent-Length: {length}\r\n"
            f"Expect: 100-continue\r\n\r\n".encode()
        )
        head = s.recv(12)
    assert head.startswith(b"HTTP/1.1 ") and head[9:] in status.split(), head
    assert oci.push_blob(DATA) == digest(DATA)


def test_disk_that_fills_up_to_the_last_byte(small_disk):
    """Until nothing at all can be written; then room is made, and everything goes on."""
    oci = Oci(small_disk.host)
    data = oci.image()
    ballast = small_disk.inside / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as f:
        while f.write(bytes(4096)):
            pass
    for _ in range(20):
        statuses = {
            oci.put("v1", data).status,
            oci.request("POST", oci.url("blobs/uploads/")).status,
            oci.request("POST", oci.url("blobs/uploads/?digest=" + digest(DATA)), DATA).status,
        }
        assert statuses <= {201, 202, 507}, statuses
    assert 507 in statuses
    assert oci.blob(digest(b"{}")).body == b"{}"  # reading needs no room
    ballast.unlink()
    assert oci.put("v1", data).status == 201
    assert oci.get("v1").body == data
    assert oci.push_blob(DATA)


def test_limit_on_the_size_of_files(own_hub):
    oci = Oci(own_hub.host)
    _, hard = resource.prlimit(own_hub.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(own_hub.pid, resource.RLIMIT_FSIZE, (1_000_000, hard))
    where = oci.start()
    assert oci.finish(where, digest(DATA), DATA).status in (413, 507)
    assert oci.blob(digest(DATA)).status == 404
    assert not list((own_hub.data / "uploads").iterdir())
    resource.prlimit(own_hub.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert oci.push_blob(DATA) == digest(DATA)
    check_store(own_hub)


def test_flipped_byte_is_what_the_client_gets_to_see(own_hub):
    """The hub does not hash on every read; the digest in the answer lets the client refuse."""
    oci = Oci(own_hub.host)
    d = oci.push_blob(DATA)
    path = own_hub.data / "blobs" / "sha256" / d.split(":")[1]
    bad = bytearray(DATA)
    bad[1000] ^= 1
    path.chmod(0o600)
    path.write_bytes(bad)
    r = oci.blob(d)
    assert digest(r.body) != r["Docker-Content-Digest"] == d
    # Pushed again, it is good again.
    assert oci.push_blob(DATA) == d
    assert oci.blob(d).body == DATA


def test_lost_file_is_not_there(own_hub):
    oci = Oci(own_hub.host)
    d = oci.push_blob(DATA)
    (own_hub.data / "blobs" / "sha256" / d.split(":")[1]).unlink()
    for method in ("HEAD", "GET"):
        assert oci.blob(d, method=method).status == 404  # so that clients push it again
    assert oci.push_blob(DATA) == d
    assert oci.blob(d).body == DATA

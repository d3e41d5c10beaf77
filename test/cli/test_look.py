"""Looking into ModelKits without unpacking them: ls, cat; the classes of failures."""
import hashlib
import json
import re

import pytest

from harness import make_model, pattern
from proxy import Proxy

NET = "--plain-http"
FILES = {
    "model.safetensors": b"\x08\0\0\0\0\0\0\0{}      ",
    "README.md": b"# small\n",
    "src/predict.py": b"print(1)\n",
}
FORMS = {"none": "tar", "gzip": "tar+gzip", "gzip-fastest": "tar+gzip", "zstd": "tar+zstd"}


@pytest.fixture
def peer(make_hub):
    """A hub open to anybody, seen through a proxy that counts."""
    p = Proxy(make_hub("--no-auth").port)
    yield p
    p.stop()


def blob_of(kit, ref, kind):
    manifest = json.loads(kit.ok("inspect", ref))["manifest"]
    digest = next(x["digest"] for x in manifest["layers"] if f".{kind}." in x["mediaType"])
    return kit.storage / "blobs" / digest.replace(":", "/")


def spoil(path, at=600):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


# --- ls ---


@pytest.mark.parametrize("compression", FORMS)
def test_ls_lists_what_unpack_writes(packed, compression):
    packed.ok("pack", "m", "-t", "demo:c", "--compression", compression)
    listed = json.loads(packed.ok("ls", "demo:c", "--format", "json"))
    assert listed["reference"] == "demo:c"
    assert [x["form"] for x in listed["layers"]] == [FORMS[compression]] * 3
    assert {f["path"]: (f["size"], f["digest"]) for f in listed["files"] if f["type"] == "file"} == {
        name: (len(data), "sha256:" + hashlib.sha256(data).hexdigest()) for name, data in FILES.items()
    }
    packed.ok("unpack", "demo:c", "-d", "out")
    for f in listed["files"]:
        path = packed.cwd / "out" / f["path"]
        assert f["type"] == ("dir" if path.is_dir() else "file")
        assert f["mode"] == f"{path.stat().st_mode & 0o7777:04o}"


def test_ls_text(packed):
    lines = packed.ok("ls", "demo:v1").splitlines()
    assert lines[0].split() == ["LAYER", "TYPE", "MODE", "SIZE", "SHA-256", "PATH"]
    assert [line.split()[-1] for line in lines[1:]] == ["model.safetensors", "src", "src/predict.py", "README.md"]
    assert lines[-1].split()[:5] == ["2", "file", "0644", "8", hashlib.sha256(b"# small\n").hexdigest()]


def test_ls_escapes_names(kit):
    make_model(kit.cwd / "m", **{"src/a\nb\x1b[2J": "x"})
    kit.ok("pack", "m", "-t", "demo:v1")
    assert r"src/a\012b\033[2J" in kit.ok("ls", "demo:v1")


def test_ls_tells_damage_after_what_it_listed(packed):
    spoil(blob_of(packed, "demo:v1", "docs"))
    r = packed("ls", "demo:v1", "--format", "json")
    listed = json.loads(r.out)
    assert r.code == 5
    assert listed["error"]["class"] == "damaged"
    assert "another digest" in listed["error"]["message"]
    assert len(listed["files"]) == 4
    assert "another digest" in r.err


def test_ls_without_a_layer(packed):
    blob_of(packed, "demo:v1", "code").unlink()
    r = packed("ls", "demo:v1")
    assert r.code == 5 and "is missing" in r.err


# --- cat ---


@pytest.mark.parametrize("compression", FORMS)
def test_cat(packed, compression):
    packed.ok("pack", "m", "-t", "demo:c", "--compression", compression)
    for name, data in FILES.items():
        assert packed("cat", "demo:c", name).out_bytes == data
    assert packed.ok("cat", "demo:c", "./src//predict.py") == "print(1)\n"


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("src", 2, "'src' is a directory"),
        ("readme.md", 3, "similar: 'README.md'"),
        ("predict.py", 3, "similar: 'src/predict.py'"),
        ("src/prdict.py", 3, "similar: 'src/predict.py'"),
        ("nothing/like/it", 3, "no file 'nothing/like/it' in the ModelKit\n"),
        ("../README.md", 3, "similar: 'README.md'"),
    ],
)
def test_cat_refuses(packed, path, code, text):
    r = packed("cat", "demo:v1", path)
    assert (r.code, r.out) == (code, "")
    assert text.lower() in r.err.lower()


def test_cat_of_a_damaged_layer(packed):
    spoil(blob_of(packed, "demo:v1", "docs"))
    r = packed("cat", "demo:v1", "README.md")
    assert r.code == 5 and "another digest" in r.err


# --- registries ---


def test_ls_and_cat_of_a_registry(packed, peer):
    ref = f"{peer.host}/team/demo:v1"
    packed.ok("tag", "demo:v1", ref)
    packed.ok("push", NET, ref)
    here = json.loads(packed.ok("ls", ref, "--format", "json"))
    there = json.loads(packed.ok("ls", NET, ref, "--remote", "--format=json"))
    assert here == there
    packed.ok("remove", "--all", "--force")
    assert json.loads(packed.ok("ls", NET, ref, "--format", "json")) == here
    assert packed.ok("cat", NET, ref, "src/predict.py") == "print(1)\n"
    assert packed.ok("cat", NET, "--remote", "--verify", ref, "README.md") == "# small\n"
    assert packed.ok("list").count("\n") == 1, "nothing is kept"


@pytest.mark.parametrize("verify", [False, True])
def test_cat_fetches_parts_of_an_uncompressed_layer(kit, peer, verify):
    last = pattern(1000, 7)
    make_model(kit.cwd / "m", **{"src/a.bin": pattern(24 << 20), "src/z.bin": last})
    ref = f"{peer.host}/team/demo:v1"
    kit.ok("pack", "m", "-t", ref)
    kit.ok("push", NET, ref)
    peer.forget()
    out = kit("cat", NET, "--remote", ref, "src/z.bin", *["--verify"] * verify)
    assert out.out_bytes == last
    ranges = [s.headers["Range"] for s in peer.seen("GET .*/blobs/") if s.headers["Range"]]
    assert bool(ranges) != verify
    if ranges:
        assert int(re.fullmatch(r"bytes=(\d+)-", ranges[-1]).group(1)) > 20 << 20


# --- classes ---


def test_classes_of_failures(packed, peer):
    def failure(*argv):
        r = packed(*argv, "--format", "json")
        assert r.err
        return r.code, json.loads(r.out)["error"]["class"]

    assert failure("ls") == (2, "usage")
    assert failure("ls", "demo") == (2, "usage")
    assert failure("ls", "demo:v2") == (3, "not found")
    assert failure("ls", NET, f"{peer.host}/team/nothing:v1") == (3, "not found")
    assert failure("ls", "127.0.0.1:1/team/demo:v1", NET) == (6, "network")
    assert failure("list", "demo", "x") == (1, "usage"), "a command of kit"
    assert packed("history", NET, f"{peer.host}/team/nothing").code == 3
    assert packed("audit", "tail", NET, "127.0.0.1:1").code == 6
    assert packed("hub", "user", "list").code == 2


def test_denied(packed, hub):
    r = packed("ls", NET, f"{hub.host}/team/demo:v1", "--format", "json")
    assert (r.code, json.loads(r.out)["error"]["class"]) == (4, "denied")


def test_wrong_format(packed):
    r = packed("ls", "demo:v1", "--format", "yaml")
    assert r.code == 2 and "must be text or json" in r.err


# --- du ---


def test_du_counts_shared_blobs_once(packed):
    packed.ok("tag", "demo:v1", "other/name:v1")
    make_model(packed.cwd / "n", **{"README.md": "# another\n"})
    packed.ok("pack", "n", "-t", "demo:v2")
    blobs = packed.storage / "blobs/sha256"
    listed = json.loads(packed.ok("du", "--format", "json"))
    assert listed["total"]["stored"] == sum(p.stat().st_size for p in blobs.iterdir())
    assert len(listed["kits"]) == 3
    alone = [k["stored"] - k["shared"] for k in listed["kits"]]
    assert sorted(n > 0 for n in alone) == [False, False, True], "what two names hold removing one does not free"
    assert listed["total"]["logical"] == sum(k["logical"] for k in listed["kits"])
    rows = packed.ok("du").splitlines()
    assert rows[-1].split() == [*(str(listed["total"][k]) for k in ("logical", "stored", "shared")), "total"]


def test_du_of_nothing_and_of_damage(packed, make_kit):
    assert json.loads(make_kit().ok("du", "--format", "json")) == {
        "kits": [],
        "total": {"logical": 0, "stored": 0, "shared": 0},
    }
    digest = json.loads(packed.ok("inspect", "demo:v1"))["digest"]
    (packed.storage / "blobs" / digest.replace(":", "/")).unlink()
    r = packed("du", "--format", "json")
    assert (r.code, json.loads(r.out)["error"]["class"]) == (5, "damaged")

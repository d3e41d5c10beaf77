"""Care of the local store: fsck, its repair from a registry, gc."""
import base64
import hashlib
import json
import os

import pytest

from harness import make_model, pattern

NET = "--plain-http"


def blob_path(kit, digest):
    return kit.storage / "blobs" / digest.replace(":", "/")


def layer_of(kit, ref, kind):
    manifest = json.loads(kit.ok("inspect", ref))["manifest"]
    return next(x["digest"] for x in manifest["layers"] if f".{kind}." in x["mediaType"])


def spoil(path, at=-1):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def fsck(kit, *more, code=0):
    r = kit("fsck", "--format", "json", *more)
    assert r.code == code, r.out + r.err
    return json.loads(r.out)


def names_file(kit, name, what):
    return kit.storage / f"{base64.urlsafe_b64encode(name.encode()).decode()}-{what}.json"


def put_blob(kit, data):
    path = kit.storage / "blobs" / "sha256" / hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    return path


# --- fsck ---


def test_fsck_of_a_sound_store(packed):
    packed.ok("tag", "demo:v1", "other/demo:v2")
    found = fsck(packed)
    assert found["problems"] == []
    assert (found["modelkits"], found["blobs"], found["broken"]) == (2, 5, 0)
    assert "nothing is broken" in packed.ok("fsck")


def test_fsck_of_nothing(make_kit):
    nobody = make_kit()
    assert fsck(nobody)["modelkits"] == 0
    assert not nobody.kitops_home.exists()


def test_fsck_leaves_a_sound_store_as_it_is(packed):
    def state():
        return {p: p.stat().st_mtime_ns for p in packed.storage.rglob("*")}

    before = state()
    fsck(packed)
    assert state() == before


def by_kind(found):
    kinds = {}
    for p in found["problems"]:
        kinds.setdefault(p["kind"], []).append(p)
    return kinds


def test_fsck_tells_what_is_wrong(packed):
    packed.ok("tag", "demo:v1", "other/demo:v2")
    damaged, missing = layer_of(packed, "demo:v1", "model"), layer_of(packed, "demo:v1", "docs")
    short = layer_of(packed, "demo:v1", "code")
    spoil(blob_path(packed, damaged))
    blob_path(packed, missing).unlink()
    os.truncate(blob_path(packed, short), 10)
    orphan = put_blob(packed, b"nobody's")
    (packed.storage / "ingest" / ("0" * 64)).write_bytes(b"half")
    kinds = by_kind(found := fsck(packed, code=5))
    assert {p["digest"] for p in kinds["damaged"]} == {damaged, short}
    assert "bytes instead of" in next(p["message"] for p in kinds["damaged"] if p["digest"] == short)
    assert [p["digest"] for p in kinds["missing"]] == [missing]
    assert kinds["missing"][0]["modelkits"] == 2
    assert kinds["missing"][0]["modelkit"] in ("demo:v1", "other/demo:v2")
    assert kinds["orphaned"][0]["path"] == f"storage/blobs/sha256/{orphan.name}"
    assert kinds["leftover"][0]["path"] == f"storage/ingest/{'0' * 64}"
    assert (found["broken"], found["repaired"], found["harmless"]) == (3, 0, 2)
    assert found["error"] == {"class": "damaged", "message": "local storage is damaged: 3 problems"}
    r = packed("fsck")
    assert r.code == 5
    assert f"missing   {missing}  " in r.out
    assert "Local storage is damaged: 3 problems" in r.err


def test_fsck_of_lists(packed):
    packed.ok("tag", "demo:v1", "other/demo:v2")
    packed.ok("tag", "demo:v1", "third/demo:v3")
    tags = names_file(packed, "localhost/demo", "tags")
    entries = json.loads(tags.read_text())
    entries["lost"] = {**entries["v1"], "digest": "sha256:" + "0" * 64}
    tags.write_text(json.dumps(entries))
    names_file(packed, "localhost/other/demo", "index").write_text("{")
    names_file(packed, "localhost/third/demo", "tags").write_text("[]")
    (packed.storage / "index.json").write_text('{"schemaVersion":2,"manifests":[]}')
    kinds = by_kind(fsck(packed, code=5))
    assert [p["modelkit"] for p in kinds["tag"]] == ["demo:lost"]
    assert {p["path"].split("-")[-1] for p in kinds["list"]} == {"index.json", "tags.json"}
    assert {p["modelkit"].split(":")[0].split("@")[0] for p in kinds["unlisted"]} == {"demo", "third/demo"}


@pytest.mark.parametrize("text", ["{", "{}", ""])
def test_fsck_of_a_damaged_shared_index(packed, text):
    (packed.storage / "index.json").write_text(text)
    kinds = by_kind(fsck(packed, code=5))
    assert set(kinds) == ({"unlisted"} if text == "{}" else {"list"})


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_fsck_of_a_manifest(packed, how):
    put_blob(packed, b"nobody's")
    path = blob_path(packed, packed.digest)
    path.unlink() if how == "missing" else spoil(path)
    kinds = by_kind(fsck(packed, code=5))
    # What this manifest names is unknown, so nothing is called an orphan.
    assert set(kinds) == {how}
    assert kinds[how][0]["digest"] == packed.digest


# --- repair ---


@pytest.fixture
def pulled(packed, make_hub, make_kit):
    """Somebody who has HUB/team/demo:v1 in the local store; pulled.ref is its name."""
    hub = make_hub("--no-auth")
    other = make_kit()
    other.ref = f"{hub.host}/team/demo:v1"
    other.hub = hub
    other.digest = packed.digest
    packed.ok("push", NET, "demo:v1", other.ref)
    other.ok("pull", NET, other.ref)
    return other


def spoil_all(kit):
    """Damages or removes every blob; returns how many there were."""
    paths = sorted((kit.storage / "blobs" / "sha256").iterdir())
    for i, path in enumerate(paths):
        path.unlink() if i % 2 else spoil(path)
    return len(paths)


def test_repair_from_where_it_was_pulled(pulled):
    n = spoil_all(pulled)
    found = fsck(pulled, "--repair", NET)
    assert (found["broken"], found["repaired"]) == (n, n)
    assert all(p["repaired"] for p in found["problems"])
    assert "nothing is broken" in pulled.ok("fsck", "--repair", NET)
    pulled.ok("unpack", pulled.ref, "-d", "out")


def test_repair_from_another_name(packed, pulled):
    spoil_all(packed)
    found = fsck(packed, "--repair", NET, code=5)
    assert all("it is of no registry" in p["message"] for p in found["problems"])
    fsck(packed, "--from", pulled.ref, NET)
    assert fsck(packed)["problems"] == []


def test_repair_that_cannot(packed, pulled):
    make_model(packed.cwd / "n", **{"README.md": "another\n"})
    packed.ok("pack", "n", "-t", "demo:v2")
    docs = layer_of(packed, "demo:v2", "docs")
    spoil(blob_path(packed, docs))
    before = blob_path(packed, docs).read_bytes()
    found = fsck(packed, "--from", pulled.ref, NET, code=5)
    assert [p["digest"] for p in found["problems"] if not p["repaired"]] == [docs]
    assert "; not repaired: " in found["problems"][0]["message"]
    assert blob_path(packed, docs).read_bytes() == before


def test_repair_takes_no_damaged_answer(pulled):
    docs = layer_of(pulled, pulled.ref, "docs")
    at_hub = next(p for p in pulled.hub.data.rglob(docs.split(":")[1]))
    spoil(at_hub)
    blob_path(pulled, docs).unlink()
    found = fsck(pulled, "--repair", NET, code=5)
    assert found["repaired"] == 0
    assert not blob_path(pulled, docs).exists()


def test_fsck_refuses(packed):
    for words in (["--from", "demo:v1"], ["--format", "xml"], ["demo:v1"]):
        assert packed("fsck", *words).code == 2


# --- gc ---


def test_gc(packed):
    orphan = put_blob(packed, b"nobody's")
    partial = packed.storage / "ingest" / ("0" * 64)
    partial.write_bytes(pattern(100))
    told = json.loads(packed.ok("gc", "--dry-run", "--format", "json"))
    assert told["dryRun"] and orphan.exists() and partial.exists()
    done = json.loads(packed.ok("gc", "--format", "json"))
    assert not done["dryRun"] and not orphan.exists() and not partial.exists()
    assert done["removed"] == told["removed"]
    assert done["blobs"] == {"files": 1, "bytes": 8}
    assert done["leftovers"] == {"files": 1, "bytes": 100}
    assert packed.ok("gc") == "Removed 0 blobs and 0 leftovers, 0 B\n"
    packed.ok("unpack", "demo:v1", "-d", "out")


def test_gc_text(packed):
    orphan = put_blob(packed, b"nobody's")
    assert packed.ok("gc", "--dry-run").splitlines() == [
        f"blob                   8  storage/blobs/sha256/{orphan.name}",
        "Would remove 1 blobs and 0 leftovers, 8 B",
    ]


def test_gc_of_a_damaged_store(packed):
    orphan = put_blob(packed, b"nobody's")
    blob_path(packed, packed.digest).unlink()
    r = packed("gc", "--format", "json")
    assert r.code == 5
    assert json.loads(r.out)["error"]["class"] == "damaged"
    assert orphan.exists()


def test_a_killed_pack_leaves_only_garbage(kit):
    make_model(kit.cwd / "m")
    p = kit.popen("pack", "m", "-t", "demo:v1", env={"KITVAULT_CRASH_AT": "pack.after-manifest"})
    p.communicate(timeout=60)
    assert p.returncode != 0
    assert set(by_kind(fsck(kit))) == {"orphaned"}
    kit.ok("gc")
    assert fsck(kit)["problems"] == []
    assert list((kit.storage / "blobs" / "sha256").iterdir()) == []


# --- damage that is known, decision 0032 ---


def test_pack_heals_what_was_removed(packed):
    spoil(blob_path(packed, layer_of(packed, "demo:v1", "model")))
    assert "Already saved model layer" in packed.ok("pack", "m", "-t", "demo:v1")  # not looked at
    assert "another digest" in packed.fails("unpack", "demo:v1", "-d", "out")
    packed.ok("remove", "demo:v1")
    assert "Saved model layer" in packed.ok("pack", "m", "-t", "demo:v1")
    assert fsck(packed)["problems"] == []


def test_pull_heals_what_was_removed(pulled):
    kit, ref = pulled, pulled.ref
    spoil(blob_path(kit, layer_of(kit, ref, "model")))
    kit.ok("pull", NET, ref)
    assert len(fsck(kit, code=5)["problems"]) == 1
    kit.ok("remove", ref)
    kit.ok("pull", NET, ref)
    assert fsck(kit)["problems"] == []

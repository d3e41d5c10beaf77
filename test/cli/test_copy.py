"""copy between every two places: digests stay, what is there is not sent again, nothing partial is seen."""
import json
import os
import tarfile

import pytest

from harness import make_model, packed_digest, sha256
from oci import IMAGE

pytestmark = pytest.mark.asan

NET = "--plain-http"
CRASH = 86


@pytest.fixture(params=["cncf", "hub"])
def peer(request):
    """A registry without a referrers API, and ours with one."""
    if request.param == "cncf":
        return request.getfixturevalue("registry")
    return request.getfixturevalue("make_hub")("--no-auth")


def blob_path(kit, digest):
    return kit.storage / "blobs/sha256" / digest[7:]


def layout_blobs(folder):
    return {"sha256:" + p.name: p.read_bytes() for p in (folder / "blobs/sha256").iterdir()}


def check_layout(folder):
    """Every blob is what its name says; the entries of index.json by tag."""
    assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    for digest, data in layout_blobs(folder).items():
        assert sha256(data) == digest
    index = json.loads((folder / "index.json").read_text())
    assert index["schemaVersion"] == 2
    return {
        m.get("annotations", {}).get("org.opencontainers.image.ref.name"): m["digest"] for m in index["manifests"]
    }


def kit_blobs(kit, digest):
    """What a manifest in the local store is made of, itself included."""
    m = json.loads(blob_path(kit, digest).read_bytes())
    return {d["digest"] for d in [m["config"], *m["layers"]]} | {digest}


def add_referrer(folder, subject, text, kind="application/vnd.example.signature"):
    """Puts a referrer of subject into a layout, as a signer would; its digest."""

    def blob(data):
        digest = sha256(data)
        (folder / "blobs/sha256" / digest[7:]).write_bytes(data)
        return {"digest": digest, "size": len(data)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "artifactType": kind,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", **blob(b"{}")},
        "layers": [{"mediaType": "text/plain", **blob(text)}],
        "subject": {
            "mediaType": IMAGE,
            "digest": subject,
            "size": (folder / "blobs/sha256" / subject[7:]).stat().st_size,
        },
    }
    entry = {"mediaType": IMAGE, **blob(json.dumps(manifest).encode())}
    index = json.loads((folder / "index.json").read_text())
    index["manifests"].append(entry)
    (folder / "index.json").write_text(json.dumps(index))
    return entry["digest"]


# --- round trips ---


def test_store_to_directory_and_back(packed, make_kit):
    out = packed.ok("copy", "demo:v1", "dir:lay")
    assert out.startswith(f"Copied {packed.digest} to dir:lay\n")
    folder = packed.cwd / "lay"
    assert check_layout(folder) == {"v1": packed.digest}
    assert set(layout_blobs(folder)) == kit_blobs(packed, packed.digest)

    other = make_kit()
    other.ok("copy", f"dir:{folder}", "back:v9")
    assert other.ok("inspect", "back:v9") == packed.ok("inspect", "demo:v1")
    other.ok("unpack", "back:v9", "-d", "out")
    packed.ok("unpack", "demo:v1", "-d", "out")
    for path in (packed.cwd / "out").rglob("*"):
        if path.is_file():
            assert (other.cwd / "out" / path.relative_to(packed.cwd / "out")).read_bytes() == path.read_bytes()


def test_archive_and_back(packed, make_kit):
    packed.ok("copy", "demo:v1", "archive:demo.tar")
    with tarfile.open(packed.cwd / "demo.tar") as t:
        names = t.getnames()
        assert names[0] == "oci-layout" and names[-1] == "index.json"
        t.extractall(packed.cwd / "x", filter="data")
    assert check_layout(packed.cwd / "x") == {"v1": packed.digest}
    other = make_kit()
    other.ok("copy", f"archive:{packed.cwd}/demo.tar:v1", "back:v9")
    assert other.ok("inspect", "back:v9") == packed.ok("inspect", "demo:v1")
    assert not list(packed.cwd.glob("*.partial"))


def test_every_two_places(packed, peer, make_kit):
    places = [f"{peer.host}/team/a:v1", "dir:one:v1", f"{peer.host}/team/b:v1", "archive:two.tar:v1",
              "dir:three:v1", "store:other:v1", "archive:four.tar:v1", f"{peer.host}/team/c:v1"]  # fmt: skip
    source = "demo:v1"
    for place in places:
        out = json.loads(packed.ok("copy", NET, source, place, "--format", "json"))
        assert (out["source"], out["destination"], out["digest"]) == (source, place, packed.digest)
        source = place
    last = make_kit()
    last.ok("pull", NET, f"{peer.host}/team/c:v1")
    assert packed.digest[7:] in {p.name for p in (last.storage / "blobs/sha256").iterdir()}


def test_what_is_there_is_not_sent_again(packed):
    n = len(kit_blobs(packed, packed.digest)) - 1
    first = json.loads(packed.ok("copy", "demo:v1", "dir:lay", "--format", "json"))
    again = json.loads(packed.ok("copy", "demo:v1", "dir:lay:v2", "--format", "json"))
    assert (first["moved"]["blobs"], first["kept"]["blobs"]) == (n, 0)
    assert (again["moved"], again["kept"]["blobs"]) == ({"blobs": 0, "bytes": 0}, n)
    assert check_layout(packed.cwd / "lay") == {"v1": packed.digest, "v2": packed.digest}


def test_a_tag_moves_and_foreign_entries_stay(packed):
    packed.ok("copy", "demo:v1", "dir:lay")
    folder = packed.cwd / "lay"
    index = json.loads((folder / "index.json").read_text())
    index["manifests"].append({"mediaType": IMAGE, "digest": "blake3:" + "a" * 64, "size": 3, "x": [1.50]})
    index["annotations"] = {"kept": "yes"}
    (folder / "index.json").write_text(json.dumps(index))
    make_model(packed.cwd / "n", **{"README.md": "# other\n"})
    second = packed_digest(packed.ok("pack", "n", "-t", "demo:v1"))
    packed.ok("copy", "demo:v1", "dir:lay")
    found = json.loads((folder / "index.json").read_text())
    assert [(m["digest"][:14], m.get("annotations")) for m in found["manifests"]] == [
        (packed.digest[:14], None),
        ("blake3:" + "a" * 7, None),
        (second[:14], {"org.opencontainers.image.ref.name": "v1"}),
    ]
    assert found["manifests"][1]["x"] == [1.5] and found["annotations"] == {"kept": "yes"}
    packed.ok("copy", f"dir:lay@{packed.digest}", "old:v1")
    assert packed.digest in packed.ok("inspect", "old:v1")


# --- referrers ---


def test_referrers(packed, peer, make_kit):
    packed.ok("copy", "demo:v1", "dir:lay")
    signature = add_referrer(packed.cwd / "lay", packed.digest, b"signed")
    proof = add_referrer(packed.cwd / "lay", signature, b"logged")
    remote = f"{peer.host}/team/demo:v1"

    packed.ok("copy", NET, "dir:lay:v1", remote)
    out = json.loads(packed.ok("copy", NET, "dir:lay:v1", remote, "--referrers", "--format", "json"))
    assert out["referrers"] == 2
    for n, (source, place) in enumerate([(remote, "signed:v1"), ("signed:v1", "dir:out"),
                                         ("dir:out:v1", "archive:out.tar"), ("archive:out.tar", "dir:end")]):  # fmt: skip
        out = json.loads(packed.ok("copy", NET, "--referrers", source, place, "--format", "json"))
        assert out["referrers"] == 2, n
    folder = packed.cwd / "end"
    assert check_layout(folder)["v1"] == packed.digest
    listed = [m["digest"] for m in json.loads((folder / "index.json").read_text())["manifests"]]
    assert sorted(listed) == sorted([packed.digest, signature, proof])
    other = make_kit()
    other.ok("copy", f"archive:{packed.cwd}/out.tar", "plain:v1")
    assert signature[7:] not in {p.name for p in (other.storage / "blobs/sha256").iterdir()}


def test_an_index_with_all_it_names(packed, peer):
    packed.ok("copy", "demo:v1", "dir:lay")
    folder = packed.cwd / "lay"
    child = json.loads((folder / "index.json").read_text())["manifests"][0]
    child.pop("annotations")
    index = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [child],
    }).encode()  # fmt: skip
    digest = sha256(index)
    (folder / "blobs/sha256" / digest[7:]).write_bytes(index)
    (folder / "index.json").write_text(json.dumps({
        "schemaVersion": 2,
        "manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": len(index),
                       "annotations": {"org.opencontainers.image.ref.name": "all"}}],
    }))  # fmt: skip
    remote = f"{peer.host}/team/all:v1"
    source = "dir:lay"
    for place in (remote, "dir:two:v1", "store:all:v1", "archive:all.tar:v1", "dir:three:v1"):
        packed.ok("copy", NET, source, place)
        source = place
    assert check_layout(packed.cwd / "three") == {"v1": digest}
    assert set(layout_blobs(packed.cwd / "three")) == {digest} | kit_blobs(packed, packed.digest)


# --- what goes wrong ---


@pytest.mark.parametrize(
    "argv, code, text",
    [
        (["nothing:v1", "dir:x"], 3, "model localhost/nothing:v1 not found"),
        (["dir:none:v1", "x:v1"], 3, "there is no directory 'none'"),
        (["archive:none.tar", "x:v1"], 3, "cannot open 'none.tar'"),
        (["dir:lay:v2", "x:v1"], 3, "dir:lay:v2: not found"),
        (["dir:lay@sha256:" + "0" * 64, "x:v1"], 3, "not found"),
        (["dir:src:v1", "x:v1"], 5, "'src' is no OCI image layout: it has no oci-layout"),
        (["demo:v1", "dir:src:v1"], 5, "'src' is no OCI image layout"),
        (["demo:v1", "archive:there.tar"], 1, "'there.tar' exists already, and archives are written once"),
        (["archive:there.tar", "x:v1"], 5, "no tar header at byte 0"),
        (["archive:empty.tar", "x:v1"], 5, "it has no index.json"),
        (["dir:", "x:v1"], 2, "'dir:' has no path"),
        (["dir:lay:a b", "x:v1"], 2, "'a b' is no tag"),
        (["demo:v1", "dir:lay@sha256:" + "0" * 64], 2, "and cannot be copied to"),
        (["demo:v1,v2", "dir:lay"], 2, "one tag at a time"),
        (["dir:two", "x:v1"], 2, "dir:two has 2 tags: name one"),
        (["demo:v1"], 2, "accepts 2 arg(s)"),
    ],
)
def test_refused(packed, argv, code, text):
    (packed.cwd / "there.tar").write_bytes(b"x" * 1024)
    (packed.cwd / "empty.tar").write_bytes(b"\0" * 1024)
    (packed.cwd / "src").mkdir()
    (packed.cwd / "src" / "a").write_text("a")
    packed.ok("copy", "demo:v1", "dir:lay")
    packed.ok("copy", "demo:v1", "dir:two:a")
    packed.ok("copy", "demo:v1", "dir:two:b")
    before = sorted(os.listdir(packed.cwd / "src"))
    r = packed("copy", *argv)
    assert text.lower() in r.err.lower() and r.code == code, (r.code, r.err)
    assert sorted(os.listdir(packed.cwd / "src")) == before


def test_a_damaged_blob_is_not_taken_over(packed):
    packed.ok("copy", "demo:v1", "dir:lay")
    m = json.loads(blob_path(packed, packed.digest).read_bytes())
    layer = max(m["layers"], key=lambda x: x["size"])["digest"]
    path = packed.cwd / "lay/blobs/sha256" / layer[7:]
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for place in ("dir:two", "archive:two.tar", "store:two:v1"):
        r = packed("copy", "dir:lay", place, env={"KITOPS_HOME": packed.home / "fresh"})
        assert r.code == 5 and layer in r.err, r.err
    assert not (packed.cwd / "two/index.json").exists() and not (packed.cwd / "two.tar").exists()
    assert not (packed.cwd / "two/blobs/sha256" / layer[7:]).exists()
    assert not list(packed.cwd.glob("*.partial"))


def test_an_index_that_is_none(packed):
    packed.ok("copy", "demo:v1", "dir:lay")
    index = packed.cwd / "lay/index.json"
    for text, words in [
        ("{", "index.json: "),
        ("[]", "index.json: expected an object"),
        ('{"manifests":{}}', "manifests: expected a list"),
        ('{"manifests":[{"digest":"sha256:00","size":1}]}', "manifests[0]"),
        ('{"manifests":[{"size":1}]}', "manifests[0].digest"),
    ]:
        index.write_text(text)
        r = packed("copy", "dir:lay:v1", "x:v1")
        assert r.code == 5 and words in r.err, (text, r.err)


def test_an_archive_that_is_killed_is_made_again(packed):
    r = packed("copy", "demo:v1", "archive:demo.tar", env={"KITVAULT_CRASH_AT": "copy.before-rename"})
    assert r.code == CRASH
    assert not (packed.cwd / "demo.tar").exists() and (packed.cwd / "demo.tar.partial").exists()
    packed.ok("copy", "demo:v1", "archive:demo.tar")
    packed.ok("copy", "archive:demo.tar", "again:v1")
    assert not (packed.cwd / "demo.tar.partial").exists()


def test_a_killed_copy_goes_on(packed):
    r = packed("copy", "demo:v1", "dir:lay", "--concurrency", "1", env={"KITVAULT_CRASH_AT": "copy.after-blob"})
    assert r.code == CRASH
    assert not (packed.cwd / "lay/index.json").exists()
    n = len(layout_blobs(packed.cwd / "lay"))
    assert n == 1
    out = json.loads(packed.ok("copy", "demo:v1", "dir:lay", "--format", "json"))
    assert out["kept"]["blobs"] == n
    assert check_layout(packed.cwd / "lay") == {"v1": packed.digest}

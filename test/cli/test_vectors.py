"""Every recorded case of kit: tar bytes, digests, manifests, texts, storage, unpacked trees.

vectors-2026.json is what our program must do; a store made of the manifests in vectors.json, which
an older kit wrote, must be readable. test/data/kit/README.md says where both come from.
"""
import base64
import json
import os
import shutil
import stat

import pytest

import kit_vectors
from harness import ROOT, SANITIZER, SANITIZER_ENV, program

# kit_vectors.py is used as it was recorded with; it leaves files for the collector to close.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
DATA = ROOT / "test" / "data" / "kit"
DEVIATIONS = json.loads((DATA / "deviations.json").read_text())
TREES = kit_vectors.load_trees(str(DATA))


def load(name):
    return json.loads((DATA / name).read_text())["cases"]


def as_params(cases):
    return [
        pytest.param(c, id=c["name"], marks=[pytest.mark.slow] if c.get("slow") else [])
        for c in cases
        if not DEVIATIONS.get(c["name"], {}).get("skip")
    ]


CASES = load("vectors-2026.json")
BY_NAME = {c["name"]: c for c in CASES}
OLD_CASES = load("vectors.json")
OLD_BY_NAME = {c["name"]: c for c in OLD_CASES}


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """An empty folder that can be removed afterwards whatever modes the case left behind."""
    for name, value in SANITIZER_ENV.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KITVAULT_CLI_VERSION", "unknown")
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    yield tmp_path
    for folder, _, _ in os.walk(tmp_path):
        os.chmod(folder, os.stat(folder).st_mode | stat.S_IRWXU)
    shutil.rmtree(tmp_path)


def explain(case, got, fields):
    lines = [f"{case['name']}: {', '.join(fields)}"]
    for f in fields:
        lines.append(f"  {f}\n    want {case['expect'].get(f)!r}\n    got  {got.get(f)!r}"[:6000])
    return "\n".join(lines)


@pytest.mark.parametrize("case", as_params(CASES))
def test_case(case, scratch):
    got = kit_vectors.run_case(program("kit"), TREES, case, BY_NAME, str(scratch))
    assert not SANITIZER.search(json.dumps(got)), got
    fields = kit_vectors.differing(case, got, set(), DEVIATIONS.get(case["name"], {}))
    assert not fields, explain(case, got, fields)


def write_old(storage, case):
    """Puts the recorded manifest and config into the storage, as the older kit had them there."""
    expect = case["expect"]
    media = "application/vnd.oci.image.manifest.v1+json"
    manifest = expect["manifest"].encode()
    entry = {"mediaType": media, "digest": expect["manifest_digest"], "size": len(manifest)}
    blobs = storage / "blobs" / "sha256"
    for digest, data in ((expect["manifest_digest"], manifest), (expect["config_digest"], expect["config"].encode())):
        path = blobs / digest.split(":")[1]
        if not path.exists():
            path.write_bytes(data)
            path.chmod(0o444)
    reference, tag = case["tag"].split(",")[0].rsplit(":", 1)
    name = base64.urlsafe_b64encode(f"localhost/{reference}".encode()).decode()

    add_entry(storage / "index.json", entry)
    add_entry(storage / f"{name}-index.json", entry)
    tags = storage / f"{name}-tags.json"
    known = json.loads(tags.read_text()) if tags.exists() else {}
    tags.write_text(json.dumps({**known, tag: entry}))


def add_entry(path, entry):
    index = json.loads(path.read_text()) if path.exists() else {"schemaVersion": 2, "manifests": []}
    if entry not in index["manifests"]:
        index["manifests"].append(entry)
    path.write_text(json.dumps(index))


def has_kits_layers(case):
    """Whether packing the case makes the very blobs that the older kit recorded."""
    gzipped = any("+gzip" in layer["mediaType"] for layer in case["expect"].get("layers", ()))
    return not gzipped and "layers" not in DEVIATIONS.get(case["name"], {}).get("ignore", ())


def old_cases():
    """Those that were stored under a plain tag of a local repository, and stand alone."""
    return [
        p
        for p in as_params(OLD_CASES)
        for c in p.values
        if c["expect"].get("manifest")
        and has_kits_layers(c)
        and not c.get("prereq")
        and ":" in (c.get("tag") or "")
        and not set(":.") & set(c["tag"].split("/")[0])
    ]


@pytest.mark.parametrize("case", old_cases())
def test_store_of_an_older_kit(case, scratch):
    kit = program("kit")
    new = BY_NAME[case["name"]]
    home, tree, out = scratch / "home", scratch / "work" / "tree", scratch / "work" / "out"
    home.mkdir()
    # The layers are the same in both: packing makes them, and everything else is replaced.
    (code, _, err) = kit_vectors.pack(kit, TREES, new, str(home), str(tree))
    assert code == 0, err
    storage = home / "storage"
    names = {d["digest"].split(":")[1] for d in json.loads(case["expect"]["manifest"])["layers"] or []}
    for path in storage.iterdir():
        if path.is_file() and path.name != "oci-layout":
            path.unlink()
    for path in (storage / "blobs" / "sha256").iterdir():
        if path.name not in names:
            path.unlink()
    write_old(storage, case)

    def run(*argv):
        code, out, err = kit_vectors.run(kit, list(argv), str(home), str(scratch))
        assert code == 0, f"{argv}: {err}"
        return out

    reference = case["tag"].split(",")[0]
    assert run("inspect", reference) == case["expect"]["inspect"]
    if "info" not in DEVIATIONS.get(case["name"], {}).get("ignore", ()):
        assert run("info", reference) == case["expect"]["info"]
    assert case["expect"]["manifest_digest"] in run("list")
    if not case.get("slow"):
        # Some name one file in two layers.
        run("unpack", reference, "-d", str(out), "--overwrite")
        assert out.is_dir()

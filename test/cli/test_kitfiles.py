"""Kitfiles of every version, from pack to unpack: references, remote datasets, prompts."""
import json

import pytest

from harness import make_tree, packed_digest

REMOTE = (
    "manifestVersion: 1.0.0\n"
    "package: {name: far}\n"
    "datasets:\n"
    "  - {name: near, path: near.csv}\n"
    "  - {name: away, path: away, remotePath: 's3://bucket/key?versionId=1', remoteHash: abc}\n"
    "docs: [{path: README.md}]\n"
)


@pytest.fixture
def far(kit):
    make_tree(kit.cwd / "m", {"Kitfile": REMOTE, "near.csv": "1\n", "README.md": "# far\n"})
    kit.ok("pack", "m", "-t", "far:v1")
    return kit


def test_remote_datasets_have_no_layer(far):
    shown = json.loads(far.ok("inspect", "far:v1"))
    assert len(shown["manifest"]["layers"]) == 2
    away = shown["kitfile"]["datasets"][1]
    assert away == {
        "name": "away", "path": "away", "remotePath": "s3://bucket/key?versionId=1", "remoteHash": "abc",
    }  # fmt: skip
    assert "remotePath: s3://bucket/key?versionId=1\n    remoteHash: abc\n" in far.ok("info", "far:v1")


def test_remote_datasets_are_told(far):
    r = far("unpack", "far:v1", "-d", "out")
    assert r.code == 0
    assert r.err == (
        "[WARN ] Dataset away is not part of the ModelKit and is not unpacked; it lies at "
        "s3://bucket/key?versionId=1\n"
    )
    assert sorted(p.name for p in (far.cwd / "out").iterdir()) == ["Kitfile", "README.md", "near.csv"]
    assert far("unpack", "far:v1", "-d", "part", "--filter", "datasets:near").err == ""


def test_remote_datasets_that_are_wanted(far):
    err = far.fails("unpack", "far:v1", "-d", "out", "--include-remote")
    assert err == (
        "[ERROR] Dataset away lies at s3://bucket/key?versionId=1, and datasets on S3 cannot be fetched\n"
    )
    assert list((far.cwd / "out").iterdir()) == []
    far.ok("unpack", "far:v1", "-d", "out", "--include-remote", "--filter", "docs")
    told = json.loads(far("unpack", "far:v1", "-d", "o", "--include-remote", "--format", "json").out)
    assert "S3" in told["error"]["message"]


@pytest.mark.parametrize(
    "dataset, problem",
    [
        ("remotePath: 's3://b/k'", "remoteHash is required when remote dataset paths are used (s3://b/k)"),
        ("remoteHash: h", "remote hash is only applicable when remotePath is set"),
        ("remotePath: 'file:///x', remoteHash: h", "only S3 URLs are supported for remote dataset paths (file:///x)"),
        ("path: 'https://h/x'", "HTTP urls are not supported in paths (https://h/x)"),
        ("path: 's3://h/x'", "invalid path for dataset (s3://h/x): only local paths are permitted"),
        ("path: 'ftp://h/x'", "unrecognized URL in path: ftp://h/x"),
    ],
)
def test_rules_for_datasets(kit, dataset, problem):
    make_tree(kit.cwd / "m", {"Kitfile": f"manifestVersion: 1.0.0\ndatasets: [{{name: d, {dataset}}}]\n"})
    assert f"\n  * {problem}\n" in kit.fails("pack", "m")


# --- references ---


def chain(kit, n):
    """base:v0 has a model; base:vK says that its model is that of base:v(K-1)."""
    make_tree(kit.cwd / "c0", {
        "Kitfile": "manifestVersion: 1.0.0\npackage: {name: base, license: MIT}\n"
        "model: {name: net, path: net.bin, parts: [{name: vocab, path: vocab.txt}]}\ncode: [{path: run.py}]\n",
        "net.bin": "weights", "vocab.txt": "a b", "run.py": "print(0)",
    })  # fmt: skip
    kit.ok("pack", "c0", "-t", "base:v0")
    for i in range(1, n):
        make_tree(kit.cwd / f"c{i}", {
            "Kitfile": f"manifestVersion: 1.0.0\npackage: {{name: child{i}}}\n"
            f"model: {{path: 'base:v{i - 1}'}}\ndocs: [{{path: doc{i}.md}}]\n",
            f"doc{i}.md": f"# {i}\n",
        })  # fmt: skip
        kit.ok("pack", f"c{i}", "-t", f"base:v{i}")


def test_a_chain_of_references(kit):
    chain(kit, 4)
    own = json.loads(kit.ok("inspect", "base:v3"))
    assert [d["mediaType"].split(".")[-3] for d in own["manifest"]["layers"]] == ["docs"]
    assert own["kitfile"]["model"] == {"path": "base:v2"}
    assert kit.ok("info", "base:v3").count("path:") == 2
    out = kit.ok("unpack", "base:v3", "-d", "out")
    assert [line for line in out.splitlines() if "referenced" in line] == [
        f"Unpacking referenced modelkit base:v{i}" for i in (2, 1, 0)
    ]
    assert (kit.cwd / "out/net.bin").read_text() == "weights"
    assert (kit.cwd / "out/vocab.txt").exists() and (kit.cwd / "out/doc3.md").exists()
    assert not (kit.cwd / "out/run.py").exists(), "of a parent only the model is unpacked"
    assert "name: child3" in (kit.cwd / "out/Kitfile").read_text()
    kit.ok("unpack", "base:v3", "-d", "docs", "--filter", "docs")
    assert [p.name for p in (kit.cwd / "docs").iterdir()] == ["doc3.md"]


def test_files_of_the_parent_are_not_packed_again(kit):
    chain(kit, 1)
    make_tree(kit.cwd / "m", {
        "Kitfile": "manifestVersion: 1.0.0\nmodel: {path: 'base:v0'}\ncode: [{path: .}]\n",
        "net.bin": "weights", "vocab.txt": "a b", "own.py": "print(1)",
    })  # fmt: skip
    kit.ok("pack", "m", "-t", "child:v1")
    listed = json.loads(kit.ok("ls", "child:v1", "--format", "json"))["files"]
    assert [f["path"] for f in listed] == ["own.py"]


def test_cycles_and_long_chains(kit):
    chain(kit, 11)
    make_tree(kit.cwd / "long", {"Kitfile": "manifestVersion: 1.0.0\nmodel: {path: 'base:v10'}\n"})
    kit.fails("pack", "long", "-t", "long:v1")
    make_tree(kit.cwd / "loop", {"Kitfile": "manifestVersion: 1.0.0\nmodel: {path: 'base:v1'}\n"})
    err = kit.fails("pack", "loop", "-t", "base:v0")
    assert "Found cycle in modelkit references: [base:v0=>base:v1=>base:v0]" in err
    assert err.startswith("[ERROR] Failed to pack model kit: ")
    missing = {"Kitfile": "manifestVersion: 1.0.0\nmodel: {path: 'absent:v1'}\n"}
    make_tree(kit.cwd / "gone", missing)
    assert "absent:v1" in kit.fails("pack", "gone")


def test_prompts_of_newer_kits(kit):
    make_tree(kit.cwd / "m", {
        "Kitfile": "manifestVersion: 1.0.0\nprompts: [{name: ask, path: ask.prompt, description: d}]\n"
        "code: [{path: ask.prompt}]\n",
        "ask.prompt": "hello",
    })  # fmt: skip
    r = kit("pack", "m", "-t", "p:v1")  # the same path twice is a warning for prompts
    assert r.code == 0 and "use the same path ask.prompt" in r.err
    layers = json.loads(kit.ok("inspect", "p:v1"))["manifest"]["layers"]
    assert layers[0]["digest"] == layers[1]["digest"]
    assert layers[1]["annotations"]["ml.kitops.modelkit.layer-subtype"] == "prompt"
    assert "Unpacking prompt to ask.prompt\n" in kit.ok("unpack", "p:v1", "-d", "o", "-f", "prompts")


def test_versions_of_the_kitfile_are_taken_as_they_are(kit):
    for version in ("1.0", "v1.0.0", "2"):
        make_tree(kit.cwd / "m", {"Kitfile": f"manifestVersion: {version}\n"})
        assert packed_digest(kit.ok("pack", "m", "-t", "v:v1"))
        assert json.loads(kit.ok("inspect", "v:v1"))["kitfile"]["manifestVersion"] == version

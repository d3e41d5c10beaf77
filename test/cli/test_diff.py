"""diff of files and Kitfiles, beside the text of kit."""
import hashlib
import json

import pytest

from harness import make_model, pattern

NET = "--plain-http"
KITFILE = """manifestVersion: 1.0.0
package: {name: small, version: 1.0.0, authors: [Ada]}
model: {name: small, path: model.safetensors, parameters: {lr: 0.1, layers: [1, 2]}}
datasets: [{name: train, path: train.csv, license: MIT}, {name: test, path: test.csv}]
code: [{path: src}]
docs: [{path: README.md}]
"""
DATA = {"Kitfile": KITFILE, "train.csv": "1\n", "test.csv": "2\n"}


def pack(kit, name, *more, **changes):
    make_model(kit.cwd / name, **{**DATA, **changes})
    kit.ok("pack", name, "-t", f"demo:{name}", *more)


def diff(kit, *more):
    return json.loads(kit.ok("diff", "demo:a", "demo:b", "--format", "json", *more))


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def state(path, data, mode="0644"):
    return {"path": path, "type": "file", "mode": mode, "size": len(data), "digest": sha256(data)}


# --- files ---


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_files_added_removed_changed_renamed(kit, compression):
    weights = pattern(3000)
    pack(kit, "a", "--compression", compression,
         **{"src/old.py": "same", "src/gone.py": "gone", "src/mode.sh": "x", "src/empty": "", "src/w.bin": weights})  # fmt: skip
    (kit.cwd / "b" / "src").mkdir(parents=True)
    (kit.cwd / "b" / "src" / "mode.sh").write_text("x")
    (kit.cwd / "b" / "src" / "mode.sh").chmod(0o755)
    pack(kit, "b", "--compression", compression,
         **{"src/new.py": "same", "src/added.py": "added", "src/void": "", "src/predict.py": "print(2)\n",
            "lib/w.bin": weights, "Kitfile": KITFILE.replace("code: [", "code: [{path: lib}, ")})  # fmt: skip
    found = diff(kit, "--files")
    assert found["identical"] is False
    changes = {(c["change"], c.get("before", {}).get("path"), c.get("after", {}).get("path")) for c in found["files"]}
    assert changes == {
        ("added", None, "src/added.py"),
        ("added", None, "src/void"),
        ("removed", "src/empty", None),
        ("removed", "src/gone.py", None),
        ("changed", "src/predict.py", "src/predict.py"),
        ("renamed", "src/old.py", "src/new.py"),
        ("renamed", "src/w.bin", "lib/w.bin"),
        ("changed", "src/mode.sh", "src/mode.sh"),
    }
    renamed = next(c for c in found["files"] if c["change"] == "renamed" and c["after"]["path"] == "lib/w.bin")
    assert renamed["before"] == state("src/w.bin", weights)
    assert renamed["after"] == state("lib/w.bin", weights)
    mode = next(c for c in found["files"] if c.get("after", {}).get("path") == "src/mode.sh")
    assert (mode["before"]["mode"], mode["after"]["mode"]) == ("0644", "0755")
    order = [c.get("after", c.get("before"))["path"] for c in found["files"]]
    assert order == sorted(order)


def test_text_of_files_and_kitfile(kit):
    pack(kit, "a", **{"src/old.py": "same"})
    pack(kit, "b", **{"src/new.py": "same", "src/predict.py": "print(22)\n", "src/a\n.py": "1",
                      "Kitfile": KITFILE.replace("license: MIT", "license: X")})  # fmt: skip
    assert kit.ok("diff", "demo:a", "demo:b", "--files", "--kitfile").splitlines() == [
        "Kitfile:",
        '  ~ datasets[train].license: "MIT" -> "X"',
        "Files:",
        r"  + added     src/a\012.py",
        "  ~ renamed   src/old.py -> src/new.py",
        "  ~ changed   src/predict.py  9 -> 10 bytes",
        "  1 added, 0 removed, 1 changed, 1 renamed",
    ]


def test_identical(packed):
    packed.ok("tag", "demo:v1", "demo:v2")
    assert packed.ok("diff", "demo:v1", "demo:v2", "--files", "--kitfile").splitlines() == [
        "Kitfile:",
        "  identical",
        "Files:",
        "  0 added, 0 removed, 0 changed, 0 renamed",
    ]
    found = json.loads(packed.ok("diff", "demo:v1", "demo:v2", "--format", "json"))
    assert found["identical"] and found["sameConfig"] and found["sameAnnotations"]
    assert found["layers"]["only1"] == found["layers"]["only2"] == []
    assert len(found["layers"]["shared"]) == 3
    assert "files" not in found and "kitfile" not in found


def test_equal_layers_are_not_read(kit):
    pack(kit, "a")
    pack(kit, "b", **{"README.md": "# other\n"})
    shared = diff(kit)["layers"]["shared"]
    assert len(shared) == 4
    for layer in shared:
        (kit.storage / "blobs" / layer["digest"].replace(":", "/")).unlink()
    assert [c["after"]["path"] for c in diff(kit, "--files")["files"]] == ["README.md"]


def test_damage_is_told(kit):
    pack(kit, "a")
    pack(kit, "b", **{"README.md": "# other\n"})
    layer = diff(kit)["layers"]["only1"][0]["digest"]
    (kit.storage / "blobs" / layer.replace(":", "/")).unlink()
    r = kit("diff", "demo:a", "demo:b", "--files", "--format", "json")
    assert r.code == 1
    assert json.loads(r.out)["error"]["class"] == "damaged"


def test_from_a_registry(kit, make_hub, make_kit):
    hub = make_hub("--no-auth")
    pack(kit, "a")
    pack(kit, "b", **{"README.md": "# other\n"})
    kit.ok("push", NET, "demo:a", f"{hub.host}/t/demo:a")
    kit.ok("push", NET, "demo:b", f"{hub.host}/t/demo:b")
    other = make_kit()
    a, b = (f"remote://{hub.host}/t/demo:{x}" for x in "ab")
    found = json.loads(other.ok("diff", NET, a, b, "--files", "--kitfile", "--format", "json"))
    assert [(c["change"], c["after"]["path"]) for c in found["files"]] == [("changed", "README.md")]
    assert found["kitfile"] == []
    mixed = json.loads(kit.ok("diff", NET, "demo:a", b, "--files", "--format", "json"))
    assert mixed["files"] == found["files"]
    assert not other.storage.exists()


# --- Kitfiles ---


def test_fields(kit):
    pack(kit, "a")
    changed = KITFILE.replace("lr: 0.1", "lr: 0.2, steps: {warm: 3}").replace("[Ada]", "[Ada, Bob]")
    changed = changed.replace("{name: test, path: test.csv}", "{name: more, path: more.csv}")
    changed = changed.replace("docs:", "prompts: [{path: p.md}]\ndocs:").replace("version: 1.0.0, ", "")
    pack(kit, "b", **{"Kitfile": changed, "more.csv": "3\n", "p.md": "hi"})
    fields = {c["field"]: c for c in diff(kit, "--kitfile")["kitfile"]}
    assert fields["package.authors"] == {
        "change": "changed", "field": "package.authors", "before": ["Ada"], "after": ["Ada", "Bob"],
    }  # fmt: skip
    assert fields["package.version"]["change"] == "removed"
    assert (fields["model.parameters.lr"]["before"], fields["model.parameters.lr"]["after"]) == (0.1, 0.2)
    assert fields["model.parameters.steps"]["after"] == {"warm": 3}
    assert fields["datasets[test]"]["change"] == "removed"
    assert fields["datasets[more]"]["change"] == "added"
    assert fields["prompts"]["change"] == "added"
    assert len(fields) == 7


def test_digests_are_no_fields(kit):
    pack(kit, "a")
    pack(kit, "b", **{"README.md": "# other\n"})
    assert diff(kit, "--kitfile")["kitfile"] == []
    assert diff(kit)["sameConfig"] is False

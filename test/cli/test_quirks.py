"""kit's accidents, numbered as in docs/decisions/0003-quirks-of-kit.md: what we do about each.

Numbers 11, 12, 13, 18 and 27 need a registry: test_remote_transfer.py, test_remote_faults.py and
test_remote_tls.py have them. 4 is in test_kitfiles.py, 6 in test_formats.py, 15 in the unit tests of the
store; 20 comes with import.
"""
import json
import os

import pytest

from harness import make_model, make_tree, packed_digest


def files_of(kit, ref, layer):
    listed = json.loads(kit.ok("ls", ref, "--format", "json"))["files"]
    return [f["path"] for f in listed if f["layer"] == layer and f["type"] == "file"]


def test_1_names_with_two_dots_are_packed(kit):
    make_tree(kit.cwd / "m", {"Kitfile": "manifestVersion: 1.0.0\nmodel: {path: w}\n",
                              "w/a..bin": "1", "w/..b": "2", "w/v1..2/c": "3"})  # fmt: skip
    r = kit("pack", "m", "-t", "x:v1")
    assert "has two dots in its name" in r.err
    assert files_of(kit, "x:v1", 0) == ["w/..b", "w/a..bin", "w/v1..2/c"]


def test_2_symbolic_links_are_told(kit):
    make_tree(kit.cwd / "m", {"Kitfile": "manifestVersion: 1.0.0\nmodel: {path: w}\n", "w/a": "1"})
    plain = packed_digest(kit.ok("pack", "m"))
    os.symlink("a", kit.cwd / "m/w/b")
    r = kit("pack", "m")
    assert packed_digest(r.out) == plain
    assert r.err == "[WARN ] Path w/b is a symbolic link and is not packed\n"


def test_3_a_layer_excludes_whole_names(kit):
    make_tree(kit.cwd / "m", {
        "Kitfile": "manifestVersion: 1.0.0\ncode: [{path: .}]\ndatasets: [{path: data}]\n",
        "data/x": "1", "data-v2/y": "2", "database.txt": "3",
    })  # fmt: skip
    r = kit("pack", "m", "-t", "x:v1")
    assert "where kit would leave it out" in r.err
    assert files_of(kit, "x:v1", 0) == ["data-v2/y", "database.txt"]


def test_5_paths_that_leave_are_refused(kit):
    make_tree(kit.cwd / "m", {"Kitfile": "manifestVersion: 1.0.0\ncode: [{path: ../x}]\n", "../x/y": "1"})
    assert "paths must stay within the context directory (path ../x in code layer 0)" in kit.fails("pack", "m")


def test_7_no_layers_are_null(kit):
    make_tree(kit.cwd / "m", {"Kitfile": "manifestVersion: 1.0.0\n"})
    digest = packed_digest(kit.ok("pack", "m", "-t", "x:v1"))
    assert b'"layers":null' in (kit.storage / "blobs/sha256" / digest.split(":")[1]).read_bytes()
    kit.ok("unpack", "x:v1", "-d", "out")


def test_8_integers_stay_integers(kit):
    make_tree(kit.cwd / "m", {"Kitfile": "manifestVersion: 1.0.0\nmodel: {parameters: {steps: 1000000, f: 0.5}}\n"})
    kit.ok("pack", "m", "-t", "x:v1")
    assert kit.ok("info", "x:v1").endswith("    f: 0.5\n    steps: 1000000\n")


def test_9_licences_are_looked_for_where_they_are(kit):
    text = "Apache License\nVersion 2.0, January 2004\n\nTERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION\n"
    make_tree(kit.cwd / "m", {"LICENSE": text, "net.onnx": "1"})
    assert "license: Apache-2.0" in kit.ok("init", "m", "-o", "-")


def test_10_fields_have_their_names(kit):
    make_tree(kit.cwd / "m", {"Kitfile": "manifestVersion: 1.0.0\ndatasets: [{path: d}]\n", "d": "1"})
    kit.ok("pack", "m", "-t", "x:v1")
    wanted = "- path: d\n"
    for name in ("datasets", "dataSets", ".datasets", "Datasets"):
        assert kit.ok("info", "x:v1", "-f", name) == wanted


def test_14_read_only_folders_are_filled_first(kit):
    make_tree(kit.cwd / "m", {"Kitfile": "manifestVersion: 1.0.0\nmodel: {path: w}\n", "w/deep/a": "1"})
    for folder in ("m/w/deep", "m/w"):
        (kit.cwd / folder).chmod(0o555)
    try:
        kit.ok("pack", "m", "-t", "x:v1")
        kit.ok("unpack", "x:v1", "-d", "out")
        assert (kit.cwd / "out/w/deep/a").read_text() == "1"
        assert [(kit.cwd / "out" / f).stat().st_mode & 0o777 for f in ("w", "w/deep")] == [0o555] * 2
    finally:
        for folder in ("m/w", "m/w/deep", "out/w", "out/w/deep"):
            if (kit.cwd / folder).exists():
                (kit.cwd / folder).chmod(0o755)


@pytest.mark.parametrize("level", ["-v", "-vv", "-vvv"])
def test_16_and_26_no_colours_without_a_terminal(packed, level):
    r = packed("inspect", "demo:v1", level)
    assert "\x1b" not in r.out + r.err


def test_17_localhost_is_a_name(packed):
    packed.ok("tag", "demo:v1", "localhost/demo:v1")
    assert [line.split()[0] for line in packed.ok("list").splitlines()[1:]] == ["demo", "localhost/demo"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_19_what_cannot_be_read_is_named(kit):
    make_model(kit.cwd / "m")
    (kit.cwd / "m/src/predict.py").chmod(0)
    assert "src/predict.py" in kit.fails("pack", "m")


def test_19_what_changes_is_named(kit):
    make_model(kit.cwd / "m")
    (kit.cwd / "m/src/predict.py").unlink()
    (kit.cwd / "m/src").rmdir()
    err = kit.fails("pack", "m")
    assert err == "[ERROR] Failed to pack model kit: error processing code: path src does not exist\n"


def test_21_extra_tags_are_checked(packed):
    before = packed.ok("list")
    for tags in ("v2,b@d", "v2,", "v2,a b", "v2," + "x" * 200):
        assert "invalid tag" in packed.fails("pack", "m", "-t", f"demo:{tags}")
    assert packed.ok("list") == before


def test_22_an_author_alone_is_written(kit):
    make_tree(kit.cwd / "m", {"net.onnx": "1"})
    assert "  authors: [Ada]\n" in kit.ok("init", "m", "--author", "Ada", "-o", "-")


def test_23_bad_templates_have_a_reason(packed):
    assert packed.fails("list", "--format", "{{.Nothing}}").startswith("[ERROR] ")


def test_24_a_digest_is_no_tag(packed):
    assert "cannot be given to a ModelKit" in packed.fails("pack", "m", "-t", f"demo@{packed.digest}")


def test_25_looking_makes_nothing(kit):
    for words in (["inspect", "a:b"], ["info", "a:b"], ["tag", "a:b", "c:d"], ["remove", "a:b"]):
        kit.fails(*words)
    kit.ok("list")
    assert not kit.kitops_home.exists()

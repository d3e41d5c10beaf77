"""Commands over the local store, as a user types them. Bytes of ModelKits are test_vectors.py's."""
import contextlib
import json
import os
import pty
import re
import signal
import time

import pytest

from harness import make_model, make_tree, packed_digest


def rows(out):
    """The table of `list` as lists of cells."""
    return [re.split(r" {3,}", line) for line in out.splitlines()[1:]]


# --- pack ---


def test_pack_lines(packed):
    lines = packed.ok("pack", "m", "-t", "demo:v1").splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "Already saved model layer",
        "Already saved code layer",
        "Already saved docs layer",
        "Configuration already exists in storage",
        "Manifest already exists in storage",
        "Model saved",
    ]


def test_pack_is_reproducible(packed, make_kit):
    other = make_kit()
    make_model(other.cwd / "elsewhere")
    assert packed_digest(other.ok("pack", "elsewhere", "--tag", "x:y")) == packed.digest


def test_pack_untagged_and_latest(packed):
    assert packed_digest(packed.ok("pack", "m")) == packed.digest
    out = packed.ok("pack", "m", "-t", "demo")
    assert out.startswith(
        "No tag or digest specified with --tag flag. Using 'latest' as default ('demo:latest')\n"
    )
    assert [r[:2] for r in rows(packed.ok("list"))] == [
        ["<none>", "<none>"],
        ["demo", "latest"],
        ["demo", "v1"],
    ]


def test_store_that_waits_for_the_disk(packed):
    blobs = {b.name for b in (packed.storage / "blobs/sha256").iterdir()}
    note = packed.kitops_home / "storage.unsynced"
    assert re.fullmatch(r"[0-9a-f-]{36} 20\S+Z\n", note.read_text())
    packed.ok("pack", "m", "-t", "demo:v1", env={"KITVAULT_SYNC": "off"})
    assert note.exists()
    packed.ok("pack", "m", "-t", "demo:v1", env={"KITVAULT_SYNC": "on"})
    assert not note.exists()
    assert {b.name for b in (packed.storage / "blobs/sha256").iterdir()} == blobs
    for command in (["list"], ["pack", "m"]):
        err = packed.fails(*command, env={"KITVAULT_SYNC": "no"})
        assert "KITVAULT_SYNC is 'no', neither on nor off" in err


@pytest.mark.parametrize("note", ["another-boot 2020-01-01T00:00:00.000000Z\n", "torn"])
def test_power_cut_after_pack(packed, note):
    """The machine stopped before a blob was on the disk: as if, with another boot id in the note."""
    layer = max((packed.storage / "blobs/sha256").iterdir(), key=lambda b: b.stat().st_size)
    size = layer.stat().st_size
    layer.write_bytes(bytes(size))
    (packed.kitops_home / "storage.unsynced").write_text(note)
    result = packed("pack", "m", "-t", "demo:v2")
    assert result.code == 0
    assert f"Blob sha256:{layer.name} had not reached the disk when the machine stopped" in result.err
    assert layer.read_bytes() != bytes(size)
    packed.ok("unpack", "demo:v2", "-d", "out")
    assert "another-boot" not in (packed.kitops_home / "storage.unsynced").read_text()
    assert "had not reached" not in packed.ok("pack", "m", "-t", "demo:v3")


def test_blobs_from_before_are_not_read_again(packed):
    layer = max((packed.storage / "blobs/sha256").iterdir(), key=lambda b: b.stat().st_size)
    layer.write_bytes(bytes(layer.stat().st_size))
    (packed.kitops_home / "storage.unsynced").write_text("another-boot 2999-01-01T00:00:00.000000Z\n")
    packed.ok("pack", "m", "-t", "demo:v2")
    assert packed.fails("unpack", "demo:v2", "-d", "out")


def test_pack_kitfile_from_elsewhere(packed):
    make_tree(packed.cwd, {"other/K": "manifestVersion: 1.0.0\ndocs: [{path: README.md}]\n"})
    packed.ok("pack", "m", "--file", "other/K", "-t", "docs:v1")
    assert packed.ok("info", "docs:v1") == "manifestVersion: 1.0.0\ndocs:\n  - path: README.md\n"


def test_pack_kitfile_from_stdin(packed):
    packed.ok("pack", "m", "-f", "-", "-t", "in:v1", stdin="manifestVersion: 1.0.0\n")
    assert packed.ok("info", "in:v1") == "manifestVersion: 1.0.0\n"


def test_pack_needs_something_on_stdin(packed):
    p = packed.popen("pack", "m", "-f", "-")  # /dev/null is a character device
    assert p.communicate()[1] == (
        b"[ERROR] Invalid arguments: No input file specified and no data piped\n"
    )
    assert p.returncode == 1


def test_pack_compression(packed):
    for method in ("gzip", "gzip-fastest", "zstd"):
        packed.ok("pack", "m", "-t", f"z:{method}", "--compression", method)
        packed.ok("unpack", f"z:{method}", "-d", f"out-{method}")
        assert (packed.cwd / f"out-{method}/src/predict.py").read_text() == "print(1)\n"
    err = packed.fails("pack", "m", "--compression=lz4")
    assert err.startswith("[ERROR] Invalid arguments: invalid compression type: must be one of")
    assert err.count("\n") == 1


def test_pack_bad_input(packed):
    def fails(*argv):
        r = packed("pack", *argv)
        assert r.code == 1 and r.out == ""
        assert r.err.count("\n") == 1
        return r.err

    (packed.cwd / "empty").mkdir()
    err = fails("nowhere", "-f", packed.cwd / "m/Kitfile")
    assert err.startswith("[ERROR] Failed to use context path nowhere: ")
    assert re.fullmatch(
        r"\[ERROR\] Invalid arguments: No Kitfile found in \S+. "
        r"Consider using the -f flag to specify its path\n",
        fails("empty"),
    )
    assert "Failed to parse reference" not in fails("m", "-t", "UPPER:x")
    assert fails("m", "-t", "UPPER:x") == (
        "[ERROR] Invalid arguments: failed to parse reference: "
        "repository (UPPER) name must be lowercase\n"
    )
    assert "cannot be given" in fails("m", "-t", "demo@" + packed.digest)
    assert fails("m", "-f", "nofile").startswith("[ERROR] ")


# --- list ---


def test_list_empty(kit):
    assert kit.ok("list") == "REPOSITORY   TAG   MAINTAINER   NAME   SIZE   DIGEST\n"
    assert kit.ok("list", "--format", "json") == "[]\n"
    assert kit.ok("list", "--format", "{{ .Repo }}") == ""
    assert kit.fails("list", "--format", "{{bad") == (
        "[ERROR] Invalid arguments: bad template: unclosed action\n"
    )
    assert not kit.storage.exists()


@pytest.mark.parametrize(
    "argv",
    [
        ["list"],
        ["inspect", "demo:v1"],
        ["info", "demo:v1"],
        ["unpack", "demo:v1"],
        ["remove", "demo:v1"],
        ["ls", "demo:v1"],
        ["fsck"],
    ],
)
def test_concurrency_is_checked_without_a_registry(packed, argv):
    r = packed(*argv, "--concurrency", "0")
    assert r.code != 0 and r.out == ""
    assert r.err == (
        "[ERROR] Invalid arguments: invalid argument for concurrency (0): must be at least 1\n"
    )


def test_list_forms(packed):
    packed.ok("tag", "demo:v1", "demo:also")
    json_list = json.loads(packed.ok("list", "--format=json"))
    assert json_list == [
        {
            "repo": "demo",
            "digest": packed.digest,
            "tags": ["also", "v1"],
            "modelName": "small",
            "size": json_list[0]["size"],
            "author": "<none>",
        }
    ]
    assert packed.ok("list", "--format", "{{.Repo}} {{.Tags}} {{index .Tags 1}}") == (
        "demo [also v1] v1\n"
    )
    assert packed.ok("list", "--format", "{{ .Digest }}|{{ .ModelName }}\n") == (
        f"{packed.digest}|small\n"
    )
    # Payload, so it is bare at every level.
    assert packed.ok("list", "--log-level", "warn") == packed.ok("list")


@pytest.mark.parametrize(
    "template, reason",
    [
        ("{{ .Nope }}", "can't evaluate field Nope"),
        ("{{ .Repo", "unclosed action"),
        ("{{ index .Tags 7 }}", "index out of range: 7"),
        ("{{ len .Tags }}", 'function "len" not defined'),
    ],
)
def test_list_bad_template(packed, template, reason):
    r = packed("list", "--format", template)
    assert (r.code, r.out) == (1, "")
    assert reason in r.err


def test_list_passes_over_what_is_damaged(packed):
    other = packed_digest(packed.ok("pack", "m", "-t", "other:v1", env={"KITVAULT_CLI_VERSION": "another"}))
    blob = packed.storage / "blobs/sha256" / other.split(":")[1]
    blob.chmod(0o600)
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    r = packed("list")
    assert r.code == 0
    assert [row[0] for row in rows(r.out)] == ["demo"]
    assert r.err.startswith(f"[ERROR] Cannot read other@{other}: ")
    blob.unlink()
    r = packed("list")
    assert [row[0] for row in rows(r.out)] == ["demo"] and other in r.err


def test_list_filter(packed):
    make_tree(packed.cwd / "d", {"Kitfile": "datasets: [{name: train, path: a.csv}]\n", "a.csv": ""})
    packed.ok("pack", "d", "-t", "data:v1")

    def names(*filters):
        words = [w for f in filters for w in ("--filter", f)]
        return [r[0] for r in rows(packed.ok("list", *words))]

    assert names() == ["data", "demo"]
    assert names("datasets") == ["data"]
    assert names("code,docs") == ["demo"]
    assert names("datasets:train", "code:src") == ["data", "demo"]
    assert names("datasets:test") == []
    assert packed.fails("list", "-f", "bogus").startswith(
        "[ERROR] Invalid arguments: invalid filter type bogus"
    )


# --- info, inspect ---


def test_info(packed):
    assert packed.ok("info", "demo:v1").startswith("manifestVersion: ")
    assert packed.ok("info", "demo:v1", "--filter", "model.path") == "model.safetensors\n"
    assert packed.ok("info", f"demo@{packed.digest}", "-f", ".package.name") == "small\n"
    assert packed.fails("info", "demo:v1", "-f", "model.nope") == (
        "[ERROR] Error filtering output: cannot find required node\n"
    )


@pytest.mark.parametrize("command", ["info", "inspect"])
def test_lookup_errors(packed, command):
    assert packed.fails(command, "demo:v2") == "[ERROR] Could not find modelkit demo:v2\n"
    assert packed.fails(command, "other:v1") == "[ERROR] Could not find modelkit other:v1\n"
    assert packed.fails(command, "demo") == (
        "[ERROR] Invalid arguments: missing tag or digest from ModelKit reference 'demo'\n"
    )
    assert packed.fails(command, "demo:v1", "--remote") == (
        "[ERROR] Invalid arguments: can not check remote: demo:v1 does not contain registry\n"
    )
    assert "extra tags are not supported: b, c" in packed.fails(command, "demo:a,b,c")
    assert "failed to parse reference: " in packed.fails(command, "demo:v1@x")


def test_inspect(packed):
    doc = json.loads(packed.ok("inspect", "demo:v1"))
    assert list(doc) == ["digest", "cliVersion", "kitfile", "manifest"]
    assert doc["digest"] == packed.digest
    assert packed.ok("inspect", "demo:v1", "-v").startswith("[DEBUG] ")
    assert "[INFO ] {\n" in packed.ok("inspect", "demo:v1", "-v")


def test_cli_version_annotation(packed):
    packed.ok("pack", "m", "-t", "demo:v2", env={"KITVAULT_CLI_VERSION": "9.8.7"})
    assert json.loads(packed.ok("inspect", "demo:v2"))["cliVersion"] == "9.8.7"


# --- tag, remove ---


def test_tag(packed):
    assert packed.ok("tag", "demo:v1", "hub.example.com:5000/team/demo:v1") == (
        "Modelkit localhost/demo:v1 tagged as hub.example.com:5000/team/demo:v1\n"
    )
    packed.ok("tag", "demo@" + packed.digest, "demo:b")
    assert packed.fails("tag", "demo:nope", "demo:x") == (
        "[ERROR] Failed to tag modelkit: model localhost/demo:nope not found\n"
    )
    assert "missing tag or digest" in packed.fails("tag", "demo:v1", "demo")


def test_tag_moves(packed):
    (packed.cwd / "m/README.md").write_text("# changed\n")
    second = packed_digest(packed.ok("pack", "m", "-t", "demo:v2"))
    packed.ok("tag", "demo:v2", "demo:v1")
    assert json.loads(packed.ok("inspect", "demo:v1"))["digest"] == second


def test_remove_by_tag_and_digest(packed):
    packed.ok("tag", "demo:v1", "demo:b")
    assert packed.ok("remove", "demo:v1") == f"Removed demo:v1 (digest {packed.digest})\n"
    assert [r[1] for r in rows(packed.ok("list"))] == ["b"]
    assert packed.ok("remove", "demo@" + packed.digest) == (
        f"Removed demo@{packed.digest} (digest {packed.digest})\n"
    )
    assert list((packed.storage / "blobs/sha256").iterdir()) == []
    assert packed.fails("remove", "demo:b") == (
        "[ERROR] Failed to remove: model demo:b not found\n"
    )


def test_remove_force_takes_all_tags(packed):
    packed.ok("tag", "demo:v1", "demo:b")
    packed.ok("remove", "--force", "demo:v1")
    assert rows(packed.ok("list")) == []


def test_remove_several_tags(packed):
    packed.ok("tag", "demo:v1", "demo:a,b")
    r = packed("remove", "demo:a,nope,b")
    assert r.code == 0
    assert r.out == "".join(f"Removed demo:{t} (digest {packed.digest})\n" for t in "ab")
    assert r.err == "[ERROR] Failed to remove tag nope: model demo:nope not found\n"


def test_remove_all(packed):
    untagged = packed_digest(packed.ok("pack", "m"))
    assert packed.ok("remove", "--all") == f"Removed {untagged}\n"
    assert packed.ok("remove", "-a") == ""
    assert packed.ok("remove", "--all", "--force") == (
        f"Untagged demo:v1\nRemoved demo@{packed.digest}\n"
    )
    assert rows(packed.ok("list")) == []
    assert list((packed.storage / "blobs/sha256").iterdir()) == []


def test_remove_arguments(packed):
    for argv, message in (
        (["remove"], "modelkit is required for remove unless --all is specified"),
        (["remove", "-a", "x:y"], "modelkit should not be specified when --all flag is used"),
    ):
        err = packed.fails(*argv)
        assert err.startswith(f"Error: {message}\n\nUsage:\n")
    assert packed.fails("remove", "--all", "--remote") == (
        "[ERROR] Invalid arguments: cannot use --all with --remote\n"
    )


# --- unpack ---


def test_unpack(packed):
    out = packed.ok("unpack", "demo:v1", "-d", "out")
    target = packed.cwd / "out"
    assert out == (
        f"Unpacking to {target}\n"
        f"Unpacking config to {target}/Kitfile\n"
        "Unpacking model small to model.safetensors\n"
        "Unpacking code to src\n"
        "Unpacking docs to README.md\n"
    )
    assert (target / "model.safetensors").read_bytes() == (packed.cwd / "m/model.safetensors").read_bytes()


def test_unpack_into_current_folder(packed, tmp_path):
    packed.ok("unpack", "demo:v1", cwd=tmp_path)
    assert (tmp_path / "src/predict.py").exists()


def test_unpack_existing_files(packed):
    packed.ok("unpack", "demo:v1", "--dir", "out")
    readme = packed.cwd / "out/README.md"
    readme.write_text("mine\n")
    assert packed.fails("unpack", "demo:v1", "-d", "out") == (
        "[ERROR] Failed to unpack: path 'model.safetensors' already exists\n"
    )
    packed.ok("unpack", "demo:v1", "-d", "out", "--ignore-existing")
    assert readme.read_text() == "mine\n"
    packed.ok("unpack", "demo:v1", "-d", "out", "--overwrite")
    assert readme.read_text() == "# small\n"


@pytest.mark.parametrize(
    "words, files",
    [
        (["-f", "model"], ["model.safetensors"]),
        (["--filter=docs", "--filter=kitfile"], ["Kitfile", "README.md"]),
        (["-f", "code:src"], ["src"]),
        (["--model"], ["model.safetensors"]),
        (["--kitfile"], ["Kitfile"]),
        (["--code"], ["src"]),
        (["--docs", "--datasets"], ["README.md"]),
        (["--docs", "--filter", "model"], ["README.md"]),
    ],
)
def test_unpack_filters(packed, words, files):
    packed.ok("unpack", "demo:v1", "-d", "out", *words)
    assert sorted(p.name for p in (packed.cwd / "out").iterdir()) == files


def test_unpack_errors(packed):
    assert packed.fails("unpack", "absent:v1", "-d", "out") == (
        "[ERROR] Failed to find reference absent:v1: not found\n"
    )
    r = packed("unpack", "demo", "-d", "out")
    assert r.out.startswith(
        "No tag specified for unpack. Using 'latest' as default ('demo:latest')\n"
    )
    assert r.err == "[ERROR] Failed to find reference demo:latest: not found\n"
    assert "extra tags are not supported" in packed.fails("unpack", "demo:a,b")


# --- diff ---


def test_diff(packed):
    packed.ok("tag", "demo:v1", "demo:same")
    assert packed.ok("diff", "demo:v1", "local://demo:same") == "ModelKits are identical\n"
    (packed.cwd / "m/README.md").write_text("# changed\n")
    packed.ok("pack", "m", "-t", "demo:v2")

    def cut(ref, kind):
        layers = json.loads(packed.ok("inspect", ref))["manifest"]["layers"]
        return next(l["digest"] for l in layers if f".{kind}.v1" in l["mediaType"])[:17]

    config = [json.loads(packed.ok("inspect", f"demo:{v}"))["manifest"]["config"]["digest"][:17] for v in ("v1", "v2")]
    rule = "-" * 39
    assert packed.ok("diff", "demo:v1", "demo:v2") == "\n".join(
        [
            "Comparing:",
            "  ModelKit1: demo:v1",
            "  ModelKit2: demo:v2",
            "",
            "Configurations:",
            rule,
            "  Configs differ:",
            f"  ModelKit1 Config Digest: {config[0]}",
            f"  ModelKit2 Config Digest: {config[1]}",
            "",
            "Annotations:",
            rule,
            "  Annotations are identical ",
            "",
            "Shared Layers",
            rule,
            "Type    | Digest             | Size",
            f"Code    | {cut('demo:v1', 'code'):18} | 2.5 KiB",
            f"Model   | {cut('demo:v1', 'model'):18} | 2.0 KiB",
            "",
            "Unique Layers to ModelKit1 (demo:v1)",
            rule,
            "Type    | Digest             | Size",
            f"Docs    | {cut('demo:v1', 'docs'):18} | 2.0 KiB",
            "",
            "Unique Layers to ModelKit2 (demo:v2)",
            rule,
            "Type    | Digest             | Size",
            f"Docs    | {cut('demo:v2', 'docs'):18} | 2.0 KiB",
            "",
            "",
        ]
    )


def test_diff_errors(packed):
    assert packed.fails("diff", "demo:nope", "demo:v1") == (
        "[ERROR] Failed to get manifest for ModelKit1: reference nope not found in repository\n"
    )
    assert "does not contain registry" in packed.fails("diff", "demo:v1", "remote://demo:v1")
    assert "failed to parse reference" in packed.fails("diff", "demo:v1", "local://A:b")


# --- init ---


def test_init(kit):
    make_tree(kit.cwd / "m", {"model.onnx": "x", "README.md": "#", "train.py": "", "d.csv": ""})
    out = kit.ok("init", "m", "--name", "demo", "--desc", "a demo", "--author", "Ada")
    text = (kit.cwd / "m/Kitfile").read_text()
    assert out == f"Generated Kitfile:\n\n{text}Saved to path 'm/Kitfile'\n"
    assert text.startswith("manifestVersion: 1.0.0\npackage:\n  name: demo\n")
    assert "  authors: [Ada]\n" in text
    kit.ok("pack", "m", "-t", "demo:v1")


def test_init_existing(kit):
    make_tree(kit.cwd / "m", {"kitfile": "manifestVersion: 1.0.0\n", "model.onnx": ""})
    assert kit.fails("init", "m") == (
        "[ERROR] Kitfile already exists at m/kitfile. Use '--force' to overwrite\n"
    )
    kit.ok("init", "m", "--force")
    assert "model.onnx" in (kit.cwd / "m/kitfile").read_text()
    assert not (kit.cwd / "m/Kitfile").exists()


def test_init_output(kit):
    make_tree(kit.cwd / "m", {"model.onnx": "", "Kitfile": "manifestVersion: 1.0.0\n"})
    text = kit.ok("init", "m", "-o", "-")
    assert text.startswith("manifestVersion: 1.0.0\nmodel:\n")
    kit.ok("init", "m", "--output", "elsewhere.yaml")
    assert (kit.cwd / "elsewhere.yaml").read_text() == text


def test_init_errors(kit):
    assert kit.fails("init", "nowhere") == (
        "[ERROR] Error processing directory: failed to read directory nowhere: "
        "open nowhere: no such file or directory\n"
    )


def test_interrupt(packed):
    """An interrupted pack leaves nothing under a final name, and the next one works."""
    big = packed.cwd / "m/model.safetensors"
    with open(big, "wb") as f:
        f.truncate(4 << 30)
    before = sorted((packed.storage / "blobs/sha256").iterdir())
    p = packed.popen("pack", "m", "-t", "big:v1")
    time.sleep(0.3)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    assert p.returncode == 130
    assert b"nterrupted" in err
    left = [b for b in sorted((packed.storage / "blobs/sha256").iterdir()) if b not in before]
    assert all(b.stat().st_size < 1 << 20 for b in left)
    assert list((packed.kitops_home / "cache/pack").iterdir()) == []
    big.write_bytes(b"small again")
    packed.ok("pack", "m", "-t", "big:v1")


def answer(kit, answers, *argv):
    """Runs a command on a terminal and types the answers to its questions."""
    leader, follower = pty.openpty()
    p = kit.popen(*argv, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    out = b""
    for question, text in answers:
        while not out.endswith(question.encode()):
            out += os.read(leader, 1)
        os.write(leader, text.encode() + b"\n")
    with contextlib.suppress(OSError):  # the other end is closed
        while chunk := os.read(leader, 65536):
            out += chunk
    os.close(leader)
    return p.wait(), out.replace(b"\r\n", b"\n").decode()


def test_init_asks_on_a_terminal(kit):
    make_tree(kit.cwd / "m", {"model.onnx": ""})
    code, out = answer(
        kit,
        [
            ("Enter a name for the ModelKit: ", "asked"),
            ("Enter a short description for the ModelKit: ", "what it is"),
        ],
        "init", "m", "--author", "Ada",
    )  # fmt: skip
    assert code == 0, out
    assert (kit.cwd / "m/Kitfile").read_text().startswith(
        "manifestVersion: 1.0.0\npackage:\n  name: asked\n  description: what it is\n  authors: [Ada]\n"
    )


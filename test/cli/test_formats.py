"""Forms of ModelKits: layers, ModelPack, images of other tools; what makes bytes reproducible."""
import gzip
import io
import json
import os
import zipfile

import pytest

from harness import described, make_model, make_tree, packed_digest, sha256, store_image, tar_of

FLAT = {  # every entry is one file, so that raw layers are possible
    "Kitfile": "manifestVersion: 1.0.0\n"
    "package: {name: flat, version: 1.2.0, description: one file each, license: MIT, authors: [a, b]}\n"
    "model: {name: net, path: net.bin, license: Apache-2.0, format: bin, parts: [{path: cfg.json, type: cfg}]}\n"
    "datasets: [{name: d, path: data/rows.csv, license: MIT}]\n"
    "code: [{path: run.py, license: ISC}]\n"
    "docs: [{path: README.md}]\n"
    "prompts: [{path: ask.prompt}]\n",
    "net.bin": b"weights" * 1000,
    "cfg.json": "{}",
    "data/rows.csv": "a,b\n1,2\n",
    "run.py": "print(1)\n",
    "README.md": "# flat\n",
    "ask.prompt": "Say hello.\n",
}
FILES = {n for n in FLAT if n != "Kitfile"}


def manifest(kit, ref):
    return json.loads(kit.ok("inspect", ref))["manifest"]


def blob(kit, digest):
    return (kit.storage / "blobs/sha256" / digest.split(":")[1]).read_bytes()


def files_below(path):
    return {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}


# --- dry run ---


def test_dry_run_stores_nothing(kit):
    make_model(kit.cwd / "m")
    dry = [line.split() for line in kit.ok("pack", "m", "--dry-run", "-t", "x:v1").splitlines()]
    assert not kit.kitops_home.exists()
    assert [row[1] for row in dry] == ["model", "code", "docs", "config", "manifest"]
    assert {row[0] for row in dry} == {"new"}
    digest = packed_digest(kit.ok("pack", "m", "-t", "x:v1"))
    assert dry[-1][4] == digest
    again = kit.ok("pack", "m", "--dry-run").splitlines()
    assert {line.split()[0] for line in again} == {"there"}


@pytest.mark.parametrize("more", [[], ["--compression", "zstd"], ["--use-model-pack"]])
def test_dry_run_as_json_tells_what_pack_does(kit, more):
    make_model(kit.cwd / "m")
    dry = json.loads(kit.ok("pack", "m", "--dry-run", "--format", "json", "-t", "x:v1", *more))
    assert not kit.kitops_home.exists()
    real = json.loads(kit.ok("pack", "m", "--format", "json", "-t", "x:v1", *more))
    assert (dry["dryRun"], real["dryRun"]) == (True, False)
    assert dry == {**real, "dryRun": True}
    for b in [*real["layers"], real["config"], real["manifest"]]:
        assert len(blob(kit, b["digest"])) == b["size"]
        assert b["existed"] is False
    assert [b["diffId"] == b["digest"] for b in real["layers"]] == 3 * ["zstd" not in more]


def test_dry_run_fails_as_pack_does(kit):
    make_tree(kit.cwd / "m", {"Kitfile": "manifestVersion: 1.0.0\nmodel: {path: nowhere}\n"})
    real = kit("pack", "m")
    assert kit.fails("pack", "m", "--dry-run") == real.err
    told = json.loads(kit("pack", "m", "--dry-run", "--format", "json").out)
    assert "nowhere does not exist" in told["error"]["message"]


# --- reproducible ---


def test_normalized_modes_do_not_depend_on_the_umask(kit):
    digests = []
    for i, (file, folder, script) in enumerate([(0o644, 0o755, 0o755), (0o600, 0o2770, 0o700)]):
        root = make_model(kit.cwd / f"m{i}")
        for p in root.rglob("*"):
            p.chmod(folder if p.is_dir() else file)
        (root / "src/predict.py").chmod(script)
        digests.append(
            [packed_digest(kit.ok("pack", root, *more)) for more in ([], ["--normalize-modes"])]
        )
    assert digests[0] == [digests[0][1]] * 2, "usual modes are those of --normalize-modes"
    assert digests[1][0] != digests[1][1] == digests[0][1]


def test_modelpack_has_a_time_only_when_one_is_given(kit):
    make_model(kit.cwd / "m")

    def config(**env):
        kit.ok("pack", "m", "--use-model-pack", "-t", "x:v1", env=env)
        return json.loads(blob(kit, manifest(kit, "x:v1")["config"]["digest"]))

    assert "createdAt" not in config()["descriptor"]
    assert config(SOURCE_DATE_EPOCH="1700000000")["descriptor"]["createdAt"] == "2023-11-14T22:13:20Z"
    for bad in ("yesterday", "-1", "1.5", "99999999999999999999"):
        err = kit.fails("pack", "m", env={"SOURCE_DATE_EPOCH": bad})
        assert err == f"[ERROR] Invalid arguments: SOURCE_DATE_EPOCH is '{bad}', not seconds since 1970\n"


def test_modelkit_does_not_depend_on_the_epoch(kit):
    make_model(kit.cwd / "m")
    assert packed_digest(kit.ok("pack", "m")) == packed_digest(
        kit.ok("pack", "m", env={"SOURCE_DATE_EPOCH": "1700000000"})
    )


# --- forms of layers ---

FORMS = {
    "none": ("tar", []),
    "gzip": ("tar+gzip", ["--compression", "gzip"]),
    "gzip-fastest": ("tar+gzip", ["--compression", "gzip-fastest"]),
    "zstd": ("tar+zstd", ["--compression", "zstd"]),
    "raw": ("raw", ["--layer-format", "raw"]),
}


@pytest.mark.parametrize("pack", [[], ["--use-model-pack"]], ids=["modelkit", "modelpack"])
@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_read_by_every_command(kit, name, pack):
    form, more = FORMS[name]
    make_tree(kit.cwd / "m", FLAT)
    (kit.cwd / "m/run.py").chmod(0o755)
    kit.ok("pack", "m", "-t", "plain:v1")
    kit.ok("pack", "m", "-t", "x:v1", *more, *pack)

    assert {d["mediaType"].rsplit(".", 1)[1] for d in manifest(kit, "x:v1")["layers"]} == {form}
    listed = {f["path"]: f for f in json.loads(kit.ok("ls", "x:v1", "--format", "json"))["files"]}
    for path in FILES:
        content = FLAT[path] if isinstance(FLAT[path], bytes) else FLAT[path].encode()
        assert listed[path]["digest"] == sha256(content) and listed[path]["size"] == len(content)
        assert listed[path]["mode"] == ("0755" if path == "run.py" else "0644")
        assert kit("cat", "x:v1", path).out_bytes == content
    assert kit.ok("info", "x:v1") == kit.ok("info", "plain:v1")
    assert "flat" in kit.ok("list")
    same = json.loads(kit.ok("diff", "x:v1", "plain:v1", "--files", "--format", "json"))
    assert [f for f in same["files"] if (f["before"] or f["after"])["type"] == "file"] == []

    kit.ok("unpack", "x:v1", "-d", "out")
    assert files_below(kit.cwd / "out") == FILES | {"Kitfile"}
    for path in FILES:
        assert (kit.cwd / "out" / path).read_bytes() == (kit.cwd / "m" / path).read_bytes()
    assert os.access(kit.cwd / "out/run.py", os.X_OK)
    kit.ok("unpack", "x:v1", "-d", "part", "--filter", "datasets:d", "--filter", "prompts")
    assert files_below(kit.cwd / "part") == {"data/rows.csv", "ask.prompt"}
    kit.ok("fsck")


def test_raw_layers_are_the_files(kit):
    make_tree(kit.cwd / "m", FLAT)
    kit.ok("pack", "m", "-t", "x:v1", "--layer-format=raw", "--compression=none")
    for layer in manifest(kit, "x:v1")["layers"]:
        path = layer["annotations"]["org.cncf.model.filepath"]
        assert blob(kit, layer["digest"]) == (kit.cwd / "m" / path).read_bytes()
        told = json.loads(layer["annotations"]["org.cncf.model.file.metadata+json"])
        assert told == {"name": path.split("/")[-1], "mode": 0o644, "uid": 1000, "gid": 0,
                        "size": layer["size"], "mtime": "1970-01-01T00:00:00Z", "typeflag": 48}  # fmt: skip


def test_raw_layers_are_one_file_each(kit):
    make_model(kit.cwd / "m")
    err = kit.fails("pack", "m", "--layer-format", "raw")
    assert "error processing code: path src is a directory, and a raw layer is one file" in err
    make_tree(kit.cwd / "i", {**FLAT, ".kitignore": "run.py\n"})
    assert "path run.py is left out by .kitignore" in kit.fails("pack", "i", "--layer-format", "raw")
    (kit.cwd / "i/.kitignore").unlink()
    (kit.cwd / "i/run.py").unlink()
    (kit.cwd / "i/run.py").symlink_to("README.md")
    assert "run.py" in kit.fails("pack", "i", "--layer-format", "raw")
    assert "tar" in kit.fails("pack", "m", "--layer-format", "zip")
    gzip = ("--layer-format", "raw", "--compression", "gzip")
    assert kit.fails("pack", "m", *gzip, "--use-model-pack") == (
        "[ERROR] Invalid arguments: compression for raw layers is not supported for ModelPack\n"
    )
    assert "not supported" in kit.fails("pack", "m", *gzip)


# --- ModelPack ---


def test_modelpack_is_what_the_model_spec_says(kit):
    make_tree(kit.cwd / "m", FLAT)
    out = kit.ok("pack", "m", "--use-model-pack", "-t", "x:v1", env={"KITVAULT_CLI_VERSION": "t"})
    assert [line.split()[1] for line in out.splitlines()[:6]] == [
        "weight", "weight.config", "code", "dataset", "doc", "code"]  # fmt: skip
    m = manifest(kit, "x:v1")
    assert m["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert m["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert m["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    assert [d["mediaType"] for d in m["layers"]] == [
        f"application/vnd.cncf.model.{kind}.v1.tar"
        for kind in ("weight", "weight.config", "code", "dataset", "doc", "code")
    ]
    assert m["layers"][5]["annotations"]["ml.kitops.modelkit.layer-subtype"] == "prompt"
    diff_ids = [d["digest"] for d in m["layers"]]
    assert blob(kit, m["config"]["digest"]).decode() == (
        '{"descriptor":{"authors":["a","b"],"name":"flat","version":"1.2.0",'
        '"licenses":["Apache-2.0","ISC","MIT"],"title":"flat","description":"one file each"},'
        '"modelfs":{"type":"layers","diffIds":' + json.dumps(diff_ids).replace(" ", "") + "},"
        '"config":{"format":"bin"}}'
    )
    kitfile = json.loads(m["annotations"]["ml.kitops.modelkit.kitfile"])
    assert kitfile == json.loads(kit.ok("inspect", "x:v1"))["kitfile"]
    assert m["annotations"]["ml.kitops.modelkit.cli-version"] == "t"


def test_modelpack_tars_are_those_of_a_modelkit(kit):
    make_model(kit.cwd / "m")
    kit.ok("pack", "m", "-t", "a:kit")
    kit.ok("pack", "m", "-t", "a:pack", "--use-model-pack", "--compression", "gzip")
    config = json.loads(blob(kit, manifest(kit, "a:pack")["config"]["digest"]))
    assert config["modelfs"]["diffIds"] == [d["digest"] for d in manifest(kit, "a:kit")["layers"]]


def test_empty_modelpack(kit):
    make_tree(kit.cwd / "m", {"Kitfile": "manifestVersion: 1.0.0\n"})
    kit.ok("pack", "m", "-t", "x:v1", "--use-model-pack")
    config = blob(kit, manifest(kit, "x:v1")["config"]["digest"])
    assert config == b'{"descriptor":{},"modelfs":{"type":"layers","diffIds":[]},"config":{}}'
    kit.ok("unpack", "x:v1", "-d", "out")
    assert (kit.cwd / "out/Kitfile").read_text() == "manifestVersion: 1.0.0\n"


# --- images of other tools ---

MODELPACK = "application/vnd.cncf.model"
OLD_MODELPACK = "application/vnd.cnai.model"
KIT = "application/vnd.kitops.modelkit"


MODCTL_FILES = {
    "model-00001.safetensors": ("weight", b"first half"),
    "model-00002.safetensors": ("weight", b"second half"),
    "config.json": ("weight.config", b"{}"),
    "tokenizer/vocab.txt": ("weight.config", b"a\nb\n"),
    "README.md": ("doc", b"# card\n"),
    "src/run.py": ("code", b"print(1)\n"),
    "data/rows.csv": ("dataset", b"1,2\n"),
}


def modctl_image(kit, prefix, form):
    """An image of modctl: one layer for each file, no Kitfile, the file's facts in annotations."""
    org = "org.cncf.model" if prefix == MODELPACK else "org.cnai.model"
    layers, blobs = [], []
    for path, (kind, content) in MODCTL_FILES.items():
        data = content if form == "raw" else tar_of({path: content})
        if form == "tar+gzip":
            data = gzip.compress(data)
        fact = {"name": path.split("/")[-1], "mode": 0o640, "uid": 501, "gid": 20, "size": len(content),
                "mtime": "2026-01-02T03:04:05.678+01:00", "typeflag": 48}  # fmt: skip
        blobs.append(data)
        layers.append(described(f"{prefix}.{kind}.v1.{form}", data, **{
            f"{org}.filepath": path, f"{org}.file.metadata+json": json.dumps(fact),
            f"{org}.file.mediatype.untested": "false"}))  # fmt: skip
    config = json.dumps({
        "descriptor": {"createdAt": "2026-01-02T03:04:05.678+01:00", "name": "net", "family": "f"},
        "modelfs": {"type": "layers", "diffIds": [sha256(b) for b in blobs]},
        "config": {"architecture": "transformer", "format": "safetensors", "paramSize": "1b"},
    }).encode()  # fmt: skip
    store_image(kit, "img:v1", {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": f"{prefix}.manifest.v1+json",
        "config": {"mediaType": f"{prefix}.config.v1+json", "digest": sha256(config), "size": len(config)},
        "layers": layers,
    }, [*blobs, config])  # fmt: skip


@pytest.mark.parametrize("form", ["raw", "tar", "tar+gzip"])
@pytest.mark.parametrize("prefix", [MODELPACK, OLD_MODELPACK], ids=["cncf", "cnai"])
def test_images_of_modctl(kit, prefix, form):
    modctl_image(kit, prefix, form)
    content = {path: data for path, (_, data) in MODCTL_FILES.items()}
    listed = json.loads(kit.ok("ls", "img:v1", "--format", "json"))["files"]
    assert {f["path"]: f["digest"] for f in listed} == {p: sha256(c) for p, c in content.items()}
    assert {f["mode"] for f in listed} == {"0640"}
    assert kit("cat", "img:v1", "src/run.py").out_bytes == content["src/run.py"]

    r = kit("unpack", "img:v1", "-d", "out")
    assert r.code == 0, r.err
    assert r.err == (
        "[WARN ] Could not get Kitfile: artifact does not contain a Kitfile\n"
        "[WARN ] Functionality may be impacted\n"
    )
    assert {p: (kit.cwd / "out" / p).read_bytes() for p in files_below(kit.cwd / "out")} == content
    kit.ok("unpack", "img:v1", "-d", "part", "--filter", "docs", "--filter", "datasets")
    assert files_below(kit.cwd / "part") == {"README.md", "data/rows.csv"}
    kit.ok("unpack", "img:v1", "-d", "weights", "--filter", "model")
    assert files_below(kit.cwd / "weights") == {p for p, (k, _) in MODCTL_FILES.items() if "weight" in k}

    shown = json.loads(kit.ok("inspect", "img:v1"))
    assert "kitfile" not in shown and len(shown["manifest"]["layers"]) == len(content)
    assert kit.fails("info", "img:v1").endswith("artifact does not contain a Kitfile\n")
    assert kit.ok("list").splitlines()[1].split()[:4] == ["img", "v1", "<none>", "<none>"]
    kit.ok("fsck")


def test_layer_of_an_image_without_a_path(kit):
    config = b"{}"
    layer = b"bytes"
    store_image(kit, "img:v1", {
        "artifactType": MODELPACK + ".manifest.v1+json",
        "config": described(MODELPACK + ".config.v1+json", config),
        "layers": [described(MODELPACK + ".weight.v1.raw", layer)],
    }, [config, layer])  # fmt: skip
    assert "nknown file path for layer: no org.cncf.model.filepath annotation" in kit.fails(
        "unpack", "img:v1", "-d", "out"
    )
    assert files_below(kit.cwd / "out") == set()


def test_diff_ids_that_were_hashed_twice(kit):
    """One version of kit wrote the digest of the text of each digest; nobody relies on them."""
    make_model(kit.cwd / "m")
    kit.ok("pack", "m", "-t", "x:v1", "--use-model-pack")
    m = manifest(kit, "x:v1")
    blobs = [blob(kit, d["digest"]) for d in m["layers"]]
    config = json.loads(blob(kit, m["config"]["digest"]))
    config["modelfs"]["diffIds"] = [sha256(d.encode()) for d in config["modelfs"]["diffIds"]]
    text = json.dumps(config).encode()
    m["config"].update(digest=sha256(text), size=len(text))
    store_image(kit, "old:v1", m, [*blobs, text])
    kit.ok("unpack", "old:v1", "-d", "out")
    assert (kit.cwd / "out/src/predict.py").read_text() == "print(1)\n"
    assert kit.ok("info", "old:v1").startswith("manifestVersion")


def test_kits_from_before_0_5(kit):
    """Their configs have no digests, and their tars begin at the parent of the entry's path."""
    kitfile = {"manifestVersion": "1.0.0", "package": {"name": "old", "authors": ["Ada"]},
               "model": {"name": "net", "path": "models/net"}, "code": [{"path": "src"}],
               "datasets": [{"name": "d", "path": "./data/rows.csv"}]}  # fmt: skip
    config = json.dumps(kitfile).encode()
    tars = {
        "model": tar_of({"net/": None, "net/w.bin": b"weights"}),
        "code": tar_of({"src/": None, "src/deep/": None, "src/deep/run.py": b"print(1)\n"}),
        "dataset": tar_of({"rows.csv": b"1,2\n"}),
    }
    blobs = {kind: gzip.compress(t) for kind, t in tars.items()}
    store_image(kit, "old:v1", {
        "config": described(KIT + ".config.v1+json", config),
        "layers": [described(f"{KIT}.{kind}.v1.tar+gzip", b) for kind, b in blobs.items()],
        "annotations": {"ml.kitops.modelkit.cli-version": "0.4.0"},
    }, [config, *blobs.values()])  # fmt: skip
    wanted = {"models/net/w.bin": b"weights", "src/deep/run.py": b"print(1)\n", "data/rows.csv": b"1,2\n"}
    listed = json.loads(kit.ok("ls", "old:v1", "--format", "json"))["files"]
    assert {f["path"] for f in listed if f["type"] == "file"} == set(wanted)
    for path, content in wanted.items():
        assert kit("cat", "old:v1", path).out_bytes == content
    kit.ok("unpack", "old:v1", "-d", "out")
    assert files_below(kit.cwd / "out") == {*wanted, "Kitfile"}
    assert json.loads(kit.ok("inspect", "old:v1"))["cliVersion"] == "0.4.0"
    assert "name: old" in kit.ok("info", "old:v1")
    assert kit.ok("list").splitlines()[1].split()[2:4] == ["Ada", "old"]


# --- bundles of MCP servers ---

BUNDLES = {
    "Kitfile": "manifestVersion: 1.0.0\n"
    "mcpServers: [{name: files, path: ./files.mcpb}, {name: db, path: db.mcpb, description: a base}]\n"
    "docs: [{path: README.md}]\n",
    "README.md": "# bundles\n",
}


def zip_of(*names, comment=b""):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name in names:
            z.writestr(name, f"content of {name}\n")
        z.comment = comment
    return out.getvalue()


@pytest.fixture
def bundles(kit):
    files = zip_of("manifest.json", "server/index.js")
    db = zip_of("server/index.js", "manifest.json", comment=b"made by hand")
    make_tree(kit.cwd / "m", {**BUNDLES, "files.mcpb": files, "db.mcpb": db})
    return kit


@pytest.mark.parametrize("more", [[], ["--compression", "gzip"], ["--layer-format", "raw"]])
def test_bundles_are_stored_as_they_are(bundles, more):
    kit = bundles
    data = {n: (kit.cwd / "m" / n).read_bytes() for n in ("files.mcpb", "db.mcpb")}
    out = kit.ok("pack", "m", "-t", "x:v1", *more)
    for content in data.values():
        assert f"Saved mcpb layer: {sha256(content)}\n" in out
    layers = manifest(kit, "x:v1")["layers"][1:]
    assert [d["mediaType"] for d in layers] == 2 * ["application/vnd.kitops.modelkit.mcpb.v1.raw"]
    assert [d["annotations"]["org.cncf.model.filepath"] for d in layers] == ["files.mcpb", "db.mcpb"]
    servers = json.loads(kit.ok("inspect", "x:v1"))["kitfile"]["mcpServers"]
    assert [s["digest"] for s in servers] == [sha256(c) for c in data.values()]
    assert "mcpServers:\n  - name: files\n    path: ./files.mcpb\n" in kit.ok("info", "x:v1")
    assert kit("cat", "x:v1", "db.mcpb").out_bytes == data["db.mcpb"]
    kit.ok("unpack", "x:v1", "-d", "out")
    assert {n: (kit.cwd / "out" / n).read_bytes() for n in data} == data
    kit.ok("unpack", "x:v1", "-d", "one", "--filter", "mcpservers:db")
    assert files_below(kit.cwd / "one") == {"db.mcpb"}


def test_bundles_that_are_none(bundles):
    kit = bundles
    whole = (kit.cwd / "m/db.mcpb").read_bytes()
    for content, text in (
        (b"not a zip", "not a ZIP archive: it is too short"),
        (b"still not a zip, but longer", "not a ZIP archive: no end record"),
        (whole[:-40], "not a ZIP archive"),
        (whole[60:], "not a ZIP archive"),
        (zip_of("server/manifest.json"), "no manifest.json in it"),
        (zip_of(), "no manifest.json in it"),
    ):
        (kit.cwd / "m/db.mcpb").write_bytes(content)
        err = kit.fails("pack", "m")
        assert err.startswith("[ERROR] Failed to pack model kit: error processing mcpb: path db.mcpb: ")
        assert text in err
    (kit.cwd / "m/db.mcpb").unlink()
    (kit.cwd / "m/db.mcpb").mkdir()
    assert "a raw layer is one file" in kit.fails("pack", "m")


def test_bundles_are_not_of_modelpack(bundles):
    err = bundles.fails("pack", "m", "--use-model-pack")
    assert "mcpServers are not supported for ModelPack" in err


def test_bundle_that_would_unpack_to_very_much(bundles):
    """It is looked into by its directory alone: nothing of it is decompressed."""
    kit = bundles
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
        z.writestr("manifest.json", "{}")
        for i in range(8):
            z.writestr(f"../../bomb{i}", b"\0" * (1 << 22))
    (kit.cwd / "m/db.mcpb").write_bytes(out.getvalue())
    kit.ok("pack", "m", "-t", "x:v1")
    kit.ok("unpack", "x:v1", "-d", "out")
    assert files_below(kit.cwd / "out") == {"Kitfile", "README.md", "files.mcpb", "db.mcpb"}
    assert (kit.cwd / "out/db.mcpb").stat().st_size < 1 << 18


@pytest.mark.parametrize(
    "servers, problem",
    [
        ("{name: a, path: a.zip}", "mcpServer layer 0 has path a.zip, which does not end in .mcpb"),
        ("{path: a.mcpb}", "mcpServer layer 0 has no name"),
        ("{name: a, path: a.mcpb}, {name: a, path: b.mcpb}",
         "mcpServer layers 0 and 1 have the same name a"),
        ("{name: a, path: a.mcpb}, {name: b, path: a.mcpb}",
         "mcpServer layer 0 and mcpServer layer 1 use the same path a.mcpb"),
        ("{name: a, path: /a.mcpb}",
         "absolute paths are not supported in a Kitfile (path /a.mcpb in mcpServer layer 0)"),
        ("{name: a, path: 's3://b/a.mcpb'}",
         "invalid path for mcpServer (s3://b/a.mcpb): only local paths are permitted"),
    ],
)  # fmt: skip
def test_rules_for_bundles(kit, servers, problem):
    make_tree(kit.cwd / "m", {"Kitfile": f"manifestVersion: 1.0.0\nmcpServers: [{servers}]\n"})
    assert f"errors while validating Kitfile: \n  * {problem}\n" in kit.fails("pack", "m")

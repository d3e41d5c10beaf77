"""Archives and Kitfiles made to do harm: what unpack, ls and cat make of them."""
import gzip
import io
import json
import os
import tarfile

import pytest

from harness import described, make_tree, packed_digest, store_image, tar_of

KIT = "application/vnd.kitops.modelkit"


def store_tar(kit, tar, form="tar", path="m", name="evil:v1"):
    """A ModelKit of one model layer with these bytes."""
    layer = described(f"{KIT}.model.v1.{form}", tar, **{"org.cncf.model.filepath": path})
    config = json.dumps({
        "manifestVersion": "1.0.0", "package": {},
        "model": {"path": path, "digest": layer["digest"], "diffId": layer["digest"]},
    }).encode()  # fmt: skip
    store_image(kit, name, {
        "artifactType": KIT + ".manifest.v1+json",
        "config": described(KIT + ".config.v1+json", config), "layers": [layer],
    }, [config, tar])  # fmt: skip


def below(path):
    return {str(p.relative_to(path)) for p in path.rglob("*")}


def pax_tar(path, content=b"x"):
    """A file whose name stands in a PAX header, so that it can be any bytes."""
    record = b"path=" + path + b"\n"
    size = len(record) + 1
    while True:
        line = b"%d " % size + record
        if len(line) == size:
            break
        size = len(line)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        head = tarfile.TarInfo("PaxHeaders.0/x")
        head.type, head.size = tarfile.XHDTYPE, len(line)
        tar.addfile(head, io.BytesIO(line))
        info = tarfile.TarInfo("short")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize(
    "files, attributes, text",
    [
        ({"m/ok": b"1", "/etc/evil": b"2"}, {}, "absolute paths are not supported (/etc/evil)"),
        ({"m/ok": b"1", "../evil": b"2"}, {}, "must stay within context directory"),
        ({"m/ok": b"1", "m/../../evil": b"2"}, {}, "must stay within context directory"),
        ({"m/l": b""}, {"type": tarfile.SYMTYPE, "linkname": "/etc"}, "unrecognized type in archive: 50"),
        ({"m/l": b""}, {"type": tarfile.LNKTYPE, "linkname": "m/ok"}, "unrecognized type in archive: 49"),
        ({"m/d": b""}, {"type": tarfile.CHRTYPE}, "unrecognized type in archive: 51"),
        ({"m/d": b""}, {"type": tarfile.BLKTYPE}, "unrecognized type in archive: 52"),
        ({"m/p": b""}, {"type": tarfile.FIFOTYPE}, "unrecognized type in archive: 54"),
    ],
)
@pytest.mark.parametrize("form", ["tar", "tar+gzip"])
def test_entries_that_could_escape(kit, files, attributes, text, form):
    tar = tar_of(files, **attributes)
    store_tar(kit, gzip.compress(tar) if form == "tar+gzip" else tar, form)
    for more in ([], ["--overwrite"], ["--ignore-existing"]):
        err = kit.fails("unpack", "evil:v1", "-d", "out", *more)
        assert text in err and err.startswith("[ERROR] Failed to unpack: ")
        assert below(kit.cwd) <= {"out", "out/Kitfile"}


@pytest.mark.parametrize("raw", ["../evil", "/tmp/evil", "m/../../evil", "", "."])
def test_paths_of_raw_layers(kit, raw):
    layer = described(f"{KIT}.model.v1.raw", b"data", **{"org.cncf.model.filepath": raw})
    config = json.dumps({"manifestVersion": "1.0.0", "package": {},
                         "model": {"path": "m", "digest": layer["digest"]}}).encode()  # fmt: skip
    store_image(kit, "evil:v1", {
        "artifactType": KIT + ".manifest.v1+json",
        "config": described(KIT + ".config.v1+json", config), "layers": [layer],
    }, [config, b"data"])  # fmt: skip
    kit.fails("unpack", "evil:v1", "-d", "out")
    assert below(kit.cwd) <= {"out", "out/Kitfile"}


def test_name_with_a_nul(kit):
    store_tar(kit, pax_tar(b"m/a\0/../../evil"))
    kit("unpack", "evil:v1", "-d", "out")
    assert below(kit.cwd) <= {"out", "out/Kitfile", "out/m", "out/m/a"}
    kit("ls", "evil:v1")


def test_names_that_differ_in_case_or_form_alone(kit):
    """Two files to us, since they are two to the file system; neither may be written over the other."""
    names = ["m/Weights.bin", "m/weights.bin", "m/\u00e9.txt", "m/e\u0301.txt"]
    store_tar(kit, tar_of({n: n.encode() for n in names}))
    kit.ok("unpack", "evil:v1", "-d", "out")
    for n in names:
        assert (kit.cwd / "out" / n).read_bytes() == n.encode()
        assert kit("cat", "evil:v1", n).out_bytes == n.encode()


@pytest.mark.parametrize("second", [("m/f", b"two"), ("m/f/", None), ("m/f/x", b"two")])
def test_a_path_that_comes_twice(kit, second):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in (("m/f", b"one"), second):
            info = tarfile.TarInfo(name.rstrip("/"))
            if content is None:
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if content else None)
    store_tar(kit, out.getvalue())
    err = kit.fails("unpack", "evil:v1", "-d", "out")
    assert "already exists" in err and "m/f" in err
    assert (kit.cwd / "out/m/f").read_bytes() == b"one"
    assert below(kit.cwd / "out") == {"Kitfile", "m", "m/f"}


def test_names_that_would_move_a_cursor(kit):
    name = "m/\x1b[2Jevil\r\nrm"
    store_tar(kit, tar_of({name: b"1"}))
    listed = kit("ls", "evil:v1").out_bytes
    assert b"\x1b" not in listed and b"\r" not in listed and listed.count(b"\n") == 2


def test_layer_that_unpacks_to_very_much(kit):
    """A thousand times its own size: what the archive says is what is written, in small pieces."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as z:
        head = tarfile.TarInfo("m")
        head.size = 64 << 20
        z.write(head.tobuf())
        for _ in range(64):
            z.write(b"\0" * (1 << 20))
        z.write(b"\0" * 1024)
    store_tar(kit, out.getvalue(), "tar+gzip")
    kit.ok("unpack", "evil:v1", "-d", "out")
    assert (kit.cwd / "out/m").stat().st_size == 64 << 20


@pytest.mark.parametrize("cut", [100, 513, 700, 1500])
def test_archive_that_ends_early(kit, cut):
    store_tar(kit, tar_of({"m": b"y" * 900})[:cut])
    kit.fails("unpack", "evil:v1", "-d", "out")
    assert below(kit.cwd / "out") <= {"Kitfile"}


def test_kitfile_with_a_path_that_leaves(kit):
    for path in ("../x", "a/../../x", "/etc"):
        make_tree(kit.cwd / "m", {"Kitfile": f"manifestVersion: 1.0.0\ncode: [{{path: {path}}}]\n"})
        assert "errors while validating Kitfile" in kit.fails("pack", "m")
    (kit.cwd / "m/Kitfile").write_text("manifestVersion: 1.0.0\ncode: [{path: way}]\n")
    os.symlink("..", kit.cwd / "m/way")
    r = kit("pack", "m")
    assert r.code == 0 and "symbolic link" in r.err  # as kit: an empty layer, but said
    assert packed_digest(r.out)

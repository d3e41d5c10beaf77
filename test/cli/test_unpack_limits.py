"""Archives that ask for much: memory stays bounded, errors are clear, nothing is left behind."""
import gzip
import hashlib
import io
import json
import subprocess
import tarfile

import pytest

from harness import clean_env, make_model, program, sanitized

KIB = 64 * 1024
KINDS = {"tar": "", "gzip": "+gzip", "zstd": "+zstd"}


def put_blob(kit, data):
    name = hashlib.sha256(data).hexdigest()
    (kit.storage / "blobs/sha256" / name).write_bytes(data)
    return {"digest": "sha256:" + name, "size": len(data)}


def put_layer(kit, data, form):
    """Replaces the model layer of demo:v1 by data, in a store that is still whole."""
    blobs = kit.storage / "blobs/sha256"
    tags = next(kit.storage.glob("*-tags.json"))
    old = json.loads(tags.read_text())["v1"]
    manifest = json.loads((blobs / old["digest"][7:]).read_bytes())
    layer = next(x for x in manifest["layers"] if ".model." in x["mediaType"])
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_bytes())
    layer["mediaType"] = layer["mediaType"].split("+")[0] + KINDS[form]
    layer.update(put_blob(kit, data))
    config["model"].update(digest=layer["digest"], diffId=layer["digest"])
    manifest["config"].update(put_blob(kit, json.dumps(config).encode()))
    new = put_blob(kit, json.dumps(manifest).encode())
    for path in kit.storage.glob("*.json"):
        lists = path.read_text().replace(old["digest"], new["digest"])
        path.write_text(lists.replace(f'"size":{old["size"]}', f'"size":{new["size"]}'))


def header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def zstd_frame(window_descriptor, *blocks):
    """A frame by hand: blocks are bytes as they are, or (byte, count) to be repeated (RFC 8878)."""
    out = b"\x28\xb5\x2f\xfd\0" + bytes([window_descriptor])
    for i, block in enumerate(blocks):
        last = i + 1 == len(blocks)
        raw = isinstance(block, bytes)
        n = len(block) if raw else block[1]
        out += (n << 3 | (0 if raw else 1) << 1 | last).to_bytes(3, "little")
        out += block if raw else block[0]
    return out


def zeros(n):
    step = 128 * 1024
    return [(b"\0", step)] * (n // step) + ([(b"\0", n % step)] if n % step else [])


def run(kit, *argv):
    """(exit status, standard error, peak of memory in KiB)"""
    measure = (
        "import resource, subprocess, sys\n"
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
        "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    p = subprocess.run(
        ["python3", "-c", measure, program("kit"), *map(str, argv)], cwd=kit.cwd, timeout=120,
        env=clean_env(kit.home, **kit.env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    code, peak = map(int, p.stdout.split())
    return code, p.stderr, 0 if sanitized() else peak


@pytest.fixture
def small(kit):
    make_model(kit.cwd / "m")
    kit.ok("pack", "m", "-t", "demo:v1")
    return kit


COMMANDS = [["unpack", "demo:v1", "-d", "out"], ["ls", "demo:v1"], ["cat", "demo:v1", "model.safetensors"]]


def is_clean(kit):
    out = kit.cwd / "out"
    return not out.exists() or not [p for p in out.rglob("*") if p.is_file() and p.name != "Kitfile"]


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda a: a[0])
def test_a_window_within_the_limit(small, argv):
    n = 48 << 20  # more than the window, so that all of it is used
    data = zstd_frame(0x78, header("model.safetensors", n), *zeros(n + 1024))
    put_layer(small, data, "zstd")
    code, err, peak = run(small, *argv)
    assert code == 0, err
    assert peak < KIB


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda a: a[0])
@pytest.mark.parametrize("window", [0x79, 0x88, 0xFF])
def test_a_window_beyond_the_limit(small, argv, window):
    n = 1 << 20
    put_layer(small, zstd_frame(window, header("model.safetensors", n), *zeros(n + 1024)), "zstd")
    code, err, peak = run(small, *argv)
    assert code != 0
    assert "asks for a window of more than 32 MiB" in err
    assert peak < KIB
    assert is_clean(small)


@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_a_bomb_takes_no_memory(small, form):
    n = 96 << 20
    tar = header("model.safetensors", n)
    if form == "gzip":
        data = gzip.compress(tar + bytes(n + 1024), 1)
    else:
        data = zstd_frame(0x50, tar, *zeros(n + 1024))
    assert len(data) < n // 100
    put_layer(small, data, form)
    code, err, peak = run(small, "unpack", "demo:v1", "-d", "out")
    assert code == 0, err
    assert peak < KIB
    assert (small.cwd / "out/model.safetensors").stat().st_size == n


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda a: a[0])
@pytest.mark.parametrize("size", [1 << 33, (1 << 63) - 1])
def test_an_entry_that_is_not_all_there(small, argv, size):
    put_layer(small, header("model.safetensors", size) + bytes(4096), "tar")
    code, err, peak = run(small, *argv)
    assert code != 0
    assert "cannot read archive" in err.lower()
    assert peak < KIB
    assert is_clean(small)


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda a: a[0])
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_is_very_long(small, argv, kind):
    n = 200 << 20
    data = zstd_frame(0x50, header("x", n, kind), *zeros(n + 1024))
    put_layer(small, data, "zstd")
    code, err, peak = run(small, *argv)
    assert code != 0
    assert "cannot read archive" in err.lower()
    assert peak < KIB
    assert is_clean(small)


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda a: a[0])
def test_a_map_of_very_many_holes(small, argv):
    """GNU's sparse format 1.0 keeps its map in front of the content; libarchive keeps all of it."""
    holes = 4_000_000
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as t:
        info = tarfile.TarInfo("GNUSparseFile.0/model.safetensors")
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                            "GNU.sparse.name": "model.safetensors", "GNU.sparse.realsize": "4"}  # fmt: skip
        text = b"%d\n" % holes + b"0\n0\n" * holes
        text += bytes(-len(text) % 512)
        info.size = len(text)
        t.addfile(info, io.BytesIO(text))
    put_layer(small, gzip.compress(tar.getvalue(), 1), "gzip")
    code, err, peak = run(small, *argv)
    assert code != 0
    assert "headers of an entry" in err
    assert peak < KIB
    assert is_clean(small)

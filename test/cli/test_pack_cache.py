"""pack of files that did not change since they were packed."""

import os
import re

import pytest

from harness import make_tree, packed_digest
from rawhttp import wait_until

KITFILE = "manifestVersion: 1.0.0\ndocs: [{path: a.md}, {path: b}]\n"


def layers(out):
    return re.findall(r"docs layer: (sha256:\w+)", out)


@pytest.fixture
def known(kit):
    """A kit whose layers of m (a.md, b/) are in the cache; known.layers are their digests."""
    make_tree(kit.cwd / "m", {"Kitfile": KITFILE, "a.md": "one\n", "b/c.md": "two\n", "b/d.md": "three\n"})
    kit.cache = kit.kitops_home / "cache/layers"

    def packed():
        kit.layers = layers(kit.ok("pack", "m", "-t", "demo:v1"))
        return kit.cache.exists() and len(list(kit.cache.iterdir())) == 2

    wait_until(packed)  # files that changed within the last two seconds are not trusted
    return kit


def swap(kit):
    """Now each layer's memo names the other's blob: who trusts the memo can be told by that."""
    a, b = kit.cache.iterdir()
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)


def test_unchanged_files_are_not_read(known):
    assert layers(known.ok("pack", "m", "-t", "demo:v2")) == known.layers
    swap(known)
    assert layers(known.ok("pack", "m", "-t", "demo:v3")) == known.layers[::-1]
    assert layers(known.ok("pack", "m", "--no-cache", "-t", "demo:v4")) == known.layers


def rewrite_in_place(folder):
    path = folder / "b/c.md"
    before = path.stat()
    path.write_text("TWO\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_rename(folder):
    path = folder / "b/c.md"
    before = path.stat()
    (folder / "new").write_text("TWO\n")
    os.utime(folder / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    (folder / "new").rename(path)


CHANGES = {
    "content in place, mtime set back": rewrite_in_place,
    "another file of that size and mtime": replace_by_rename,
    "mode": lambda m: (m / "b/c.md").chmod(0o600),
    "mode of a directory": lambda m: (m / "b").chmod(0o700),
    "one file more": lambda m: (m / "b/e.md").write_text("four\n"),
    "one file less": lambda m: (m / "b/d.md").unlink(),
    "another name": lambda m: (m / "b/d.md").rename(m / "b/e.md"),
    "ignored": lambda m: (m / ".kitignore").write_text("b/d.md\n"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_files_are_read(known, change):
    CHANGES[change](known.cwd / "m")
    got = layers(known.ok("pack", "m", "-t", "demo:v2"))
    assert got[0] == known.layers[0]
    assert got[1] != known.layers[1]
    assert layers(known.ok("pack", "m", "--no-cache", "-t", "demo:v3")) == got


def test_compression_makes_another_layer(known):
    got = layers(known.ok("pack", "m", "--compression", "gzip", "-t", "demo:v2"))
    assert not set(got) & set(known.layers)


@pytest.mark.parametrize("text", [b"", b"1 sha256:torn", b"\0" * 300, b"x" * 5000])
def test_damaged_memo_is_made_anew(known, text):
    whole = {p: p.read_bytes() for p in known.cache.iterdir()}
    for p, old in whole.items():
        p.write_bytes(text)
    assert layers(known.ok("pack", "m", "-t", "demo:v2")) == known.layers
    assert {p: p.read_bytes() for p in known.cache.iterdir()} == whole
    altered = {p: re.sub(rb" \d+ (\d+) sha256", rb" 1 \1 sha256", old) for p, old in whole.items()}
    for p, old in altered.items():
        p.write_bytes(old)
    assert layers(known.ok("pack", "m", "-t", "demo:v2")) == known.layers
    assert {p: p.read_bytes() for p in known.cache.iterdir()} == whole


def test_blob_that_is_gone_is_packed_again(known):
    known.ok("remove", "demo:v1")
    blobs = known.storage / "blobs/sha256"
    assert not (blobs / known.layers[0][7:]).exists()
    assert layers(known.ok("pack", "m", "-t", "demo:v2")) == known.layers
    known.ok("unpack", "demo:v2", "-d", "out")
    assert (known.cwd / "out/b/c.md").read_text() == "two\n"
    known.ok("cache", "clear")
    assert layers(known.ok("pack", "m", "-t", "demo:v3")) == known.layers


def test_remarks_are_told_again(known):
    (known.cwd / "m/b/link").symlink_to("c.md")
    first = known("pack", "m", "-t", "demo:v2")
    again = known("pack", "m", "-t", "demo:v2")
    assert "link" in first.err and first.err == again.err


def test_raw_layers_and_tars_are_different_layers(kit):
    make_tree(kit.cwd / "m", {"Kitfile": "manifestVersion: 1.0.0\ndocs: [{path: a.md}]\n", "a.md": "one\n"})
    ways = [[], ["--layer-format", "raw"], ["--normalize-modes"], ["--compression", "zstd"]]
    (kit.cwd / "m/a.md").chmod(0o600)

    def packed():
        kit.layers = [layers(kit.ok("pack", "m", "-t", "demo:v1", *way))[0] for way in ways]
        return len(list((kit.kitops_home / "cache/layers").glob("*"))) == len(ways)

    wait_until(packed)
    assert len(set(kit.layers)) == len(ways)
    for way, digest in zip(ways, kit.layers, strict=True):
        assert digest in kit.ok("pack", "m", "--dry-run", *way)
        known = kit.ok("pack", "m", "-t", "demo:v2", *way)
        assert layers(known) == [digest]
        assert packed_digest(known) == packed_digest(kit.ok("pack", "m", "--no-cache", *way))

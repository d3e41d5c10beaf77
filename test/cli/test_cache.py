"""`cache info` and `cache clear`."""
import os

from harness import make_model, make_tree


def test_empty(kit):
    assert kit.ok("cache", "info") == "Cache is currently empty\n"
    assert kit.ok("cache", "clear") == ""
    assert not kit.kitops_home.exists()


def test_info_counts_directories_too(kit):
    cache = make_tree(kit.kitops_home / "cache", {"pack/x/f": b"\0" * 5000, "zfile": "ab"})
    dirs = sum(os.stat(cache / d).st_size for d in ("pack", "pack/x"))
    size = lambda n: f"{n} B" if n < 1024 else f"{n * 10 // 1024 / 10} KiB"
    assert kit.ok("cache", "info") == (
        f"Total size of cache directory: {size(dirs + 5002)}\n"
        "Cache contents:\n"
        f"  ./pack     {size(dirs + 5000)}\n"
        "  ./zfile    2 B\n"
    )


def test_clear(kit):
    make_model(kit.cwd)
    kit.ok("pack", ".", "-t", "demo:v1")
    make_tree(kit.kitops_home / "cache", {"import/left/over": "x", "f": "y"})
    assert kit.ok("cache", "clear") == ""
    assert list((kit.kitops_home / "cache").iterdir()) == []
    assert kit.ok("cache", "info") == "Cache is currently empty\n"
    kit.ok("unpack", "demo:v1", "-d", "out")
    kit.ok("pack", ".", "-t", "demo:v2")

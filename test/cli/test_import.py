"""import of a repository of Hugging Face, from a server of ours that speaks its documented API."""
import json

import pytest

from harness import pattern
from hf_site import COMMIT, REPO, TOKEN, Site, git_hash

pytestmark = pytest.mark.asan


@pytest.fixture
def site(kit):
    s = Site()
    s.files = {
        "README.md": b"# demo\n",
        ".gitattributes": b"*.bin filter=lfs\n",
        "config.json": b"{}",
        "model.safetensors": pattern(300_000),
        "sub/with space.txt": b"text",
    }
    s.large = {"model.safetensors"}
    kit.env["HF_ENDPOINT"] = s.url
    yield s
    s.stop()


def unpacked(kit, name):
    kit.ok("unpack", name, "-d", "out", "-o")
    return {str(p.relative_to(kit.cwd / "out")): p.read_bytes() for p in (kit.cwd / "out").rglob("*") if p.is_file()}


def test_import(kit, site):
    out = kit.ok("import", REPO, "--attestation-output", "where.json")
    assert "Using tag team/demo.model:latest. Use flag --tag to override\n" in out
    assert "Downloading file model.safetensors\n" in out
    assert out.endswith("Model is packed as team/demo.model:latest\n")
    files = unpacked(kit, "team/demo.model:latest")
    kitfile = files.pop("Kitfile").decode()
    assert "name: Demo.Model" in kitfile and "Team" in kitfile
    assert files == {k: v for k, v in site.files.items() if k != ".gitattributes"}
    left = kit.kitops_home / "cache/import"
    assert not list(left.rglob("*.safetensors"))
    where = json.loads((kit.cwd / "where.json").read_text())["buildDefinition"]
    assert where["resolvedDependencies"][0] == {"uri": f"{site.url}/{REPO}", "digest": {"gitCommit": COMMIT}}
    config = json.loads(kit.ok("inspect", "team/demo.model:latest"))["manifest"]["config"]["digest"]
    assert where["resolvedDependencies"][1]["digest"] == {"sha256": config[7:]}


def test_pages_and_choice(kit, site):
    site.page = 2
    for q in ("Q4_K_M", "Q8_0"):
        site.files[f"demo-{q}.gguf"] = q.encode()
    out = kit.ok("import", REPO, "-t", "a:1", "--quant", "q4_k_m", "--exclude", "*.safetensors", "--ref", "v1")
    assert "Q8_0" not in out
    assert sorted(unpacked(kit, "a:1")) == [
        "Kitfile", "README.md", "config.json", "demo-Q4_K_M.gguf", "sub/with space.txt",
    ]  # fmt: skip
    found = json.loads(kit.ok("import", f"https://huggingface.co/{REPO}", "-t", "a:2", "--include", "*.gguf",
                              "--include", "sub/*", "--format", "json"))  # fmt: skip
    assert (found["reference"], found["commit"], found["files"]) == ("a:2", COMMIT, 3)
    assert "no .gguf file with 'Q2'" in kit.fails("import", REPO, "--quant", "Q2")
    assert "no file of" in kit.fails("import", REPO, "--include", "nothing*").lower()


def test_a_kitfile_of_ones_own(kit, site):
    (kit.cwd / "K").write_text('manifestVersion: "1.0.0"\ndocs: [{path: README.md}]\n')
    kit.ok("import", REPO, "-t", "k:1", "-f", "K", "--tool", "hf")
    assert sorted(unpacked(kit, "k:1")) == ["Kitfile", "README.md"]


def test_a_download_that_breaks_goes_on(kit, site):
    site.cut = {"model.safetensors": 100_000}
    kit.ok("import", REPO, "-t", "b:1")
    assert [x[2] for x in site.got("model.safetensors") if x[0] == site.store.server_address[1]] == [
        None, "bytes=100000-",
    ]  # fmt: skip


def test_what_an_earlier_import_has_is_not_fetched_again(kit, site):
    site.lies = {"config.json": "2" * 40}
    err = kit.fails("import", REPO, "-t", "b:1", "--concurrency", "1")
    assert "'config.json' has hash" in err and "b" not in kit.ok("list").split()
    site.lies, site.seen = {}, []
    kit.ok("import", REPO, "-t", "b:1", "--exclude", "README.md")
    assert not site.got("README.md")
    assert "README.md" not in unpacked(kit, "b:1")


def test_wrong_bytes(kit, site):
    site.lies = {"model.safetensors": "3" * 64}
    err = kit.fails("import", REPO)
    assert "'model.safetensors' has hash" in err and "3" * 64 in err


def test_the_token_goes_to_the_site_alone(kit, site):
    site.private = True
    err = kit.fails("import", REPO)
    assert "got error code 401 from API: Invalid username or password." in err.replace("Got", "got")
    site.seen = []
    r = kit("import", REPO, "-t", "p:1", "-vv", env={"HF_TOKEN": TOKEN})
    assert r.code == 0 and TOKEN not in r.out + r.err
    for port, path, _, authorization in site.seen:
        assert authorization == (f"Bearer {TOKEN}" if port == site.main.server_address[1] else None), path
    kit.ok("import", REPO, "-t", "p:2", "--token", TOKEN)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../b", "a//b", ""])
def test_paths_that_leave(kit, site, path):
    site.rows = [{"type": "file", "oid": "0" * 40, "size": 1, "path": path}]
    assert "which is no path" in kit.fails("import", REPO)


def test_every_file_by_itself(kit, site):
    kit.ok("import", REPO, "-t", "d:1", "--depth", "-1")
    assert "path: sub/with space.txt" in kit.ok("info", "d:1")


def test_refused(kit, site):
    assert "--tool" in kit.fails("import", REPO, "--tool", "ftp")
    assert "reference 'v9' not found" in kit.fails("import", REPO, "--ref", "v9").replace("Reference", "reference")
    assert "404 from API: Repository not found" in kit.fails("import", "team/none")
    assert "expected OWNER/NAME on Hugging Face" in kit.fails("import", "https://example.com/a/b/c")
    site.rows = [{"type": "file", "oid": git_hash(b"{}"), "size": 2, "path": "config.json"}]
    assert "twice" in kit.fails("import", REPO)
    site.rows = [{"type": "file", "oid": "zz", "size": 2, "path": "x"}]
    assert "has no hash of 'x'" in kit.fails("import", REPO)
    site.rows = [3]
    assert "listing of" in kit.fails("import", REPO).lower()

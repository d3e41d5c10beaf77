"""OCI image layouts between our copy and the programs people have: each reads what the other writes."""
import json
import subprocess
import tarfile

import pytest

from harness import clean_env, need, sha256

pytestmark = pytest.mark.asan


@pytest.fixture
def run(tmp_path):
    home = tmp_path / "client"
    home.mkdir()

    def run(binary, *argv):
        p = subprocess.run([str(binary), *map(str, argv)], cwd=home, env=clean_env(home), timeout=120,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
        assert p.returncode == 0, f"{argv}: {p.returncode}\n{p.stdout}\n{p.stderr}"
        return p.stdout

    run.home = home
    return run


def same_kit(kit, place, name="back:v1"):
    """place holds what kit packed: its digest, and all of its files."""
    kit.ok("copy", place, name)
    assert json.loads(kit.ok("copy", place, f"dir:{name}", "--format", "json"))["digest"] == kit.digest
    assert kit.digest in kit.ok("inspect", name)


@pytest.fixture
def signed(packed, run, go_tools):
    """A directory with the kit and an attestation that oras made."""
    packed.ok("copy", "demo:v1", "dir:lay")
    lay = packed.cwd / "lay"
    (run.home / "sbom.json").write_text("{}")
    run(go_tools["oras"], "attach", "--oci-layout", f"{lay}:v1", "--artifact-type", "application/x.sbom",
        "sbom.json:text/json")  # fmt: skip
    return lay


def test_oras_reads_and_writes(packed, run, go_tools, signed):
    oras = go_tools["oras"]
    assert run(oras, "resolve", "--oci-layout", f"{signed}:v1").strip() == packed.digest
    assert run(oras, "repo", "tags", "--oci-layout", signed).split() == ["v1"]
    out = json.loads(packed.ok("copy", "--referrers", f"dir:{signed}:v1", "dir:ours", "--format", "json"))
    assert out["referrers"] == 1
    found = json.loads(run(oras, "discover", "--oci-layout", "--format", "json", f"{packed.cwd}/ours:v1"))
    assert [r["artifactType"] for r in found["referrers"]] == ["application/x.sbom"]
    packed.ok("copy", "--referrers", "dir:ours:v1", "archive:ours.tar")
    run(oras, "copy", "-r", "--from-oci-layout", f"{packed.cwd}/ours.tar:v1", "--to-oci-layout", f"{run.home}/theirs:v1")
    out = json.loads(packed.ok("copy", "--referrers", f"dir:{run.home}/theirs:v1", "dir:again", "--format", "json"))
    assert (out["digest"], out["referrers"]) == (packed.digest, 1)


def test_oras_archive(packed, run, go_tools):
    oras = go_tools["oras"]
    packed.ok("copy", "demo:v1", "dir:lay")
    run(oras, "copy", "--from-oci-layout", f"{packed.cwd}/lay:v1", "--to-oci-layout", f"{run.home}/theirs:v2")
    with tarfile.open(run.home / "theirs.tar", "w") as t:
        t.add(run.home / "theirs", arcname=".")
    same_kit(packed, f"archive:{run.home}/theirs.tar:v2")


def test_crane_reads_and_writes(packed, run, go_tools, registry):
    crane = go_tools["crane"]
    packed.ok("copy", "demo:v1", "dir:lay")
    run(crane, "push", "--insecure", f"{packed.cwd}/lay", f"{registry.host}/team/crane:v1")
    assert run(crane, "digest", "--insecure", f"{registry.host}/team/crane:v1").strip() == packed.digest
    run(crane, "pull", "--insecure", "--format", "oci", f"{registry.host}/team/crane:v1", "theirs")
    # crane names no tag in the layout
    same_kit(packed, f"dir:{run.home}/theirs@{packed.digest}")


def test_skopeo_reads_and_writes(packed, run):
    skopeo = need("skopeo")
    packed.ok("copy", "demo:v1", "dir:lay")
    packed.ok("copy", "demo:v1", "archive:demo.tar")
    for n, source in enumerate((f"oci:{packed.cwd}/lay:v1", f"oci-archive:{packed.cwd}/demo.tar:v1")):
        raw = subprocess.run([skopeo, "inspect", "--raw", source], cwd=run.home, env=clean_env(run.home),
                             stdout=subprocess.PIPE, timeout=60, check=True).stdout  # fmt: skip
        assert sha256(raw) == packed.digest
        run(skopeo, "copy", "--insecure-policy", "--preserve-digests", source, f"oci:{run.home}/dir{n}:v1")
        run(skopeo, "copy", "--insecure-policy", "--preserve-digests", source, f"oci-archive:{run.home}/file{n}.tar:v1")
        same_kit(packed, f"dir:{run.home}/dir{n}:v1", f"one{n}:v1")
        same_kit(packed, f"archive:{run.home}/file{n}.tar", f"two{n}:v1")

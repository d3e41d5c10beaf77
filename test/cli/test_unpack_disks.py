"""Unpack and pull on disks that are full, mounted into one another, or lose their process."""
import os
import shlex
import subprocess

import pytest

from harness import clean_env, make_model, pattern, program

CRASH = 86
BIG = pattern(3 << 20)


def mounted(kit, mounts, *argv, crash=None):
    """Runs the program where {path: megabytes} are file systems that nobody else sees; what stands
    in a path afterwards is printed behind a line "--"."""
    words = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    steps = [f"mkdir -p {path} && mount -t tmpfs -o size={size}m none {path}" for path, size in mounts.items()]
    steps.append(shlex.join([program("kit"), *map(str, argv)]))
    script = " && ".join(steps) + "; code=$?; echo --; find " + " ".join(mounts) + " -type f; exit $code"
    return subprocess.run(
        [*words, "sh", "-c", script], cwd=kit.cwd, timeout=120, text=True,
        env=clean_env(kit.home, **kit.env, **({"KITVAULT_CRASH_AT": crash} if crash else {})),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def big(kit):
    probe = subprocess.run(
        ["unshare", "-m" if os.geteuid() == 0 else "-Urm", "true"], stderr=subprocess.PIPE
    )
    if probe.returncode != 0:
        pytest.skip(f"no private mounts here: {probe.stderr.decode().strip()}")
    make_model(kit.cwd / "m", **{"model.safetensors": BIG, "src/holes": bytes(1 << 20)})
    kit.ok("pack", "m", "-t", "demo:v1")
    return kit


# --- something is mounted in the target ---


def test_a_mount_point_in_the_target(big):
    r = mounted(big, {"out/src": 8}, "unpack", "demo:v1", "-d", "out")
    assert r.returncode == 0, r.stderr
    assert sorted(r.stdout.split("--\n")[1].split()) == ["out/src/holes", "out/src/predict.py"]
    assert (big.cwd / "out/model.safetensors").read_bytes() == BIG


def test_mounts_in_one_another(big):
    r = mounted(big, {"out": 16, "out/src": 8}, "unpack", "demo:v1", "-d", "out")
    assert r.returncode == 0, r.stderr
    found = r.stdout.split("--\n")[1].split()
    assert len(set(found)) == 5 and not [p for p in found if ".kitvault" in p]


def test_a_full_mount_point(big):
    r = mounted(big, {"out/src": 1}, "unpack", "demo:v1", "-d", "out", "--overwrite")
    # The holes of the file of zeros take no room, so it fits.
    assert r.returncode == 0, r.stderr
    make_model(big.cwd / "m", **{"src/large": BIG})
    big.ok("pack", "m", "-t", "demo:v2")
    r = mounted(big, {"out/src": 1}, "unpack", "demo:v2", "-d", "out", "--overwrite")
    assert r.returncode == 1
    assert "No space left on device" in r.stderr
    assert ".kitvault" not in r.stdout
    assert "src/large" not in r.stdout


# --- the disk is full ---


def test_unpack_onto_a_full_disk(big):
    r = mounted(big, {"out": 2}, "unpack", "demo:v1", "-d", "out")
    assert r.returncode == 1
    assert "No space left on device" in r.stderr
    assert "model.safetensors" not in r.stdout.split("--\n")[1]
    assert ".kitvault" not in r.stdout
    assert big.ok("unpack", "demo:v1", "-d", "out")


def test_pull_onto_a_full_disk(big, make_hub, make_kit):
    ref = f"{make_hub('--no-auth').host}/team/demo:v1"
    big.ok("push", "--plain-http", "demo:v1", ref)
    other = make_kit()
    home = shlex.quote(str(other.kitops_home))
    pull = shlex.join([program("kit"), "pull", "--plain-http", ref])
    script = (
        f"mkdir -p {home} && mount -t tmpfs -o size=2m none {home} || exit 99\n"
        f"{pull} && exit 98\n"
        f"find {home}/storage/blobs -type f -exec sha256sum {{}} +\n"
        f"mount -o remount,size=16m {home} || exit 97\n"
        f"{pull} && {shlex.quote(program('kit'))} unpack {ref} -d out\n"
    )
    words = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    p = subprocess.run(
        [*words, "sh", "-c", script], cwd=other.cwd, env=clean_env(other.home, **other.env),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
    )  # fmt: skip
    assert p.returncode == 0, p.stdout + p.stderr
    assert "No space left on device" in p.stderr
    blobs = [line.split() for line in p.stdout.splitlines() if "/blobs/sha256/" in line]
    assert all(path.endswith(digest) for digest, path in blobs)  # nothing partial under a final name
    assert (other.cwd / "out/model.safetensors").read_bytes() == BIG


# --- killed ---


@pytest.mark.parametrize("step", ["unpack.after-stage", "unpack.after-layer"])
def test_unpack_killed(big, step):
    r = big("unpack", "demo:v1", "-d", "out", env={"KITVAULT_CRASH_AT": step})
    assert r.code == CRASH
    for path in (big.cwd / "out").rglob("*"):  # nothing partial under a final name
        if path.is_file() and ".kitvault-unpack-" not in str(path):
            name = path.relative_to(big.cwd / "out")
            assert name.name == "Kitfile" or path.read_bytes() == (big.cwd / "m" / name).read_bytes()
    big.ok("unpack", "demo:v1", "-d", "out", "--overwrite")
    assert (big.cwd / "out/model.safetensors").read_bytes() == BIG
    assert not list((big.cwd / "out").glob(".kitvault-unpack-*"))


def test_unpack_killed_while_it_writes(kit):
    """SIGKILL as soon as something is staged, wherever that catches it."""
    make_model(kit.cwd / "m", **{"model.safetensors": pattern(1 << 20) * 64})
    kit.ok("pack", "m", "-t", "demo:v1")
    p = kit.popen("unpack", "demo:v1", "-d", "out")
    while p.poll() is None and not list((kit.cwd / "out").glob(".kitvault-unpack-*/0")):
        pass
    p.kill()
    p.communicate(timeout=60)
    left = [f for f in (kit.cwd / "out").rglob("*") if f.is_file() and ".kitvault" not in str(f)]
    assert {f.name for f in left} <= {"Kitfile", "model.safetensors", "predict.py", "README.md"}
    for f in left:
        if f.name != "Kitfile":
            name = f.relative_to(kit.cwd / "out")
            assert f.stat().st_size == (kit.cwd / "m" / name).stat().st_size
    kit.ok("unpack", "demo:v1", "-d", "out", "--overwrite")
    assert not list((kit.cwd / "out").glob(".kitvault-unpack-*"))

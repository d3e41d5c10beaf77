"""Commands that look at, compare, unpack and remove ModelKits in a registry: against our hub and
the CNCF registry."""
import json
import re

import pytest

from harness import make_model

NET = "--plain-http"


@pytest.fixture(params=["hub", "registry"])
def peer(request):
    """Something that speaks OCI, open to anybody."""
    if request.param == "registry":
        return request.getfixturevalue("registry")
    return request.getfixturevalue("make_hub")("--no-auth")


@pytest.fixture
def pushed(kit, peer):
    """team/demo with v1, v2 and latest (the same as v2) at the peer, and nothing of it here."""
    kit.repo = f"{peer.host}/team/demo"
    kit.digests = {}
    for version, text in (("v1", "# one\n"), ("v2", "# two\n")):
        make_model(kit.cwd / version, **{"README.md": text})
        out = kit.ok("pack", version, "-t", f"{kit.repo}:{version}")
        kit.digests[version] = re.search(r"^Model saved: (\S+)$", out, re.M).group(1)
        kit.ok("push", NET, f"{kit.repo}:{version}")
    kit.ok("push", NET, f"{kit.repo}:v2", f"{kit.repo}:latest")
    kit.ok("remove", "--all", "--force")
    return kit


def rows(out):
    return [re.split(r" {3,}", line) for line in out.splitlines()[1:]]


def test_list_all_tags(pushed):
    d = pushed.digests
    out = pushed.ok("list", NET, pushed.repo)
    assert out.splitlines()[0].split() == ["REPOSITORY", "TAG", "MAINTAINER", "NAME", "SIZE", "DIGEST"]
    assert [(r[0], r[1], r[3], r[5]) for r in rows(out)] == [
        ("team/demo", "latest", "small", d["v2"]),
        ("team/demo", "v1", "small", d["v1"]),
        ("team/demo", "v2", "small", d["v2"]),
    ]
    assert rows(pushed.ok("list")) == []


def test_list_one_tag_or_digest(pushed):
    assert [r[1] for r in rows(pushed.ok("list", NET, f"{pushed.repo}:v1"))] == ["v1"]
    by_digest = rows(pushed.ok("list", NET, f"{pushed.repo}@{pushed.digests['v1']}"))
    assert [(r[1], r[5]) for r in by_digest] == [("<none>", pushed.digests["v1"])]
    items = json.loads(pushed.ok("list", NET, pushed.repo, "--format", "json"))
    assert [i["tags"] for i in items] == [["latest"], ["v1"], ["v2"]]
    assert rows(pushed.ok("list", NET, pushed.repo, "-f", "datasets")) == []


def test_list_errors(pushed, peer):
    err = pushed.fails("list", NET, f"{pushed.repo}:absent")
    assert err.startswith("[ERROR] Failed to resolve reference absent: ")
    err = pushed.fails("list", NET, f"{peer.host}/team/absent")
    assert err.startswith("[ERROR] Failed to list tags on remote registry: ")
    assert pushed.fails("list", "127.0.0.1:1/a/b").startswith("[ERROR] ")


def test_inspect_and_info(pushed):
    doc = json.loads(pushed.ok("inspect", NET, "--remote", f"{pushed.repo}:v1"))
    assert doc["digest"] == pushed.digests["v1"]
    assert doc["kitfile"]["package"]["name"] == "small"
    assert pushed.ok("info", NET, "-r", f"{pushed.repo}:v1", "-f", "package.name") == "small\n"
    assert pushed.fails("info", f"{pushed.repo}:v1") == (
        f"[ERROR] Could not find modelkit {pushed.repo}:v1\n"
    )
    assert pushed.fails("inspect", NET, "-r", f"{pushed.repo}:absent") == (
        f"[ERROR] Could not find modelkit {pushed.repo}:absent\n"
    )


def test_unpack_without_pulling(pushed):
    pushed.ok("unpack", NET, f"{pushed.repo}:v1", "-d", "out", "--filter", "docs")
    assert (pushed.cwd / "out/README.md").read_text() == "# one\n"
    assert not (pushed.cwd / "out/model.safetensors").exists()
    assert rows(pushed.ok("list")) == []
    assert pushed.fails("unpack", NET, f"{pushed.repo}:absent", "-d", "out2") == (
        f"[ERROR] Failed to find reference {pushed.repo}:absent: reference {pushed.repo}:absent is not "
        "present in local storage and could not be found in remote\n"
    )


def test_diff_with_a_registry(pushed):
    pushed.ok("pull", NET, f"{pushed.repo}:v1")
    assert pushed.ok("diff", NET, f"local://{pushed.repo}:v1", f"remote://{pushed.repo}:v1") == (
        "ModelKits are identical\n"
    )
    out = pushed.ok("diff", NET, f"{pushed.repo}:v1", f"{pushed.repo}:v2")
    assert f"Unique Layers to ModelKit2 ({pushed.repo}:v2)\n" in out
    err = pushed.fails("diff", NET, f"local://{pushed.repo}:v2", f"{pushed.repo}:v1")
    assert err.startswith("[ERROR] Failed to get manifest for ModelKit1: reference v2 not found")


def test_remove_by_digest(pushed):
    ref = f"{pushed.repo}@{pushed.digests['v1']}"
    assert pushed.ok("remove", NET, "--remote", ref) == f"Deleting remote ModelKit {ref}\n"
    assert [r[1] for r in rows(pushed.ok("list", NET, pushed.repo))] == ["latest", "v2"]
    assert pushed.fails("remove", NET, "--remote", ref) == f"[ERROR] Model {ref} not found\n"


def test_remove_by_force(pushed):
    ref = f"{pushed.repo}:latest"
    assert pushed.ok("remove", NET, "-r", "-f", ref) == f"Deleting remote ModelKit {ref}\n"
    assert [r[1] for r in rows(pushed.ok("list", NET, pushed.repo))] == ["v1"]


def test_remove_a_tag(pushed):
    ref = f"{pushed.repo}:latest"
    r = pushed("remove", NET, "-r", ref)
    assert r.out == f"Untagging remote ModelKit {ref}\n"
    left = [x[1] for x in rows(pushed.ok("list", NET, pushed.repo))]
    # Both take it; what does not says so.
    assert (r.code, left) == (0, ["v1", "v2"]), r.err
    assert pushed.fails("remove", NET, "-r", f"{pushed.repo}:absent") == (
        "[ERROR] Failed to remove: reference absent not found in remote registry\n"
    )


def test_remove_needs_a_registry(kit):
    assert "does not contain registry" in kit.fails("remove", "-r", "demo:v1")

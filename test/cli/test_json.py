"""--format json: one object per command, documented in docs/format/command-json.md."""
import json
import re

import pytest

from harness import ROOT, make_dev_server, make_model

NET = "--plain-http"


def documented():
    """{"cache info": its section's text, ...}"""
    text = (ROOT / "docs/format/command-json.md").read_text()
    sections = {}
    for part in text.split("\n## ")[1:]:
        names, body = part.split("\n", 1)
        for name in names.split(", "):
            sections[name] = body
    return sections


def run(kit, command, *more, code=0, **kw):
    """The object the command prints, and nothing else on standard output; its members are documented."""
    r = kit(*command.split(), *more, "--format", "json", **kw)
    assert r.code == code, r.out + r.err
    found = json.loads(r.out)
    assert r.out.count("\n") == (1 if command != "inspect" else len(r.out.splitlines()))
    for member in found:
        assert member == "error" or f"`{member}" in documented()[command], f"{command}: {member}"
    return found


@pytest.fixture
def hub(make_hub):
    return make_hub("--no-auth")


def test_a_life(kit, hub):
    ref = f"{hub.host}/team/demo:v1"
    make_model(kit.cwd / "m", Kitfile=None)
    assert "model" in run(kit, "init", "m", "-o", "-")["kitfile"]
    deep = run(kit, "init", "m", "--output", "-", "--depth", "-1")["kitfile"]
    assert [x["path"] for x in deep["code"]] == ["src/predict.py"]
    assert run(kit, "init", "m")["path"] == "m/Kitfile"
    packed = run(kit, "pack", "m", "-t", "demo:v1,v2")
    assert (packed["reference"], packed["extraTags"]) == ("demo:v1", ["v2"])
    assert [x["digest"] for x in packed["layers"]] == [
        x["digest"] for x in json.loads(kit.ok("inspect", "demo:v1"))["manifest"]["layers"]
    ]
    assert set(run(kit, "pack", "m")) == {"dryRun", "layers", "config", "manifest", "digest"}
    assert run(kit, "tag", "demo:v1", ref) == {"source": "demo:v1", "target": ref}
    assert run(kit, "push", NET, "demo:v1", ref) == {
        "source": "demo:v1", "destination": ref, "digest": packed["digest"],
    }  # fmt: skip
    assert run(kit, "pull", NET, ref) == {"reference": ref, "digest": packed["digest"]}
    assert run(kit, "info", "demo:v1")["kitfile"]["manifestVersion"] == "1.0.0"
    assert run(kit, "info", "demo:v1", "-f", "manifestVersion")["value"] == "1.0.0"
    assert run(kit, "inspect", "demo:v1") == json.loads(kit.ok("inspect", "demo:v1"))
    assert run(kit, "diff", "demo:v1", "demo:v2")["identical"]
    assert run(kit, "unpack", "demo:v1", "-d", "out") == {"reference": "demo:v1", "dir": "out"}
    for command in ("ls demo:v1", "du", "fsck", "gc", "version", "cache info", "cache clear"):
        words = command.split()
        run(kit, " ".join(words[:2]) if words[0] == "cache" else words[0], *([words[1]] if words[0] == "ls" else []))
    assert run(kit, "remove", "demo:v1,v2,v3")["removed"] == [
        {"reference": "demo:v1", "digest": packed["digest"], "tagOnly": True},
        {"reference": "demo:v2", "digest": packed["digest"], "tagOnly": False},
    ]
    assert run(kit, "remove", "--remote", NET, ref)["removed"] == [{"reference": ref, "tagOnly": True}]
    assert len(run(kit, "remove", "--all", "--force")["removed"]) == 2


def test_logins(kit, make_hub):
    hub = make_hub()
    name, password = hub.admin
    words = ("--username", name, "--password-stdin", NET)
    assert run(kit, "login", hub.host, *words, stdin=password) == {"registry": hub.host}
    assert run(kit, "logout", hub.host) == {"registry": hub.host}
    failed = run(kit, "login", hub.host, *words, stdin="wrong", code=1)
    assert failed["error"]["class"] == "denied"


def test_dev(kit):
    kit.env["KITVAULT_DEV_SERVER"] = make_dev_server(kit.home)
    make_model(kit.cwd)
    try:
        assert run(kit, "dev start", ".")["url"].startswith("http://127.0.0.1:")
    finally:
        stopped = run(kit, "dev stop")
    assert stopped == {"stopped": True}


@pytest.mark.parametrize(
    "words, kind",
    [
        (("pack", "nowhere"), "usage"),
        (("unpack", "demo:v9"), "not found"),
        (("pull", "demo:v1"), "usage"),
        (("push", "demo:v1"), "usage"),
        (("tag", "demo:v9", "demo:v8"), "not found"),
        (("remove", "demo:v9"), "not found"),
        (("remove",), "usage"),
        (("info", "demo:v9"), "not found"),
        (("inspect", "demo:v9"), "not found"),
        (("init", "nowhere"), "not found"),
        (("diff", "demo:v9", "demo:v8"), "not found"),
        (("dev", "stop"), "not found"),
    ],
)
def test_failures_have_a_class(packed, words, kind):
    r = packed(*words, "--format", "json")
    found = json.loads(r.out)
    assert found["error"]["class"] == kind
    assert r.code == 1
    assert r.err


def test_no_other_word(packed):
    r = packed("pack", "m", "--format", "xml")
    assert r.code == 1
    assert r.err.startswith('Error: invalid argument "xml" for "--format" flag: must be text or json\n')


def test_lines_go_to_standard_error(packed):
    r = packed("pack", "m", "--format", "json", "--log-level", "debug")
    json.loads(r.out)
    assert re.search(r"^\[DEBUG\] Using config directory", r.err, re.M)
    assert "Model saved: " in r.err


def test_text_is_the_default(packed):
    assert packed.ok("tag", "demo:v1", "demo:v2", "--format", "text").startswith("Modelkit ")

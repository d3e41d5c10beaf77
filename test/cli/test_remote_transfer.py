"""push and pull against two registries: what is moved, what is printed, what is kept."""
import base64
import hashlib
import json
import re
import shutil
import stat
import subprocess
import sys

import pytest

from harness import clean_env, make_model, packed_digest, pattern, program, sanitized, sha256
from oci import IMAGE, INDEX, Oci
from proxy import Proxy, answer, redirect

pytestmark = pytest.mark.asan

NET = "--plain-http"
MIB = 2**20


@pytest.fixture(params=["cncf", "hub"])
def peer(request):
    """A registry that asks nobody for a login: the CNCF one, and ours."""
    if request.param == "cncf":
        return request.getfixturevalue("registry")
    return request.getfixturevalue("make_hub")("--no-auth")


@pytest.fixture
def proxy(peer):
    p = Proxy(peer.port)
    yield p
    p.stop()


def manifest_of(kit, digest):
    return json.loads((kit.storage / "blobs/sha256" / digest[7:]).read_bytes())


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def blobs(kit):
    folder = kit.storage / "blobs/sha256"
    return {p.name: p.read_bytes() for p in folder.iterdir()} if folder.exists() else {}


def repo_file(kit, name, kind):
    return kit.storage / f"{base64.urlsafe_b64encode(name.encode()).decode()}-{kind}.json"


# --- there and back ---


def test_push_and_pull(packed, peer, make_kit):
    ref = f"{peer.host}/team/demo:v1"
    out = packed.ok("push", NET, "demo:v1", ref)
    assert out == f"Pushing localhost/demo:v1 to {ref}\nPushed {packed.digest}\n"
    other = make_kit()
    assert other.ok("pull", NET, ref) == f"Pulling {ref}\nPulled {packed.digest}\n"

    assert blobs(other) == blobs(packed)
    assert {stat.S_IMODE(p.stat().st_mode) for p in (other.storage / "blobs/sha256").iterdir()} == {0o600}
    tags = json.loads(repo_file(other, f"{peer.host}/team/demo", "tags").read_text())
    assert tags["v1"]["digest"] == packed.digest
    index = json.loads(repo_file(other, f"{peer.host}/team/demo", "index").read_text())
    assert [m["digest"] for m in index["manifests"]] == [packed.digest]
    assert not list((other.storage / "ingest").iterdir())

    other.ok("unpack", ref, "-d", "out")
    for path in (packed.cwd / "m").rglob("*"):
        if path.is_file() and path.name != "Kitfile":
            assert (other.cwd / "out" / path.relative_to(packed.cwd / "m")).read_bytes() == path.read_bytes()


def test_push_by_its_own_name(packed, peer):
    ref = f"{peer.host}/team/demo:v1"
    packed.ok("tag", "demo:v1", ref)
    assert packed.ok("push", NET, ref) == f"Pushing {ref}\nPushed {packed.digest}\n"


def test_by_digest(packed, peer, make_kit):
    ref = f"{peer.host}/team/demo@{packed.digest}"
    packed.ok("push", NET, f"demo@{packed.digest}", ref)
    other = make_kit()
    assert other.ok("pull", NET, ref) == f"Pulling {ref}\nPulled {packed.digest}\n"
    assert not repo_file(other, f"{peer.host}/team/demo", "tags").exists()
    wrong = f"{peer.host}/team/demo@sha256:{'0' * 64}"
    assert packed.fails("push", NET, "demo:v1", wrong).startswith("[ERROR] Failed to push: the kit has digest ")


def test_latest(packed, peer, make_kit):
    repo = f"{peer.host}/team/demo"
    packed.ok("tag", "demo:v1", f"{repo}:latest")
    assert packed.ok("push", NET, repo).splitlines() == [
        f"No tag specified for push. Using 'latest' as default ('{repo}:latest')",
        f"Pushing {repo}:latest",
        f"Pushed {packed.digest}",
    ]
    assert packed.ok("push", NET, "demo:v1", f"{repo}2").splitlines()[0] == (
        f"No tag specified for push target. Using 'latest' as default ('{repo}2:latest')"
    )
    assert make_kit().ok("pull", NET, repo).splitlines()[:2] == [
        f"No tag specified for pull. Using 'latest' as default ('{repo}:latest')",
        f"Pulling {repo}:latest",
    ]


def test_only_what_is_missing_travels(packed, proxy, make_kit):
    ref = f"{proxy.host}/team/demo"
    packed.ok("push", NET, "demo:v1", ref + ":v1")
    assert len(proxy.seen("^POST .*/blobs/uploads/")) == 4
    proxy.forget()
    packed.ok("push", NET, "demo:v1", ref + ":again")
    assert not proxy.seen("^(POST|PATCH)") and len(proxy.seen("^PUT")) == 1

    other = make_kit()
    other.ok("pull", NET, ref + ":v1")
    (packed.cwd / "m/README.md").write_text("# changed\n")
    second = packed_digest(packed.ok("pack", "m", "-t", "demo:v2"))
    proxy.forget()
    packed.ok("push", NET, "demo:v2", ref + ":v2")
    docs = [x for x in manifest_of(packed, second)["layers"] if ".docs." in x["mediaType"]]
    config = manifest_of(packed, second)["config"]
    up = proxy.seen("^PUT .*/uploads/")
    assert sorted(s.sent for s in up) == sorted(x["size"] for x in [*docs, config])
    proxy.forget()
    other.ok("pull", NET, ref + ":v2")
    assert len(proxy.seen("^GET .*/blobs/")) == 2
    proxy.forget()
    other.ok("pull", NET, ref + ":v2")
    assert [s.method for s in proxy.requests] == ["GET"]


def test_mount_from_another_repository(packed, proxy):
    packed.ok("tag", "demo:v1", f"{proxy.host}/team/base:v1")
    packed.ok("push", NET, f"{proxy.host}/team/base:v1")
    proxy.forget()
    packed.ok("push", NET, f"{proxy.host}/team/base:v1", f"{proxy.host}/team/copy:v1")
    assert [s.status for s in proxy.seen("^POST .*mount=.*from=team%2Fbase")] == [201] * 4
    assert not proxy.seen("^(PATCH|PUT .*/uploads/)")


def test_an_unpacked_stream(packed, peer, make_kit):
    ref = f"{peer.host}/team/demo:v1"
    packed.ok("push", NET, "demo:v1", ref)
    other = make_kit()
    other.ok("unpack", NET, ref, "-d", "out")
    assert (other.cwd / "out/src/predict.py").read_text() == "print(1)\n"
    assert not blobs(other)


def test_pull_into_a_directory(packed, peer, make_kit):
    ref = f"{peer.host}/team/demo:v1"
    digest = re.search(r"sha256:\w+", packed.ok("push", NET, "demo:v1", ref)).group()
    other = make_kit()
    out = json.loads(other.ok("pull", NET, ref, "--unpack", "out", "--format=json"))
    assert out["digest"] == digest and out["dir"] == "out" and out["reference"] == ref
    packed.ok("unpack", "demo:v1", "-d", "want")
    assert tree(other.cwd / "out") == tree(packed.cwd / "want")
    assert not blobs(other) and other.ok("list").count("\n") == 1
    assert "already exists" in other.fails("pull", NET, ref, "--unpack=out")
    assert other.fails("pull", NET, f"{peer.host}/team/none:v1", "--unpack=out") == (
        f"[ERROR] Failed to pull: {peer.host}/team/none:v1: not found\n"
    )


def test_pull_into_a_directory_asks_the_registry(packed, peer):
    """The local store has another kit under the name."""
    ref = f"{peer.host}/team/demo:v1"
    packed.ok("push", NET, "demo:v1", ref)
    make_model(packed.cwd / "n", **{"README.md": "# new\n"})
    packed.ok("pack", "n", "-t", ref)
    packed.ok("pull", NET, ref, "--unpack", "out")
    assert (packed.cwd / "out/README.md").read_text() == "# small\n"


@pytest.mark.parametrize("how", [[], ["--compression=gzip-fastest"], ["--layer-format=raw"], ["--use-model-pack"]],
                         ids=["tar", "gzip", "raw", "modelpack"])  # fmt: skip
def test_pack_straight_to_a_registry(kit, peer, make_kit, how):
    """Bytes of layers below, at and above the buffer; the kit is the one pack and push make."""
    entries = [f"s{n}.bin" for n in (0, 1, 8 * 2**20 - 1536, 8 * 2**20, 20 * 2**20 + 1)]
    data = pattern(2**20) * 21
    files = {name: data[: int(name[1:-4])] for name in entries}
    text = "manifestVersion: 1.0.0\ncode:\n" + "".join(f"  - path: {n}\n" for n in entries)
    make_model(kit.cwd / "m", Kitfile=text, **files)
    ref = f"{peer.host}/team/straight:v1"
    out = kit.ok("pack", "m", "-t", ref + ",v2", "--push", NET, *how)
    assert out.endswith(f"Pushed {ref}\n") and out.count("Pushed code layer: sha256:") == 5
    assert not blobs(kit) and kit.ok("list").count("\n") == 1
    again = kit.ok("pack", "m", "-t", ref, "--push", NET, *how)
    assert again.count("Already there: code layer sha256:") >= 2  # those that fit into the buffer
    other = make_kit()
    digest = packed_digest(other.ok("pack", kit.cwd / "m", "-t", "same:v1", *how))
    third = make_kit("third")
    for tag in ("v1", "v2"):
        got = third.ok("pull", NET, f"{peer.host}/team/straight:{tag}")
        if not how:
            assert f"Pulled {digest}" in got
    if not how:
        assert blobs(third) == blobs(other)


def test_pack_straight_in_small_memory(kit, peer):
    skip_under_sanitizer()
    layers = {f"part{i}.bin": pattern(1024, i) * 12000 for i in range(8)}
    entries = "".join(f"\n  - path: {name}" for name in layers)
    make_model(kit.cwd / "m", Kitfile=f"manifestVersion: 1.0.0\ncode:{entries}\n", **layers)
    ref = f"{peer.host}/team/straight:v1"
    assert peak_rss_kib(kit, "pack", kit.cwd / "m", "-t", ref, "--push", NET, "--compression=zstd") < 64 * 1024


@pytest.mark.parametrize(
    "args, words",
    [
        (["-t", "demo:v1"], "--push needs a --tag that begins with a registry"),
        ([], "--push needs a --tag that begins with a registry"),
        (["-t", "127.0.0.1:1/a/b:v1", "--dry-run"], "--push and --dry-run exclude each other"),
    ],
    ids=["local", "untagged", "dry run"],
)
def test_pack_straight_needs_a_registry(packed, args, words):
    assert words in packed.fails("pack", "m", "--push", *args)


def test_concurrency(packed, peer, make_kit):
    ref = f"{peer.host}/team/demo:v1"
    packed.ok("push", NET, "--concurrency", 1, "demo:v1", ref)
    other = make_kit()
    other.ok("pull", NET, "--concurrency=64", ref)
    assert blobs(other) == blobs(packed)


def test_many_at_once_stay_small(kit, registry, make_kit):
    skip_under_sanitizer()
    layers = {f"part{i}.bin": pattern(1024, i) * 4096 for i in range(24)}
    entries = "".join(f"\n  - path: {name}" for name in layers)
    make_model(kit.cwd / "m", Kitfile=f"manifestVersion: 1.0.0\ncode:{entries}\n", **layers)
    kit.ok("pack", "m", "-t", "demo:v1")
    ref = f"{registry.host}/team/demo:v1"
    assert peak_rss_kib(kit, "push", NET, "--concurrency=100", "demo:v1", ref) < 64 * 1024
    assert peak_rss_kib(make_kit(), "pull", NET, "--concurrency=100", ref) < 64 * 1024


@pytest.mark.parametrize("size", [0, 1, 8 * 2**20 - 1024, 8 * 2**20, 40 * 2**20 + 1])
def test_sizes(kit, peer, make_kit, size):
    make_model(kit.cwd / "m", **{"model.safetensors": pattern(1024) * (size // 1024) + b"x" * (size % 1024)})
    kit.ok("pack", "m", "-t", "demo:v1")
    ref = f"{peer.host}/team/demo:v1"
    kit.ok("push", NET, "demo:v1", ref)
    other = make_kit()
    other.ok("pull", NET, ref)
    assert blobs(other) == blobs(kit)


# --- what it costs ---


# In a process of its own: a child's peak begins at that of the process it was forked from.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def skip_under_sanitizer():
    if sanitized():
        pytest.skip("the sanitizer's own memory is what would be measured")


def peak_rss_kib(kit, *argv):
    p = subprocess.run(
        [sys.executable, "-c", MEASURE, program("kit"), *argv],
        env=clean_env(kit.home, **kit.env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    code, kib = map(int, p.stdout.split())
    assert code == 0, p.stderr
    return kib


def test_memory_stays_small(kit, registry, make_kit):
    skip_under_sanitizer()
    make_model(kit.cwd / "m")
    with open(kit.cwd / "m/model.safetensors", "wb") as f:
        f.truncate(512 * MIB)
    kit.ok("pack", "m", "-t", "demo:v1")
    ref = f"{registry.host}/team/demo:v1"
    assert peak_rss_kib(kit, "push", NET, "demo:v1", ref) < 64 * 1024
    assert peak_rss_kib(make_kit(), "pull", NET, ref) < 64 * 1024


@pytest.mark.slow
def test_memory_stays_small_for_9_gib(kit, make_kit):
    """Against a registry that keeps nothing and invents the layer: only the pull needs the disk."""
    skip_under_sanitizer()
    size, block, hashed = 9 * 1024 * MIB, bytes(MIB), hashlib.sha256()
    for _ in range(size // MIB):
        hashed.update(block)
    config = b'{"manifestVersion":"1.0.0","package":{},"model":{"path":"model.bin"}}'
    layer = {"mediaType": "application/vnd.kitops.modelkit.model.v1.tar", "size": size,
             "digest": "sha256:" + hashed.hexdigest()}  # fmt: skip
    manifest = kit_manifest(config, [layer])

    def invent(h):
        h.send(200, {"Content-Length": str(size)}, b"")
        for _ in range(size // MIB):
            h.wfile.write(block)
        return True

    p = Proxy(1)
    try:
        ref = f"{p.host}/team/big:v1"
        p.on("^GET .*/manifests/", answer(200, {"Content-Type": IMAGE}, manifest))
        p.on(f"^GET .*/{sha256(config)}", answer(200, {}, config))
        p.on("^GET .*/blobs/", invent)
        p.on("^HEAD", answer(404), times=2)
        p.on("^POST", answer(202, {"Location": "/v2/u"}), times=2)
        p.on("^PATCH", answer(202, {"Location": "/v2/u", "Range": f"0-{size - 1}"}))
        p.on("^PUT", answer(201), times=3)
        assert peak_rss_kib(kit, "pull", NET, ref) < 64 * 1024
        assert peak_rss_kib(kit, "push", NET, ref) < 64 * 1024
        assert [s.sent for s in p.seen("^PATCH")] == [size]
    finally:
        p.stop()
        shutil.rmtree(kit.storage)


# --- parents ---


def parent_and_child(kit, host):
    """HOST/team/par:v1, and HOST/team/chi:v1 which builds on it; both pushed."""
    make_model(kit.cwd / "par")
    par = packed_digest(kit.ok("pack", "par", "-t", f"{host}/team/par:v1"))
    (kit.cwd / "chi").mkdir()
    (kit.cwd / "chi/notes.md").write_text("fine tuned\n")
    (kit.cwd / "chi/Kitfile").write_text(
        f'manifestVersion: 1.0.0\nmodel: {{path: "{host}/team/par:v1"}}\ndocs: [{{path: notes.md}}]\n'
    )
    chi = packed_digest(kit.ok("pack", "chi", "-t", f"{host}/team/chi:v1"))
    kit.ok("push", NET, f"{host}/team/par:v1")
    kit.ok("push", NET, f"{host}/team/chi:v1")
    return par, chi


def test_parents_come_along(kit, peer, make_kit):
    par, chi = parent_and_child(kit, peer.host)
    other = make_kit()
    assert other.ok("pull", NET, f"{peer.host}/team/chi:v1").splitlines() == [
        f"Pulling {peer.host}/team/chi:v1",
        f"Pulling referenced image {peer.host}/team/par:v1",
        f"Pulled {chi}",
    ]
    # Each under its own name: kit leaves the child's tag on the parent here.
    for name, digest in (("par", par), ("chi", chi)):
        tags = json.loads(repo_file(other, f"{peer.host}/team/{name}", "tags").read_text())
        assert tags["v1"]["digest"] == digest and list(tags) == ["v1"]


def test_parent_that_is_gone(kit, peer, make_kit):
    par, _ = parent_and_child(kit, peer.host)
    Oci(peer.host, "team/par").request("DELETE", f"/v2/team/par/manifests/{par}")
    other = make_kit()
    err = other.fails("pull", NET, f"{peer.host}/team/chi:v1")
    assert err.startswith(
        f"[ERROR] Failed to pull referenced modelkits: failed to fetch {peer.host}/team/par:v1: "
        f"{peer.host}/team/par:v1: not found"
    )
    assert other.ok("list").count("\n") == 1  # nothing is listed that is not whole


def test_parents_in_a_circle(kit, peer, make_kit):
    for name, other in (("a", "b"), ("b", "a")):
        config = json.dumps(
            {"manifestVersion": "1.0.0", "package": {}, "model": {"path": f"{peer.host}/team/{other}:v1"}}
        ).encode()
        put_kit(Oci(peer.host, f"team/{name}"), config, "v1")
    err = kit.fails("pull", NET, f"{peer.host}/team/a:v1")
    a, b = (f"{peer.host}/team/{x}:v1" for x in "ab")
    assert err == (
        f"[ERROR] Failed to pull referenced modelkits: found cycle in modelkit references: [{a}=>{b}=>{a}]\n"
    )


def test_a_long_line_of_parents(kit, peer):
    def name(i):
        return f"{peer.host}/team/k{i}:v1"

    for i in range(11):
        model = {"path": name(i + 1)} if i < 10 else {"name": "the last"}
        config = json.dumps({"manifestVersion": "1.0.0", "package": {}, "model": model}).encode()
        put_kit(Oci(peer.host, f"team/k{i}"), config, "v1")
    chain = "=>".join(name(i) for i in range(11))
    assert kit.fails("pull", NET, name(0)) == (
        "[ERROR] Failed to pull referenced modelkits: "
        f"reached maximum number of model references: [{chain}]\n"
    )
    kit.ok("pull", NET, name(1))
    assert kit.ok("list").count("\n") == 1 + 10


def kit_manifest(config, layers=()):
    return json.dumps(
        {
            "schemaVersion": 2,
            "config": {
                "mediaType": "application/vnd.kitops.modelkit.config.v1+json",
                "digest": sha256(config),
                "size": len(config),
            },
            "layers": list(layers),
        }
    ).encode()


def put_kit(oci, config, tag):
    oci.push_blob(config)
    assert oci.put(tag, kit_manifest(config), IMAGE).status == 201


# --- what is refused ---


@pytest.mark.parametrize(
    "argv, message",
    [
        (["push", "demo:v1"], "Invalid arguments: registry is required when pushing"),
        (["push", "demo:v1", "copy:v1"], "Invalid arguments: registry is required when pushing"),
        (["push", "h.example/a:b,c"], "Invalid arguments: reference cannot include multiple tags"),
        (["push", "a:b", "h.example/a:b,c"], "Invalid arguments: target reference cannot include multiple tags"),
        (["pull", "demo:v1"], "Invalid arguments: registry is required when pulling"),
        (["pull", "h.example/demo:a,b"], "Invalid arguments: reference cannot include multiple tags"),
        (
            ["pull", "h.example/Demo:a"],
            "Invalid arguments: failed to parse reference: repository (Demo) name must be lowercase",
        ),
        (
            ["pull", "--concurrency", "0", "h.example/demo:a"],
            "Invalid arguments: invalid argument for concurrency (0): must be at least 1",
        ),
    ],
)
def test_bad_arguments(packed, argv, message):
    r = packed(*argv)
    assert (r.code, r.out, r.err) == (1, "", f"[ERROR] {message}\n")


def test_unknown_names(packed, peer):
    missing = f"{peer.host}/team/demo:nope"
    err = packed.fails("push", NET, missing)
    assert err == (
        '[ERROR] Failed to push: failed to copy to remote: failed to perform "Resolve" on source: '
        f"model {missing} not found.\n"
    )
    r = packed("pull", NET, missing)
    assert (r.code, r.out) == (1, f"Pulling {missing}\n")
    assert r.err == f"[ERROR] Failed to fetch {missing}: {missing}: not found\n"


def test_not_a_model(kit, peer):
    oci = Oci(peer.host, "team/image")
    config = b'{"architecture":"amd64","os":"linux"}'
    oci.push_blob(config)
    image = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": sha256(config),
                "size": len(config),
            },
            "layers": [],
        }
    ).encode()
    assert oci.put("v1", image, IMAGE).status == 201
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
    assert oci.put("all", index, INDEX).status == 201
    for tag, what in (("v1", "does not refer to a model"), ("all", "is not an image manifest")):
        ref = f"{peer.host}/team/image:{tag}"
        assert kit.fails("pull", NET, ref) == f"[ERROR] Reference {ref} {what}\n"
    assert not blobs(kit)


def test_no_server(packed):
    err = packed.fails("pull", NET, "127.0.0.1:1/team/demo:v1")
    assert "annot connect" in err and "127.0.0.1:1" in err
    err = packed.fails("push", NET, "demo:v1", "127.0.0.1:1/team/demo:v1")
    assert err.startswith("[ERROR] Failed to push: ") and "cannot connect" in err


def test_plain_http_has_to_be_asked_for(packed, registry):
    err = packed.fails("pull", f"{registry.host}/team/demo:v1")
    assert "the server does not speak HTTPS" in err


def test_blobs_by_redirect(packed, peer, proxy, make_kit):
    ref = f"{proxy.host}/team/demo:v1"
    packed.ok("push", NET, "demo:v1", ref)
    proxy.asks, proxy.login = "basic", ("ann", "s3cret")
    store = Proxy(peer.port)
    try:
        proxy.on("GET .*/blobs/", redirect(store.url), times=99)
        other = make_kit()
        other.ok("login", NET, proxy.host, "-u", "ann", "--password-stdin", stdin="s3cret")
        other.ok("pull", NET, ref)
        assert len(store.seen("GET .*/blobs/")) == 4
        assert all("Authorization" not in s.headers for s in store.requests)
        assert all("Authorization" in s.headers for s in proxy.seen("GET .*/blobs/") if s.status != 401)
    finally:
        store.stop()
    assert blobs(other) == blobs(packed)

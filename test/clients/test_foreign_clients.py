"""Clients that people already have, against our hub: push, pull, copy, list, delete."""
import base64
import gzip
import hashlib
import io
import json
import subprocess
import tarfile

import pytest

from harness import clean_env, need, pattern
from oci import IMAGE, Oci, digest

pytestmark = pytest.mark.asan


class Client:
    """A foreign program with a home where it is signed in to the hub. Returns its stdout."""

    def __init__(self, binary, home, hub, auth):
        self.binary = str(binary)
        self.home = home
        self.host = hub.host
        home.mkdir(exist_ok=True)
        config = {"auths": {}}
        if auth:
            word = base64.b64encode(":".join(auth).encode()).decode()
            config["auths"][hub.host] = {"auth": word}
        (home / ".docker").mkdir(exist_ok=True)
        (home / ".docker" / "config.json").write_text(json.dumps(config))
        self.env = clean_env(home, DOCKER_CONFIG=home / ".docker",
                             REGISTRY_AUTH_FILE=home / ".docker" / "config.json")  # fmt: skip

    def run(self, *argv, stdin=b""):
        return subprocess.run([self.binary, *map(str, argv)], cwd=self.home, env=self.env,
                              input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)  # fmt: skip

    def __call__(self, *argv, stdin=b""):
        p = self.run(*argv, stdin=stdin)
        assert p.returncode == 0, f"{argv}: {p.returncode}\n{p.stdout}\n{p.stderr.decode()}"
        return p.stdout.decode()

    def fails(self, *argv):
        p = self.run(*argv)
        assert p.returncode != 0, f"{argv}: {p.stdout}"
        return p.stderr.decode()


@pytest.fixture(params=["open", "signed in"])
def hub_and_auth(request, make_hub):
    if request.param == "open":
        return make_hub("--no-auth"), None
    hub = make_hub()
    return hub, hub.admin


@pytest.fixture
def client(hub_and_auth, tmp_path):
    return lambda binary: Client(binary, tmp_path / "home", *hub_and_auth)


@pytest.fixture
def raw(hub_and_auth):
    hub, auth = hub_and_auth
    return Oci(hub.host, "team/raw", *(auth or ()))


def write_layout(path, n_layers=3):
    """An OCI layout directory with one image; its manifest's digest."""
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def store(data):
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
        return {"digest": digest(data), "size": len(data)}

    layers, diff_ids = [], []
    for i in range(n_layers):
        content = pattern(200_000, seed=i)
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            info = tarfile.TarInfo(f"file{i}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        diff_ids.append(digest(out.getvalue()))
        packed = gzip.compress(out.getvalue(), mtime=0)
        layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **store(packed)})
    config = {"architecture": "amd64", "os": "linux", "config": {},
              "rootfs": {"type": "layers", "diff_ids": diff_ids}}  # fmt: skip
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                   **store(json.dumps(config).encode())},
        "layers": layers,
    }).encode()  # fmt: skip
    top = {"mediaType": IMAGE, **store(manifest),
           "annotations": {"org.opencontainers.image.ref.name": "v1"}}  # fmt: skip
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return digest(manifest)


def test_oras(client, go_tools, raw, tmp_path):
    oras = client(go_tools["oras"])
    ref = f"{oras.host}/team/oras"
    (oras.home / "weights.bin").write_bytes(pattern(300_000))
    (oras.home / "card.md").write_text("# card\n")
    http = ("--plain-http",)
    oras("push", *http, f"{ref}:v1", "weights.bin:application/x.weights", "card.md:text/markdown",
         "--artifact-type", "application/x.model")  # fmt: skip
    out = tmp_path / "out"
    oras("pull", *http, f"{ref}:v1", "-o", out)
    assert (out / "weights.bin").read_bytes() == pattern(300_000)
    assert (out / "card.md").read_text() == "# card\n"

    d = oras("resolve", *http, f"{ref}:v1").strip()
    oras("tag", *http, f"{ref}:v1", "v2", "latest")
    assert oras("repo", "tags", *http, ref).split() == ["latest", "v1", "v2"]
    assert "team/oras" in oras("repo", "ls", *http, oras.host).split()

    (oras.home / "sbom.json").write_text("{}")
    oras("attach", *http, f"{ref}:v1", "--artifact-type", "application/x.sbom", "sbom.json:text/json")
    found = json.loads(oras("discover", *http, "--format", "json", f"{ref}:v1"))
    assert [r["artifactType"] for r in found["referrers"]] == ["application/x.sbom"]

    oras("copy", "--from-plain-http", "--to-plain-http", "-r", f"{ref}:v1",
         f"{oras.host}/team/copied:v1")  # fmt: skip
    assert oras("resolve", *http, f"{oras.host}/team/copied:v1").strip() == d
    assert len(raw.at("team/copied").referrers(d).json()["manifests"]) == 1

    data = oras("blob", "push", *http, "--media-type", "text/plain", ref, "card.md", "--descriptor")
    blob = json.loads(data)["digest"]
    oras("manifest", "delete", *http, "-f", f"{ref}@{d}")
    assert "not found" in oras.fails("resolve", *http, f"{ref}:v2")
    oras("blob", "delete", *http, "-f", f"{ref}@{blob}")


def test_crane(client, go_tools, raw, tmp_path):
    crane = client(go_tools["crane"])
    ref = f"{crane.host}/team/crane"
    d = write_layout(tmp_path / "layout")
    crane("push", "--insecure", tmp_path / "layout", f"{ref}:v1")
    assert crane("digest", "--insecure", f"{ref}:v1").strip() == d
    assert digest(crane("manifest", "--insecure", f"{ref}:v1").encode()) == d
    crane("pull", "--insecure", "--format", "oci", f"{ref}:v1", tmp_path / "pulled")
    assert (tmp_path / "pulled" / "blobs" / "sha256" / d.split(":")[1]).exists()
    crane("validate", "--insecure", "--remote", f"{ref}:v1")
    crane("tag", "--insecure", f"{ref}:v1", "v2")
    crane("copy", "--insecure", f"{ref}:v1", f"{crane.host}/other/deep/name:v1")
    assert crane("ls", "--insecure", ref).split() == ["v1", "v2"]
    assert crane("catalog", "--insecure", crane.host).split() == ["other/deep/name", "team/crane"]
    crane("delete", "--insecure", f"{ref}:v2")
    assert crane("ls", "--insecure", ref).split() == ["v1"]
    crane("delete", "--insecure", f"{ref}@{d}")
    assert crane("ls", "--insecure", ref).split() == []
    assert raw.at("other/deep/name").get("v1").status == 200


def test_regctl(client, go_tools, raw, tmp_path):
    regctl = client(go_tools["regctl"])
    regctl("registry", "set", "--tls", "disabled", regctl.host)
    ref = f"{regctl.host}/team/regctl"
    d = write_layout(tmp_path / "layout")
    regctl("image", "copy", f"ocidir://{tmp_path}/layout:v1", f"{ref}:v1")
    assert regctl("manifest", "head", f"{ref}:v1").strip() == d
    regctl("image", "copy", f"{ref}:v1", f"{regctl.host}/team/second:v1")
    regctl("image", "copy", f"{ref}:v1", f"ocidir://{tmp_path}/back:v1")
    assert regctl("tag", "ls", ref).split() == ["v1"]
    assert regctl("repo", "ls", regctl.host).split() == ["team/regctl", "team/second"]

    regctl("artifact", "put", "--artifact-type", "application/x.note", "--subject", f"{ref}:v1",
           stdin=b"signed by nobody")  # fmt: skip
    listed = json.loads(regctl("artifact", "list", "--format", "body", f"{ref}:v1"))
    assert [m["artifactType"] for m in listed["manifests"]] == ["application/x.note"]
    assert regctl("artifact", "get", "--subject", f"{ref}:v1") == "signed by nobody"

    blob = regctl("blob", "put", ref, stdin=b"some bytes").strip()
    assert regctl("blob", "get", ref, blob) == "some bytes"
    regctl("blob", "delete", ref, blob)
    regctl("tag", "rm", f"{ref}:v1")
    assert regctl("tag", "ls", ref).split() == []
    regctl("manifest", "rm", f"{ref}@{d}")
    assert raw.at("team/regctl").get(d).status == 404


def test_skopeo(client, raw, tmp_path):
    skopeo = client(need("skopeo"))
    ref = f"docker://{skopeo.host}/team/skopeo"
    d = write_layout(tmp_path / "layout")
    plain_to, plain_from = "--dest-tls-verify=false", "--src-tls-verify=false"
    skopeo("copy", "--insecure-policy", plain_to, f"oci:{tmp_path}/layout:v1", f"{ref}:v1")
    info = json.loads(skopeo("inspect", "--tls-verify=false", f"{ref}:v1"))
    assert info["Digest"] == d and info["RepoTags"] == ["v1"]
    skopeo("copy", "--insecure-policy", plain_from, plain_to, f"{ref}:v1",
           f"docker://{skopeo.host}/team/second:v1")  # fmt: skip
    skopeo("copy", "--insecure-policy", plain_from, f"{ref}:v1", f"oci:{tmp_path}/back:v1")
    assert (tmp_path / "back" / "blobs" / "sha256" / d.split(":")[1]).exists()
    skopeo("copy", "--insecure-policy", plain_from, plain_to, "--format", "v2s2", f"{ref}:v1",
           f"{ref}:docker")  # fmt: skip
    listed = json.loads(skopeo("list-tags", "--tls-verify=false", ref))
    assert listed["Tags"] == ["docker", "v1"]
    assert raw.at("team/skopeo").get("docker")["Content-Type"].startswith("application/vnd.docker")
    skopeo("delete", "--tls-verify=false", f"{ref}:v1")
    assert raw.at("team/skopeo").get(d).status == 404
    assert raw.at("team/second").get("v1").status == 200

"""copy to and from s3:// against a real S3 server (versitygw over a folder)."""
import datetime
import hashlib
import hmac
import json
import urllib.parse

import pytest

from harness import Server, http, make_model, packed_digest, pattern, sha256
from proxy import Proxy, answer, cut_answer, cut_request, lose_answer

pytestmark = pytest.mark.asan

MIB = 2**20
CRASH = 86
ACCESS, SECRET = "test-access-key", "test/secret+key"
REF_NAME = "org.opencontainers.image.ref.name"


class S3(Server):
    """versitygw; its objects are plain files in base/data."""

    def __init__(self, base, binary):
        super().__init__(base)
        self.binary = binary
        self.data = self.base / "data"
        self.data.mkdir()
        (self.base / "meta").mkdir()

    def command(self, port):
        return [str(self.binary), "--access", ACCESS, "--secret", SECRET, "--port", f"127.0.0.1:{port}",
                "--region", "us-east-1", "posix", "--sidecar", str(self.base / "meta"), str(self.data)]  # fmt: skip

    def request(self, method, path, query="", body=b""):
        """One request signed by itself, so that the program's own signer is not what checks it."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(body).hexdigest()
        canonical = (f"{method}\n{urllib.parse.quote(path)}\n{query}\nhost:{self.host}\nx-amz-content-sha256:{digest}\n"
                     f"x-amz-date:{now}\n\nhost;x-amz-content-sha256;x-amz-date\n{digest}")  # fmt: skip
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = b"AWS4" + SECRET.encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return http(method, f"{self.url}{path}?{query}", body or None, {
            "x-amz-date": now, "x-amz-content-sha256": digest,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS}/{scope}, "
                             f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}",
        })  # fmt: skip


@pytest.fixture
def s3(tmp_path, go_tools):
    server = S3(tmp_path / "s3", go_tools["versitygw"]).start()
    assert server.request("PUT", "/models").status == 200
    yield server
    server.stop()


@pytest.fixture
def kit3(packed, s3):
    packed.env.update(AWS_ACCESS_KEY_ID=ACCESS, AWS_SECRET_ACCESS_KEY=SECRET, AWS_ENDPOINT_URL=s3.url)
    return packed


@pytest.fixture
def wire(s3):
    """What passes between the program and the store."""
    p = Proxy(s3.port)
    p.hides_login = False
    yield p
    p.stop()


def large(kit):
    """A kit with a layer of three parts; the manifest's digest."""
    make_model(kit.cwd / "big", **{"model.safetensors": pattern(20 * MIB)})
    return packed_digest(kit.ok("pack", "big", "-t", "big:v1"))


def check_bucket(folder):
    """Every blob is what its name says; the entries of index.json by tag."""
    for path in (folder / "blobs/sha256").iterdir():
        assert sha256(path.read_bytes())[7:] == path.name
    index = json.loads((folder / "index.json").read_text())
    return {m.get("annotations", {}).get(REF_NAME): m["digest"] for m in index["manifests"]}


def test_there_and_back(kit3, s3, make_kit):
    digest = large(kit3)
    kit3.ok("copy", "demo:v1", "s3://models/team/a")
    kit3.ok("copy", "big:v1", "s3://models/team/a:big")
    again = json.loads(kit3.ok("copy", "big:v1", "s3://models/team/a:big", "--format", "json"))
    assert again["moved"]["blobs"] == 0
    assert check_bucket(s3.data / "models/team/a") == {"v1": kit3.digest, "big": digest}
    assert json.loads((s3.data / "models/team/a/oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert not list((s3.data / "models/team/a").glob("uploads/*"))
    other = make_kit()
    other.env.update(kit3.env, KITOPS_HOME=other.kitops_home)
    other.ok("copy", "s3://models/team/a:big", "back:v1")
    assert other.ok("inspect", "back:v1") == kit3.ok("inspect", "big:v1")
    kit3.ok("copy", "s3://models/team/a:v1", "archive:out.tar")
    kit3.ok("copy", "archive:out.tar", "s3://models")
    assert check_bucket(s3.data / "models") == {"v1": kit3.digest}
    kit3.ok("copy", f"s3://models@{kit3.digest}", "dir:lay")


def test_a_killed_upload_goes_on(kit3, s3, wire):
    digest = large(kit3)
    kit3.env["AWS_ENDPOINT_URL"] = wire.url
    r = kit3("copy", "big:v1", "s3://models/k", env={"KITVAULT_CRASH_AT": "s3.after-part"})
    assert r.code == CRASH, r.err
    assert not (s3.data / "models/k/index.json").exists()
    kit3.ok("copy", "big:v1", "s3://models/k")
    numbers = [int(x.path.split("partNumber=")[1].split("&")[0]) for x in wire.seen("PUT .*partNumber=")]
    assert numbers == [1, 2, 3]
    assert check_bucket(s3.data / "models/k") == {"v1": digest}
    assert not list((s3.data / "models/k").glob("uploads/*"))


def test_a_part_that_breaks_is_sent_again(kit3, s3, wire):
    digest = large(kit3)
    wire.on("PUT .*partNumber=2", answer(503), times=1)
    wire.on("PUT .*partNumber=3", cut_request(MIB), times=1)
    wire.on("POST .*uploadId=", lose_answer, times=1)
    kit3.ok("copy", "big:v1", "s3://models/k", env={"AWS_ENDPOINT_URL": wire.url})
    assert check_bucket(s3.data / "models/k") == {"v1": digest}


def test_an_answer_that_breaks_is_asked_for_again(kit3, s3, wire):
    digest = large(kit3)
    kit3.ok("copy", "big:v1", "s3://models/k")
    m = json.loads((kit3.storage / "blobs/sha256" / digest[7:]).read_bytes())
    layer = max(m["layers"], key=lambda x: x["size"])["digest"][7:]
    wire.on(f"GET .*{layer}", cut_answer(3 * MIB), times=2)
    kit3.ok("copy", "s3://models/k", "dir:lay", env={"AWS_ENDPOINT_URL": wire.url})
    ranges = [x.headers.get("Range") for x in wire.seen(f"GET .*{layer}")]
    assert ranges[0] is None and len(ranges) == 3 and all(r.startswith("bytes=") for r in ranges[1:])


def test_wrong_bytes_are_not_stored(kit3, s3):
    large(kit3)
    kit3.ok("copy", "big:v1", "dir:lay")
    blob = max((kit3.cwd / "lay/blobs/sha256").iterdir(), key=lambda x: x.stat().st_size)
    data = bytearray(blob.read_bytes())
    data[10 * MIB] ^= 1
    blob.write_bytes(data)
    r = kit3("copy", "dir:lay:v1", "s3://models/k")
    assert r.code == 5 and blob.name in r.err, r.err
    assert not (s3.data / "models/k/blobs/sha256" / blob.name).exists()
    assert not (s3.data / "models/k/index.json").exists()


def test_an_index_that_somebody_else_changes(kit3, s3, wire):
    kit3.ok("copy", "demo:v1", "s3://models/t")

    def be_faster(handler):
        kit3.ok("copy", "demo:v1", "s3://models/t:v2")

    wire.on("PUT .*index.json", be_faster, times=1)
    kit3.ok("copy", "demo:v1", "s3://models/t:v3", env={"AWS_ENDPOINT_URL": wire.url})
    assert [x.status for x in wire.seen("PUT .*index.json")] == [412, 200]
    assert check_bucket(s3.data / "models/t") == dict.fromkeys(("v1", "v2", "v3"), kit3.digest)


def test_keys_from_files(kit3, s3):
    env = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_ENDPOINT_URL": ""}
    assert "no keys for S3" in kit3("copy", "demo:v1", "s3://models/f", env=env).err.replace("No", "no")
    aws = kit3.home / ".aws"
    aws.mkdir()
    (aws / "credentials").write_text(
        f"[default]\naws_access_key_id = {ACCESS}\naws_secret_access_key = wrong\n"
        f"[work]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n"
    )
    (aws / "config").write_text(
        f"[default]\nendpoint_url = {s3.url}/\n[profile work]\nendpoint_url = {s3.url}\nregion = us-east-1\n"
    )
    r = kit3("copy", "demo:v1", "s3://models/f", env=env)
    assert r.code == 4 and "SignatureDoesNotMatch" in r.err and SECRET not in r.err, r.err
    kit3.ok("copy", "demo:v1", "s3://models/f", env={**env, "AWS_PROFILE": "work"})
    assert check_bucket(s3.data / "models/f") == {"v1": kit3.digest}
    (aws / "credentials").write_text("[default\n")
    r = kit3("copy", "demo:v1", "s3://models/f", env=env)
    assert r.code == 5 and "credentials': line 1: a section without its ']'" in r.err, r.err


@pytest.mark.parametrize(
    "place, code, text",
    [
        ("s3://", 2, "has no path"),
        ("s3://Models/x", 5, "'Models' is no name of a bucket"),
        ("s3://models/a/../b", 2, "has a prefix that is none"),
        ("s3://nobody-has-it/x", 3, "NoSuchBucket"),
        ("s3://models/none:v1", 3, "is no OCI image layout"),
    ],
)
def test_refused(kit3, place, code, text):
    source = ["demo:v1", place] if "none:v1" not in place else [place, "x:v1"]
    r = kit3("copy", *source)
    assert r.code == code and text.lower() in r.err.lower(), (r.code, r.err)


def test_no_plain_http_to_others(kit3):
    r = kit3("copy", "demo:v1", "s3://models/x", env={"AWS_ENDPOINT_URL": "http://s3.example.com"})
    assert r.code == 4 and "plain HTTP" in r.err, r.err

"""Manifests: PUT, GET, DELETE, tag parameters, conditions. oci-registry.md 3.2 and 5."""

import json

import pytest

from oci import DOCKER, EMPTY, IMAGE, INDEX, Oci, describe, digest, index

pytestmark = pytest.mark.asan


@pytest.fixture
def oci(open_hub, name):
    return Oci(open_hub.host, name)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_push_by_digest_and_get(oci, algorithm):
    data = oci.image()
    d = digest(data, algorithm)
    r = oci.put(d, data)
    assert r.status == 201, r
    assert (r["Location"], r["Docker-Content-Digest"]) == (oci.url("manifests/" + d), d)
    assert r["Content-Length"] == "0" and r["OCI-Subject"] is None
    for method in ("GET", "HEAD"):
        r = oci.get(d, method=method)
        assert r.status == 200
        assert r.body == (data if method == "GET" else b"")
        assert r["Content-Type"] == IMAGE
        assert r["Content-Length"] == str(len(data))
        assert (r["Docker-Content-Digest"], r["ETag"]) == (d, f'"{d}"')


def test_tag(oci):
    data = oci.image()
    d = digest(data)
    r = oci.put("v1", data)
    assert (r.status, r["Location"], r["Docker-Content-Digest"]) == (201, oci.url("manifests/" + d), d)
    for ref in ("v1", d):
        assert oci.get(ref).body == data
    r = oci.get("v1", method="HEAD")
    assert (r["Docker-Content-Digest"], r["Cache-Control"]) == (d, "no-cache")
    assert oci.put("v1", data).status == 201  # again


def test_tag_moves(oci):
    first, second = oci.push("latest"), oci.push("latest")
    assert first != second
    assert oci.get("latest")["Docker-Content-Digest"] == second
    assert oci.get(first).status == 200
    assert oci.tags().json()["tags"] == ["latest"]


@pytest.mark.parametrize(
    "accept",
    [
        [],
        [("Accept", "*/*")],
        [("Accept", f"{INDEX}, {IMAGE}")],
        [("Accept", INDEX), ("Accept", IMAGE)],
        [("Accept", "application/vnd.docker.distribution.manifest.v2+json")],
    ],
)
def test_accept_never_hides_a_manifest(oci, accept):
    d = oci.push("v1")
    r = oci.get("v1", accept)
    assert (r.status, r["Docker-Content-Digest"], r["Content-Type"]) == (200, d, IMAGE)


def test_not_modified(oci):
    d = oci.push("v1")
    for ref in ("v1", d):
        r = oci.get(ref, {"If-None-Match": f'"{d}"'})
        assert (r.status, r.body) == (304, b"")
    assert oci.get("v1", {"If-None-Match": '"sha256:%s"' % ("0" * 64)}).status == 200


def test_type_is_the_field_when_there_is_no_header(oci):
    data = oci.image()
    assert oci.put("v1", data, media_type=None).status == 201
    assert oci.get("v1")["Content-Type"] == IMAGE


def test_type_is_the_shape_when_nothing_says_it(oci):
    data = oci.image(mediaType=None)
    assert oci.put("v1", data, media_type=None).status == 201
    assert oci.get("v1")["Content-Type"] == IMAGE
    assert oci.put("v2", index([], mediaType=None), media_type=None).status == 201
    assert oci.get("v2")["Content-Type"] == INDEX


def test_type_parameters_are_dropped(oci):
    assert oci.put("v1", oci.image(), media_type=IMAGE + "; charset=utf-8").status == 201
    assert oci.get("v1")["Content-Type"] == IMAGE


def test_docker_manifest(oci):
    data = oci.image(mediaType=DOCKER)
    assert oci.put("v1", data, media_type=DOCKER).status == 201
    assert oci.get("v1")["Content-Type"] == DOCKER


def bad(name, **kw):
    return pytest.param(kw, id=name)


@pytest.mark.parametrize(
    "case",
    [
        bad("not json", data=b"{", code="MANIFEST_INVALID"),
        bad("empty", data=b"", code="MANIFEST_INVALID"),
        bad("a list", data=b"[]", code="MANIFEST_INVALID"),
        bad("garbage", data=b"\0\1\2", code="MANIFEST_INVALID"),
        bad("schema 1", fields={"schemaVersion": 1}, code="MANIFEST_INVALID"),
        bad("no schema", fields={"schemaVersion": None}, code="MANIFEST_INVALID"),
        bad("type disagrees", media_type=INDEX, code="MANIFEST_INVALID"),
        bad("both shapes", fields={"manifests": []}, code="MANIFEST_INVALID"),
        bad("unknown type", media_type="application/vnd.docker.distribution.manifest.v1+prettyjws",
            fields={"mediaType": None}, code="MANIFEST_INVALID"),
        bad("descriptor without digest", fields={"layers": [{"mediaType": "x", "size": 1}]},
            code="MANIFEST_INVALID"),
        bad("negative size", fields={"layers": [{"mediaType": "x", "size": -1, "digest": digest(b"")}]},
            code="MANIFEST_INVALID"),
        bad("bad digest in it", fields={"layers": [{"mediaType": "x", "size": 1, "digest": "sha256:x"}]},
            code="MANIFEST_INVALID"),
        bad("key twice", data=b'{"schemaVersion":2,"schemaVersion":2}', code="MANIFEST_INVALID"),
        bad("too deep", data=b'{"a":' * 200 + b"1" + b"}" * 200, code="MANIFEST_INVALID"),
    ],
)  # fmt: skip
def test_bad_manifest(oci, case):
    data = case.get("data")
    if data is None:
        data = oci.image(**case["fields"]) if "fields" in case else oci.image()
    r = oci.put("v1", data, case.get("media_type", IMAGE))
    assert r.status in (400, 415), r
    assert r.codes() == [case["code"]]
    assert r.json()["errors"][0]["message"]
    assert oci.get("v1").status == 404


def test_docker_schema_1_is_refused_in_plain_words(oci):
    signed = {"schemaVersion": 1, "name": "a/b", "tag": "v1", "architecture": "amd64",
              "fsLayers": [{"blobSum": digest(b"x")}], "history": [], "signatures": []}  # fmt: skip
    for kind in ("v1+json", "v1+prettyjws"):
        r = oci.put("v1", json.dumps(signed).encode(), f"application/vnd.docker.distribution.manifest.{kind}")
        assert (r.status, r.codes()) == (400, ["MANIFEST_INVALID"])
        assert "schema version 1 are not supported" in r.json()["errors"][0]["message"]


def test_too_large(oci):
    data = oci.image(annotations={str(i): "x" * 10000 for i in range(1700)})
    r = oci.put("v1", data)
    assert r.status == 413, r
    assert r.codes() == ["SIZE_INVALID"]


def test_four_mebibytes_fit(oci):
    data = oci.image(annotations={str(i): "x" * 10000 for i in range(420)})
    assert len(data) > 4 * 1024 * 1024
    assert oci.put("v1", data).status == 201
    assert oci.get("v1").body == data


@pytest.mark.parametrize(
    "ref, code",
    [
        ("sha256:baddigeststring", "DIGEST_INVALID"),
        ("sha256:" + "0" * 64, "DIGEST_INVALID"),
        ("sha512:" + "0" * 128, "DIGEST_INVALID"),
        ("md5:d41d8cd98f00b204e9800998ecf8427e", "DIGEST_INVALID"),
        ("-dash", "MANIFEST_INVALID"),
        ("." * 3, "MANIFEST_INVALID"),
        ("a" * 129, "MANIFEST_INVALID"),
        ("ta%20g", "MANIFEST_INVALID"),
    ],
)
def test_bad_reference_on_put(oci, ref, code):
    r = oci.put(ref, oci.image())
    assert (r.status, r.codes()) == (400, [code])


def test_whitespace_changes_the_digest(oci):
    data = oci.image()
    assert oci.put(digest(data), data + b"\n").status == 400


def test_unknown(oci):
    assert oci.get("v1").status == 404  # no such repository
    oci.push("there")
    for ref in ("v1", "sha256:" + "1" * 64):
        for method in ("GET", "HEAD", "DELETE"):
            r = oci.request(method, oci.url("manifests/" + ref))
            assert r.status == 404
            if method != "HEAD":
                assert r.codes() == ["MANIFEST_UNKNOWN"]
    assert oci.get("sha256:baddigeststring").status == 400


def test_missing_blobs_are_all_named(oci):
    gone = [digest(b"gone 1"), digest(b"gone 2")]
    data = oci.image(layers=[{"mediaType": "x/y", "digest": d, "size": 6} for d in gone])
    r = oci.put("v1", data)
    assert r.status == 400
    assert r.codes() == ["MANIFEST_BLOB_UNKNOWN"] * 2
    assert [e["detail"] for e in r.json()["errors"]] == gone


def test_blob_of_another_repository_is_missing_here(oci, name):
    data = oci.at(name + "/other").image()
    assert oci.put("v1", data).codes() == ["MANIFEST_BLOB_UNKNOWN"] * 2


def test_size_must_fit_the_blob(oci):
    d = oci.push_blob(b"five5")
    r = oci.put("v1", oci.image(layers=[{"mediaType": "x/y", "digest": d, "size": 6}]))
    assert r.status == 400
    assert r.codes() in (["MANIFEST_INVALID"], ["SIZE_INVALID"])


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"layers": []}, id="no layers"),
        pytest.param({"layers": None}, id="layers absent"),
        pytest.param({"subject": describe(b"never pushed")}, id="subject missing"),
        pytest.param({"artifactType": "application/vnd.example+type"}, id="artifact"),
        pytest.param({"x-unknown": {"any": [1, 2, {"thing": None}]}, "n": 1e400}, id="unknown fields"),
        pytest.param(
            {"layers": [dict(describe(b"a"), mediaType="application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")]},
            id="nondistributable"),
        pytest.param(
            {"layers": [dict(describe(b"b"), mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")]},
            id="foreign"),
        pytest.param({"layers": [dict(describe(b"c"), mediaType="x/y", urls=["https://example.com/c"])]}, id="urls"),
    ],
)  # fmt: skip
def test_shapes_that_pass(oci, fields):
    if "n" in fields:
        data = oci.image(**fields).replace(b"Infinity", b"1e400")
    else:
        data = oci.image(**fields)
    r = oci.put("v1", data)
    assert r.status == 201, r
    assert oci.get("v1").body == data
    assert (r["OCI-Subject"] is not None) == ("subject" in fields)


def test_index_of_children(oci):
    child = oci.image()
    assert oci.put(digest(child), child).status == 201
    top = index([describe(child)])
    assert oci.put("all", top, INDEX).status == 201
    nested = index([describe(top, INDEX)])
    assert oci.put("nested", nested, INDEX).status == 201
    assert oci.get("nested").body == nested
    assert oci.put("none", index([]), INDEX).status == 201
    assert oci.put("null", index(None, manifests=None), INDEX).status in (201, 400)


def test_index_with_missing_child(oci):
    r = oci.put("v1", index([describe(b"never pushed")]), INDEX)
    assert (r.status, r.codes()) == (400, ["MANIFEST_BLOB_UNKNOWN"])


def test_child_may_have_been_pushed_as_sha512(oci):
    child = oci.image()
    d = digest(child, "sha512")
    assert oci.put(d, child).status == 201
    top = index([describe(child, algorithm="sha512")])
    d_top = digest(top, "sha512")
    assert oci.put(d_top, top, INDEX).status == 201
    assert oci.get(d_top).body == top
    assert oci.delete(d_top).status == 202
    assert oci.get(d_top).status == 404


# --- tags as parameters ---


def oci_tags(r):
    return [t.strip() for line in r.headers.get_all("OCI-Tag") or [] for t in line.split(",")]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_tag_parameters(oci, algorithm):
    data = oci.image()
    d = digest(data, algorithm)
    names = [f"t{i}" for i in range(20)]
    r = oci.put(d, data, query="?" + "&".join("tag=" + t for t in names))
    assert r.status == 201, r
    assert sorted(oci_tags(r)) == sorted(names)
    assert oci.tags().json()["tags"] == sorted(names)
    for t in names[:3]:
        r = oci.get(t)
        assert (r.body, r["Docker-Content-Digest"]) == (data, d)


def test_tag_parameters_need_a_digest(oci):
    assert oci.put("v1", oci.image(), query="?tag=v2").status == 400


def test_bad_tag_parameter_stores_nothing(oci):
    data = oci.image()
    r = oci.put(digest(data), data, query="?tag=good&tag=-bad")
    assert r.status == 400
    assert oci.get(digest(data)).status == 404 and oci.get("good").status == 404


def test_too_many_tag_parameters(oci):
    data = oci.image()
    query = "?" + "&".join(f"tag=t{i}" for i in range(200))
    assert oci.put(digest(data), data, query=query).status == 414


def test_same_tag_twice_in_parameters(oci):
    data = oci.image()
    r = oci.put(digest(data), data, query="?tag=a&tag=a")
    assert r.status == 201 and oci_tags(r) == ["a"]


# --- conditions ---


def test_if_match(oci):
    old = oci.push("v1")
    data = oci.image()
    r = oci.put("v1", data, headers={"If-Match": '"sha256:%s"' % ("0" * 64)})
    assert r.status == 412, r
    assert oci.get("v1")["Docker-Content-Digest"] == old
    assert oci.put("v1", data, headers={"If-Match": f'"{old}"'}).status == 201
    assert oci.put("v1", oci.image(), headers={"If-Match": f'"{old}"'}).status == 412


def test_if_match_needs_the_tag(oci):
    assert oci.put("v1", oci.image(), headers={"If-Match": "*"}).status == 412
    oci.push("v1")
    assert oci.put("v1", oci.image(), headers={"If-Match": "*"}).status == 201


def test_if_none_match(oci):
    data = oci.image()
    assert oci.put("v1", data, headers={"If-None-Match": "*"}).status == 201
    assert oci.put("v1", oci.image(), headers={"If-None-Match": "*"}).status == 412
    assert oci.get("v1").body == data


def test_if_match_on_delete(oci):
    d = oci.push("v1")
    path = oci.url("manifests/v1")
    assert oci.request("DELETE", path, headers={"If-Match": '"sha256:%s"' % ("0" * 64)}).status == 412
    assert oci.request("DELETE", path, headers={"If-Match": f'"{d}"'}).status == 202


# --- deletes ---


def test_delete_tag_only(oci):
    d = oci.push("v1")
    r = oci.delete("v1")
    assert (r.status, r["Content-Length"]) == (202, "0")
    assert oci.get("v1").status == 404 and oci.get("v1", method="HEAD").status == 404
    assert oci.get(d).status == 200
    assert oci.delete("v1").status == 404
    assert oci.tags().json()["tags"] == []


def test_delete_manifest_takes_its_tags(oci):
    d = oci.push("v1")
    data = oci.get("v1").body
    oci.put("v2", data)
    other = oci.push("v3")
    assert oci.delete(d).status == 202
    for ref in (d, "v1", "v2"):
        assert oci.get(ref).status == 404
    assert oci.get("v3")["Docker-Content-Digest"] == other
    assert oci.delete(d).status == 404
    assert oci.put("v1", data).status == 201  # and it can come back
    assert oci.get("v1").body == data


def test_delete_child_of_an_index(oci):
    child = oci.image()
    oci.put(digest(child), child)
    oci.put("all", index([describe(child)]), INDEX)
    assert oci.delete(digest(child)).status == 202
    assert oci.get("all").status == 200


def test_delete_blob_that_is_used(oci):
    """The suite's order is tags, manifests, blobs; a blob in use may be refused, never half gone."""
    oci.push("v1")
    layer = json.loads(oci.get("v1").body)["layers"][0]["digest"]
    r = oci.delete_blob(layer)
    assert r.status in (202, 405)
    assert oci.blob(layer).status == (404 if r.status == 202 else 200)


def test_manifest_is_not_a_blob_of_strangers(oci, name):
    d = oci.push("v1")
    assert oci.at(name + "/other").get(d).status == 404


def test_config_and_layer_may_be_the_same(oci):
    e = oci.descriptor(b"{}", EMPTY)
    data = oci.image(config=e, layers=[e, e])
    assert oci.put("v1", data).status == 201


def test_body_of_a_get_is_ignored(oci):
    oci.push("v1")
    r = oci.request("GET", oci.url("manifests/sha256:totallywrong"), b"{}", {"Content-Type": IMAGE})
    assert r.status in (400, 404)


def test_big_numbers_survive(oci):
    data = oci.image()[:-1] + b', "n": 18446744073709551616, "f": 1e400}'
    assert oci.put("v1", data).status == 201
    assert oci.get("v1").body == data

"""Referrers. oci-registry.md 5.1."""

import pytest

from oci import EMPTY, IMAGE, INDEX, Oci, describe, digest, index, next_link

pytestmark = pytest.mark.asan


@pytest.fixture
def oci(open_hub, name):
    return Oci(open_hub.host, name)


def entries(r):
    assert r.status == 200, r
    assert r["Content-Type"] == INDEX
    doc = r.json()
    assert (doc["schemaVersion"], doc["mediaType"]) == (2, INDEX)
    assert isinstance(doc["manifests"], list)
    return doc["manifests"]


@pytest.mark.parametrize("d", ["sha256:" + "0" * 64, "sha512:" + "0" * 128])
def test_none(oci, d):
    assert entries(oci.referrers(d)) == []  # no such repository
    oci.push("v1")
    assert entries(oci.referrers(d)) == []


@pytest.mark.parametrize("d", ["sha256:x", "nonsense", "v1", "md5:d41d8cd98f00b204e9800998ecf8427e"])
def test_bad_digest(oci, d):
    assert oci.referrers(d).status == 400


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_list_and_filter(oci, algorithm):
    subject = oci.image()
    s = describe(subject, algorithm=algorithm)
    assert oci.put(s["digest"], subject).status == 201
    typed = oci.image(subject=s, artifactType="application/x.sbom", annotations={"k": "1"})
    by_config = oci.image(
        subject=s, config=oci.descriptor(b"{}", "application/x.config"), annotations={"k": "2", "a": "b<>&"}
    )
    plain = oci.image(subject=s, mediaType=IMAGE)
    an_index = index([], subject=s, artifactType="application/x.sbom", annotations={"k": "3"})
    bare_index = index([], subject=s)
    for data, kind in ((typed, IMAGE), (by_config, IMAGE), (plain, IMAGE), (an_index, INDEX), (bare_index, INDEX)):
        r = oci.put(digest(data), data, kind)
        assert r.status == 201
        assert r["OCI-Subject"] == s["digest"]

    want = {
        digest(typed): dict(describe(typed), artifactType="application/x.sbom", annotations={"k": "1"}),
        digest(by_config): dict(
            describe(by_config), artifactType="application/x.config", annotations={"k": "2", "a": "b<>&"}
        ),
        digest(plain): dict(describe(plain), artifactType=EMPTY),
        digest(an_index): dict(
            describe(an_index, INDEX), artifactType="application/x.sbom", annotations={"k": "3"}
        ),
        digest(bare_index): describe(bare_index, INDEX),
    }
    r = oci.referrers(s["digest"])
    assert {e["digest"]: e for e in entries(r)} == want
    assert r["OCI-Filters-Applied"] is None

    r = oci.referrers(s["digest"], "?artifactType=application/x.sbom")
    assert {e["digest"] for e in entries(r)} == {digest(typed), digest(an_index)}
    assert r["OCI-Filters-Applied"] == "artifactType"
    r = oci.referrers(s["digest"], "?artifactType=application%2Fx.none&other=1")
    assert entries(r) == [] and r["OCI-Filters-Applied"] == "artifactType"


def test_subject_may_come_later_or_never(oci):
    s = describe(b"not here yet")
    data = oci.image(subject=s)
    r = oci.put("sig", data)
    assert (r.status, r["OCI-Subject"]) == (201, s["digest"])
    assert [e["digest"] for e in entries(oci.referrers(s["digest"]))] == [digest(data)]


def test_delete_of_the_referrer_and_of_the_subject(oci):
    subject = oci.image()
    oci.put("v1", subject)
    data = oci.image(subject=describe(subject))
    oci.put(digest(data), data)
    assert oci.delete(digest(subject)).status == 202
    assert len(entries(oci.referrers(digest(subject)))) == 1
    assert oci.delete(digest(data)).status == 202
    assert entries(oci.referrers(digest(subject))) == []
    assert oci.put(digest(data), data).status == 201
    assert len(entries(oci.referrers(digest(subject)))) == 1


def test_other_repositories_do_not_show(oci, name):
    s = describe(b"subject")
    data = oci.image(subject=s)
    oci.put("a", data)
    assert entries(oci.at(name + "/other").referrers(s["digest"])) == []


def test_pages_stay_under_what_clients_read(oci):
    """oras-go reads 4 MiB of an index, so more is split."""
    s = describe(b"subject")
    want = []
    for i in range(10):
        data = oci.image(subject=s, annotations={"n": str(i), "pad": "x" * 600_000})
        assert oci.put(digest(data), data).status == 201
        want.append(digest(data))
    seen, path, pages = [], oci.url("referrers/" + s["digest"]), 0
    while path:
        r = oci.request("GET", path)
        assert len(r.body) <= 4 * 1024 * 1024
        seen += [e["digest"] for e in entries(r)]
        path = next_link(r)
        pages += 1
    assert sorted(seen) == sorted(want) and pages > 1


def test_page_size_can_be_asked_for(oci):
    s = describe(b"subject")
    for i in range(5):
        data = oci.image(subject=s, artifactType="a/b", annotations={"n": str(i)})
        oci.put(digest(data), data)
    seen, path, pages = [], oci.url(f"referrers/{s['digest']}?artifactType=a%2Fb&n=2"), 0
    while path:
        r = oci.request("GET", path)
        assert r["OCI-Filters-Applied"] == "artifactType"
        part = entries(r)
        assert len(part) <= 2
        seen += [e["digest"] for e in part]
        path = next_link(r)
        pages += 1
    assert len(set(seen)) == 5 and pages == 3


def test_one_very_large_annotation_set(oci):
    """An entry that alone passes the bound is still listed."""
    s = describe(b"subject")
    data = oci.image(subject=s, annotations={str(i): "x" * 10000 for i in range(450)})
    assert oci.put(digest(data), data).status == 201
    assert [e["digest"] for e in entries(oci.referrers(s["digest"]))] == [digest(data)]

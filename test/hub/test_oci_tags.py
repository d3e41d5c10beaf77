"""Tag list and catalog. oci-registry.md 5.2, 5.3."""

import pytest

from oci import Oci, next_link

pytestmark = pytest.mark.asan

NAMES = ["A", "B10", "_x", "a", "a-b", "a.b", "b", "c", "v1", "v10", "v2"]  # in byte order


@pytest.fixture
def oci(open_hub, name):
    o = Oci(open_hub.host, name)
    return o


@pytest.fixture
def tagged(oci):
    data = oci.image()
    for t in reversed(NAMES):
        assert oci.put(t, data).status == 201
    return oci


def test_list(tagged):
    r = tagged.tags()
    assert r.status == 200 and r["Content-Type"] == "application/json"
    assert r.json() == {"name": tagged.repo, "tags": NAMES}
    assert r["Link"] is None


def test_unknown_repository(oci):
    r = oci.tags()
    assert (r.status, r.codes()) == (404, ["NAME_UNKNOWN"])


def test_no_tags(oci):
    oci.push_blob(b"x")
    assert oci.tags().json() == {"name": oci.repo, "tags": []}


@pytest.mark.parametrize("n", [1, 3, 5, 10])
def test_pages(tagged, n):
    seen, path, pages = [], tagged.url(f"tags/list?n={n}"), 0
    while path:
        r = tagged.request("GET", path)
        part = r.json()["tags"]
        path = next_link(r)
        assert len(part) == n or not path
        seen += part
        pages += 1
    assert seen == NAMES and pages == -(-len(NAMES) // n)


def test_exact_page_has_no_link(tagged):
    r = tagged.tags(f"?n={len(NAMES)}")
    assert r.json()["tags"] == NAMES and r["Link"] is None
    assert tagged.tags("?n=1000").json()["tags"] == NAMES


@pytest.mark.parametrize(
    "query, want",
    [
        ("?last=a", NAMES[4:]),
        ("?last=a0", NAMES[6:]),
        ("?last=zzz", []),
        ("?last=", NAMES),
        ("?n=2&last=a", NAMES[4:6]),
        ("?last=a&n=2", NAMES[4:6]),
        ("?n=0", []),
        ("?n=0&last=a", []),
        ("?unknown=1", NAMES),
    ],
)
def test_last(tagged, query, want):
    r = tagged.tags(query)
    assert (r.status, r.json()["tags"]) == (200, want)
    if "n=0" in query:
        assert r["Link"] is None


@pytest.mark.parametrize("n", ["-1", "x", "", "1x", "1.5", "99999999999999999999999", "%2B1"])
def test_bad_n(tagged, n):
    r = tagged.tags("?n=" + n)
    assert r.status == 400
    assert r.codes() == ["PAGINATION_NUMBER_INVALID"]


def test_fallback_and_signature_tags_are_listed(oci):
    data = oci.image()
    hidden = ["sha256-" + "a" * 64, "sha256-" + "a" * 64 + ".sig"]
    for t in hidden:
        oci.put(t, data)
    assert oci.tags().json()["tags"] == hidden


def test_catalog(own_hub):
    root = Oci(own_hub.host)
    assert root.request("GET", "/v2/_catalog").json() == {"repositories": []}
    names = [f"team/r{i}" for i in range(5)] + ["alone", "zoo/x/y/z"]
    for n in names:
        root.at(n).push("v1")
    names.sort()
    assert root.request("GET", "/v2/_catalog").json() == {"repositories": names}
    seen, path = [], "/v2/_catalog?n=3"
    while path:
        r = root.request("GET", path)
        seen += r.json()["repositories"]
        path = next_link(r)
    assert seen == names
    assert root.request("GET", "/v2/_catalog?last=team/r1").json()["repositories"] == names[3:]
    assert root.request("GET", "/v2/_catalog?n=x").status == 400
    assert root.request("GET", "/v2/_catalog?n=0").json() == {"repositories": []}

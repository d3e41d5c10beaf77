"""The conformance suite of the OCI distribution specification, with every API on."""
import subprocess
import xml.etree.ElementTree as ET

import pytest

from harness import clean_env

pytestmark = pytest.mark.asan

# The API switches that are off by default in the released version; "dev" turns them on itself.
EVERYTHING = {
    "OCI_API_BLOBS_DIGEST_HEADER": "true",
    "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
    "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
    "OCI_API_MANIFESTS_TAG_PARAM": "true",
}


def run(binary, folder, host, more):
    env = clean_env(
        folder,
        OCI_REGISTRY=host,
        OCI_TLS="disabled",
        OCI_REPO1="conformance/one",
        OCI_REPO2="conformance/two",
        OCI_RESULTS_DIR=folder,
        **more,
    )
    p = subprocess.run([binary], cwd=folder, env=env, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=300)  # fmt: skip
    return p, ET.parse(folder / "junit.xml").getroot().find("testsuite")


@pytest.mark.parametrize("version", ["stable", "dev"])
@pytest.mark.parametrize("auth", ["open", "basic and token"])
def test_conformance(make_hub, go_tools, tmp_path, version, auth):
    hub = make_hub(*(["--no-auth"] if auth == "open" else []))
    more = {"OCI_VERSION": version, **EVERYTHING}
    if auth != "open":
        more |= {"OCI_USERNAME": "admin", "OCI_PASSWORD": hub.admin_password}
    p, suite = run(go_tools["conformance"], tmp_path, hub.host, more)
    assert p.returncode == 0, p.stdout
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0"), p.stdout
    # A token names the repositories it is for, so a mount from an unnamed one is not for its bearer:
    # the suite then skips what it would ask of the mounted blobs.
    assert int(suite.get("tests")) >= (986 if auth == "open" else 982)
    # A test that is skipped counts as passed: everything has to have been supported.
    other = [c.get("name") for c in suite.iter("testcase") if c.get("status") != "passed"]
    assert other == []

"""The demo, with a model that is trained on the spot: the whole story, and the hub it can leave."""
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from harness import BUILD, ROOT, clean_env


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    target = tmp_path_factory.mktemp("tiny") / "model"
    p = subprocess.run([sys.executable, ROOT / "tools/tiny_model.py", target], stdout=subprocess.PIPE, text=True,
                       check=True, timeout=120)  # fmt: skip
    losses = [float(x) for x in re.findall(r"\d+\.\d+", p.stdout)]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.8 * losses[0]
    return target


def demo(tmp_path, *arguments):
    return subprocess.run([sys.executable, ROOT / "tools/demo.py", "--build", BUILD, *arguments],
                          env=clean_env(tmp_path, TMPDIR=tmp_path), stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)  # fmt: skip


def test_story(tiny_model, tmp_path):
    p = demo(tmp_path, "--model", tiny_model)
    assert p.returncode == 0, p.stdout
    assert re.findall(r"^(\d+)\. ", p.stdout, re.M) == [str(n) for n in range(1, 12)]
    for text in ("no difference", "hash does not match descriptor", "tag.created", "MB/s"):
        assert text in p.stdout
    assert not list(tmp_path.glob("kitvault-demo-*"))


def test_kept_hub(tiny_model, tmp_path):
    p = demo(tmp_path, "--model", tiny_model, "--keep")
    assert p.returncode == 0, p.stdout
    pid, url = re.search(r"\(process (\d+)\): (http://\S+)", p.stdout).groups()
    try:
        with urllib.request.urlopen(url + "/readyz", timeout=5) as r:
            assert r.status == 200
    finally:
        os.kill(int(pid), signal.SIGTERM)
    for _ in range(200):
        try:
            urllib.request.urlopen(url + "/readyz", timeout=5).close()
        except OSError:
            return
        time.sleep(0.05)
    pytest.fail("the hub did not stop")

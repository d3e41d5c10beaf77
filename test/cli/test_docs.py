"""Every block marked `sh` in README.md and docs/guide.md runs as it stands, in an empty folder."""
import re
import subprocess

import pytest

from harness import BUILD, ROOT, SANITIZER, clean_env, free_port


def blocks():
    for name in ("README.md", "docs/guide.md"):
        text = (ROOT / name).read_text()
        for i, block in enumerate(re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S), 1):
            yield pytest.param(block, id=f"{name}-{i}")


@pytest.mark.parametrize("block", list(blocks()))
def test_block(block, tmp_path):
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    port = free_port()
    block = block.replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    # The texts start a hub on its default address; here it has to be another.
    block = block.replace("kitvaultd serve --data hub &", f"kitvaultd serve --data hub --listen 127.0.0.1:{port} &")
    script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait || true' EXIT\n" + block
    env = clean_env(home)
    env["PATH"] = f"{BUILD}:{env['PATH']}"
    p = subprocess.run(["bash", "-c", script], cwd=work, env=env, stdin=subprocess.DEVNULL, text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)  # fmt: skip
    assert p.returncode == 0, p.stdout
    assert not SANITIZER.search(p.stdout), p.stdout

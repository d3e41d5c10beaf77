"""pykitops, KitOps' package for Python, unchanged, over our program in the place of kit."""
import json
import os
import subprocess
import sys

import pytest

from harness import BUILD, ROOT, SANITIZER, clean_env, make_model

pytestmark = pytest.mark.asan
UNREACHABLE = 3  # of tools/python_tools.py


@pytest.fixture(scope="session")
def packages():
    p = subprocess.run([sys.executable, ROOT / "tools/python_tools.py", "pykitops"],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    if p.returncode == UNREACHABLE:
        pytest.skip(f"pykitops cannot be had from its registry: {p.stderr.strip()[-300:]}")
    assert p.returncode == 0, p.stderr
    return p.stdout.strip()


@pytest.fixture
def python(kit, packages):
    """python(CODE, name=value...) runs it with pykitops imported, and returns what it put in `out`."""

    def run(code, **names):
        text = (
            "import json, sys, subprocess\n"
            "from kitops.cli import kit\n"
            "from kitops.modelkit.kitfile import Kitfile\n"
            "from kitops.modelkit.manager import ModelKitManager\n"
            "from kitops.modelkit.user import UserCredentials\n"
            "out = None\n"
            f"globals().update(json.loads({json.dumps(json.dumps(names))}))\n"
            f"{code}\n"
            "open('out.json', 'w').write(json.dumps(out))\n"
        )
        env = clean_env(kit.home, **kit.env, PYTHONPATH=packages, PYTHONDONTWRITEBYTECODE="1")
        env["PATH"] = f"{BUILD}{os.pathsep}{env['PATH']}"
        p = subprocess.run([sys.executable, "-c", text], cwd=kit.cwd, env=env, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)  # fmt: skip
        assert not SANITIZER.search(p.stdout + p.stderr), p.stdout + p.stderr
        assert p.returncode == 0, p.stdout + p.stderr
        return json.loads((kit.cwd / "out.json").read_text())

    return run


def test_a_life_in_the_local_store(kit, python):
    make_model(kit.cwd / "m", Kitfile=None)
    made = python(
        "k = kit.init('m', 'net', description='a net', author='Ada')\n"
        "out = [k.package.name, k.package.description, k.package.authors]"
    )
    assert made == ["net", "a net", ["Ada"]]
    found = python(
        "kit.pack('net:v1', working_directory='m', compression='gzip')\n"
        "kit.tag('net:v1', 'net:v2')\n"
        "kit.unpack('net:v2', 'out', filters=['model', 'docs'])\n"
        "kit.unpack('net:v2', 'out', overwrite=True)\n"
        "out = {'info': kit.info('net:v1'), 'inspect': kit.inspect('net:v1'), 'list': kit.list()}"
    )
    assert found["info"]["package"]["name"] == "net"
    assert found["inspect"]["kitfile"]["package"]["authors"] == ["Ada"]
    assert [line.split()[:2] for line in found["list"].splitlines()[1:]] == [["net", "v1"], ["net", "v2"]]
    assert (kit.cwd / "out/src/predict.py").read_text() == "print(1)\n"
    assert "Version" in kit.ok("version")
    python("kit.version()\nkit.remove('net:v1')\nkit.remove('net:v2', force=True)")
    assert kit.ok("list").count("\n") == 1


def test_kitfiles_of_pykitops_pack(kit, python):
    make_model(kit.cwd / "m", **{"ask.prompt": "Say hello.\n"})
    python(
        "k = Kitfile()\n"
        "k.manifestVersion = '1.0.0'\n"
        "k.package = {'name': 'titanic', 'version': '1.0.0', 'authors': ['Jozu']}\n"
        "k.model = {'name': 'titanic', 'path': 'model.safetensors', 'framework': 'x', 'version': '1.0',\n"
        "           'parameters': {'depth': 3, 'rates': [0.5, 1]}}\n"
        "k.code = [{'path': 'src', 'description': 'the code'}]\n"
        "k.docs = [{'path': 'README.md'}]\n"
        "k.prompts = [{'path': 'ask.prompt'}]\n"
        "k.save('m/Kitfile', print=False)\n"
        "kit.pack('t:v1', working_directory='m')\n"
        "kit.unpack('t:v1', 'out')\n"
        "out = Kitfile('out/Kitfile').to_yaml()"
    )
    again = python("out = [Kitfile('out/Kitfile').to_yaml(), Kitfile('m/Kitfile').to_yaml()]")
    assert again[0] == again[1]


def test_with_a_hub(kit, python, make_hub):
    hub = make_hub()
    make_model(kit.cwd / "m")
    ref = f"{hub.host}/team/demo:v1"
    name, password = hub.admin
    found = python(
        "http = {'plain-http': True}\n"
        "kit.login(user=name, passwd=password, registry=host, **http)\n"
        "kit.pack(ref, working_directory='m')\n"
        "kit.push(ref, **http)\n"
        "kit.remove(ref, force=True)\n"
        "kit.pull(ref, **http)\n"
        "out = {'inspect': kit.inspect(ref, remote=True, **http),\n"
        "       'info': kit.info(ref, remote=True, **http),\n"
        "       'list': kit.list(ref.rsplit(':', 1)[0], **http)}\n"
        "who = UserCredentials(username=name, password=password)\n"
        "m = ModelKitManager(working_directory='out', user_credentials=who, modelkit_tag=ref)\n"
        "m.pull_and_unpack_modelkit(filters=['model', 'kitfile'], load_kitfile=True,\n"
        "                           with_login_and_logout=False)\n"
        "out['manager'] = [m.inspect_modelkit()['digest'], m.kitfile.package.name]\n"
        "m.remove_modelkit(local=True, with_login_and_logout=False)\n"
        "kit.remove(ref, remote=True, **http)\n"
        "kit.logout(host)",
        **{"name": name, "password": password, "host": hub.host, "ref": ref},
    )
    assert found["info"]["package"]["name"] == "small"
    assert found["manager"] == [found["inspect"]["digest"], "small"]
    assert found["list"].splitlines()[1].split()[:2] == ["team/demo", "v1"]
    assert (kit.cwd / "out/model.safetensors").exists()
    assert kit.ok("list").count("\n") == 1
    assert kit("pull", "--plain-http", ref).code == 1


def test_failures_are_pythons(python):
    told = python(
        "try:\n"
        "    kit.unpack('absent:v1', 'out')\n"
        "except subprocess.CalledProcessError as e:\n"
        "    out = [e.returncode, e.stderr]"
    )
    assert told[0] == 1 and "absent:v1" in (told[1] or "absent:v1")

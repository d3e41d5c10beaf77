"""`dev`: a server of the user's, started, watched and ended."""
import os
import re
import signal

import pytest

from harness import free_port, http, make_dev_server, make_model, make_tree


@pytest.fixture
def served(kit):
    """A person with a model and a server for it; whatever they started is ended."""
    kit.env["KITVAULT_DEV_SERVER"] = make_dev_server(kit.home)
    make_model(kit.cwd)
    yield kit
    kit("dev", "stop")


def address(out):
    return re.search(r"^Development server started at (http://\S+)$", out, re.M).group(1)


def pid_of(kit):
    return int((kit.kitops_home / "harness" / "process.pid").read_text())


def test_start_logs_stop(served):
    out = served.ok("dev", "start")
    assert out.startswith("Loaded Kitfile: ./Kitfile\n")
    assert out.endswith('Use "kit dev stop" to stop the development server\n')
    assert served.ok("dev", "logs") == f"serving {served.cwd}/model.safetensors\n"
    assert http("GET", address(out) + "/").status == 200
    assert served.ok("dev", "stop") == (
        "Stopping development server...\nDevelopment server stopped\n"
    )
    assert served.fails("dev", "stop") == (
        "[ERROR] Failed to stop dev server: no Running server found\n"
    )


def test_host_and_port(served):
    port = free_port()
    out = served.ok("dev", "start", ".", "--host", "127.0.0.1", "--port", port)
    assert address(out) == f"http://127.0.0.1:{port}"
    assert "there is no port 65536" in served.fails("dev", "start", "--port", "65536")


def test_only_one_at_a_time(served):
    served.ok("dev", "start")
    pid = pid_of(served)
    assert served.fails("dev", "start") == (
        "[ERROR] Failed to start dev server: a server is running already; 'kit dev stop' ends it\n"
    )
    assert pid_of(served) == pid
    os.kill(pid, 0)


def test_a_server_that_died(served):
    served.ok("dev", "start")
    pid = pid_of(served)
    os.kill(pid, signal.SIGKILL)
    assert served.ok("dev", "logs", "--follow").startswith("serving ")
    assert served.fails("dev", "stop") == (
        f"[ERROR] Failed to stop dev server: no running process found with PID {pid}\n"
    )
    served.ok("dev", "start")


def test_follow_ends_with_the_server(served):
    served.ok("dev", "start")
    with served.popen("dev", "logs", "-f") as p:
        assert p.stdout.readline().startswith(b"serving ")
        served.ok("dev", "stop")
        assert p.wait(20) == 0


def test_from_a_modelkit(served):
    make_tree(served.cwd / "g", {"Kitfile": "model: {path: w}\ndocs: [{path: R.md}]\n",
                                 "w/a.gguf": "GGUF", "w/b.txt": "b", "R.md": "r"})  # fmt: skip
    served.ok("pack", "g", "-t", "team/g:v1")
    out = served.ok("dev", "start", "team/g:v1")
    current = served.kitops_home / "dev-models" / "current"
    assert f"Loaded Kitfile: {current}/Kitfile\n" in out
    assert served.ok("dev", "logs") == f"serving {current}/w/a.gguf\n"
    assert not (current / "R.md").exists()


def test_a_kitfile_elsewhere(served):
    make_tree(served.cwd / "other", {"K": "model: {path: m.bin}\n", "m.bin": "m"})
    out = served.ok("dev", "start", "other", "-f", "other/K")
    assert out.startswith("Loaded Kitfile: other/K\n")


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({}, "No Kitfile found in x. Consider using the -f flag to specify its path"),
        ({"Kitfile": "docs: [{path: a}]\n"}, "the Kitfile has no model"),
        ({"Kitfile": "model: {path: w}\n", "w/": None}, "could not find model file in x/w"),
        ({"Kitfile": "model: {path: gone}\n"}, "could not find model file in x/gone: No such file or directory"),
        ({"Kitfile": "model: {path: ../w}\n"}, "model path ../w leaves the directory of the Kitfile"),
        ({"Kitfile": "model: {path: w}\n", "w/a.gguf": "", "w/b.gguf": ""}, "multiple model files found: x/w/"),
    ],
)
def test_no_model_to_serve(served, files, text):
    make_tree(served.cwd / "x", files)
    assert served.fails("dev", "start", "x").startswith(f"[ERROR] Failed to start dev server: {text}")


def test_not_configured(kit):
    make_model(kit.cwd)
    assert "no server is configured: set KITVAULT_DEV_SERVER to a program" in kit.fails("dev", "start")
    assert kit("dev", "logs").err == "[ERROR] No log file found\n"


def test_a_server_that_does_not_start(served):
    served.env["KITVAULT_DEV_SERVER"] = "false"
    assert "'false' ended at once; 'kit dev logs' shows" in served.fails("dev", "start")
    served.env["KITVAULT_DEV_SERVER"] = "no-such-program"
    assert "cannot run 'no-such-program': No such file" in served.fails("dev", "start")
    assert "no Running server found" in served.fails("dev", "stop")


def test_interrupted_while_it_starts(served):
    """A server that never listens: nothing is left of it."""
    script = served.home / "deaf"
    script.write_text("#!/bin/sh\necho here\nexec sleep 300\n")
    script.chmod(0o755)
    with served.popen("dev", "start", env={"KITVAULT_DEV_SERVER": script}) as p:
        assert p.stdout.readline().startswith(b"Loaded Kitfile")
        while "here" not in served("dev", "logs").out:
            assert p.poll() is None
        p.send_signal(signal.SIGINT)
        assert p.wait(20) == 130
    assert "no Running server found" in served.fails("dev", "stop")

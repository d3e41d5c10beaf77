"""`completion`: what the hidden command answers, and the scripts that ask it."""
import shutil
import subprocess

import pytest

from harness import BUILD, clean_env, make_model

SHELLS = ["bash", "fish", "powershell", "zsh"]


@pytest.fixture
def person(kit):
    make_model(kit.cwd)
    kit.ok("pack", ".", "-t", "demo:v1")
    kit.ok("pack", ".", "-t", "demo:v2")
    kit.ok("pack", ".", "-t", "hub.example.com/team/m:v1")
    return kit


def asked(kit, *words):
    """(values, whether files would do)"""
    *lines, last = kit.ok("__complete", "--", *words).splitlines()
    assert last in (":files", ":words")
    return [line.split("\t")[0] for line in lines], last == ":files"


@pytest.mark.parametrize(
    ("words", "values", "files"),
    [
        (["unp"], ["unpack"], False),
        (["hub", ""], ["user"], False),
        (["hub", "user", "a"], ["add"], False),
        (["dev", "st"], ["start", "stop"], False),
        (["unpack", "demo:"], ["demo:v1", "demo:v2"], False),
        (["unpack", "-d", "x", "demo:v1"], ["demo:v1"], False),
        (["tag", "demo:v1", "hub"], ["hub.example.com/team/m:v1"], False),
        (["unpack", "-d", "de"], [], True),
        (["--config", "x"], [], True),
        (["unpack", "--over"], ["--overwrite"], False),
        (["unpack", "--dir="], [], True),
        (["pack", "de"], [], True),
        (["unpack", "--", "-"], [], False),
        (["nothing", "de"], [], True),
        (["--log-level", "debug", "unp"], ["unpack"], False),
        (["--log-l"], ["--log-level"], False),
    ],
)
def test_what_may_follow(person, words, values, files):
    assert asked(person, *words) == (values, files)


def test_next_word_and_hidden_commands(person):
    out = person.ok("__complete", "--next", "--", "dev")
    assert out.splitlines()[0].startswith("start\t")
    assert "__complete" not in person.ok("__complete", "--", "")
    assert "__complete" not in person.ok("--help")


def test_a_store_that_cannot_be_read_offers_nothing(person):
    for path in person.storage.glob("*-index.json"):
        path.write_text("{")
    assert asked(person, "unpack", "") == ([], False)


def test_unknown_shell(kit):
    assert kit.fails("completion", "tcsh") == (
        "[ERROR] Invalid arguments: no completion for 'tcsh' (there is bash, fish, powershell, zsh)\n"
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_script_names_the_program(kit, shell):
    out = kit.ok("completion", shell)
    assert "__complete" in out and "PROGRAM" not in out


@pytest.mark.parametrize("shell", SHELLS)
def test_script_parses(kit, shell):
    program = shutil.which({"powershell": "pwsh"}.get(shell, shell))
    if not program:
        pytest.skip(f"no {shell} here")
    if shell == "powershell":
        pytest.skip("pwsh has no check of syntax alone")
    subprocess.run([program, "-n"], input=kit.ok("completion", shell), text=True, check=True)


def in_bash(kit, line):
    script = (
        'source <(kit completion bash)\nCOMP_LINE=$1 COMP_POINT=${#1}\n'
        '_kitvault_complete\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    env = clean_env(kit.home, **kit.env)
    env["PATH"] = f"{BUILD}:{env['PATH']}"
    p = subprocess.run(["bash", "-c", script, "bash", line], cwd=kit.cwd, env=env, text=True,
                       stdout=subprocess.PIPE, check=True, timeout=60)  # fmt: skip
    return p.stdout.split()


def test_bash(person):
    assert in_bash(person, "kit unp") == ["unpack"]
    assert in_bash(person, "kit dev ") == ["start", "stop", "logs"]
    assert in_bash(person, "kit unpack dem") == ["demo:v1", "demo:v2"]
    assert in_bash(person, "kit unpack demo:v") == ["v1", "v2"]  # bash keeps what is before a colon
    assert in_bash(person, "kit unpack --ign") == ["--ignore-existing"]


@pytest.mark.parametrize(
    ("shell", "ask"),
    [
        ("fish", "kit completion fish | source; complete -C 'kit unpack demo:'"),
    ],
)
def test_other_shells(person, shell, ask):
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    env = clean_env(person.home, **person.env)
    env["PATH"] = f"{BUILD}:{env['PATH']}"
    p = subprocess.run([shell, "-c", ask], cwd=person.cwd, env=env, text=True,
                       stdout=subprocess.PIPE, check=True, timeout=60)  # fmt: skip
    assert p.stdout.split() == ["demo:v1", "demo:v2"]

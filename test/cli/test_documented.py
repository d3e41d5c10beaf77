"""Every command and option has a man page, a help text, a runnable example and a test."""
import ast
import contextlib
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from harness import BUILD, SANITIZER, clean_env, make_dev_server, make_model, need, program
from hf_site import ANY_REPO, Site

HERE = Path(__file__).parent


def tables(*words):
    return subprocess.run(
        [BUILD / "cli/kitvault-tables", *words], stdout=subprocess.PIPE, text=True, check=True
    ).stdout


COMMANDS = tables("commands").split("\n")[:-1]
OPTIONS = [line.split("\t") for line in tables("options").splitlines()]


def page_name(command):
    return "kitvault-" + command.replace(" ", "-") + ".1"


def test_every_command_has_a_man_page():
    pages = {p.name for p in (BUILD / "cli").glob("*.1")}
    assert pages == {page_name(c) for c in COMMANDS} | {"kitvault.1"}


@pytest.mark.parametrize("command", [*COMMANDS, ""])
def test_man_page(command):
    page = BUILD / "cli" / (page_name(command) if command else "kitvault.1")
    text = page.read_text()
    assert text == tables("man", *command.split())
    lint = subprocess.run(
        [need("groff"), "-man", "-Tutf8", "-ww", "-z", page], stderr=subprocess.PIPE, text=True
    )
    assert (lint.returncode, lint.stderr) == (0, "")
    for owner, option, _ in OPTIONS:
        if owner in (command, ""):
            assert option.replace("-", r"\-") in text
    assert ".SH EXAMPLES" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_option(kit, command):
    text = kit.ok(*command.split(), "--help")
    for owner, option, help_text in OPTIONS:
        if owner not in (command, ""):
            continue
        assert re.search(rf"^  (-\w, |    ){option}( |$)", text, re.M)
        assert help_text.replace("`", "") in text


# --- options are exercised ---


def functions():
    """The texts in each function of the tests in this folder, its decorators included."""
    for path in HERE.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                yield {
                    n.value
                    for n in ast.walk(node)
                    if isinstance(n, ast.Constant) and isinstance(n.value, str)
                }


def letter_of(command, option):
    m = re.search(rf"^  -(\w), {option}\b", tables_help(command), re.M)
    return m and m.group(1)


def tables_help(command):
    return subprocess.run(
        [program("kit"), *command.split(), "--help"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def names(texts, option, letter):
    return any(
        t == option or t.startswith(option + "=") or (letter and t.startswith(f"-{letter}"))
        for t in texts
    )


def test_every_option_is_exercised():
    """Some test has the option beside the command's words; for options that several commands share,
    beside those of any command."""
    texts = list(functions())
    owners = {}
    for command, option, help_text in OPTIONS:
        owners.setdefault((option, help_text), []).append(command)
    missing = []
    for (option, _), commands in owners.items():
        letter = letter_of(commands[0], option)
        if not any(
            names(t, option, letter) and any(set(c.split()) <= t for c in commands) for t in texts
        ):
            missing.append(f"{' / '.join(commands)} {option}")
    assert missing == []


# --- examples ---


PASSWORD = "a long enough password"
WITH_NETWORK = {c for c, option, _ in OPTIONS if option == "--plain-http"}


def examples(command):
    """The lines of EXAMPLES in the help of a command that are command lines."""
    text = subprocess.run(
        [program("kitvault"), *command.split(), "--help"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    block = re.search(r"^Examples:\n((?:  .*\n|\n)+)", text, re.M).group(1)
    return [line.strip() for line in block.splitlines() if line.startswith("  kitvault ")]


def local(line, hub):
    """The example against a hub on this machine, which speaks plain HTTP."""
    words = line.split()
    command = next((c for c in WITH_NETWORK if words[1:][: len(c.split())] == c.split()), None)
    if command and hub and "--plain-http" not in words:
        line = line.replace(f"kitvault {command}", f"kitvault {command} --plain-http")
    return re.sub(r"hub\.example\.com|localhost:5000", hub.host if hub else "127.0.0.1:1", line)


@pytest.fixture
def person(kit):
    """Somebody in a model's folder, with two ModelKits packed from it and a file with a password."""
    make_model(kit.cwd, **{"other/Kitfile": "docs: [{path: README.md}]\n", "password.txt": PASSWORD})
    kit.env["KITVAULT_DEV_SERVER"] = make_dev_server(kit.home)
    kit.ok("pack", ".", "-t", "demo:v1")
    kit.ok("pack", ".", "-t", "demo:v2", "-f", "other/Kitfile")
    return kit


@pytest.fixture
def site():
    """Hugging Face with every repository, and what the examples take from it."""
    s = Site(ANY_REPO)
    s.files = {"README.md": b"# demo", "demo-Q4_K_M.gguf": b"4", "demo-Q8_0.gguf": b"8", "data.parquet": b"d"}
    yield s
    s.stop()


def prepare(person, hub, command):
    """What the examples take for granted on a hub."""
    person.ok("login", hub.host, "-u", "admin", "--password-stdin", "--plain-http", stdin=hub.admin_password)
    for user in ["ann"] + ["anna"] * (command != "hub user add"):
        person.ok("hub", "user", "add", hub.host, user, "--password-stdin", "--plain-http", stdin=PASSWORD)
    person.ok("tag", "demo:v1", f"{hub.host}/team/demo:v1")
    if command != "push":
        person.ok("push", f"{hub.host}/team/demo:v1", "--plain-http")
        person.ok("push", "demo:v1", f"{hub.host}/demo:v1", "--plain-http")


def type_in(person, line):
    """Runs a line in a shell on a terminal; questions for a password are answered."""
    leader, follower = pty.openpty()
    env = clean_env(person.home, **person.env)
    env["PATH"] = f"{BUILD}:{env['PATH']}"
    p = subprocess.Popen(["sh", "-c", line], cwd=person.cwd, env=env, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    out = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while chunk := os.read(leader, 65536):
            out += chunk
            if out.endswith(b"assword: "):
                os.write(leader, PASSWORD.encode() + b"\n")
    os.close(leader)
    return p.wait(), out.decode("utf-8", "backslashreplace")


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_run(person, command, request):
    lines = examples(command)
    assert lines, "a man page without an example"
    hub = None
    if any(h in line for line in lines for h in ("hub.example.com", "localhost:5000")):
        hub = request.getfixturevalue("hub")
        prepare(person, hub, command)
    if command == "import":
        person.env["HF_ENDPOINT"] = request.getfixturevalue("site").url
    if command == "init":
        (person.cwd / "Kitfile").unlink()
    for line in lines:
        code, out = type_in(person, local(line, hub))
        assert code == 0, f"{line}\n{out}"
        assert not SANITIZER.search(out), out


def test_examples_of_the_program(person):
    (person.cwd / "Kitfile").unlink()
    for line in examples(""):
        code, out = type_in(person, line + " --name x --desc y --author z" * (" init " in line))
        assert code == 0, f"{line}\n{out}"

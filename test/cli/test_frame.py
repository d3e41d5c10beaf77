"""What every command shares: help, usage errors, home, log lines, streams, interrupts."""
import os
import pty
import re
import subprocess

import pytest

from harness import clean_env, make_tree, program


def first_line(text):
    return text.split("\n", 1)[0]


def test_alone_prints_help(kit):
    r = kit()
    assert r.code == 0 and r.err == ""
    assert "Usage:\n  kit [command]\n" in r.out
    assert r.out == kit("--help").out == kit("help").out


def test_named_as_called(kit, make_kit):
    other = make_kit()
    other.binary = "kitvault"
    assert "\n  kitvault [command]\n" in other.ok("--help")
    assert "\n  kit version" in kit.ok("version", "--help")
    assert "\n  kitvault version" in other.ok("version", "--help")


def test_help_of_a_command(kit):
    text = kit.ok("help", "version")
    assert text == kit.ok("version", "--help") == kit.ok("version", "-h", "nonsense")
    order = ["Description:", "Usage:", "Examples:", "Flags:", "Global Flags:"]
    places = [text.index(f"\n{word}\n") for word in order]
    assert places == sorted(places)
    assert kit.fails("help", "bogus") == "[ERROR] Unknown help topic 'bogus'\n"


def test_version(kit):
    lines = kit.ok("version").splitlines()
    assert [line.split(": ")[0] for line in lines] == ["Version", "Commit", "Built", "Compiler"]
    assert re.fullmatch(r"Version: \d+\.\d+\.\d+", lines[0])


def test_version_update_notices(kit):
    flag = kit.kitops_home / "disable-update-notifications"
    assert kit.ok("version", "--show-update-notifications=false") == ""
    assert flag.read_bytes() == b""
    assert kit.ok("version", "--show-update-notifications") == ""
    assert not flag.exists()
    assert kit.ok("version", "--show-update-notifications=true") == ""


@pytest.mark.parametrize(
    "argv, message",
    [
        (["version", "--bogus"], "Error: unknown flag: --bogus"),
        (["version", "-x"], "Error: unknown shorthand flag: 'x' in -x"),
        (["version", "a", "b"], "Error: accepts 0 arg(s), received 2"),
        (["--config"], "Error: flag needs an argument: --config"),
    ],
)
def test_usage_errors(kit, argv, message):
    r = kit(*argv)
    assert r.code == 1 and r.out == ""
    assert r.err.startswith(message + "\n\nUsage:\n  kit ")
    assert r.err.endswith("\n\n\n")


def test_unknown_command(kit):
    r = kit("bogus", "--help")
    assert (r.code, r.out) == (1, "")
    assert r.err == "Error: unknown command \"bogus\" for \"kit\"\nRun 'kit --help' for usage.\n"
    assert "\n\nDid you mean this?\n\tversion\n\n" in kit.fails("versoin")


def test_log_level(kit):
    err = kit.fails("version", "--log-level", "loud")
    lines = err.splitlines()
    assert lines[0] == (
        "[ERROR] Invalid log level 'loud'. Options are 'trace', 'debug', 'info', 'warn', 'error'"
    )
    assert lines[1] == "Error: failed to run"
    debug = f"[DEBUG] Using config directory from environment variable: {kit.kitops_home}\n"
    for words in (["--log-level=debug"], ["-v"], ["--log-level", "trace"], ["-vv"], ["--verbose"]):
        assert kit.ok("version", *words) == debug + kit.ok("version")
    # Lines of a level are prefixed, payload is not.
    assert kit.ok("version", "--log-level", "error") == kit.ok("version")


def test_home(kit, tmp_path):
    def line(**env):
        return first_line(kit.ok("version", "-v", env={"KITOPS_HOME": "", **env}))

    assert line() == f"[DEBUG] Using config directory from defaults: {kit.home}/.local/share/kitops"
    assert line(XDG_DATA_HOME="/x/y") == "[DEBUG] Using config directory from defaults: /x/y/kitops"
    assert line(KITOPS_HOME="rel") == (
        f"[DEBUG] Using config directory from environment variable: {kit.cwd}/rel"
    )
    assert first_line(kit.ok("version", "-v", "--config", "a/../b")) == (
        f"[DEBUG] Using config directory from flag: {kit.cwd}/b"
    )


def test_no_home_at_all(kit):
    r = kit("version", env={"KITOPS_HOME": "", "HOME": ""})
    assert r.code == 1
    assert r.out == (
        "Use the --config flag or set the $KITOPS_HOME environment variable to provide a default\n"
    )
    assert r.err.startswith(
        "[ERROR] Failed to read base config directory\nError: exit\n\nUsage:\n"
    )


def test_full_disk_behind_stdout(kit):
    with open("/dev/full", "wb") as full:
        p = kit.popen("version", stdout=full)
        err = p.communicate()[1]
    assert p.returncode == 1
    assert err == b"[ERROR] Cannot write to standard output: No space left on device\n"


def test_reader_that_went_away(kit):
    r, w = os.pipe()
    os.close(r)
    p = kit.popen("version", stdout=w)
    os.close(w)
    assert p.communicate()[1] == b""
    assert p.returncode == 1


def test_closed_streams(kit, tmp_path):
    """A file opened by a command must not become standard output."""
    p = subprocess.run(
        ["sh", "-c", 'exec "$0" version >&- 2>&-', program("kit")],
        env=clean_env(kit.home), cwd=kit.cwd,
    )  # fmt: skip
    assert p.returncode == 1




def on_terminal(kit, *argv, env=None):
    """Output of a command whose streams are a terminal."""
    leader, follower = pty.openpty()
    p = kit.popen(*argv, stdin=follower, stdout=follower, stderr=follower, env=env)
    os.close(follower)
    out = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        out += chunk
    os.close(leader)
    assert p.wait() == 0
    return out.replace(b"\r\n", b"\n").decode()


def test_colours_only_on_terminals(kit):
    assert "\033" not in kit.ok("version", "-v")
    assert on_terminal(kit, "version", "-v").startswith("\033[0;34m[DEBUG] \033[0mUsing config")
    assert "\033" not in on_terminal(kit, "version", "-v", env={"NO_COLOR": "1"})


def sparse(path, size):
    with open(path, "wb") as f:
        f.truncate(size)


@pytest.mark.parametrize("style, bar", [("plain", "|="), ("fancy", "█")])
def test_progress_on_terminals(kit, style, bar):
    tree = make_tree(kit.cwd / "m", {"Kitfile": "model: {path: w}\n"})
    sparse(tree / "w", 64 << 20)
    out = on_terminal(kit, "pack", "m", "-t", f"a:{style}", "--progress", style)
    finished = [line for line in out.split("\n") if line.endswith(" done")]
    assert len(finished) == 1 and "Packing" in finished[0] and bar in finished[0]
    # What is drawn and rubbed out leaves the lines of text whole.
    shown = re.sub(r".*\n\033\[1A\r\033\[J", "", out)
    assert re.match(r"Packing .* done\nSaved model layer: sha256:[0-9a-f]{64}\n", shown)


@pytest.mark.parametrize("words", [["--progress", "none"], ["--progress=false"], ["-vvv"]])
def test_no_progress_where_unwanted(kit, words):
    tree = make_tree(kit.cwd / "m", {"Kitfile": "model: {path: w}\n"})
    sparse(tree / "w", 64 << 20)
    assert "done" not in on_terminal(kit, "pack", "m", *words)


def test_no_progress_without_terminal(kit):
    tree = make_tree(kit.cwd / "m", {"Kitfile": "model: {path: w}\n"})
    sparse(tree / "w", 64 << 20)
    assert kit.ok("pack", "m").startswith("Saved model layer: ")


def test_outside_text_fakes_no_line(kit):
    r = kit("pack", "a\n[ERROR] b\x1b[2J\x7f")
    assert r.err.count("\n") == 1
    assert r"a\012[ERROR] b\033[2J\177" in r.err

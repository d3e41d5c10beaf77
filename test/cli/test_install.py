"""What `meson install` lays down is usable without the source tree."""
import os
import subprocess

import pytest

from harness import BUILD, SANITIZER_ENV, clean_env

PROGRAM = """
#include <kitvault/reference.h>
#include <kitvault/version.h>
#include <stdio.h>

int main(void)
{
    kv_reference ref = {0};
    kv_error err = {0};
    if (kv_reference_parse(KV_SV("hub.example.com/team/demo:v1"), &ref, &err) != KV_OK) return 1;
    printf("%s\\n", kv_version());
    kv_reference_clear(&ref);
    return 0;
}
"""
SANITIZED = os.environ.get("KITVAULT_SANITIZED") == "1"


def run(*argv, **kw):
    p = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=120, **kw)  # fmt: skip
    assert p.returncode == 0, f"{argv}\n{p.stdout}"
    return p.stdout


@pytest.fixture
def prefix(tmp_path):
    """The folder that stands for /usr/local."""
    run(os.environ.get("MESON", "meson"), "install", "-C", BUILD, "--no-rebuild", "--destdir", tmp_path / "root")
    return next(p.parent.parent for p in (tmp_path / "root").rglob("bin/kitvault"))


def test_programs_and_pages(prefix, tmp_path):
    env = clean_env(tmp_path)
    version = run(prefix / "bin/kitvault", "version", env=env)
    assert run(prefix / "bin/kit", "version", env=env) == version
    assert os.readlink(prefix / "bin/kit") == "kitvault"
    assert "serve" in run(prefix / "bin/kitvaultd", "--help", env=env)
    pages = {p.name.removesuffix(".gz") for p in prefix.rglob("man1/*")}
    assert {"kitvault.1", "kitvault-pack.1"} <= pages


@pytest.mark.skipif(SANITIZED, reason="a plain program cannot load a library with a sanitizer in it")
def test_library(prefix, tmp_path):
    (folder,) = {p.parent for p in prefix.rglob("kitvault.pc")}
    source, program = tmp_path / "user.c", tmp_path / "user"
    source.write_text(PROGRAM)
    env = {**os.environ, "PKG_CONFIG_PATH": str(folder)}
    flags = run("pkg-config", f"--define-variable=prefix={prefix}", "--cflags", "--libs", "kitvault", env=env).split()
    run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", source, "-o", program, *flags)
    library = str(folder.parent)
    assert run(program, env=clean_env(tmp_path, LD_LIBRARY_PATH=library, **SANITIZER_ENV)).strip()

#!/usr/bin/env python3
"""The rows of ./dev test: builds every variant, runs every test, adds everything up.

    run_tests.py [--deep] [--only ROW,...]

Called by ./dev, which says where the tools are (MESON, CLANG_FORMAT, CLANG_TIDY, CLANG_TIDY_ARGS,
JOBS). The last line is 'N passed, N failed'; the exit status is 1 when anything failed or nothing
ran.
"""
import argparse
import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOBS = os.environ.get("JOBS") or str(os.cpu_count())
MESON = os.environ.get("MESON") or "meson"
OUT = ROOT / "build-test"
TAIL = 60  # lines shown of a test that failed
PYTEST_LIMIT_S = 1800

STRICT = ["-Dwerror=true"]
NO_RECOVER = "-Dc_args=-fno-sanitize-recover=all"
VARIANTS = {
    "gcc": ({"CC": "gcc"}, STRICT),
    "clang": ({"CC": "clang"}, STRICT),
    # -O1 keeps stack traces honest, and what the sanitizers look for is not optimised away. Their
    # instrumentation makes gcc warn of conversions that are not there, so warnings are not errors.
    "asan": ({"CC": "gcc"}, ["-Doptimization=1", "-Db_sanitize=address,undefined", NO_RECOVER]),
    "tsan": ({"CC": "gcc"}, ["-Doptimization=1", "-Db_sanitize=thread"]),
    # Only its warnings are wanted, and gcc 12 means its analyzer for C as a beta: they are counted.
    "analyzer": ({"CC": "gcc"}, ["-Dc_args=-fanalyzer -fdiagnostics-plain-output"]),
}
SANITIZER_ENV = {
    "ASAN_OPTIONS": "exitcode=99:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
    # A process that a test kills at a marked step leaves its threads where they are.
    "TSAN_OPTIONS": "exitcode=99:halt_on_error=1:report_thread_leaks=0",
}


class Tally:
    """Passed and failed of one row; why each failure failed is printed at once."""

    def __init__(self, title):
        self.title, self.passed, self.failed, self.began = title, 0, 0, time.monotonic()

    def fail(self, name, text=""):
        self.failed += 1
        print(f"--- FAILED {self.title}: {name}")
        lines = text.rstrip().splitlines()
        if len(lines) > TAIL:
            lines = [f"... {len(lines) - TAIL} lines left out", *lines[-TAIL:]]
        print("\n".join("    " + line for line in lines), flush=True)

    def close(self):
        spent = time.monotonic() - self.began
        failed = f", {self.failed} failed" if self.failed else ""
        print(f"{self.title:<42}{self.passed:>6} passed{failed}  ({spent:.0f} s)", flush=True)
        return self


def run(command, env=None, limit_s=None):
    """The finished command with all it printed. Past limit_s it is killed, with all it started."""
    p = subprocess.Popen([str(c) for c in command], cwd=ROOT, env={**os.environ, **(env or {})},
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, errors="replace", start_new_session=True)  # fmt: skip
    late = ""
    try:
        text, _ = p.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        late = f"did not end within {limit_s} s\n"
        os.killpg(p.pid, signal.SIGKILL)
        text, _ = p.communicate()
    except BaseException:
        os.killpg(p.pid, signal.SIGTERM)
        raise
    return subprocess.CompletedProcess(command, p.returncode, text + late)


def build(name, tally):
    """Builds a variant; returns its folder, or None when it does not build."""
    env, options = VARIANTS[name]
    folder = OUT / name
    made_of = folder / "made-of"
    if not made_of.exists() or made_of.read_text() != str(VARIANTS[name]):
        shutil.rmtree(folder, ignore_errors=True)
        p = run([MESON, "setup", folder, *options], env=env)
        if p.returncode:
            tally.fail(f"meson setup {name}", p.stdout)
            return None
        made_of.write_text(str(VARIANTS[name]))
    p = run(["ninja", "-C", folder, "-j", JOBS], env=env)
    if p.returncode:
        tally.fail(f"build with {name}", p.stdout[max(0, p.stdout.find("FAILED:")) :])
        return None
    return folder


def meson_tests(folder, tally, *selection):
    log = folder / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    p = run([MESON, "test", "-C", folder, "--no-rebuild", "--num-processes", JOBS, *selection], env=SANITIZER_ENV)
    if not log.exists():
        tally.fail("meson test", p.stdout)
        return
    for line in log.read_text().splitlines():
        test = json.loads(line)
        if test["result"] in ("OK", "EXPECTEDFAIL"):
            tally.passed += 1
        else:
            tally.fail(f"{test['name']} ({test['result']})", test.get("stdout", "") + test.get("stderr", ""))


def pytest(folder, tally, *arguments, env=None):
    report = folder / "pytest.xml"
    report.unlink(missing_ok=True)
    p = run([sys.executable, "-m", "pytest", "-q", "-n", JOBS, "-p", "no:cacheprovider",
             f"--junitxml={report}", *arguments],
            env={"KITVAULT_BUILD": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
            limit_s=PYTEST_LIMIT_S)  # fmt: skip
    if not report.exists():
        tally.fail("pytest", p.stdout)
        return
    cases = list(ElementTree.parse(report).iter("testcase"))
    for case in cases:
        bad = [x for x in case if x.tag in ("failure", "error")]
        if bad:
            text = (bad[0].text or "") + "".join(x.text or "" for x in case if x.tag.startswith("system-"))
            tally.fail(f"{case.get('classname')}::{case.get('name')}", text)
        elif not any(x.tag == "skipped" for x in case):
            tally.passed += 1
    # A broken conftest or a collection that found nothing has no test case to blame.
    if p.returncode and not tally.failed:
        tally.fail("pytest", p.stdout)


def row_gcc(args):
    tally = Tally("gcc: units, fuzz corpora, checks")
    folder = build("gcc", tally)
    if folder:
        meson_tests(folder, tally)
    return tally.close()


def row_clang(args):
    tally = Tally("clang: units, fuzz corpora")
    folder = build("clang", tally)
    if folder:
        meson_tests(folder, tally, "--no-suite", "check")
    return tally.close()


def row_asan(args):
    tally = Tally("ASan and UBSan: units, fuzz corpora")
    folder = build("asan", tally)
    if folder:
        meson_tests(folder, tally, "--no-suite", "check", "--timeout-multiplier", "3")
    return tally.close()


def row_blackbox(args):
    tally = Tally("black box")
    folder = build("gcc", tally)
    if folder:
        pytest(folder, tally, "test", *(["--deep"] if args.deep else []))
    return tally.close()


def row_blackbox_asan(args):
    tally = Tally("black box under ASan and UBSan")
    folder = build("asan", tally)
    if folder:
        pytest(folder, tally, "test/cli", "test/hub", env={"KITVAULT_SANITIZED": "1"})
    return tally.close()


def tidy_one(job):
    program, folder, source = job
    p = run([program, "--quiet", *os.environ.get("CLANG_TIDY_ARGS", "").split(), "-p", folder, source])
    # A finding can have pages of notes: how the analyzer came there. The findings alone are shown.
    return source, p.returncode, "\n".join(x for x in p.stdout.splitlines() if ": error: " in x or ": warning: " in x)


def row_tidy(args):
    tally = Tally("clang-tidy, each file")
    folder = build("clang", tally)
    program = os.environ.get("CLANG_TIDY") or shutil.which("clang-tidy-14")
    if not program:
        tally.fail("there is no clang-tidy 14 here")
    elif folder:
        entries = json.loads((folder / "compile_commands.json").read_text())
        sources = sorted({str((Path(e["directory"]) / e["file"]).resolve().relative_to(ROOT)) for e in entries})
        sources = [s for s in sources if s.split("/")[0] in ("lib", "cli", "hub")]
        with concurrent.futures.ThreadPoolExecutor(int(JOBS)) as pool:
            for source, code, text in pool.map(tidy_one, [(program, folder, s) for s in sources]):
                if code:
                    tally.fail(source, text)
                else:
                    tally.passed += 1
    return tally.close()


def row_tsan(args):
    tally = Tally("TSan: units, store, hub")
    folder = build("tsan", tally)
    if folder:
        meson_tests(folder, tally, "--suite", "unit", "--timeout-multiplier", "5")
        pytest(folder, tally, "test/hub", "test/cli", "-k", "not vectors", env={"KITVAULT_SANITIZED": "1"})
    return tally.close()


def row_analyzer(args):
    tally = Tally("gcc -fanalyzer, whole build")
    shutil.rmtree(OUT / "analyzer", ignore_errors=True)  # a warning is printed once, when compiled
    env, options = VARIANTS["analyzer"]
    folder = OUT / "analyzer"
    p = run([MESON, "setup", folder, *options], env=env)
    if p.returncode == 0:
        p = run(["ninja", "-C", folder, "-j", JOBS, "-v"], env={**env, "CCACHE_DISABLE": "1"})
    found = [x for x in p.stdout.splitlines() if "[-Wanalyzer" in x and "warning:" in x]
    ours = sorted({x for x in found if "subprojects/" not in x})
    if p.returncode or ours:
        tally.fail("analyzer", "\n".join(ours) or p.stdout)
    else:
        tally.passed += 1
    return tally.close()


ROWS = {"gcc": row_gcc, "clang": row_clang, "asan": row_asan, "blackbox": row_blackbox,
        "blackbox-asan": row_blackbox_asan, "tidy": row_tidy}  # fmt: skip
DEEP_ROWS = {"tsan": row_tsan, "analyzer": row_analyzer}


def main():
    ap = argparse.ArgumentParser(prog="./dev test")
    ap.add_argument("--deep", action="store_true", help="also thread sanitizer, analyzers, slow tests")
    ap.add_argument("--only", default="", help=f"rows, with commas: {' '.join([*ROWS, *DEEP_ROWS])}")
    args = ap.parse_args()
    rows = {**ROWS, **(DEEP_ROWS if args.deep else {})}
    if args.only:
        every = {**ROWS, **DEEP_ROWS}
        unknown = [n for n in args.only.split(",") if n not in every]
        if unknown:
            ap.error(f"no row {', '.join(unknown)}")
        rows = {n: every[n] for n in args.only.split(",")}
    OUT.mkdir(exist_ok=True)
    tallies = [row(args) for row in rows.values()]
    passed, failed = sum(t.passed for t in tallies), sum(t.failed for t in tallies)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

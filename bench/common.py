"""What every benchmark needs: programs, peers, timed runs, and rows of figures."""
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("KITVAULT_BUILD") or ROOT / "build").resolve()
MIB, GIB = 1 << 20, 1 << 30


class Bench:
    def __init__(self, work, pairs):
        self.work, self.pairs, self.servers = work, pairs, []
        self.kitvault, self.kitvaultd = BUILD / "kitvault", BUILD / "kitvaultd"
        for program in (self.kitvault, self.kitvaultd):
            if not program.exists():
                sys.exit(f"{program} is missing: run ./dev build")

    # --- peers ---

    def kit(self):
        """Path of kit, or None and a word about it."""
        path = os.environ.get("KIT")
        if path and Path(path).exists():
            return Path(path)
        self.say("kit is not measured: give its path as KIT=/path/to/kit")
        return None

    def registry(self):
        """Path of the CNCF registry's program, or None and a word about it."""
        tool = ROOT / "tools/go_tools.py"
        p = subprocess.run([sys.executable, tool, "registry"], stdout=subprocess.PIPE, text=True)
        path = Path(p.stdout.strip().splitlines()[-1]) if p.returncode == 0 and p.stdout.strip() else None
        if path and path.exists():
            return path
        self.say("the CNCF registry is not measured: it could not be built")
        return None

    # --- runs ---

    def env(self, home):
        return {**os.environ, "HOME": str(home), "KITOPS_HOME": str(home), "DOCKER_CONFIG": str(home / "none")}

    def timed(self, argv, home=None, cwd=None, env=None):
        """Seconds and peak memory (KiB) of one process that must succeed."""
        home = home or self.work
        began = time.monotonic()
        p = subprocess.Popen([str(a) for a in argv], cwd=cwd or self.work, env={**self.env(Path(home)), **(env or {})},
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
        err = p.stderr.read()
        _, status, usage = os.wait4(p.pid, 0)
        spent = time.monotonic() - began
        p.returncode = os.waitstatus_to_exitcode(status)
        if p.returncode:
            sys.exit(f"{' '.join(map(str, argv))}: exit status {p.returncode}\n{err.decode(errors='replace')}")
        return spent, usage.ru_maxrss

    def ratios(self, ours, theirs):
        """Calls the two in turn, each returns a figure; medians of both and of theirs / ours."""
        a, b = [], []
        for _ in range(self.pairs):
            a.append(ours())
            b.append(theirs())
        return statistics.median(a), statistics.median(b), statistics.median(y / x for x, y in zip(a, b))

    # --- servers ---

    def free_port(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]

    def serve(self, argv, url):
        """Starts a server and waits until it answers; returns its process."""
        p = subprocess.Popen([str(a) for a in argv], cwd=self.work, env=self.env(self.work), stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        self.servers.append(p)
        for _ in range(2000):
            try:
                urllib.request.urlopen(url, timeout=5).close()
                return p
            except urllib.error.HTTPError:
                return p
            except OSError:
                if p.poll() is not None:
                    break
                time.sleep(0.005)
        sys.exit(f"{argv[0]} did not start")

    def start_hub(self, *more):
        """(process, HOST:PORT) of a hub without authentication on fresh data."""
        port = self.free_port()
        data = self.work / f"hub{port}"
        p = self.serve([self.kitvaultd, "serve", "--data", data, "--listen", f"127.0.0.1:{port}", "--no-auth",
                        "--log-requests=false", *more], f"http://127.0.0.1:{port}/readyz")  # fmt: skip
        return p, f"127.0.0.1:{port}"

    def start_registry(self, program):
        port = self.free_port()
        config = self.work / f"registry{port}.yml"
        config.write_text("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
                          f"storage: {{filesystem: {{rootdirectory: {self.work}/registry{port}}}, delete: {{enabled: true}}}}\n"
                          f"http: {{addr: 127.0.0.1:{port}}}\n")  # fmt: skip
        p = self.serve([program, "serve", config], f"http://127.0.0.1:{port}/v2/")
        return p, f"127.0.0.1:{port}"

    def peak_kib(self, process):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
        return 0

    def stop(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def stop_all(self):
        for p in self.servers:
            self.stop(p)
        self.servers.clear()

    # --- rows ---

    def say(self, text):
        print(f"  {text}", flush=True)

    def row(self, what, figure, goal=None, met=None, note=""):
        mark = "" if met is None else ("  reached" if met else "  MISSED")
        print(f"  {what:<46}{figure:>14}" + (f"   goal {goal}{mark}" if goal else "") + (f"   {note}" if note else ""),
              flush=True)  # fmt: skip

    def fresh(self, name):
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path


def drop_behind():
    """Lets the disk finish what earlier runs left to it, so that nobody pays for another."""
    os.sync()


def megabytes(kib):
    return f"{kib / 1024:.1f} MiB"


resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

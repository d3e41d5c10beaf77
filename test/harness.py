"""Drives the built programs from outside: what the fixtures of conftest.py hand out.

Nothing here knows the programs' insides. Every Kit has a home of its own and every server a port
and a folder of its own, so tests run in any order and side by side.
"""
import base64
import contextlib
import dataclasses
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("KITVAULT_BUILD") or ROOT / "build").resolve()
KIT_TIMEOUT_S = 300
SERVER_START_S = 20
SERVER_STOP_S = 20

SANITIZER = re.compile(
    r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|: runtime error: |SUMMARY: \w+Sanitizer"
)
# Reports go to stderr, where Kit.run and Server.stop look for them; the exit status tells too.
SANITIZER_ENV = {
    "ASAN_OPTIONS": "exitcode=99:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
    "TSAN_OPTIONS": "exitcode=99:report_thread_leaks=0",
}


def program(name):
    path = BUILD / name
    assert path.exists(), f"{path} is missing: run ./dev build"
    return str(path)


def sanitized():
    """The programs carry a sanitizer, whose memory is not theirs."""
    code = Path(program("kitvaultd")).read_bytes()
    return any(mark in code for mark in (b"__asan_init", b"__tsan_init"))


def clean_env(home, **more):
    """The whole environment of a program under test: nothing of the caller's but PATH."""
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "TZ": "UTC"}
    env.update(SANITIZER_ENV)
    env.update({k: str(v) for k, v in more.items()})
    return env


@dataclasses.dataclass(frozen=True)
class Result:
    argv: tuple
    code: int
    out: str
    err: str
    out_bytes: bytes = dataclasses.field(repr=False, default=b"")


class Kit:
    """A person with a home, a working folder and the command line.

    kit("tag", "demo:v1", "demo:v2") returns a Result whatever the exit status; kit.ok(...) asserts
    success and returns what was printed on stdout; kit.fails(...) asserts failure and returns
    stderr. Relative paths are relative to kit.cwd.
    """

    def __init__(self, base, name="kit"):
        self.binary = name
        self.home = Path(base) / "home"
        self.cwd = Path(base) / "work"
        self.home.mkdir(parents=True)
        self.cwd.mkdir()
        self.kitops_home = self.home / ".kitops"
        self.env = {"KITOPS_HOME": self.kitops_home}

    @property
    def storage(self):
        return self.kitops_home / "storage"

    def __call__(self, *argv, stdin=b"", cwd=None, env=None, timeout=KIT_TIMEOUT_S):
        words = [os.fspath(a) if isinstance(a, os.PathLike) else str(a) for a in argv]
        if isinstance(stdin, str):
            stdin = stdin.encode()
        p = subprocess.run(
            [program(self.binary), *words],
            cwd=cwd or self.cwd,
            env=clean_env(self.home, **{**self.env, **(env or {})}),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout,
        )
        err = p.stderr.decode("utf-8", "backslashreplace")
        assert not SANITIZER.search(err), f"{words}: sanitizer report\n{err}"
        assert p.returncode >= 0, f"{words}: killed by signal {-p.returncode}\n{err}"
        return Result(tuple(words), p.returncode, p.stdout.decode("utf-8", "backslashreplace"), err, p.stdout)

    def ok(self, *argv, **kw):
        r = self(*argv, **kw)
        assert r.code == 0, f"{list(r.argv)}: exit {r.code}\n{r.out}{r.err}"
        return r.out

    def fails(self, *argv, **kw):
        r = self(*argv, **kw)
        assert r.code != 0, f"{list(r.argv)}: exit 0, wanted a failure\n{r.out}{r.err}"
        return r.err

    def popen(self, *argv, env=None, **kw):
        """A process that the test ends itself, e.g. to kill it on the way."""
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen(
            [program(self.binary), *map(str, argv)],
            cwd=self.cwd,
            env=clean_env(self.home, **{**self.env, **(env or {})}),
            **kw,
        )


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@dataclasses.dataclass(frozen=True)
class Response:
    status: int
    headers: object  # an email.message.Message: case does not matter
    body: bytes

    def json(self):
        return json.loads(self.body)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kw):
        return None


_opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def http(method, url, body=None, headers=None, auth=None, timeout=60):
    """One HTTP request; any status is a Response. auth: (user, password) for basic auth."""
    req = urllib.request.Request(url, data=body, method=method, headers=dict(headers or {}))
    if auth:
        import base64

        word = base64.b64encode(f"{auth[0]}:{auth[1]}".encode()).decode()
        req.add_header("Authorization", "Basic " + word)
    try:
        with _opener.open(req, timeout=timeout) as r:
            return Response(r.status, r.headers, r.read())
    except urllib.error.HTTPError as e:
        with e:
            return Response(e.code, e.headers, e.read())


class Server:
    """A server on a free loopback port, started, waited for, and stopped by its process id."""

    ready_path = "/"

    def __init__(self, base):
        self.base = Path(base)
        self.base.mkdir(parents=True, exist_ok=True)
        self.log = self.base / "server.log"
        self.process = None
        self.port = None

    # A subclass says how to start on a port.
    def command(self, port):
        raise NotImplementedError

    def environment(self):
        return clean_env(self.base)

    def is_ready(self):
        return http("GET", self.url + self.ready_path, timeout=5).status < 500

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return "http://" + self.host

    @property
    def pid(self):
        return self.process.pid

    def log_text(self):
        return self.log.read_text("utf-8", "backslashreplace") if self.log.exists() else ""

    def start(self, port=None):
        """port: the one of an earlier start, to come back at the same address."""
        assert self.process is None
        for _ in range(5):
            self.port = port or free_port()
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(
                    self.command(self.port), cwd=self.base, env=self.environment(),
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )  # fmt: skip
            if self._wait_ready():
                return self
            # Somebody else may have taken the port between the look and the start.
            self.process = None
            if "in use" not in self.log_text():
                break
        raise AssertionError(f"{self.command(self.port)[0]} did not start\n{self.log_text()}")

    def _wait_ready(self):
        end = time.monotonic() + SERVER_START_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                return False
            with contextlib.suppress(OSError):
                if self.is_ready():
                    return True
            time.sleep(0.02)
        self.process.kill()
        self.process.wait()
        return False

    def stop(self):
        """Asks it to end; asserts that it does, cleanly and without a sanitizer's report."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(SERVER_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"did not end within {SERVER_STOP_S} s\n{self.log_text()}") from None
        self.check_end(code)

    def check_end(self, code):
        pass

    def kill(self):
        """As the power would."""
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def peak_rss_kib(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))


class Hub(Server):
    """kitvaultd with a fresh data folder. more: further arguments of `serve`."""

    ready_path = "/readyz"

    def __init__(self, base, *more, env=None):
        super().__init__(base)
        self.data = self.base / "data"
        self.more = list(more)
        self.env = dict(env or {})

    def command(self, port):
        return [program("kitvaultd"), "serve", "--data", str(self.data),
                "--listen", f"127.0.0.1:{port}", *map(str, self.more)]  # fmt: skip

    def environment(self):
        return clean_env(self.base, **self.env)

    def is_ready(self):
        return http("GET", self.url + self.ready_path, timeout=5).status == 200

    @property
    def admin_password(self):
        return (self.data / "initial-admin-password").read_text().strip()

    @property
    def admin(self):
        """(user, password) for basic auth"""
        return ("admin", self.admin_password)

    def restart(self):
        self.stop()
        return self.start(self.port)

    def check_end(self, code):
        log = self.log_text()
        assert not SANITIZER.search(log), f"sanitizer report\n{log}"
        assert code == 0, f"exit status {code}\n{log}"
        with contextlib.suppress(FileNotFoundError):
            assert self.admin_password not in log, "the log has the administrator's password"

    def request(self, method, path, body=None, headers=None, auth=None, **kw):
        return http(method, self.url + path, body, headers, auth, **kw)


class Registry(Server):
    """The CNCF registry, without auth, with deletes on."""

    ready_path = "/v2/"

    def __init__(self, base, binary):
        super().__init__(base)
        self.binary = binary

    def command(self, port):
        conf = self.base / "config.yml"
        conf.write_text(
            "version: 0.1\n"
            "log: {level: warn}\n"
            f"storage: {{filesystem: {{rootdirectory: '{self.base}/data'}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: '127.0.0.1:{port}'}}\n"
        )
        return [str(self.binary), "serve", str(conf)]

    def environment(self):
        return clean_env(self.base, OTEL_TRACES_EXPORTER="none")


def make_tree(root, files):
    """Makes files below root: {"a/b.txt": "text" or b"bytes", "empty/": None} and returns root."""
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


SMALL_MODEL = {
    "Kitfile": 'manifestVersion: "1.0"\n'
    "package: {name: small, version: 1.0.0, description: a tree for tests}\n"
    "model: {name: small, path: model.safetensors, framework: none}\n"
    "code: [{path: src}]\n"
    "docs: [{path: README.md}]\n",
    "model.safetensors": b"\x08\0\0\0\0\0\0\0{}      ",
    "README.md": "# small\n",
    "src/predict.py": "print(1)\n",
}


def make_model(root, **changes):
    """A tree of a few files that packs: one of everything. changes: more files, None drops one."""
    files = {k: v for k, v in {**SMALL_MODEL, **changes}.items() if v is not None}
    return make_tree(root, files)


def packed_digest(out):
    """The manifest's digest in what pack printed."""
    return re.search(r"^Model saved: (sha256:[0-9a-f]{64})$", out, re.M).group(1)


def make_dev_server(folder):
    """A program that stands in for a llama.cpp server: it says what it was given, and answers."""
    path = Path(folder) / "dev-server"
    path.write_text(
        f"#!{sys.executable}\n"
        "import argparse, http.server\n"
        "p = argparse.ArgumentParser()\n"
        "for name in ('model', 'host', 'port'):\n"
        "    p.add_argument('--' + name, required=True)\n"
        "a = p.parse_args()\n"
        "print('serving', a.model, flush=True)\n"
        "http.server.HTTPServer((a.host, int(a.port)), http.server.SimpleHTTPRequestHandler).serve_forever()\n"
    )
    path.chmod(0o755)
    return path


def store_image(kit, ref, manifest, blobs):
    """Puts an image into the local store as another program would have left it there."""
    storage = kit.storage
    (storage / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (storage / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    text = json.dumps({"schemaVersion": 2, **manifest}).encode()
    for data in [*blobs, text]:
        (storage / "blobs/sha256" / sha256(data).split(":")[1]).write_bytes(data)
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": sha256(text), "size": len(text)}
    repository, tag = ref.rsplit(":", 1)
    name = base64.urlsafe_b64encode(f"localhost/{repository}".encode()).decode()
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]})
    (storage / "index.json").write_text(index)
    (storage / f"{name}-index.json").write_text(index)
    (storage / f"{name}-tags.json").write_text(json.dumps({tag: entry}))


def tar_of(files, **attributes):
    """A tar as Python makes it, which is another dialect than kit's. {"a/": None} is a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            info.mtime, info.uid, info.gid, info.uname, info.mode = 1.7e9 + 0.25, 501, 20, "ada", 0o640
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o750
            else:
                info.size = len(content)
            for key, value in attributes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content) if content else None)
    return out.getvalue()


def described(media_type, data, **annotations):
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data), "annotations": annotations}


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def pattern(n, seed=1):
    """n bytes that do not compress and are the same every time."""
    out, block, i = bytearray(), b"", 0
    while len(out) < n:
        block = hashlib.sha256(b"%d %d" % (seed, i)).digest()
        out += block
        i += 1
    return bytes(out[:n])


class GoTools:
    """Foreign clients and servers in Go, built once into the cache by tools/go_tools.py."""

    def __getitem__(self, name):
        p = subprocess.run(
            [sys.executable, ROOT / "tools" / "go_tools.py", name], stdout=subprocess.PIPE, text=True
        )
        assert p.returncode == 0, f"tools/go_tools.py cannot make {name}"
        return p.stdout.strip()


def need(name):
    """The path of a foreign program that ./dev deps installs; a missing one fails the test."""
    path = shutil.which(name)
    assert path, f"{name} is missing: run ./dev deps"
    return path

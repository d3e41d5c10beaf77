"""init --remote against a server that speaks Hugging Face's API."""
import http.server
import json
import threading
import urllib.parse

import pytest


TOKEN = "hf_secret"
FILES = {
    "model.safetensors": 900,
    "config.json": 10,
    "README.md": 5,
    "LICENSE": b"Apache License\n Version 2.0, January 2004\n TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION",
    ".gitattributes": 5,
    "src/train.py": 7,
    "data/a b.csv": 3,
}
WANT = """manifestVersion: 1.0.0
package:
  name: net
  authors: [team]
model:
  name: model
  path: model.safetensors
  license: Apache-2.0
  parts:
    - path: config.json
code:
  - path: src
datasets:
  - path: data
docs:
  - path: LICENSE
    description: License file
  - path: README.md
    description: Readme file
"""


class Peer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        self.server.seen.append((url.path, self.headers.get("Authorization")))
        if self.server.private and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, b'{"error":"Invalid credentials"}')
        head, _, rest = url.path.partition("/tree/main")
        if head == "/api/models/team/net" and (not rest or rest[0] == "/"):
            return self.tree(urllib.parse.unquote(rest.strip("/")), urllib.parse.parse_qs(url.query))
        if url.path == "/team/net/resolve/main/LICENSE":
            return self.answer(200, FILES["LICENSE"])
        if head.startswith("/api/models/team/net/tree/"):
            return self.answer(404, b'{"error":"Invalid rev id: nowhere"}')
        return self.answer(404, b'{"error":"Repository not found"}')

    def tree(self, folder, query):
        """Two names a page."""
        found = {}
        for path, size in FILES.items():
            inside = path[len(folder) + 1 :] if folder and path.startswith(folder + "/") else path if not folder else None
            if inside is None:
                continue
            name, slash, _ = inside.partition("/")
            full = f"{folder}/{name}" if folder else name
            found[full] = {"type": "directory" if slash else "file", "oid": "0", "path": full,
                           "size": 0 if slash else size if isinstance(size, int) else len(size)}  # fmt: skip
        at = int(query.get("cursor", ["0"])[0])
        names = sorted(found)
        more = f'<{self.path.partition("?")[0]}?cursor={at + 2}>; rel="next"' if at + 2 < len(names) else None
        self.answer(200, json.dumps([found[n] for n in names[at : at + 2]]).encode(), more)

    def answer(self, status, body, link=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if link:
            self.send_header("Link", link)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def peer(kit):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    server.daemon_threads = True
    server.seen, server.private = [], False
    kit.env["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_prints_a_kitfile(kit, peer):
    assert kit.ok("init", "--remote", "team/net") == WANT
    assert not any(token for _, token in peer.seen)
    assert list(kit.cwd.iterdir()) == []
    assert not any("/resolve/" in path for path, _ in peer.seen if "LICENSE" not in path)


def test_writes_it_where_it_is_told(kit, peer):
    words = ("--name", "other", "--desc", "text", "--author", "Ada", "--depth", "-1")
    kit.ok("init", "--remote", "team/net", "--ref", "main", "-o", "k", *words)
    text = (kit.cwd / "k").read_text()
    assert "name: other\n  description: text\n  authors: [Ada]" in text
    assert "path: data/a b.csv" in text


def test_token(kit, peer):
    peer.private = True
    r = kit("init", "--remote", "team/net", "--format", "json")
    assert json.loads(r.out)["error"]["class"] == "denied"
    assert kit.ok("init", "--remote", "team/net", "--token", TOKEN) == WANT
    assert kit.ok("init", "--remote", "team/net", env={"HF_TOKEN": TOKEN}) == WANT
    r = kit("init", "--remote", "team/net", "-vv", env={"HF_TOKEN": TOKEN})
    assert TOKEN not in r.out + r.err


@pytest.mark.parametrize(
    "words, said",
    [
        (("team/none",), "got error code 404 from API: Repository not found"),
        (("team/net", "--ref", "nowhere"), "reference 'nowhere' not found"),
        (("https://example.com/team/net",), "expected OWNER/NAME on Hugging Face"),
        (("net",), "expected OWNER/NAME on Hugging Face"),
    ],
)
def test_failures(kit, peer, words, said):
    r = kit("init", "--remote", *words)
    assert r.code == 1
    assert said in r.err


def test_ref_needs_remote(kit):
    r = kit("init", ".", "--ref", "main")
    assert r.code == 1
    assert r.err.startswith("Error: --ref and --token can only be used with --remote\n")

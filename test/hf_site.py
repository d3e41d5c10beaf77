"""A small server that speaks the API of Hugging Face as it is documented (the real site was not asked)."""
import hashlib
import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "Team/Demo.Model"
ANY_REPO = "[^/]+/[^/]+"
TOKEN = "hf_secretsecretsecret"


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Site:
    """Repositories: {path: bytes}; large ones are LFS files, which are served by a second origin."""

    def __init__(self, repo=re.escape(REPO)):
        """repo: which ones there are, all with the same files (a pattern)."""
        self.files = {}
        self.large = set()
        self.page = 1000
        self.cut = {}  # path: bytes after which its next answer breaks
        self.private = False
        self.seen = []  # (port, path, Range, Authorization)
        self.rows = []  # more entries of the listing, as they are
        self.lies = {}  # path: hash that is listed
        site = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *a):
                pass

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                site.seen.append((self.server.server_address[1], urllib.parse.unquote(url.path),
                                  self.headers.get("Range"), self.headers.get("Authorization")))  # fmt: skip
                if self.server is site.store:
                    return self.content(urllib.parse.unquote(url.path[1:]))
                if site.private and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    return self.answer(401, {"error": "Invalid username or password."})
                if m := re.fullmatch(rf"/api/(?:models|datasets)/{repo}/revision/(.*)", url.path):
                    if m[1] not in ("main", "v1", COMMIT):
                        return self.answer(404, {"error": f"Invalid rev id: {m[1]}"})
                    return self.answer(200, {"id": REPO, "sha": COMMIT})
                if re.fullmatch(rf"/api/(?:models|datasets)/{repo}/tree/{COMMIT}", url.path):
                    return self.tree(url.path, int(urllib.parse.parse_qs(url.query).get("cursor", ["0"])[0]))
                if m := re.fullmatch(rf"(?:/datasets)?/{repo}/resolve/{COMMIT}/(.*)", url.path):
                    path = urllib.parse.unquote(m[1])
                    if path in site.large:
                        self.send_response(302)
                        self.send_header("Location", f"http://127.0.0.1:{site.store.server_address[1]}/{m[1]}")
                        self.send_header("Content-Length", "0")
                        return self.end_headers()
                    return self.content(path)
                return self.answer(404, {"error": "Repository not found"})

            def answer(self, status, body, **headers):
                data = json.dumps(body).encode()
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def tree(self, path_of_tree, at):
                rows = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "sub"}]
                for path, data in site.files.items():
                    row = {"type": "file", "oid": site.lies.get(path, git_hash(data)), "size": len(data), "path": path}
                    if path in site.large:
                        oid = site.lies.get(path, hashlib.sha256(data).hexdigest())
                        row["lfs"] = {"oid": oid, "size": len(data), "pointerSize": 130}
                        row["oid"] = "1" * 40
                    rows.append(row)
                rows += site.rows
                more = {}
                if at + site.page < len(rows):
                    more["Link"] = f'<{site.url}{path_of_tree}?cursor={at + site.page}>; rel="next"'
                self.answer(200, rows[at : at + site.page], **more)

            def content(self, path):
                data, start = site.files[path], 0
                if m := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
                    start = int(m[1])
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                cut = site.cut.pop(path, None)
                self.wfile.write(data[start:][:cut] if cut is not None else data[start:])
                if cut is not None:
                    self.close_connection = True

        self.main = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.store = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.main.server_address[1]}"
        self.threads = [
            threading.Thread(target=s.serve_forever, kwargs={"poll_interval": 0.05}) for s in (self.main, self.store)
        ]
        for t in self.threads:
            t.start()

    def stop(self):
        for s in (self.main, self.store):
            s.shutdown()
            s.server_close()
        for t in self.threads:
            t.join()

    def got(self, path):
        return [x for x in self.seen if x[1].endswith("/" + path)]

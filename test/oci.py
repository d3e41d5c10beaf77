"""A registry client for tests: raw enough to send wrong things, short enough to read like a transcript."""

import base64
import hashlib
import http.client
import json
import os
import re
from urllib.parse import quote

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
EMPTY = "application/vnd.oci.empty.v1+json"


def digest(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


class Response:
    def __init__(self, raw, body):
        self.status = raw.status
        self.headers = raw.headers
        self.body = body

    def __getitem__(self, name):
        return self.headers.get(name)

    def json(self):
        return json.loads(self.body)

    def codes(self):
        """The error codes of the body."""
        assert self["Content-Type"] == "application/json", self
        return [e["code"] for e in self.json()["errors"]]

    def __repr__(self):
        return f"<{self.status} {dict(self.headers)} {self.body[:300]!r}>"


class Oci:
    """One registry and one repository. Every request is its own connection."""

    def __init__(self, host, repo="team/demo", user=None, password=None):
        self.host = host
        self.repo = repo
        self.auth = {}
        if user is not None:
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            self.auth = {"Authorization": "Basic " + token}

    def at(self, repo):
        other = Oci(self.host, repo)
        other.auth = self.auth
        return other

    def request(self, method, path, body=None, headers=(), chunked=False):
        """headers: a dict, or pairs where a name occurs more than once. chunked: body is pieces."""
        conn = http.client.HTTPConnection(self.host, timeout=60)
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        names = {k.lower() for k, _ in pairs}
        conn.putrequest(method, path, skip_accept_encoding=True)
        for k, v in self.auth.items():
            if k.lower() not in names:
                conn.putheader(k, v)
        for k, v in pairs:
            conn.putheader(k, v)
        if chunked:
            conn.putheader("Transfer-Encoding", "chunked")
            conn.endheaders()
            for piece in body:
                conn.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            conn.send(b"0\r\n\r\n")
        else:
            if (body is not None or method in ("POST", "PUT", "PATCH")) and "content-length" not in names:
                conn.putheader("Content-Length", str(len(body or b"")))
            conn.endheaders()
            if body:
                conn.send(body)
        raw = conn.getresponse()
        out = Response(raw, raw.read())
        conn.close()
        return out

    # --- blobs ---
    def url(self, rest):
        return f"/v2/{self.repo}/{rest}"

    def blob(self, d, headers=(), method="GET"):
        return self.request(method, self.url(f"blobs/{d}"), headers=headers)

    def start(self, query=""):
        """POST an upload; its location."""
        r = self.request("POST", self.url("blobs/uploads/" + query))
        assert r.status == 202, r
        return r["Location"]

    def patch(self, location, data, start=None):
        headers = {"Content-Type": "application/octet-stream"}
        if start is not None:
            headers["Content-Range"] = f"{start}-{start + len(data) - 1}"
        return self.request("PATCH", location, data, headers)

    def finish(self, location, d, data=b"", headers=()):
        sep = "&" if "?" in location else "?"
        return self.request("PUT", f"{location}{sep}digest={quote(d)}", data, headers)

    def push_blob(self, data, algorithm="sha256"):
        d = digest(data, algorithm)
        r = self.finish(self.start(), d, data)
        assert r.status == 201, r
        return d

    def delete_blob(self, d):
        return self.request("DELETE", self.url(f"blobs/{d}"))

    # --- manifests ---
    def put(self, ref, data, media_type=IMAGE, headers=(), query=""):
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        if media_type:
            pairs.append(("Content-Type", media_type))
        return self.request("PUT", self.url(f"manifests/{ref}{query}"), data, pairs)

    def get(self, ref, headers=(), method="GET"):
        return self.request(method, self.url(f"manifests/{ref}"), headers=headers)

    def delete(self, ref):
        return self.request("DELETE", self.url(f"manifests/{ref}"))

    def tags(self, query=""):
        return self.request("GET", self.url("tags/list" + query))

    def referrers(self, d, query=""):
        return self.request("GET", self.url(f"referrers/{d}{query}"))

    def descriptor(self, data, media_type="application/octet-stream", algorithm="sha256", **more):
        """Pushes data and describes it."""
        d = self.push_blob(data, algorithm)
        return {"mediaType": media_type, "digest": d, "size": len(data), **more}

    def image(self, salt=None, **fields):
        """Bytes of an image manifest whose config and layer are pushed."""
        salt = salt if salt is not None else os.urandom(8).hex()
        m = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": self.descriptor(b"{}", EMPTY),
            "layers": [self.descriptor(f"layer {salt}".encode())],
        }
        m.update(fields)
        return json.dumps({k: v for k, v in m.items() if v is not None}).encode()

    def push(self, ref, **fields):
        """Pushes a fresh image under ref ("" for its digest); its digest."""
        data = self.image(**fields)
        d = digest(data)
        r = self.put(ref or d, data)
        assert r.status == 201, r
        return d


def describe(data, media_type=IMAGE, algorithm="sha256"):
    return {"mediaType": media_type, "digest": digest(data, algorithm), "size": len(data)}


def index(children, **fields):
    m = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children}
    m.update(fields)
    return json.dumps({k: v for k, v in m.items() if v is not None}).encode()


def next_link(response):
    """The target of a Link header with rel="next", or None."""
    link = response["Link"]
    if not link:
        return None
    m = re.fullmatch(r'<([^>]+)>; rel="next"', link)
    assert m, link
    return m.group(1)

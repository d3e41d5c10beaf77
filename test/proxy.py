"""A server between a client and a registry that records what passes, and spoils it on demand.

    proxy.on("PATCH .*/uploads/", cut_request(1000))       the next PATCH breaks after 1000 bytes
    proxy.on("GET .*/blobs/", flip(7), times=2)            ...
    proxy.seen("GET .*/blobs/")                            the requests that came, as Seen

It also asks for logins (basic, token), speaks TLS, and can be used as a forward proxy.
"""
import base64
import contextlib
import dataclasses
import http.client
import json
import re
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

STEP = 64 * 1024
HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "expect"}


@dataclasses.dataclass
class Seen:
    method: str
    path: str
    headers: object
    sent: int = 0  # bytes of its body that arrived
    status: int = 0

    def __str__(self):
        return f"{self.method} {self.path}"


@dataclasses.dataclass
class Rule:
    pattern: str
    action: object
    times: int


# --- actions: called with the handler, which has not read the request's body; True: all is done ---


def answer(status, headers=None, body=b""):
    """Answers by itself; the request's body is read and dropped."""

    def act(h):
        h.drain()
        h.send(status, dict(headers or {}), body)
        return True

    return act


def refuse_body(status):
    """Answers before the body was read, and hangs up, as a proxy with a limit does."""

    def act(h):
        h.send(status, {"Connection": "close"}, b"")
        h.close_connection = True
        return True

    return act


def cut_request(n):
    """Hands n bytes of the body on, then breaks both connections."""

    def act(h):
        h.forward(cut_body=n)
        return True

    return act


def cut_answer(n):
    """Hands n bytes of the answer on, then breaks the connection."""

    def act(h):
        h.forward(cut_answer=n)
        return True

    return act


def lose_answer(h):
    """The request is carried out and its answer lost."""
    h.forward(lose=True)
    return True


def stall(n):
    """Hands n bytes of the answer on, then nothing more until the client goes away."""

    def act(h):
        h.forward(stall=n)
        return True

    return act


def stall_request(h):
    """Takes nothing of the body until the client goes away."""
    while h.connection.recv(STEP):
        time.sleep(0.05)
    h.hang_up()
    return True


def hold_request(n):
    """Hands n bytes of the body on, then waits for the client to go away."""

    def act(h):
        h.forward(hold_body=n)
        return True

    return act


def flip(offset):
    """Flips the byte of the answer's body at offset."""

    def act(h):
        h.forward(flip=offset)
        return True

    return act


def no_ranges(h):
    """Hands the request on without its Range."""
    del h.headers["Range"]
    return False


def redirect(to):
    """307 to the same path at another address."""

    def act(h):
        h.drain()
        h.send(307, {"Location": to + h.path}, b"")
        return True

    return act


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *args):
        pass

    # --- the request's body ---

    def body_pieces(self, limit=None):
        left = self.body_left if limit is None else min(limit, self.body_left)
        while left:
            piece = self.rfile.read(min(STEP, left))
            if not piece:
                return
            left -= len(piece)
            self.body_left -= len(piece)
            self.entry.sent += len(piece)
            yield piece

    def drain(self):
        for _ in self.body_pieces():
            pass

    # --- the answer ---

    def send(self, status, headers, body):
        self.entry.status = status
        self.send_response_only(status)
        for k, v in headers.items():
            self.send_header(k, v)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def hang_up(self):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def forward(self, cut_body=None, hold_body=None, cut_answer=None, lose=False, flip=None, stall=None):
        up = http.client.HTTPConnection(*self.server.upstream, timeout=60)
        try:
            self._forward(up, cut_body, hold_body, cut_answer, lose, flip, stall)
        except (OSError, http.client.HTTPException):
            self.hang_up()
        finally:
            up.close()

    def _forward(self, up, cut_body, hold_body, cut_answer, lose, flip, stall):
        up.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for k, v in self.headers.items():
            if k.lower() not in HOP and not (self.server.hides_login and k.lower() == "authorization"):
                up.putheader(k, v)
        if self.server.context:
            up.putheader("X-Forwarded-Proto", "https")
        up.endheaders()
        for piece in self.body_pieces(hold_body if cut_body is None else cut_body):
            up.send(piece)
        if cut_body is not None:
            self.hang_up()
            return
        if self.body_left and hold_body is None:
            raise ConnectionError("the client went away")
        if hold_body is not None:
            self.entry.status = -1  # for a test: all that will come has come
            self.drain()
            self.hang_up()
            return
        r = up.getresponse()
        self.entry.status = r.status
        if lose:
            r.read()
            self.hang_up()
            return
        self.send_response_only(r.status)
        for k, v in r.headers.items():
            if k.lower() not in HOP:
                self.send_header(k, v)
        length = r.headers.get("Content-Length")
        if length is None:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        at = 0
        while piece := r.read(STEP):
            if flip is not None and at <= flip < at + len(piece):
                piece = bytearray(piece)
                piece[flip - at] ^= 1
            if cut_answer is not None and at + len(piece) > cut_answer:
                self.wfile.write(piece[: cut_answer - at])
                self.wfile.flush()
                self.hang_up()
                return
            if stall is not None and at + len(piece) > stall:
                self.wfile.write(piece[: stall - at])
                self.wfile.flush()
                self.connection.recv(1)
                self.hang_up()
                return
            self.wfile.write(piece)
            at += len(piece)

    # --- logins ---

    def given_login(self):
        word, _, text = self.headers.get("Authorization", "").partition(" ")
        if word != "Basic":
            return None
        return tuple(base64.b64decode(text).decode().split(":", 1))

    def give_token(self):
        s = self.server
        query = parse_qs(urlsplit(self.path).query)
        if self.command == "POST":
            form = parse_qs(b"".join(self.body_pieces()).decode())
            ok = form.get("refresh_token") == [s.refresh_token]
            scopes = form.get("scope", [""])[0].split(" ")
        else:
            login = self.given_login()
            ok = login == s.login or (login is None and s.anonymous_token)
            scopes = query.get("scope", [])
        if not ok:
            body = {"errors": [{"code": "UNAUTHORIZED", "message": "wrong name or password"}]}
            self.send(401, {"Content-Type": "application/json"}, json.dumps(body).encode())
            return
        s.scopes.append(scopes)
        s.tokens.append(f"token-{len(s.scopes)}")
        self.send(200, {}, json.dumps({"token": s.tokens[-1], "expires_in": 300}).encode())

    def is_signed_in(self):
        s = self.server
        if s.asks == "basic":
            return self.given_login() == s.login
        if s.asks == "token":
            return self.headers.get("Authorization", "")[7:] in s.tokens
        return True

    def challenge(self):
        s = self.server
        if s.asks == "basic":
            text = 'Basic realm="registry"'
        else:
            text = f'Bearer realm="{s.url}/token",service="registry"'
        self.drain()
        self.send(401, {"WWW-Authenticate": text}, b"")

    # --- one request ---

    def handle_one(self):
        s = self.server
        self.body_left = int(self.headers.get("Content-Length") or 0)
        if self.path.startswith("http://"):  # a forward proxy's request line
            parts = urlsplit(self.path)
            self.path = parts.path + ("?" + parts.query if parts.query else "")
            s.proxied += 1
        self.entry = Seen(self.command, self.path, self.headers)
        s.requests.append(self.entry)
        if s.asks == "token" and self.path.partition("?")[0] == "/token":
            self.give_token()
            return
        if not self.is_signed_in():
            self.challenge()
            return
        rule = s.take_rule(str(self.entry))
        if rule and rule.action(self):
            return
        self.forward()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one


class Proxy(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream_port, cert=None, client_ca=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = ("127.0.0.1", upstream_port)
        self.port = self.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = ("https://" if cert else "http://") + self.host
        self.asks = None  # "basic", "token"
        self.login = None
        self.refresh_token = None
        self.anonymous_token = False
        self.hides_login = True
        self.requests, self.rules, self.tokens, self.scopes = [], [], [], []
        self.proxied = 0
        self.lock = threading.Lock()
        if cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*cert)
            if client_ca:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(client_ca)
            self.context = context
        else:
            self.context = None
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def finish_request(self, request, client_address):
        if self.context:
            with contextlib.suppress(OSError):
                with self.context.wrap_socket(request, server_side=True) as tls:
                    super().finish_request(tls, client_address)
        else:
            super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is what these tests are about

    def take_rule(self, line):
        with self.lock:
            for rule in self.rules:
                if rule.times and re.search(rule.pattern, line):
                    rule.times -= 1
                    return rule
        return None

    def on(self, pattern, action, times=1):
        self.rules.append(Rule(pattern, action, times))
        return self

    def seen(self, pattern):
        return [s for s in self.requests if re.search(pattern, str(s))]

    def forget(self):
        self.requests.clear()
        self.rules.clear()

    def stop(self):
        self.shutdown()
        self.thread.join()
        self.server_close()

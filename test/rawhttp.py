"""HTTP by hand, for requests that no client library would send."""
import socket
import ssl
import time


class Raw:
    """A connection to a hub. Every read is bounded by `timeout` seconds."""

    def __init__(self, hub, timeout=10, source=None, tls=None):
        self.sock = socket.create_connection(
            ("127.0.0.1", hub.port), timeout, source_address=(source, 0) if source else None
        )
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.rest = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, *parts):
        for part in parts:
            self.sock.sendall(part if isinstance(part, bytes) else part.encode())

    def head(self):
        """(status, {lower-case name: value}); b"" of a closed connection raises EOFError."""
        while b"\r\n\r\n" not in self.rest:
            self._more()
        n = self.rest.index(b"\r\n\r\n")
        line, *lines = self.rest[:n].decode("latin-1").split("\r\n")
        del self.rest[: n + 4]
        assert line.startswith("HTTP/1.1 "), line
        pairs = (text.split(":", 1) for text in lines)
        return int(line.split()[1]), {name.lower(): value.strip() for name, value in pairs}

    def answer(self, body=True):
        """(status, headers, body) of one response with Content-Length."""
        status, headers = self.head()
        n = int(headers.get("content-length", 0)) if body else 0
        while len(self.rest) < n:
            self._more()
        data = bytes(self.rest[:n])
        del self.rest[:n]
        return status, headers, data

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError(bytes(self.rest))
        self.rest += data

    def is_closed(self, within=5):
        """The peer closed (or reset), and sent nothing before."""
        self.sock.settimeout(within)
        try:
            return not self.rest and self.sock.recv(1) == b""
        except (ConnectionResetError, ssl.SSLEOFError):
            return True
        except TimeoutError:
            return False


def get(path="/healthz", *headers, version="1.1"):
    lines = [f"GET {path} HTTP/{version}", "Host: hub", *headers, "", ""]
    return "\r\n".join(lines).encode()


def wait_until(check, seconds=10):
    end = time.monotonic() + seconds
    while not (result := check()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)
    return result

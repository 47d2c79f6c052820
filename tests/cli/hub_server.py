"""A Hugging Face Hub on this machine, and a second server that has the bytes of its files.

It misbehaves on order: see Behaviour. What it was asked is in `requests`.
"""

import contextlib
import dataclasses
import functools
import hashlib
import http.server
import json
import threading
import time
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@functools.lru_cache(None)
def sha256(data):
    return hashlib.sha256(data).hexdigest()


@functools.lru_cache(None)
def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclasses.dataclass
class Behaviour:
    """How the file is served; the defaults are those of the real Hub."""

    etag: str = ""  # "": the SHA-256
    size: str = ""  # of X-Linked-Size; "": the right one
    commit: str = COMMIT
    is_large: bool = True  # it lies on the other server
    status: int = 200  # of the Hub's answers
    error_code: str = ""  # X-Error-Code
    failures: int = 0  # so many times the other server says 503 before it serves
    drops: int = 0  # so many connections break...
    drop_after: int = 0  # ...after so many bytes
    ignores_ranges: bool = False
    wrong_range: str = ""  # Content-Range
    status_of_range: int = 206
    body_ends: int = 0  # sends so many bytes fewer, or with < 0 more, than it says
    length_off: int = 0  # Content-Length says so many more than it is to be
    has_length: bool = True
    pause: float = 0  # seconds before the body
    piece: int = 0  # bytes between two waits of a hundredth second; 0: as fast as it goes
    redirects: str = ""  # "loop", "renamed", or where the bytes are


@dataclasses.dataclass
class Request:
    server: str  # "hub" or "store"
    method: str
    path: str
    headers: dict
    first_byte: int = 0
    n_sent: int = 0  # bytes of the body


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def reply(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer(self):
        hub = self.server.hub
        self.request_record = Request(self.server.kind, self.command, self.path,
                                      {name.lower(): value for name, value in self.headers.items()})
        hub.requests.append(self.request_record)
        if self.server.kind == "store":
            return self.send_file(urllib.parse.unquote(self.path[1:]))
        path = urllib.parse.unquote(self.path)
        if path.startswith("/api/models/"):
            return self.send_list(path.split("/")[3:5])
        owner, repository, resolve, revision, file = path[1:].split("/", 4)
        assert resolve == "resolve", path
        return self.send_answer(f"{owner}/{repository}", revision, file)

    def fail(self, behaviour):
        self.reply(behaviour.status, {"X-Error-Code": behaviour.error_code}, b"no such luck")

    def send_list(self, repository):
        hub = self.server.hub
        if hub.behaviour.status != 200:
            return self.fail(hub.behaviour)
        names = [name.split("/", 2)[2] for name in hub.files
                 if name.startswith("/".join(repository) + "/")]
        if not names:
            return self.reply(404, {"X-Error-Code": "RepoNotFound"})
        siblings = [{"rfilename": name} for name in names] + hub.more_siblings
        return self.reply(200, body=json.dumps({"sha": COMMIT, "siblings": siblings}).encode())

    def send_answer(self, repository, revision, file):
        hub, behaviour = self.server.hub, self.server.hub.behaviour
        if behaviour.status != 200:
            return self.fail(behaviour)
        if behaviour.redirects == "loop":
            return self.reply(302, {"Location": self.path})
        if behaviour.redirects == "renamed" and not repository.startswith("new-"):
            return self.reply(307, {"Location": "/new-" + self.path[1:]})
        name = f"{repository}/{file}".removeprefix("new-")
        if revision not in ("main", COMMIT):
            return self.reply(404, {"X-Error-Code": "RevisionNotFound"})
        if name not in hub.files:
            return self.reply(404, {"X-Error-Code": "EntryNotFound"})
        data = hub.files[name]
        etag = behaviour.etag or (sha256(data) if behaviour.is_large else git_sha1(data))
        headers = {"X-Repo-Commit": behaviour.commit, "ETag": f'W/"{etag}"'}
        if not behaviour.is_large:
            if self.command == "HEAD":
                return self.reply(200, {**headers, "Content-Length": str(len(data))})
            return self.send_file(name)
        headers.update({"ETag": '"of-the-redirect"', "X-Linked-Etag": f'"{etag}"',
                        "X-Linked-Size": behaviour.size or str(len(data)),
                        "Location": f"{hub.store_url}/{urllib.parse.quote(name)}"})
        return self.reply(302, headers, b"Found")

    def send_file(self, name):
        """With everything that can go wrong."""
        hub, behaviour = self.server.hub, self.server.hub.behaviour
        data = hub.files[name]
        with hub.mutex:
            fails, behaviour.failures = behaviour.failures > 0, max(0, behaviour.failures - 1)
        if fails:
            return self.reply(503, {}, b"busy")
        first, status, headers = 0, 200, {}
        asked = self.headers.get("Range")
        if asked and not behaviour.ignores_ranges:
            first = int(asked.removeprefix("bytes=").removesuffix("-"))
            status = behaviour.status_of_range
            if status == 416 or first >= len(data):
                return self.reply(416, {"Content-Range": f"bytes */{len(data)}"}, b"no such range")
            last = len(data) - 1
            headers["Content-Range"] = behaviour.wrong_range or f"bytes {first}-{last}/{len(data)}"
        self.request_record.first_byte = first
        body = memoryview(data)[first:]
        headers["Content-Length"] = str(len(body) + behaviour.length_off)
        if not behaviour.has_length:
            headers.update({"Content-Length": None, "Connection": "close"})
        if behaviour.body_ends > 0:
            body = body[:-behaviour.body_ends]
        self.send_response(status)
        for header, value in headers.items():
            if value is not None:
                self.send_header(header, value)
        self.end_headers()
        time.sleep(behaviour.pause)
        self.send_body(body, b"x" * -behaviour.body_ends)
        if behaviour.length_off or behaviour.body_ends or not behaviour.has_length:
            self.close_connection = True

    def send_body(self, body, more):
        hub, behaviour = self.server.hub, self.server.hub.behaviour
        with hub.mutex:
            drops, behaviour.drops = behaviour.drops > 0, max(0, behaviour.drops - 1)
        if drops:
            body, more = body[:behaviour.drop_after], b""
            self.close_connection = True
        piece = behaviour.piece or 1 << 20
        for data in (body, more):
            for begin in range(0, len(data), piece):
                self.wfile.write(data[begin:begin + piece])
                self.request_record.n_sent += len(data[begin:begin + piece])
                if behaviour.piece:
                    time.sleep(0.01)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, kind, hub):
        super().__init__(("127.0.0.1", 0), Handler)
        self.kind, self.hub = kind, hub
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, *_):
        pass  # the client has gone


class Hub:
    """Two servers on two ports; other ports are other hosts."""

    def __init__(self):
        self.files = {}  # "OWNER/REPO/FILE": bytes
        self.more_siblings = []  # of the list
        self.behaviour = Behaviour()
        self.requests = []
        self.mutex = threading.Lock()
        self.servers = [Server("hub", self), Server("store", self)]
        self.url, self.store_url = (f"http://127.0.0.1:{server.server_port}"
                                    for server in self.servers)

    def bodies(self):
        """The requests that got bytes of a file."""
        return [request for request in self.requests if request.n_sent]

    def n_sent(self):
        return sum(request.n_sent for request in self.requests)

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

"""A package index on the loopback interface, with wheels made by code and downloads that break off when told to."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


def wheel(name: str, version: str, files: dict[str, str | bytes]) -> tuple[str, bytes]:
    """A wheel's file name and bytes, with these files in it."""
    info = f"{name}-{version}.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path, content in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, content)
    return f"{name}-{version}-py3-none-any.whl", stream.getvalue()


@dataclass
class PackageIndex:
    """What is served, and what was asked for.

    Attributes:
        pages: wheels by the path of their page, such as "/whl/cpu/torch/".
        broken: how many of our own downloads of a file, by name, end in the middle.
        ranges: whether a download may begin in the middle.
        statuses: answers such as 503 to our own downloads, by name, used up one after the other.
        login: user and password that every request has to bring, "" for none, as "me:secret".
        moved: where everything stands now, such as "http://127.0.0.1:8000"; "" where it is here.
        requests: (method, path, Range header) of our own requests, pip's left out.
    """

    pages: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    statuses: dict[str, list[int]] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    login: str = ""
    moved: str = ""
    url: str = ""

    def file(self, name: str) -> bytes:
        """The bytes of a file."""
        return next(data for wheels in self.pages.values() for file, data in wheels if file == name)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    index: PackageIndex

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        index, ours = self.index, "KMM" in self.headers.get("User-Agent", "")
        self.path = self.path.removeprefix("http://pypi.invalid")  # as who takes this for a proxy asks
        if index.moved:
            self.send_response(302)
            self.send_header("Location", f"{index.moved}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        login = base64.b64encode(index.login.encode()).decode()
        if login and self.headers.get("Authorization") != f"Basic {login}":
            self._send(401, "who are you?", body)
            return
        if ours:
            index.requests.append((self.command, self.path, self.headers.get("Range", "")))
        if self.path in index.pages:
            links = (
                f'<a href="/files/{name}#sha256={hashlib.sha256(data).hexdigest()}">{name}</a>'
                for name, data in index.pages[self.path]
            )
            self._send(200, "<!DOCTYPE html><html><body>" + "<br>".join(links) + "</body></html>", body)
            return
        name = self.path.removeprefix("/files/").replace("%2B", "+")
        try:
            data = index.file(name)
        except StopIteration:
            self._send(404, "no such file", body)
            return
        if ours and body and index.statuses.get(name):
            self._send(index.statuses[name].pop(0), "not now", body)
            return
        self._send_file(name, data, body, ours)

    def _send(self, status: int, text: str, body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if body:
            self.wfile.write(text.encode())

    def _send_file(self, name: str, data: bytes, body: bool, ours: bool) -> None:
        wanted, start = self.headers.get("Range"), 0
        if wanted and self.index.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self._send(416, "there is no more", body)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if not body:
            return
        half = start + (len(data) - start) // 2
        self.wfile.write(data[start:half])
        self.wfile.flush()
        if ours and self.index.broken.get(name, 0) > 0:
            self.index.broken[name] -= 1
            self.close_connection = True
            return
        self.wfile.write(data[half:])

    def log_message(self, *_):
        pass


@contextmanager
def served(index: PackageIndex) -> Iterator[PackageIndex]:
    """Serves the index on 127.0.0.1 while the block runs."""
    handler = type("Handler", (_Handler,), {"index": index})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    index.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)

"""A real HTTP server that answers as the hub of models does: gates, redirects to another machine, parts of files."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer(ThreadingHTTPServer):
    """``files``: ``owner/name/file`` -> bytes. Those in ``gated`` are for ``token`` alone, if its owner is in
    ``accepted``. A file's bytes come from ``stock``, another server, if there is one; ``cuts`` connections end early;
    ``parts`` off: no Range; ``digest``: another SHA-256 than the file has. ``asked`` has method, path, Authorization
    and Range of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.gated: set[str] = set()
        self.renamed: dict[str, str] = {}
        self.token, self.accepted = "hf_right", True
        self.stock: HubServer | None = None
        self.cuts, self.parts, self.digest, self.busy = 0, True, "", 0
        self.asked: list[tuple[str, str, str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: HubServer

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub = self.server
        given = self.headers.get("Authorization", "")
        hub.asked.append((self.command, self.path, given, self.headers.get("Range", "")))
        name = re.sub(r"/resolve/main|\?.*", "", self.path).removeprefix("/")
        repository = name.rpartition("/")[0]
        if repository in hub.renamed:
            self._say(307, {"Location": self.path.replace(repository, hub.renamed[repository])})
        elif hub.busy:
            self._say(hub.busy)
        elif repository in hub.gated and given != f"Bearer {hub.token}":
            self._say(401, {"X-Error-Code": "GatedRepo" if not given else ""})
        elif repository in hub.gated and not hub.accepted:
            self._say(403, {"X-Error-Code": "GatedRepo"})
        elif name not in hub.files:
            self._say(404, {"X-Error-Code": "EntryNotFound"})
        else:
            self._give(name, hub.files[name])

    def _give(self, name: str, data: bytes) -> None:
        hub = self.server
        said = {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{hub.digest or hashlib.sha256(data).hexdigest()}"',
            "X-Linked-Size": str(len(data)),
        }
        if hub.stock is not None:
            self._say(302, {**said, "Location": f"{hub.stock.url}/{name}?signature=secret"})
            return
        first = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(first[1]) if first and hub.parts else 0
        if start:
            said["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._say(206 if start else 200, said, data[start:])

    def _say(self, status: int, headers: dict[str, str] | None = None, data: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET" and data:
            cut = self.server.cuts > 0
            self.server.cuts -= cut
            self.wfile.write(data[: len(data) // 2] if cut else data)

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def handle(self) -> None:
        with suppress(ConnectionError):  # who asked is gone
            super().handle()


@contextmanager
def hub_serving() -> Iterator[HubServer]:
    with HubServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

"""A real HTTP server of weight files, on this machine, with the faults that networks have."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WeightServer(ThreadingHTTPServer):
    """Serves ``files`` (name -> bytes). Those in ``cut`` end after half of what was announced; those in ``stalled``
    stop there until ``go_on`` is set; of those in ``lengths`` it says another length, or with "" none. ``asked`` are
    the names that were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.stalled: set[str] = set()
        self.lengths: dict[str, str] = {}
        self.asked: list[str] = []
        self.half_sent, self.go_on = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: WeightServer

    def do_GET(self) -> None:
        name = self.path.removeprefix("/")
        self.server.asked.append(name)
        data = self.server.files.get(name)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        if length := self.server.lengths.get(name, str(len(data))):
            self.send_header("Content-Length", length)
        self.end_headers()
        half = len(data) // 2
        self.wfile.write(data[:half])
        self.wfile.flush()
        if name in self.server.stalled:
            self.server.half_sent.set()
            self.server.go_on.wait()
        if name not in self.server.cut:
            self.wfile.write(data[half:])

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def handle(self) -> None:
        with suppress(ConnectionError):  # who asked is gone
            super().handle()


@contextmanager
def serving() -> Iterator[WeightServer]:
    with WeightServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.go_on.set()
            server.shutdown()
            thread.join()

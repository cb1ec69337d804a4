"""A server of the viewer in a thread of the test, and requests to it."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from queue import Queue

import pytest

from hypoxia_hpc.viewer import library
from hypoxia_hpc.viewer.serving import serve_on_port, serve_on_socket
from hypoxia_hpc.viewer.shown import Shown

IDLE_SECONDS = 300.0


def require_library() -> None:
    """OpenSeadragon is no part of the repository; CI fetches it."""
    if not (library.FOLDER / library.SCRIPT).exists():
        assert os.environ.get("CI") != "1", "make viewer fetches OpenSeadragon"
        pytest.skip("OpenSeadragon is not here: make viewer fetches it")


@dataclass
class Served:
    """``where``: the link, or the path of the socket. ``ended`` has whether it was idle."""

    where: str
    stop: threading.Event
    ended: list[bool] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.where.partition("127.0.0.1:")[2].partition("/")[0])

    @property
    def token(self) -> str:
        return self.where.partition("token=")[2]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 30)

    def get(self, path: str, **headers: str) -> tuple[int, Message, bytes]:
        """Status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest("GET", path, skip_host="host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read()
        connection.close()
        return found

    def cookie(self) -> str:
        """What a browser shows after it has opened the link."""
        status, headers, _ = self.get(f"/?token={self.token}")
        assert status == 303 and headers["Location"] == "/"
        return str(headers["Set-Cookie"]).partition(";")[0]


@contextmanager
def served(shown: Shown, *, on_socket: bool = False, idle_seconds: float = IDLE_SECONDS) -> Iterator[Served]:
    stop, ready, ended = threading.Event(), Queue[str](), list[bool]()

    def serve() -> None:
        if on_socket:
            ended.append(
                serve_on_socket(shown, lambda path: ready.put(str(path)), stop=stop, idle_seconds=idle_seconds)
            )
        else:
            ended.append(serve_on_port(shown, 0, ready.put, stop=stop, idle_seconds=idle_seconds))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Served(ready.get(timeout=60), stop, ended)
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()

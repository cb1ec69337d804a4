"""The server: what it gives to whom, and that clients which ask for nothing or read nothing hold up no other."""

from __future__ import annotations

import json
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hypoxia_hpc.viewer import server
from hypoxia_hpc.viewer.shown import Shown, shown_folder
from viewer.serving import Served, require_library, served


@pytest.fixture(scope="module")
def shown(real_slide: Path) -> Shown:
    require_library()
    return shown_folder(real_slide)


@pytest.fixture(scope="module")
def open_server(shown: Shown) -> Iterator[Served]:
    with served(shown) as found:
        yield found


def test_the_cookie_opens_everything_and_nothing_else_does(open_server: Served, shown: Shown) -> None:
    key, cookie = shown.slides[0].key, open_server.cookie()
    paths = ["/", "/page.js", "/page.css", "/icon.svg", "/openseadragon.min.js", "/slides.json", f"/slides/{key}.json"]
    paths += [f"/slides/{key}.jpg", f"/slides/{key}_files/12/0_0.jpg", f"/slides/{key}_files/8/0_0.jpg"]
    for path in paths:
        status, headers, body = open_server.get(path, cookie=cookie)
        assert status == 200 and len(body) == int(headers["Content-Length"]) > 0
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert open_server.get(path)[0] == 401
        assert open_server.get(path, cookie=cookie + "x")[0] == 401
        assert open_server.get(path, cookie=cookie, host="evil.example")[0] == 403
    assert open_server.get("/?token=wrong")[0] == 401
    described = json.loads(open_server.get(f"/slides/{key}.json", cookie=cookie)[2])
    assert (described["width"], described["height"], described["mpp"], described["overlays"]) == (2220, 2967, 0.499, [])
    assert "path" not in json.loads(open_server.get("/slides.json", cookie=cookie)[2])["slides"][0]


def test_what_is_not_there_is_404(open_server: Served, shown: Shown) -> None:
    key, cookie = shown.slides[0].key, open_server.cookie()
    for path in (
        *("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/page/../page.js", "//etc/passwd", "/page.js%00"),
        *(f"/slides/{'0' * 16}.json", f"/slides/{'0' * 16}_files/0/0_0.jpg", f"/overlays/{key}/0.png"),
        *(f"/slides/{key}_files/{place}.jpg" for place in ("13/0_0", "12/10_0", "12/0_13", "9999999/0_0")),
    ):
        assert open_server.get(path, cookie=cookie)[0] == 404, path


def answered(client: socket.socket, request: bytes) -> bytes:
    client.sendall(request)
    return client.recv(4096)


def test_one_connection_after_another_request_and_no_request_at_all(open_server: Served) -> None:
    host = f"Host: localhost:{open_server.port}\r\n".encode()
    with open_server.connect() as client:
        for _ in range(2):
            assert answered(client, b"GET / HTTP/1.1\r\n" + host + b"\r\n").startswith(b"HTTP/1.1 401")
        assert b"Connection: close" in answered(client, b"HEAD / HTTP/1.1\r\nConnection: close\r\n" + host + b"\r\n")
        assert client.recv(9) == b""
    for request, status in (
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\n\r\n", b"405"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
    ):
        with open_server.connect() as client:
            assert answered(client, request).startswith(b"HTTP/1.1 " + status)
    with open_server.connect() as client:
        client.sendall(b"GET / HT")
    assert open_server.get("/")[0] == 401


@pytest.mark.parametrize("n", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_clients_that_ask_nothing_or_never_read_hold_up_no_other(open_server: Served, shown: Shown, n: int) -> None:
    cookie = open_server.cookie()
    ask = f"GET /openseadragon.min.js HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode()
    clients = [open_server.connect() for _ in range(n)]
    for client in clients[: n // 2]:
        client.sendall(ask * 20)  # 5 MB of answers, of which none is read
    begin = time.monotonic()
    assert open_server.get(f"/slides/{shown.slides[0].key}_files/12/0_0.jpg", cookie=cookie)[0] == 200
    assert time.monotonic() - begin < 20
    for client in clients:
        client.close()


def test_one_that_never_reads_is_cut_off(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "WRITE_SECONDS", 0.2)
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    with served(shown) as one:
        ask = f"GET /openseadragon.min.js HTTP/1.1\r\nHost: localhost\r\nCookie: {one.cookie()}\r\n\r\n".encode()
        with one.connect() as never_reads, one.connect() as never_asks:
            never_reads.sendall(ask * 50)
            assert never_asks.recv(1) == b"", "its time is over"
            time.sleep(1)
            received = 0
            with suppress(ConnectionResetError):
                while data := never_reads.recv(1 << 20):
                    received += len(data)
            assert received < 50 * 277_000


def test_more_connections_than_may_be_are_told(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_most_connections", lambda: 2)
    with served(shown) as one, one.connect() as first, one.connect() as second:
        for client in (first, second):
            assert answered(client, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 403")
        with one.connect() as third:
            assert third.recv(4096).startswith(b"HTTP/1.1 503")


def test_the_socket_is_its_owners_alone_and_goes_with_the_server(shown: Shown) -> None:
    with served(shown, on_socket=True) as one:
        path = Path(one.where)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(one.where)
            asked = b"GET /slides.json HTTP/1.1\r\nHost: localhost:8080\r\n\r\n"
            assert answered(client, asked).startswith(b"HTTP/1.1 200"), "no token is asked for"
            assert answered(client, asked.replace(b"localhost", b"evil.example")).startswith(b"HTTP/1.1 403")
    assert not path.parent.exists()
    assert one.ended == [False]


def test_it_ends_when_nothing_is_asked_for(shown: Shown) -> None:
    with served(shown, idle_seconds=0.3) as one:
        end = time.monotonic() + 30
        while not one.ended and time.monotonic() < end:
            with suppress(OSError):  # it may end meanwhile
                one.get("/")  # who may not ask keeps nothing running
            time.sleep(0.05)
    assert one.ended == [True]

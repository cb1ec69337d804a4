"""Requests as bytes: what is answered, and what is no request."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.viewer.http_messages import ALWAYS, Answer, BadRequestError, Request, answer_bytes, request_of


def test_a_request() -> None:
    found = request_of(b"GET /slides.json?a=b HTTP/1.1\r\nHost: localhost:1\r\nX-One:  two \r\nContent-Length: 0")
    assert found == Request(
        "GET", "/slides.json", "a=b", {"host": "localhost:1", "x-one": "two", "content-length": "0"}, True
    )
    assert not request_of(b"GET / HTTP/1.1\r\nConnection: close").keeps_open
    assert not request_of(b"GET / HTTP/1.0").keeps_open
    assert request_of(b"GET /%2e%2e/x HTTP/1.1").path == "/%2e%2e/x", "what is encoded stays so"
    assert request_of(b"GET //evil.example/page.js HTTP/1.1").path == ""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"GET / HTTP/2.0", 400),
        (b"GET page.js HTTP/1.1", 400),
        (b"GET http://localhost/ HTTP/1.1", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /\x00 HTTP/1.1", 400),
        (b"GET //[ HTTP/1.1", 400),
        (b"get / HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nhost: b", 400),
        (b"GET / HTTP/1.1\r\nno header", 400),
        (b"GET / HTTP/1.1\r\nA: b\nC: d", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 5", 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked", 400),
        (b"POST / HTTP/1.1", 405),
        (b"DELETE /slides.json HTTP/1.1", 405),
        (b"OPTIONS / HTTP/1.1", 405),
    ],
)
def test_what_is_no_request(head: bytes, status: int) -> None:
    with pytest.raises(BadRequestError) as error:
        request_of(head)
    assert error.value.status == status


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(head: bytes) -> None:
    for whole in (head, b"GET / HTTP/1.1\r\n" + head):
        with suppress(BadRequestError):
            assert request_of(whole).method in ("GET", "HEAD")


def test_an_answer_says_what_no_browser_may_do() -> None:
    answer = Answer(HTTPStatus.OK, b"pixels", "image/jpeg", {"Cache-Control": "private, max-age=9"})
    head, _, body = answer_bytes(answer).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert (lines[0], body) == ("HTTP/1.1 200 OK", b"pixels")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    assert fields["Content-Length"] == "6" and fields["Cache-Control"] == "private, max-age=9"
    assert fields.items() >= ALWAYS.items() and "'unsafe" not in str(fields) and "http" not in str(fields)
    assert not any(name.lower().startswith("access-control") for name in fields)
    assert answer_bytes(answer, with_body=False) == head + b"\r\n\r\n"

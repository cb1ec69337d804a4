"""HTTP/1.1 as far as the viewer needs it: GET and HEAD without a body, answers with a length. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

MOST_HEAD_BYTES = 16 * 2**10
METHODS = ("GET", "HEAD")
_LINE = re.compile(r"([A-Z]{1,16}) (/[!-~]{0,4096}) HTTP/1\.([01])", re.ASCII)
_HEADER = re.compile(r"([A-Za-z0-9-]{1,64}):[ \t]*([\t -~\x80-\xff]*?)[ \t]*", re.ASCII)
# With every answer: nothing but the viewer's own files is loaded or sent to, no other page gets or frames what is here,
# and a slide's bytes are taken for nothing but what they are said to be.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors "
)
NO_FRAMES = "'none'"
ALWAYS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Request:
    """``headers`` by name in small letters."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    keeps_open: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back; ``headers`` beside those that every answer has."""

    status: HTTPStatus
    body: bytes = b""
    media_type: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


class BadRequestError(ValueError):
    """``status`` is what the client gets."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


def request_of(head: bytes) -> Request:
    """From the bytes before the empty line, without it. Raises BadRequestError for what is no request, one with a body
    or a repeated header, and methods that would change something."""
    first, *rest = head.decode("latin-1").split("\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise BadRequestError(HTTPStatus.BAD_REQUEST)
    headers: dict[str, str] = {}
    for one in rest:
        found = _HEADER.fullmatch(one)
        if found is None or found[1].lower() in headers:
            raise BadRequestError(HTTPStatus.BAD_REQUEST)
        headers[found[1].lower()] = found[2]
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise BadRequestError(HTTPStatus.BAD_REQUEST)
    if line[1] not in METHODS:
        raise BadRequestError(HTTPStatus.METHOD_NOT_ALLOWED)
    try:
        target = urlsplit(line[2])
    except ValueError:
        raise BadRequestError(HTTPStatus.BAD_REQUEST) from None
    closes = "close" in headers.get("connection", "").lower() or line[3] == "0"
    return Request(line[1], target.path if not target.netloc else "", target.query, headers, not closes)


def answer_bytes(
    answer: Answer, *, with_body: bool = True, keeps_open: bool = True, framed_by: str = NO_FRAMES
) -> bytes:
    """The answer as it is sent; without its body for HEAD. ``framed_by``: origins whose pages may frame it, as the
    policy names them."""
    fields = {
        "Content-Type": answer.media_type,
        "Content-Length": str(len(answer.body)),
        "Cache-Control": "no-store",
        "Connection": "keep-alive" if keeps_open else "close",
        "Content-Security-Policy": f"{POLICY}{framed_by}",
        **ALWAYS,
        **answer.headers,
    }
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        *(f"{name}: {one}" for name, one in fields.items()),
    ]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head + answer.body if with_body else head


def plain_answer(status: HTTPStatus, said: str = "") -> Answer:
    """A status in words."""
    return Answer(status, f"{said or status.phrase}\n".encode())

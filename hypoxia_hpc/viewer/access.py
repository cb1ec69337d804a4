"""Who may ask. Pure.

On a UNIX socket the file's mode keeps other users away; on a port a token does. In both cases pages of other hosts in
the same browser are kept away: they reach the viewer under their own names alone (DNS rebinding), so a name that is not
of this machine's loopback is refused, and so is what the browser itself marks as coming from another site.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

TOKEN_BYTES = 24
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_ORIGIN = re.compile(r"https?://([A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}(:[0-9]{1,5})?", re.ASCII)
# Of a notebook on the same machine, or behind a tunnel to it.
LOCAL_ORIGINS = ("http://localhost:*", "http://127.0.0.1:*")


@dataclass(frozen=True, slots=True)
class Secrets:
    """``token`` stands in the link that is printed, ``cookie`` is what the browser gets for it."""

    token: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Access:
    """``status`` is OK where the request may be answered, else what it gets. ``set_cookie``: value of the header that
    goes with SEE_OTHER. ``path``: what is asked for; empty: the path of the request."""

    status: HTTPStatus
    set_cookie: str = ""
    path: str = ""


def new_secrets() -> Secrets:
    """Two different ones, of 24 random bytes each."""
    return Secrets(secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(TOKEN_BYTES))


def cookie_name(port: int) -> str:
    """A browser keeps cookies of all ports of a host together, so that each viewer needs a name of its own."""
    return f"hypoxia-view-{port}"


def access_of(query: str, headers: dict[str, str], own: Secrets | None, port: int) -> Access:
    """Whether a request may be answered. ``headers`` by name in small letters, each once; ``own`` is None on a UNIX
    socket. A token is exchanged for a cookie: SEE_OTHER, to the same page without the token."""
    if not _is_from_here(headers):
        return Access(HTTPStatus.FORBIDDEN)
    if own is None:
        return Access(HTTPStatus.OK)
    if token := parse_qs(query).get("token"):
        if len(token) == 1 and hmac.compare_digest(token[0].encode(), own.token.encode()):
            kept = f"{cookie_name(port)}={own.cookie}; HttpOnly; SameSite=Strict; Path=/"
            return Access(HTTPStatus.SEE_OTHER, kept)
        return Access(HTTPStatus.UNAUTHORIZED)
    shown = _cookie(headers.get("cookie", ""), cookie_name(port))
    known = hmac.compare_digest(shown.encode(), own.cookie.encode())
    return Access(HTTPStatus.OK if known else HTTPStatus.UNAUTHORIZED)


def framed_access_of(path: str, headers: dict[str, str], token: str) -> Access:
    """The same in a frame of another page, where browsers keep no cookie: the path begins with the token."""
    if not _is_from_here(headers):
        return Access(HTTPStatus.FORBIDDEN)
    shown, slash, rest = path.removeprefix("/").partition("/")
    known = hmac.compare_digest(shown.encode(), token.encode()) and bool(slash)
    return Access(HTTPStatus.OK, path=f"/{rest}") if known else Access(HTTPStatus.UNAUTHORIZED)


def framing_origin(text: str) -> str:
    """The origin of a page that may frame the viewer, as a policy has it: ``https://hub.example``, with a port or
    without. Raises ValueError for anything else."""
    if not _ORIGIN.fullmatch(text):
        raise ValueError(f"{text!r} is no origin of a page")
    return text


def _is_from_here(headers: dict[str, str]) -> bool:
    """Whether a request goes to a name of this machine's loopback, and what it wants is a page, or asked for by one of
    the viewer's own."""
    is_page = headers.get("sec-fetch-mode") == "navigate"
    is_foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_page
    return _LOOPBACK.fullmatch(headers.get("host", "")) is not None and not is_foreign


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""

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


@dataclass(frozen=True, slots=True)
class Secrets:
    """``token`` stands in the link that is printed, ``cookie`` is what the browser gets for it."""

    token: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Access:
    """``status`` is OK where the request may be answered, else what it gets. ``set_cookie``: value of the header that
    goes with SEE_OTHER."""

    status: HTTPStatus
    set_cookie: str = ""


def new_secrets() -> Secrets:
    """Two different ones, of 24 random bytes each."""
    return Secrets(secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(TOKEN_BYTES))


def cookie_name(port: int) -> str:
    """A browser keeps cookies of all ports of a host together, so that each viewer needs a name of its own."""
    return f"hypoxia-view-{port}"


def access_of(query: str, headers: dict[str, str], own: Secrets | None, port: int) -> Access:
    """Whether a request may be answered. ``headers`` by name in small letters, each once; ``own`` is None on a UNIX
    socket. A token is exchanged for a cookie: SEE_OTHER, to the same page without the token."""
    if not _LOOPBACK.fullmatch(headers.get("host", "")):
        return Access(HTTPStatus.FORBIDDEN)
    is_page = headers.get("sec-fetch-mode") == "navigate"
    if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_page:
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


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""

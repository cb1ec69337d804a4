"""Files of the hub of models over HTTP: what it says of a file, and the file itself, in parts where it breaks off.

Its own package (huggingface_hub 2.4) is not used for this: it begins an interrupted file of some GB anew, and compares
no SHA-256.
"""

from __future__ import annotations

import http.client
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urljoin, urlsplit

from hypoxia_hpc.errors import InputError, Stopped
from hypoxia_hpc.networks.backbones.fetch import (
    SILENCE_SECONDS,
    NotFetchedError,
    UnreachableError,
    read_block,
)
from hypoxia_hpc.networks.backbones.hub_words import refusal
from hypoxia_hpc.reading import MOST_WEIGHTS_BYTES

ENDPOINT = "HF_ENDPOINT"
HUB = "https://huggingface.co"
THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
MOST_REDIRECTS = 5
# A connection that breaks off is taken up again, until this many of them in a row bring nothing.
TRIES, PAUSE_SECONDS = 3, 2.0
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SIZE = re.compile(r"[0-9]{1,15}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{7,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository of the hub at ``endpoint``, a URL."""

    endpoint: str
    repository: str
    file: str

    @property
    def url(self) -> str:
        return f"{self.endpoint}/{self.repository}/resolve/main/{quote(self.file)}"

    @property
    def page(self) -> str:
        """Where the terms are."""
        return f"{self.endpoint}/{self.repository}"


@dataclass(frozen=True, slots=True)
class Published:
    """What the hub says of a file: ``size`` in bytes, SHA-256 (hex), the commit ("" where it says none), and the
    ``address`` that gives the bytes: often one on another machine, which is valid for an hour."""

    size: int
    sha256: str
    commit: str
    address: str


def hub_endpoint() -> str:
    """$HF_ENDPOINT, which the hub's own tools read, else the hub. Raises InputError where it is no https URL: a token
    could be read on its way."""
    named = (os.environ.get(ENDPOINT) or HUB).rstrip("/")
    parts = urlsplit(named)
    is_fit = parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in THIS_MACHINE))
    if not is_fit:
        raise InputError(
            f"${ENDPOINT} is {named!r}, and a hub is asked by https alone: a token could be read on its way",
            remedy=f"export {ENDPOINT}=https://..., or unset it for {HUB}",
        )
    return named


def look_up(file: HubFile, token: str) -> Published:
    """What the hub says of ``file``. Raises NotFetchedError (it gives it to no user, or not to the owner of ``token``),
    UnreachableError."""
    url = file.url
    for _ in range(MOST_REDIRECTS):
        with _asked(url, token, method="HEAD") as answer:
            target = answer.headers.get("Location", "") if answer.status in (301, 302, 303, 307, 308) else ""
            moved = urljoin(url, target)
            if not target and answer.status != 200:
                raise NotFetchedError(refusal(answer.status, answer.headers.get("X-Error-Code"), file.page, token))
            if not target or answer.headers.get("X-Linked-Etag"):
                return _published(answer.headers, moved if target else url)
        if not _same_place(url, moved):
            raise NotFetchedError(f"the hub sends to {urlsplit(moved).hostname}, and says no SHA-256 of the file")
        url = moved  # the repository has a new name
    raise NotFetchedError(f"the hub sends from one address to the next, {MOST_REDIRECTS} times")


def _published(headers: Any, address: str) -> Published:
    size = headers.get("X-Linked-Size") or headers.get("Content-Length") or ""
    sha256 = (headers.get("X-Linked-Etag") or headers.get("ETag") or "").removeprefix("W/").strip('"').lower()
    commit = headers.get("X-Repo-Commit") or ""
    if not (_SIZE.fullmatch(size) and _SHA256.fullmatch(sha256)):
        raise NotFetchedError("the hub says no size and SHA-256 of it, so it could not be verified")
    if int(size) > MOST_WEIGHTS_BYTES:
        raise NotFetchedError(f"no weights: the hub says {int(size):,} bytes, the most is {MOST_WEIGHTS_BYTES:,}")
    return Published(int(size), sha256, commit if _COMMIT.fullmatch(commit) else "", address)


def download(
    file: HubFile, known: Published, part: Path, token: str, *, tick: Callable[[int], None], stop: threading.Event
) -> None:
    """All of the file to ``part``, from where that ends; ``tick`` is called with numbers of bytes. Raises
    NotFetchedError, UnreachableError, Stopped; ``part`` stays in all three cases."""
    tries = 0
    while (have := _length_of(part, known.size)) < known.size or not part.exists():
        try:
            _receive(file, known, part, have, token, tick, stop)
            if _length_of(part, known.size) < known.size:
                raise NotFetchedError("the connection broke off")
        except NotFetchedError as error:
            tries = 0 if _length_of(part, known.size) > have else tries + 1
            if tries >= TRIES or isinstance(error, _RefusedError):
                raise type(error)(f"{error}; what came is kept, and the same command goes on from there") from error
            stop.wait(PAUSE_SECONDS)


class _RefusedError(NotFetchedError):
    """The server answers, and does not give the file."""


def _length_of(part: Path, most: int) -> int:
    """Bytes that are there; a part that is longer than the file is of none."""
    size = part.stat().st_size if part.exists() else 0
    return size if size <= most else 0


def _receive(
    file: HubFile,
    known: Published,
    part: Path,
    have: int,
    token: str,
    tick: Callable[[int], None],
    stop: threading.Event,
) -> None:
    """What one connection gives."""
    own = token if _same_place(known.address, file.url) else ""
    with _asked(known.address, own, first=have) as answer:
        if answer.status not in (200, 206):
            raise _RefusedError(refusal(answer.status, answer.headers.get("X-Error-Code"), file.page, token))
        starts = f"bytes {have}-"
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(starts)
        if answer.status == 206 and not goes_on:
            raise _RefusedError("the server gives another part of the file than the one that was asked for")
        with part.open("ab" if goes_on else "wb") as kept:
            _copy(answer, kept, known.size - (have if goes_on else 0), tick, stop)


def _copy(answer: Any, kept: IO[bytes], most: int, tick: Callable[[int], None], stop: threading.Event) -> None:
    while most > 0 and (block := read_block(answer)):
        if stop.is_set():
            raise Stopped("stopped on request", remedy="run the same command again to go on where it stopped")
        if len(block) > most:
            raise _RefusedError("the file does not end where the hub says that it ends")
        kept.write(block)
        most -= len(block)
        tick(len(block))


class _StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Redirects are followed by hand: a token is for the hub alone."""


_OPENER = urllib.request.build_opener(_StayHere)


def _asked(url: str, token: str, *, method: str = "GET", first: int = 0) -> Any:
    """The server's answer, whatever its status. Raises UnreachableError."""
    request = urllib.request.Request(url, method=method, headers={"Accept-Encoding": "identity"})  # noqa: S310 - http(s)
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    if first:
        request.add_header("Range", f"bytes={first}-")
    try:
        return _OPENER.open(request, timeout=SILENCE_SECONDS)
    except urllib.error.HTTPError as answer:
        return answer
    except urllib.error.URLError as error:
        raise UnreachableError(f"{urlsplit(url).hostname} cannot be reached ({error.reason})") from error
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: headers that make no sense
        raise UnreachableError(f"{urlsplit(url).hostname} cannot be reached ({error})") from error


def _same_place(one: str, other: str) -> bool:
    return urlsplit(one)[:2] == urlsplit(other)[:2]

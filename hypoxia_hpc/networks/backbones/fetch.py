"""Weight files from the internet, once and by hand: never during other work, and no file gets its name before its hash
is checked."""

from __future__ import annotations

import hashlib
import http.client
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hypoxia_hpc.errors import InputError, MachineError, Stopped
from hypoxia_hpc.networks.backbones.weights import KnownFile, file_digests
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.reading import MOST_SHOWN
from hypoxia_hpc.stores.commit import committing_file, remove_leftovers

BLOCK = 1 << 20
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
SILENCE_SECONDS = 60  # seconds; a server that sends nothing for this long is given up


@dataclass(frozen=True, slots=True)
class Fetched:
    """Names of networks whose file was fetched now, and of those whose sound file existed already."""

    made: tuple[str, ...]
    found: tuple[str, ...]


class NotFetchedError(Exception):
    """The reason why a file was not fetched, in words for the user."""


class UnreachableError(NotFetchedError):
    """The server cannot be reached at all, so the next file is not tried."""


def fetch_files(
    files: Sequence[tuple[str, KnownFile]],
    folder: Path,
    *,
    mirror: str | None = None,
    progress: Progress,
    stop: threading.Event,
) -> Fetched:
    """Put these networks' files into ``folder``. A sound file that exists is kept, a damaged one is replaced.
    ``mirror`` is the URL of a folder that has the files under their names.

    Raises:
        InputError: ``mirror`` is no http or https URL.
        MachineError: some were not fetched (each with its URL and reason), the folder is read-only, the disk full.
        Stopped: on request; whole files stay.
    """
    remove_leftovers(folder)
    places = [(name, known, _url(known, mirror)) for name, known in files]
    todo = [place for place in places if not _is_sound(folder / place[1].name, place[1])]
    failed: list[str] = []
    progress.begin("weights fetch", len(todo), len(todo), "file")
    for n, (_, known, url) in enumerate(todo):
        progress.note(f"{url} -> {folder / known.name}")
        try:
            _fetch(url, known, folder / known.name, stop)
        except NotFetchedError as error:
            failed.append(f"{url}: {error}")
            if isinstance(error, UnreachableError):
                failed += [f"{later}: not tried" for _, _, later in todo[n + 1 :]]
                break
        progress.item(1)
    progress.end()
    if failed:
        raise _not_fetched(failed, len(todo), folder)
    made = tuple(name for name, _, _ in todo)
    return Fetched(made, tuple(name for name, _ in files if name not in made))


def _url(known: KnownFile, mirror: str | None) -> str:
    if mirror is None:
        return known.url
    if not mirror.startswith(("http://", "https://")):
        raise InputError(f"--mirror {mirror!r} is no URL", remedy="give one that begins with https:// (or http://)")
    return f"{mirror.rstrip('/')}/{known.name}"


def _is_sound(path: Path, known: KnownFile) -> bool:
    if not path.is_file() or path.stat().st_size > known.most_bytes:
        return False
    return file_digests(path, (known.algorithm,))[known.algorithm] == known.digest


def _fetch(url: str, known: KnownFile, target: Path, stop: threading.Event) -> None:
    # Whether the folder can be written is tried before the network is used.
    with committing_file(target) as temporary, temporary.open("wb") as file:
        found = _copied(url, known, file, stop)
        if found != known.digest:
            raise NotFetchedError(f"its {known.algorithm} is {found}, expected {known.digest}; not kept")


def _copied(url: str, known: KnownFile, file: IO[bytes], stop: threading.Event) -> str:
    """Copy what ``url`` gives, no more than the file may have; its digest."""
    digest = hashlib.new(known.algorithm, usedforsecurity=False)
    received = 0
    with _opened(url) as response:
        length = _length_of(response, known.most_bytes)
        while block := read_block(response):
            if stop.is_set():
                raise Stopped("stopped on request", remedy="run the same command again to go on")
            received += len(block)
            if received > known.most_bytes:
                raise NotFetchedError(f"not this file: it does not end after {known.most_bytes:,} bytes")
            digest.update(block)
            file.write(block)
    if length is not None and received != length:
        raise NotFetchedError(f"cut off after {received:,} of {length:,} bytes")
    return digest.hexdigest()


def _length_of(response: http.client.HTTPResponse, most_bytes: int) -> int | None:
    """What the server says, if it does."""
    said = response.headers.get("Content-Length")
    if said is None:
        return None
    if not _LENGTH.fullmatch(said):
        raise NotFetchedError(f"the server says that the file has {said[:MOST_SHOWN]!r} bytes")
    if int(said) > most_bytes:
        raise NotFetchedError(f"not this file: the server says {int(said):,} bytes, the most is {most_bytes:,}")
    return int(said)


def _opened(url: str) -> http.client.HTTPResponse:
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(url, timeout=SILENCE_SECONDS)  # noqa: S310 - http(s)
        return response
    except urllib.error.HTTPError as error:
        raise NotFetchedError(f"the server says {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise UnreachableError(f"cannot be reached ({error.reason})") from error
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: headers that make no sense
        raise UnreachableError(f"cannot be reached ({error})") from error


def read_block(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(BLOCK)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotFetchedError(f"cut off ({error})") from error


def _not_fetched(failed: list[str], n: int, folder: Path) -> MachineError:
    return MachineError(
        f"{len(failed)} of {n} weight files could not be fetched",
        offending=failed,
        remedy="run it again; where there is no internet, download these files elsewhere (hypoxia-hpc weights fetch, "
        f"or with a browser) and copy them into {folder}, then hypoxia-hpc weights check",
    )

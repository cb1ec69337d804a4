"""Files that others may have written, read within limits.

A run directory is shared, a table is downloaded, weights come from a colleague. Reading such a file must not wait for
ever (a pipe), fill the memory (a sparse giant, a link to /dev/zero, a key of 50,000 parts) or hand on what no code
expects (lists within lists within lists, integers of 10,000 digits). What is beyond a limit counts as damage.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Callable, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any

from hypoxia_hpc.errors import InputError

# By kind. A receipt has 1 KB, a run.toml 12 KB, the metrics of 40 models 500 KB; GDC's metadata of 30,000 files 80 MB.
MOST_RECEIPT_BYTES = 2**20
MOST_TOML_BYTES = 2**18
MOST_JSON_BYTES = 2**24
MOST_TABLE_BYTES = 2**26
MOST_LIST_BYTES = 2**27
MOST_PREDICTIONS_BYTES = 2**30
MOST_ARRAYS_BYTES = 2**33
MOST_WEIGHTS_BYTES = 2**36
MOST_SHARD_BYTES = 2**42
MOST_SLIDE_BYTES = 2**43
# An object of JSON takes some hundred bytes of memory, however short its text is.
BYTES_PER_OBJECT = 32
MOST_DEPTH = 32
MOST_INTEGER = 2**63
MOST_COUNT = 2**53
MOST_KEY_PARTS = 16
MOST_SHOWN = 60  # characters of a value in a message
_PART = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MOST_KEY_PARTS}}}")
# Half of a pair of UTF-16, which no encoding takes; U+DC80 to U+DCFF stand for bytes of file names.
_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")


class UnfitFileError(InputError, ValueError):
    """A file that is no plain file, too large, or not what a file of its kind holds; the message begins with its path.
    A ValueError, since it is damage like any other to who can do without the file."""


def open_plain(path: Path, most_bytes: int, *, follow: bool = True) -> BufferedReader:
    """A regular file, opened to read its bytes; with ``follow`` off none behind a symbolic link. Raises UnfitFileError;
    OSError where it is missing or may not be read."""
    try:
        _require_plain(path, path.stat(follow_symlinks=follow), most_bytes)  # opening a device may do something to it
        link = 0 if follow else os.O_NOFOLLOW
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | link)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnfitFileError(f"{path}: a symbolic link that leads to no file") from None
        raise
    file = os.fdopen(descriptor, "rb")
    try:
        _require_plain(path, os.fstat(descriptor), most_bytes)  # it may be another file by now
    except UnfitFileError:
        file.close()
        raise
    return file


def _require_plain(path: Path, status: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a symbolic link, which is not followed" if stat.S_ISLNK(status.st_mode) else "no plain file"
        raise UnfitFileError(f"{path}: {what}")
    if status.st_size > most_bytes:
        raise UnfitFileError(
            f"{path}: {status.st_size:,} bytes, more than {most_bytes:,}, which a file of its kind never has"
        )


def read_plain(path: Path, most_bytes: int, *, follow: bool = True) -> bytes:
    """The bytes of a regular file. Raises as :func:`open_plain`."""
    with open_plain(path, most_bytes, follow=follow) as file:
        return file.read(os.fstat(file.fileno()).st_size)


def listed(folder: Path) -> list[Path]:
    """What lies in a folder, in order; nothing where there is no such folder. Raises OSError where it may not be
    listed: ``Path.glob`` passes over that, and nothing is found where everything is."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def sha256_of(path: Path, most_bytes: int, *, follow: bool = True) -> str:
    """SHA-256 (hex) of a regular file. Raises as :func:`open_plain`."""
    with open_plain(path, most_bytes, follow=follow) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, most_bytes: int = MOST_JSON_BYTES) -> Any:
    """What a JSON file holds. Raises as :func:`open_plain`, and as :func:`parsed_json`."""
    return parsed_json(path, read_plain(path, most_bytes))


def read_counts(path: Path) -> Any:
    """What a small JSON file holds in which every number counts something or is a time: from 0 to `MOST_COUNT`. Raises
    as :func:`read_json`."""
    found = read_json(path, MOST_RECEIPT_BYTES)
    _require_fit(path, found, lambda number: 0 <= number <= MOST_COUNT)
    return found


def parsed_json(path: Path, text: bytes | str, object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """What JSON text holds, of the file ``path``. Raises UnfitFileError where it is no JSON, nests deeper than
    `MOST_DEPTH`, has more objects than its length allows, numbers that are not finite or beyond 64 bits, or text that
    no encoding takes."""
    brackets: Sequence[Any] = (b"[", b"{") if isinstance(text, bytes) else ("[", "{")
    if sum(map(text.count, brackets)) > max(len(text), MOST_JSON_BYTES) // BYTES_PER_OBJECT:
        raise UnfitFileError(f"{path}: too many lists and objects for a file of its kind")
    try:
        found = json.loads(text, object_hook=object_hook)
    except RecursionError:
        raise _too_deep(path) from None
    except ValueError as error:  # no JSON, no Unicode, an integer of more than 4,300 digits
        raise UnfitFileError(f"{path}: no JSON: {error}") from None
    _require_fit(path, found, _is_number)
    return found


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds. Raises as :func:`open_plain`, and UnfitFileError where it is no TOML, nests deeper than
    `MOST_DEPTH`, has keys of more than `MOST_KEY_PARTS` parts or integers beyond 64 bits."""
    try:
        text = read_plain(path, MOST_TOML_BYTES).decode("utf-8")
        if long := _LONG_KEY.search(text):  # tomllib takes memory by the square of their number
            line = text.count("\n", 0, long.start()) + 1
            raise UnfitFileError(f"{path}, line {line}: more than {MOST_KEY_PARTS} words joined by dots")
        found = tomllib.loads(text)
    except RecursionError:
        raise _too_deep(path) from None
    except UnfitFileError:
        raise
    except ValueError as error:  # no TOML, no UTF-8, an integer of more than 4,300 digits
        raise UnfitFileError(f"{path} is not valid TOML: {error}") from None
    _require_fit(path, found, lambda number: isinstance(number, float) or abs(number) < MOST_INTEGER)
    return found


def _require_fit(path: Path, found: object, is_fit: Callable[[float], bool]) -> None:
    level = [found]
    for _ in range(MOST_DEPTH):
        level = [inner for value in level for inner in _inner(path, value, is_fit)]
        if not level:
            return
    raise _too_deep(path)


def _inner(path: Path, value: object, is_fit: Callable[[float], bool]) -> Sequence[object]:
    """What is in a list or an object. Raises UnfitFileError for a value that is no good."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list):
        return value
    if isinstance(value, str) and not value.isascii() and _HALF.search(value):
        raise UnfitFileError(f"{path}: text that is no Unicode: {value[:MOST_SHOWN]!r}")
    if isinstance(value, (int, float)) and not is_fit(value):
        raise UnfitFileError(f"{path}: a number that is out of range: {str(value)[:MOST_SHOWN]}")
    return ()


def _is_number(number: float) -> bool:
    """Finite, and an integer of 64 bits where it is one."""
    return math.isfinite(number) if isinstance(number, float) else abs(number) < MOST_INTEGER


def _too_deep(path: Path) -> UnfitFileError:
    return UnfitFileError(f"{path}: lists or tables in each other, too deep: more than {MOST_DEPTH}")

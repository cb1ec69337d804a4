"""Paths as text that means the same file in every locale: UTF-8, and a file URI where a name is not UTF-8.

Linux names files by bytes. Python makes text of them by the locale of the process; a table or run.toml is read by other
processes. So their text is the bytes as UTF-8. A path whose bytes are not UTF-8 stands there as its URI
(``file:///data/caf%E9.svs``, RFC 8089): no absolute path begins so, and spreadsheets leave it as it is.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

SCHEME = "file://"


def text_of_path(path: Path) -> str:
    """The text of an absolute path for a table; :func:`path_of_text` gives the same path again, in any locale."""
    raw = os.fsencode(path)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return SCHEME + quote_from_bytes(raw)


def path_of_text(text: str) -> Path:
    """The path that a cell of a table or an entry of run.toml means, as this process names files."""
    return Path(os.fsdecode(_raw(text)))


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; a name that no file can have (too long) is no error, as it is of Path."""
    return os.path.exists(path)  # noqa: PTH110


def as_named(path: Path) -> Path:
    """A path that somebody typed, as this process names files. In a locale of another encoding than UTF-8, where there
    is no file of that name, it is the name in UTF-8 if there is such a file, or if the locale has no such letters."""
    if sys.getfilesystemencoding() == "utf-8" or os.path.lexists(path):
        return path
    in_utf8 = Path(os.fsdecode(str(path).encode("utf-8", "surrogateescape")))
    return in_utf8 if os.path.lexists(in_utf8) or not _is_encodable(str(path)) else path


def _is_encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def may_be_path(text: str) -> bool:
    """Whether the text can name a file other than the folder that it is relative to."""
    return text.strip() not in ("", ".") and b"\0" not in _raw(text)


def composed(text: str) -> str:
    """The text with each accented letter as one character (Unicode NFC). The same name may have two, letter and accent
    (NFD), in files that come from macOS."""
    return unicodedata.normalize("NFC", text)


def spellings(text: str) -> tuple[str, ...]:
    """The text as it is, composed, and with letters and accents apart: three names of files that look alike."""
    return tuple(dict.fromkeys((text, composed(text), unicodedata.normalize("NFD", text))))


def shown_name(name: str) -> str:
    """A file's name, as this process has it, for tables and people: the same in every locale; bytes that are not UTF-8
    as ``\\xe9``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _raw(text: str) -> bytes:
    return unquote_to_bytes(text.removeprefix(SCHEME)) if text.startswith(SCHEME + "/") else text.encode()

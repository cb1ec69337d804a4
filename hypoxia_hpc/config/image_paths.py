"""Paths of images below their folder, as tables and patterns have them: text that is never trusted as a path."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

TOKENS = ("patient", "series", "label", "image")
DRIVE = re.compile(r"[A-Za-z]:")
_TOKEN = re.compile(r"\{([^{}]*)\}")


def check_pattern(pattern: str) -> None:
    """Raises ValueError where a pattern has another token than `TOKENS`, one of them twice, two without anything
    between them, or no {patient}."""
    found = _TOKEN.findall(pattern)
    if strange := [name for name in found if name not in TOKENS]:
        raise ValueError(f"{{{strange[0]}}} is none of {', '.join(f'{{{name}}}' for name in TOKENS)}")
    if len(set(found)) != len(found):
        raise ValueError("has a token twice")
    if "}{" in pattern:
        raise ValueError("has two tokens without anything between them")
    if "patient" not in found:
        raise ValueError("has no {patient}")


def parsed_path(pattern: str, path: PurePosixPath) -> dict[str, str] | None:
    """What the tokens of a pattern stand for in a path below the folder, its suffix left out; None where it does not
    fit. A token is one or more characters of one folder or file name, as few as fit."""
    text, parts = "", _TOKEN.split(pattern.strip("/"))
    for number, part in enumerate(parts):
        text += f"(?P<{part}>[^/]+?)" if number % 2 else re.escape(part)
    whole = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    found = re.fullmatch(text, whole.with_suffix("").as_posix())
    return None if found is None else found.groupdict()


def below(text: str, folder: Path) -> str | None:
    """A path of a table as a path below ``folder``, with ``/``; None where it leaves the folder or is no path: whatever
    links there are, ``..`` is never followed. An absolute path has to begin with the folder's own. A path with
    backslashes alone is one of Windows."""
    path = PurePosixPath(text.replace("\\", "/") if "/" not in text else text)
    if path.is_absolute():
        if not path.is_relative_to(folder):
            return None
        path = path.relative_to(folder)
    if ".." in path.parts or not path.parts or DRIVE.fullmatch(path.parts[0]) or not text.isprintable():
        return None
    return path.as_posix()

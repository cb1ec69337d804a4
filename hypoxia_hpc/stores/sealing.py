"""SHA256SUMS: what was written to a folder, file by file. ``sha256sum -c SHA256SUMS`` reads it, too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from hypoxia_hpc.reading import MOST_ARRAYS_BYTES, MOST_JSON_BYTES, UnfitFileError, read_plain, sha256_of

SUMS_FILE = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._/-]*)")


def seal(folder: Path) -> None:
    """Write the SHA-256 of every file of a folder that is being made. Raises OSError, UnfitFileError."""
    lines = [f"{sha256_of(folder / name, MOST_ARRAYS_BYTES)}  {name}\n" for name in _files(folder)]
    (folder / SUMS_FILE).write_text("".join(lines), encoding="utf-8")


def seal_problems(folder: Path) -> list[str]:
    """What is no longer as it was written: files that changed, are missing or were added. Raises OSError for what
    cannot be read."""
    try:
        text = read_plain(folder / SUMS_FILE, MOST_JSON_BYTES, follow=False).decode("utf-8")
    except FileNotFoundError:
        return [f"{SUMS_FILE} is missing, which says what was written"]
    except (UnfitFileError, UnicodeDecodeError) as error:
        return [f"{SUMS_FILE} is damaged: {error}"]
    lines = [_LINE.fullmatch(line) for line in text.removesuffix("\n").split("\n")]
    if not text.endswith("\n") or None in lines:
        return [f"{SUMS_FILE} is damaged: line {lines.index(None) + 1 if None in lines else len(lines)} is no sum"]
    return list(_differences(folder, {match[2]: match[1] for match in lines if match is not None}))


def _differences(folder: Path, written: dict[str, str]) -> Iterator[str]:
    found = _files(folder)
    yield from (f"{name} is missing" for name in sorted(set(written) - set(found)))
    for name in found:
        if name not in written:
            yield f"{name!r} does not belong here"
            continue
        try:
            digest = sha256_of(folder / name, MOST_ARRAYS_BYTES, follow=False)
        except UnfitFileError:
            yield f"{name} is a symbolic link or of another kind"
            continue
        if digest != written[name]:
            yield f"{name} is not as it was written: SHA-256 is {digest}, written was {written[name]}"


def _files(folder: Path) -> list[str]:
    """All that is below a folder and no folder, but the sums, in order. Links are not followed. Raises OSError."""

    def stop(error: OSError) -> None:
        raise error

    found = [
        Path(parent, name)
        for parent, folders, files in os.walk(folder, onerror=stop)
        for name in (*files, *folders)
        if name in files or Path(parent, name).is_symlink()
    ]
    return sorted(name for name in (path.relative_to(folder).as_posix() for path in found) if name != SUMS_FILE)

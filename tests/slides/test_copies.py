"""Files of equal content are found without reading what cannot be equal."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from slides.test_companions import mirax

from hypoxia_hpc.slides import copies
from hypoxia_hpc.slides.copies import equal_files


def written(folder: Path, contents: dict[str, bytes]) -> list[tuple[Path, int]]:
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [(folder / name, len(content)) for name, content in contents.items()]


def test_files_of_equal_content_are_found(tmp_path: Path) -> None:
    contents = {"a": b"one", "b": b"two", "c": b"one", "d": b"longer", "e": b"two", "f": b"one", "g": b"", "h": b""}
    files = written(tmp_path, contents)
    assert sorted(equal_files(files, threading.Event())) == [(0, 2, 5), (1, 4)]


def test_what_is_not_there_is_equal_to_nothing(tmp_path: Path) -> None:
    files = written(tmp_path, {"a": b"one", "b": b"one"})
    files += [(tmp_path / name, 3) for name in ("gone", "gone, too")]
    assert equal_files(files, threading.Event()) == [(0, 1)]


def test_a_file_of_its_own_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(copies, "fingerprint", lambda path: read.append(path.name) or path.read_bytes().hex())
    files = written(tmp_path, {"a": b"one", "b": b"three", "c": b"two"})
    assert equal_files(files, threading.Event()) == []
    assert sorted(read) == ["a", "c"]
    stop = threading.Event()
    stop.set()
    assert equal_files(files, stop) == []
    assert len(read) == 2


def test_a_slide_of_many_files_is_equal_with_all_of_them(tmp_path: Path) -> None:
    for name in ("one", "two", "other"):
        (tmp_path / name).mkdir()
        mirax(tmp_path / name)
    part = next(file for file in sorted((tmp_path / "other" / "a").iterdir()) if file.suffix == ".dat")
    part.write_bytes(part.read_bytes() + b"more")
    files = [(tmp_path / name / "a.mrxs", 1) for name in ("one", "two", "other")]
    assert equal_files(files, threading.Event()) == [(0, 1)]

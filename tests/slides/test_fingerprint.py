"""A fingerprint changes with the bytes it covers and with nothing else."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.fingerprint import fingerprint

MIB, KIB = 2**20, 2**10


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def random_bytes(size: int) -> bytearray:
    return bytearray(hashlib.shake_256(str(size).encode()).digest(size))


@settings(max_examples=25)
@given(size=st.one_of(st.integers(0, 70_000), st.sampled_from([MIB - 1, MIB, MIB + 1, 2 * MIB, 5 * MIB + 3])))
def test_it_is_the_hash_of_size_ends_and_sixteen_blocks(size: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = bytes(random_bytes(size))
    step = max(0, size - 64 * KIB) // 15
    parts = [f"{size}\n".encode(), data[:MIB], data[max(0, size - MIB) :]]
    parts += [data[index * step : index * step + 64 * KIB] for index in range(16)]
    path = written(tmp_path_factory.mktemp("f") / "a.svs", data)
    assert fingerprint(path) == hashlib.sha256(b"".join(parts)).hexdigest()


def test_a_byte_in_the_ends_or_in_a_block_changes_it(tmp_path: Path) -> None:
    size = 9 * MIB
    data = random_bytes(size)
    step = (size - 64 * KIB) // 15
    before = fingerprint(written(tmp_path / "a.svs", data))
    for place in (0, MIB - 1, size - MIB, size - 1, *(index * step + 64 * KIB - 1 for index in range(16))):
        data[place] ^= 1
        assert fingerprint(written(tmp_path / "a.svs", data)) != before
        data[place] ^= 1
    assert fingerprint(written(tmp_path / "a.svs", data)) == before
    assert fingerprint(written(tmp_path / "a.svs", data + b"x")) != before


def test_path_name_and_time_do_not_enter(tmp_path: Path) -> None:
    data = random_bytes(3 * MIB)
    one, other = written(tmp_path / "a" / "one.svs", data), written(tmp_path / "b" / "other.tiff", data)
    os.utime(other, (1, 1))
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize("name", ["a.svs", "a.tiff", "a.ndpi"])
def test_the_neighbours_of_a_single_file_do_not_enter(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, b"slide")
    alone = fingerprint(path)
    written(tmp_path / "a" / "x", b"1")
    written(tmp_path / "a.jpg", b"1")
    assert fingerprint(path) == alone


def test_what_cannot_be_read_is_a_slide_error(tmp_path: Path) -> None:
    folder, pipe = tmp_path / "folder.svs", tmp_path / "pipe.svs"
    folder.mkdir()
    os.mkfifo(pipe)
    written(tmp_path / "file", b"")
    reasons = {
        tmp_path / "absent.svs": "missing-file",
        tmp_path / "file" / "a.svs": "missing-file",
        folder: "not-a-slide",
        pipe: "not-a-slide",
        Path("/dev/zero"): "not-a-slide",
    }
    for path, reason in reasons.items():
        with pytest.raises(SlideError, match=str(path)) as caught:
            fingerprint(path)
        assert (caught.value.reason, bool(caught.value.remedy)) == (reason, True)


def test_a_file_of_someone_else_is_told_from_a_broken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.svs", b"slide")
    for error, reason in ((PermissionError(13, "no"), "no-permission"), (OSError(5, "I/O error"), "unreadable")):

        def refused(*_: object, error: OSError = error) -> None:
            raise error

        monkeypatch.setattr(Path, "open", refused)
        with pytest.raises(SlideError) as caught:
            fingerprint(path)
        assert caught.value.reason == reason

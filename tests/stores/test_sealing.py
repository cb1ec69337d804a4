"""SHA256SUMS of a folder: any file that changed, is missing or was added is named; so is damage to the sums."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypoxia_hpc.stores.commit import committing_directory
from hypoxia_hpc.stores.sealing import SUMS_FILE, seal_problems


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with committing_directory(tmp_path / "made", lambda _: False) as made:
        (made / "typical").mkdir()
        (made / "typical" / "0000.jpg").write_bytes(b"\xff\xd8")
        (made / "patients.csv").write_text("patient_id\n")
    return tmp_path / "made"


def test_what_is_as_it_was_written_has_no_problem_for_sha256sum_either(folder: Path) -> None:
    assert seal_problems(folder) == []
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", SUMS_FILE], cwd=folder, check=True)


def flipped(file: Path, place: int = -1) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte": (lambda folder: flipped(folder / "typical" / "0000.jpg"), "typical/0000.jpg is not as it was written"),
    "a file less": (lambda folder: (folder / "patients.csv").unlink(), "patients.csv is missing"),
    "a file more": (lambda folder: (folder / "typical" / "b").touch(), "'typical/b' does not belong here"),
    "a link": (
        lambda folder: (
            (folder / "patients.csv").rename(folder.parent / "p")
            and (folder / "patients.csv").symlink_to(folder.parent / "p")
        ),
        "patients.csv is a symbolic link or of another kind",
    ),
    "no sums": (lambda folder: (folder / SUMS_FILE).unlink(), "SHA256SUMS is missing, which says what was written"),
    "a sum cut off": (
        lambda folder: (folder / SUMS_FILE).write_bytes((folder / SUMS_FILE).read_bytes()[:-1]),
        "SHA256SUMS is damaged: line 2 is no sum",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_every_damage_is_named(folder: Path, kind: str) -> None:
    damage, expected = DAMAGE[kind]
    damage(folder)
    (problem,) = seal_problems(folder)
    assert problem.startswith(expected)


def test_every_byte_of_the_sums_counts(folder: Path) -> None:
    written = (folder / SUMS_FILE).read_bytes()
    for place in range(len(written)):
        flipped(folder / SUMS_FILE, place)
        assert seal_problems(folder), written[place : place + 1]
        (folder / SUMS_FILE).write_bytes(written)

"""OpenSeadragon is taken from the package that is pinned, or not at all."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from hypoxia_hpc.viewer import answers, library


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of the same layout, pinned for this test."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for name in (*library.MEMBERS.values(), "package/../../outside"):
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    monkeypatch.setattr(library, "SHA256", hashlib.sha256(held.getvalue()).hexdigest())
    (tmp_path / "package.tgz").write_bytes(held.getvalue())
    return tmp_path / "package.tgz"


def test_two_files_are_taken_from_it_and_no_more(package: Path, tmp_path: Path) -> None:
    library.install(str(package), tmp_path / "folder")
    assert {file.name for file in (tmp_path / "folder").iterdir()} == {"openseadragon.min.js", "LICENSE.txt"}
    assert (tmp_path / "folder" / "openseadragon.min.js").read_text().startswith("package/build")


def test_another_package_is_refused(package: Path, tmp_path: Path) -> None:
    package.write_bytes(package.read_bytes() + b"\n")
    with pytest.raises(ValueError, match="not the package that is pinned"):
        library.install(str(package), tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
    with pytest.raises(OSError, match=r"gone\.tgz"):
        library.install(str(tmp_path / "gone.tgz"), tmp_path / "folder")


def test_the_repository_does_not_hold_it() -> None:
    root = Path(library.__file__).parents[2]
    held = subprocess.run(["git", "-C", root, "ls-files"], capture_output=True, text=True, check=True).stdout
    assert "viewer/page/page.js" in held and "openseadragon.min.js" not in held


def test_a_checkout_without_it_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    with pytest.raises(answers.MachineError, match="lacks OpenSeadragon") as error:
        answers.page_file(library.SCRIPT)
    assert error.value.remedy.startswith("make viewer")

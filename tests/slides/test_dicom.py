"""A DICOM series is one slide, whichever of its files is named, and whatever lies beside them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openslide
import pydicom
import pytest
from slides.dicom_series import TILE, generate_uid, image_of, rewritten, write_instance, write_series

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides import dicom
from hypoxia_hpc.slides.companions import companions
from hypoxia_hpc.slides.dicom import instances_in, kind_of, may_be_dicom, read_instance, volumes_of
from hypoxia_hpc.slides.dicom_images import Coding, refusal
from hypoxia_hpc.slides.fingerprint import fingerprint
from hypoxia_hpc.slides.opening import opened_slide

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"


@pytest.mark.parametrize("suffix", [".dcm", ".DCM", ""])
def test_a_series_is_its_volumes_and_has_one_fingerprint(tmp_path: Path, suffix: str) -> None:
    """In a flat folder of two slides. OpenSlide reads the same of each file, label and overview too."""
    one, other = (write_series(tmp_path, seed, patient=f"P{seed}", suffix=suffix) for seed in (1, 2))
    for files, patient in ((one, "P1"), (other, "P2")):
        for file in files:
            volumes = volumes_of(file)
            assert [each.path for each in volumes] == sorted(files[:2])
            assert {each.patient_id for each in volumes} == {patient}
            assert companions(file) == sorted(files[:2])
    assert len({fingerprint(file) for file in one}) == len({fingerprint(file) for file in other}) == 1
    assert fingerprint(one[0]) != fingerprint(other[0])
    assert len(instances_in(tmp_path)) == 8


def test_these_files_are_slides_for_openslide(tmp_path: Path) -> None:
    files = write_series(tmp_path, 5)
    for file in files:
        with openslide.OpenSlide(str(file)) as slide:
            assert slide.level_dimensions == ((200, 200), (100, 100))
            np.testing.assert_array_equal(
                np.array(slide.read_region((0, 0), 0, (200, 200)))[..., :3], image_of(5, 200, 200)
            )


def test_what_lies_beside_a_series_changes_nothing(tmp_path: Path) -> None:
    files = write_series(tmp_path / "slide", 1)
    before = fingerprint(files[0])
    (tmp_path / "slide" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "slide" / "note.txt").write_text("seen")
    (tmp_path / "slide" / "download.dcm.part").write_bytes(b"\0" * 500)
    write_series(tmp_path / "slide", 2)
    files[2].unlink()  # the label
    assert fingerprint(files[0]) == before
    copied = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "slide", copied)
    assert fingerprint(copied / files[1].name) == before


def test_a_byte_of_any_volume_changes_the_fingerprint(tmp_path: Path) -> None:
    files = write_series(tmp_path, 1)
    before = fingerprint(files[0])
    for file in files[:2]:
        data = file.read_bytes()
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert fingerprint(files[0]) != before
        file.write_bytes(data)
        assert fingerprint(files[0]) == before
    files[1].unlink()
    assert fingerprint(files[0]) != before


def test_a_concatenation_is_whole_or_missing(tmp_path: Path) -> None:
    series, source = generate_uid(), generate_uid()
    image = image_of(3, 200, 256)
    parts = [
        write_instance(tmp_path / f"1.2.{index}", image, series=series, part=(index, 2), source=source)
        for index in range(2)
    ]
    assert companions(parts[1]) == parts
    assert fingerprint(parts[0]) == fingerprint(parts[1])
    with openslide.OpenSlide(str(parts[1])) as slide:
        np.testing.assert_array_equal(np.array(slide.read_region((0, 0), 0, (200, 256)))[..., :3], image)
    parts[1].unlink()
    with pytest.raises(SlideError, match=r"of the 2 parts of concatenation .* 1 are there") as caught:
        fingerprint(parts[0])
    assert caught.value.reason == "missing-file"


def test_headers_of_a_settled_folder_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each slide of it again: of N slides in a folder that would be N² headers."""
    for seed in range(3):
        write_series(tmp_path, seed)
    os.utime(tmp_path, (1_000_000, 1_000_000))
    read: list[Path] = []

    def counted(path: Path, original: Callable[[Path], object] = read_instance) -> object:
        read.append(path)
        return original(path)

    monkeypatch.setattr(dicom, "read_instance", counted)
    for file in sorted(tmp_path.iterdir()):
        assert len(volumes_of(file)) == 2
    assert len(read) == 12 + 12  # each for itself, and the folder once
    write_series(tmp_path, 9)  # the folder has another time now
    assert len(instances_in(tmp_path)) == 16


def test_what_is_no_slide_is_no_instance(tmp_path: Path) -> None:
    file = write_series(tmp_path, 1)[0]
    data = file.read_bytes()
    other = write_instance(tmp_path / "mr.dcm", image_of(1, 64, 64), series=generate_uid(), sop_class=MR_IMAGE)
    assert read_instance(other) is None
    assert read_instance(tmp_path / "gone.dcm") is None
    assert companions(other) == []
    for n_bytes in (0, 10, 131, 132, 140, 200, 400, 500):
        (tmp_path / "short.dcm").write_bytes(data[:n_bytes])
        assert read_instance(tmp_path / "short.dcm") is None
    start = data.index(b"\x08\x00\x08\x00CS")
    (tmp_path / "noise.dcm").write_bytes(data[:start] + np.random.default_rng(0).bytes(5000))
    assert read_instance(tmp_path / "noise.dcm") is None
    assert len(fingerprint(tmp_path / "noise.dcm")) == 64


@pytest.mark.parametrize(
    ("name", "maybe"),
    [("a.dcm", True), ("a.DCM", True), ("1.2.840.77", True), ("DX1", True), ("a.svs", False), ("a.dat", False)],
)
def test_names_of_dicom_files(name: str, maybe: bool) -> None:
    assert may_be_dicom(Path(name)) == maybe


def test_a_deflated_file_is_not_inflated(tmp_path: Path) -> None:
    """64 MiB of zeros in 64 KB."""
    file = write_series(tmp_path, 1)[0]
    deflated = pydicom.dcmread(file, stop_before_pixels=True)
    deflated.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    pydicom.dcmwrite(tmp_path / "d.dcm", deflated)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    whole = (tmp_path / "d.dcm").read_bytes()
    start = 132 + 12 + deflated.file_meta.FileMetaInformationGroupLength
    zeros = b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush()
    (tmp_path / "d.dcm").write_bytes(whole[:start] + zeros)
    tracemalloc.start()
    assert read_instance(tmp_path / "d.dcm") is None
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_nested_sequences_end_nothing(tmp_path: Path) -> None:
    """Each within the other, deeper than Python's stack, before the tags that are read."""
    data = write_series(tmp_path, 1)[0].read_bytes()
    start = data.index(b"\x08\x00\x08\x00CS")
    item = b"\x08\x00\x06\x00SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    (tmp_path / "deep.dcm").write_bytes(data[:start] + item * 5000 + data[start:])
    assert read_instance(tmp_path / "deep.dcm") is None


# --- what is sound, and not read --------------------------------------------------------------------------------------

GRAY = {"SamplesPerPixel": 1, "PlanarConfiguration": None}
DEEP = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
FRAMES = np.random.default_rng(0).integers(0, 256, (4, TILE, TILE, 3), dtype=np.uint8)
NOT_READ = {
    "gray": (GRAY | {"PhotometricInterpretation": "MONOCHROME2"}, FRAMES[..., 0], "not-rgb", "(MONOCHROME2) of 8 bit"),
    "deep gray": (
        GRAY | DEEP | {"PhotometricInterpretation": "MONOCHROME1"},
        FRAMES[..., 0].astype(np.uint16),
        "not-rgb",
        "gray (MONOCHROME1) of 16 bit",
    ),
    "palette": (GRAY | {"PhotometricInterpretation": "PALETTE COLOR"}, FRAMES[..., 0], "not-supported", "a palette of"),
    "deep": (DEEP, FRAMES.astype(np.uint16), "not-supported", "DICOM with 16 bits a sample"),
    "planes": ({"PlanarConfiguration": 1}, FRAMES, "not-supported", "a plane for each colour"),
    "signed": ({"PixelRepresentation": 1}, FRAMES, "not-supported", "DICOM with signed samples"),
    "few bits": ({"BitsStored": 4, "HighBit": 3}, FRAMES, "not-supported", "4 of the 8 bits of a sample used"),
    "high bit": ({"HighBit": 5}, FRAMES, "not-supported", "5 as the number of the highest bit"),
    "HSV": ({"PhotometricInterpretation": "HSV"}, FRAMES, "not-supported", "colours as HSV"),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOT_READ)
def test_a_sound_slide_that_is_not_read_is_not_called_broken(tmp_path: Path, kind: str) -> None:
    tags, frames, reason, said = NOT_READ[kind]
    file = write_instance(tmp_path / "a.dcm", image_of(1, 2 * TILE, 2 * TILE), series=generate_uid())
    rewritten(file, frames, **tags)
    with pytest.raises(SlideError) as caught, opened_slide(file):
        pass
    assert caught.value.reason == reason
    assert said in caught.value.problem
    assert "fetch" not in caught.value.remedy
    assert "RGB" in caught.value.remedy


def test_a_broken_one_is_called_broken(tmp_path: Path) -> None:
    file = write_instance(tmp_path / "a.dcm", image_of(1, 2 * TILE, 2 * TILE), series=generate_uid())
    rewritten(file, PlanarConfiguration=None)
    with pytest.raises(SlideError, match="00280006") as caught, opened_slide(file):
        pass
    assert (caught.value.reason, caught.value.remedy[:5]) == ("not-a-slide", "fetch")


def test_what_openslide_reads_of_dicom() -> None:
    good = Coding(3, "RGB", 8, 0, "JPEG 2000 Image Compression (Lossless Only)")
    assert refusal(good) == refusal(good._replace(photometric="YBR_ICT")) == ("", "")
    assert refusal(good._replace(samples=4, photometric="CMYK"))[0] == "not-rgb"
    others = good._replace(syntax="RLE Lossless", bits=12)
    assert refusal(others) == ("not-supported", "12 bits a sample, the transfer syntax RLE Lossless")


def test_dicom_of_another_kind_is_not_called_broken(tmp_path: Path) -> None:
    other = write_instance(tmp_path / "mr.dcm", image_of(1, 64, 64), series=generate_uid(), sop_class=MR_IMAGE)
    assert kind_of(other) == "MR Image Storage"
    with pytest.raises(SlideError, match="not supported: a DICOM file of another kind") as caught, opened_slide(other):
        pass
    assert caught.value.reason == "not-supported"
    (tmp_path / "cut.dcm").write_bytes(other.read_bytes()[:140])
    assert kind_of(tmp_path / "cut.dcm") == kind_of(tmp_path / "gone.dcm") == ""


def test_a_slide_whose_header_is_damaged_is_called_broken(tmp_path: Path) -> None:
    """One that is deflated as a whole is sound, and not read."""
    file = write_instance(tmp_path / "a.dcm", image_of(1, 64, 64), series=generate_uid())
    deflated = pydicom.dcmread(file)
    deflated.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    pydicom.dcmwrite(tmp_path / "d.dcm", deflated)
    file.write_bytes(file.read_bytes()[:420])
    for path, reason, remedy in ((file, "not-a-slide", "fetch"), (tmp_path / "d.dcm", "not-supported", "leave it out")):
        assert read_instance(path) is None
        with pytest.raises(SlideError) as caught, opened_slide(path):
            pass
        assert (caught.value.reason, remedy in caught.value.remedy) == (reason, True), caught.value


def test_odd_values_are_no_warnings_on_the_terminal(tmp_path: Path) -> None:
    """An encoding that does not exist, and an UID with a letter: pydicom warns of both, and the slide is sound."""
    file = write_instance(tmp_path / "a.dcm", image_of(1, 64, 64), series=generate_uid(), patient="Pat")
    data = file.read_bytes()
    start = data.index(b"\x08\x00\x08\x00CS")
    odd = b"\x08\x00\x05\x00CS" + (10).to_bytes(2, "little") + b"ISO_IR 999"
    file.write_bytes(data[:start] + odd + data[start:])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        pydicom.dcmread(file)
        assert said
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        instance = read_instance(file)
    assert said == []
    assert instance is not None
    assert instance.patient_id == "Pat"


def test_threads_that_load_pydicom_together_get_it_whole(tmp_path: Path) -> None:
    """In a process of its own, where nothing has loaded it yet; `doctor` looks at slides in threads."""
    first = write_series(tmp_path / "series", 1)[0]
    code = (
        "import sys, threading\nfrom pathlib import Path\nfrom hypoxia_hpc.slides import dicom, dicom_images\n"
        "file = Path(sys.argv[1])\n"
        "asked = [dicom.kind_of, dicom.read_instance, dicom.claimed_matrices, dicom_images.codings_of] * 6\n"
        "failed, start = [], threading.Barrier(len(asked))\n"
        "def ask(one):\n"
        "    start.wait()\n"
        "    try:\n        found = one(file)\n    except Exception as error:\n        failed.append(repr(error))\n"
        "    else:\n        failed.extend([] if found else [one.__name__])\n"
        "threads = [threading.Thread(target=ask, args=(one,)) for one in asked]\n"
        "[one.start() for one in threads], [one.join() for one in threads]\n"
        "sys.exit('; '.join(failed) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(first)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

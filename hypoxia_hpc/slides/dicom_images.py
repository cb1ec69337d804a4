"""What the headers of a DICOM slide say of its images: what OpenSlide does not read, what it would read in part, and
where they contradict each other.

OpenSlide 4.0 shows the first of several optical paths, frames that lie elsewhere nowhere, and frames at wrong places
where there are others than the size of the image makes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from hypoxia_hpc.errors import SlideError, some, some_names
from hypoxia_hpc.slides.contradictions import WRITE_ANEW
from hypoxia_hpc.slides.dicom import Instance, instances_of, read_header, transfer_syntax_of, volumes_of

# Elements come in the order of their tags.
AFTER_FOCAL_PLANES = 0x0048_0304
CODING = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)
GEOMETRY = (
    "SOPInstanceUID",
    "SOPInstanceUIDOfConcatenationSource",
    "ConcatenationFrameOffsetNumber",
    "DimensionOrganizationType",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "TotalPixelMatrixColumns",
    "TotalPixelMatrixRows",
    "NumberOfOpticalPaths",
    "TotalPixelMatrixFocalPlanes",
)
# What OpenSlide 4.0 reads.
SYNTAXES = ("Explicit VR Little Endian", "JPEG Baseline (Process 1)", "JPEG 2000 Image Compression")
COLOURS = ("RGB", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
# The column and the row of a frame (0048,021E and 0048,021F), each the four bytes of a signed number.
POSITION = re.compile(rb"\x48\x00([\x1e\x1f])\x02SL\x04\x00(.{4})", re.DOTALL)
POSITION_BYTES = 12
PIXEL_DATA = re.compile(rb"\xe0\x7f\x10\x00O[BW]")
CHUNK_BYTES, MOST_HEADER_BYTES = 2**20, 2**26

REMEDIES = {
    "inconsistent-header": WRITE_ANEW,
    "several-images": "write one of them as a slide of its own (bfconvert -z, -channel or -series), or leave it out",
    "not-supported": "write it anew with frames side by side (TILED_FULL), or leave it out",
}


class Coding(NamedTuple):
    """How a file has its pixels: samples a pixel, what they mean, bits of a sample, 1 where each colour is a plane, the
    name of the transfer syntax, how many of the bits are used, the number of the highest one, 1 for signed samples."""

    samples: int
    photometric: str
    bits: int
    planar: int
    syntax: str
    stored: int = 8
    high: int = 7
    signed: int = 0


class Frames(NamedTuple):
    """The frames of a file: the image that they are of, of which they may be a part that begins with frame ``first``;
    sizes in pixels of the image and of a frame, how many frames there are; how many focal planes and optical paths the
    image has; whether each frame says its own place; the file's own UID."""

    image: str
    first: int
    width: int
    height: int
    frame_width: int
    frame_height: int
    n: int
    focal_planes: int
    optical_paths: int
    is_sparse: bool
    instance: str


def refusal(coding: Coding) -> tuple[str, str]:
    """Why OpenSlide does not read such pixels, as a reason and in words; twice nothing where it reads them."""
    if coding.photometric.startswith("MONOCHROME"):
        return "not-rgb", f"gray ({coding.photometric}) of {coding.bits} bit"
    if coding.photometric == "PALETTE COLOR":
        return "not-supported", f"a palette of colours, {coding.bits} bit"
    if coding.samples != 3:
        return "not-rgb", f"{some(coding.samples, 'sample')} a pixel ({coding.photometric})"
    whys = {
        f"{some(coding.bits, 'bit')} a sample": coding.bits != 8,
        f"{coding.stored} of the {some(coding.bits, 'bit')} of a sample used": coding.bits == 8 != coding.stored,
        f"{coding.high} as the number of the highest bit": coding.high != coding.stored - 1,
        "signed samples": coding.signed != 0,
        "a plane for each colour": coding.planar != 0,
        f"the transfer syntax {coding.syntax}": not coding.syntax.startswith(SYNTAXES),
        f"colours as {coding.photometric}": coding.photometric not in COLOURS,
    }
    found = ", ".join(why for why, is_so in whys.items() if is_so)
    return ("not-supported" if found else ""), found


def codings_of(path: Path) -> list[tuple[Instance, Coding]]:
    """Of all files of a file's series, label and overview too, as far as their headers say it. Raises OSError."""
    found = [(each, _coding(each.path)) for each in instances_of(path)]
    return [(each, coding) for each, coding in found if coding is not None]


def refuse_contradictions(path: Path) -> None:
    """Judge the VOLUME files of a file's series by their numbers of frames, before OpenSlide shows any. Nothing for a
    file that is no DICOM slide, and for headers that cannot be read: who opens them says why.

    Raises:
        SlideError: ``inconsistent-header``; ``several-images`` for focal planes, optical paths and two images of one
            size; ``not-supported`` for frames that lie on no grid; ``missing-file`` where parts of a concatenation are
            not there.
        OSError: the folder cannot be listed.
    """
    images: dict[str, dict[int, tuple[Path, Frames]]] = defaultdict(dict)
    for each in volumes_of(path):
        frames = _frames(each.path)
        if frames is not None and min(frames[2:6]) > 0:
            other, there = images[frames.image].setdefault(frames.first, (each.path, frames))
            if there.instance != frames.instance:
                raise SlideError(
                    "several-images",
                    f"{path}: {other.name} and {each.path.name} are the same part of a concatenation",
                    remedy="keep one of them there, and move the other one to another folder",
                )
    for parts in images.values():
        reason, problem = _problem([parts[first] for first in sorted(parts)])
        if reason:
            raise SlideError(reason, f"{path}: {problem}", remedy=REMEDIES[reason])
    _refuse_same_size(path, [next(iter(parts.values())) for parts in images.values()])


def _refuse_same_size(path: Path, images: Sequence[tuple[Path, Frames]]) -> None:
    by_size: dict[tuple[int, int], list[str]] = defaultdict(list)
    for file, frames in images:
        by_size[frames.width, frames.height].append(file.name)
    for (width, height), names in by_size.items():
        if len(names) > 1:
            raise SlideError(
                "several-images",
                f"{path}: {len(names)} images of {width:,} x {height:,} px in one DICOM series: {some_names(names)}",
                remedy="keep one of them there, and move the others to another folder",
            )


def _problem(parts: Sequence[tuple[Path, Frames]]) -> tuple[str, str]:
    """What is wrong with the frames of an image, whose files are sorted by their first frame: a reason, and in words;
    twice nothing where nothing is."""
    first = parts[0][1]
    width, height, frame_width, frame_height = first[2:6]
    if any(frames[2:6] != first[2:6] for _, frames in parts):
        return "inconsistent-header", "parts of a concatenation have different sizes of the image or of frames"
    at_a_place = first.focal_planes * first.optical_paths
    if first.is_sparse and at_a_place == 1 and any(found := _problem_of_places(parts)):
        return found
    due, listed = -(-width // frame_width) * -(-height // frame_height) * at_a_place, sum(each.n for _, each in parts)
    if listed > due or (listed < due and not first.is_sparse):
        planes = f", {_planes(first)}" if at_a_place > 1 else ""
        size = f"{width:,} x {height:,} px in frames of {frame_width:,} x {frame_height:,} px{planes}"
        said = f"the header contradicts itself: {size}: that makes {some(due, 'frame')}, and the file lists {listed:,}"
        return "inconsistent-header", said
    if any(one.first + one.n != other.first for (_, one), (_, other) in pairwise(parts)):
        return "inconsistent-header", "the header contradicts itself: parts of a concatenation overlap, or leave gaps"
    if at_a_place > 1:
        return "several-images", f"a DICOM slide of {_planes(first)}, of which one can be read"
    return "", ""


def _planes(frames: Frames) -> str:
    counts = {"focal plane": frames.focal_planes, "optical path": frames.optical_paths}
    return " and ".join(some(n, noun) for noun, n in counts.items() if n > 1)


def _problem_of_places(parts: Sequence[tuple[Path, Frames]]) -> tuple[str, str]:
    places = [place for file, _ in parts for place in frame_places(file)]
    width, height, frame_width, frame_height = parts[0][1][2:6]
    outside = [(x, y) for x, y in places if not (0 < x <= width and 0 < y <= height)]
    if outside:
        n, (x, y) = len(outside), outside[0]
        where = f"{n:,} of {some(len(places), 'frame')} outside of the image, the first at column {x:,}, row {y:,}"
        return "inconsistent-header", f"the header contradicts itself: {width:,} x {height:,} px, and {where}"
    if any((x - 1) % frame_width or (y - 1) % frame_height for x, y in places):
        return "not-supported", "not supported: DICOM with frames that overlap, or lie on no grid"
    if len(set(places)) < len(places):
        return "several-images", "a DICOM slide with several frames at one place: focal planes or optical paths"
    return "", ""


def frame_places(path: Path) -> list[tuple[int, int]]:
    """Column and row, from 1, of each frame whose header says it, in the order of the file. The header is searched for
    them, since to read all of it takes a minute where frames are many. Raises OSError."""
    found = [(mark, int.from_bytes(value, "little", signed=True)) for mark, value in _positions(path)]
    columns, rows = ([value for mark, value in found if mark == kind] for kind in (b"\x1e", b"\x1f"))
    return list(zip(columns, rows, strict=True)) if len(columns) == len(rows) else []


def _positions(path: Path) -> Iterator[tuple[bytes, bytes]]:
    kept = b""
    with path.open("rb") as file:
        while file.tell() < MOST_HEADER_BYTES and (chunk := file.read(CHUNK_BYTES)):
            data = kept + chunk
            end = PIXEL_DATA.search(data)
            last = 0
            for match in POSITION.finditer(data, 0, end.start() if end else len(data)):
                last = match.end()
                yield match[1], match[2]
            if end:
                return
            kept = data[max(last, len(data) - POSITION_BYTES + 1) :]


def _coding(path: Path) -> Coding | None:
    try:
        header = read_header(path, CODING, AFTER_FOCAL_PLANES)
        bits = int(header.BitsAllocated)
        stored = int(header.get("BitsStored") or bits)
        return Coding(
            samples=int(header.SamplesPerPixel),
            photometric=str(header.PhotometricInterpretation),
            bits=bits,
            planar=int(header.get("PlanarConfiguration") or 0),
            syntax=transfer_syntax_of(path),
            stored=stored,
            high=int(header.get("HighBit", stored - 1)),
            signed=int(header.get("PixelRepresentation") or 0),
        )
    except Exception:  # noqa: BLE001 - as in `read_instance`
        return None


def _frames(path: Path) -> Frames | None:
    try:
        header = read_header(path, GEOMETRY, AFTER_FOCAL_PLANES)
        return Frames(
            image=str(header.get("SOPInstanceUIDOfConcatenationSource") or header.SOPInstanceUID),
            first=int(header.get("ConcatenationFrameOffsetNumber") or 0),
            width=int(header.TotalPixelMatrixColumns),
            height=int(header.TotalPixelMatrixRows),
            frame_width=int(header.Columns),
            frame_height=int(header.Rows),
            n=int(header.get("NumberOfFrames") or 1),
            focal_planes=int(header.get("TotalPixelMatrixFocalPlanes") or 1),
            optical_paths=int(header.get("NumberOfOpticalPaths") or 1),
            is_sparse=header.get("DimensionOrganizationType") != "TILED_FULL",
            instance=str(header.SOPInstanceUID),
        )
    except Exception:  # noqa: BLE001 - as in `read_instance`
        return None

"""Small slides of every kind that a header can be changed in, and what chance makes of them; seeded."""

from __future__ import annotations

import io
import sqlite3
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from damage import BASES, SIZES, edited, flipped, rechained, truncated
from dicom_series import write_series
from mirax import write_mirax
from PIL import Image
from tiff_factory import YCBCR, Tags, TiffBytes, write_case

Random = np.random.Generator
# Numbers that programs trip over, and numbers that ask for much.
NUMBERS = (0, 1, 2, 127, 255, 256, 65_535, 65_536, 10**6, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
TEXTS = (
    *("-1", "0", "1", "3", "30000", "1000000", "2147483647", "4294967296", "9" * 30),
    *(
        "0.5",
        "1e308",
        "nan",
        "inf",
        "",
        "-0",
        "../../etc/passwd",
        "%n%s",
        "x" * 5000,
        "\N{SNOWMAN}",
        "JPEG",
        "PNG",
        "BMP24",
    ),
)


# --- sound slides ------------------------------------------------------------------------------------------------


def ndpi(side: int = 512) -> bytes:
    """A slide as Hamamatsu writes it: each level is one JPEG with restart markers."""
    file = TiffBytes("<", False)
    for level in range(2):
        stream = _restarted_jpeg(side >> (2 * level), level)
        offset = file.append(stream)
        tags: Tags = {
            254: ("I", (0,)),
            256: ("I", (side >> (2 * level),)),
            257: ("I", (side >> (2 * level),)),
            258: ("H", (8, 8, 8)),
            259: ("H", (7,)),
            262: ("H", (YCBCR,)),
            271: ("s", b"Hamamatsu\0"),
            273: ("I", (offset,)),
            277: ("H", (3,)),
            278: ("I", (side >> (2 * level),)),
            279: ("I", (len(stream),)),
            282: ("R", (20_000, 1)),
            283: ("R", (20_000, 1)),
            284: ("H", (1,)),
            296: ("H", (3,)),
            65_420: ("I", (1,)),
            65_421: ("R", (20 >> (2 * level), 1)),
            65_424: ("i", (0,)),
        }
        file.page(tags)
    return bytes(file.data)


def _restarted_jpeg(side: int, seed: int) -> bytes:
    """OpenSlide 4.0.1 does not read 4:2:0 with restart markers."""
    coarse = np.random.default_rng(seed).integers(0, 200, (side // 16, side // 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    image = Image.fromarray(np.kron(coarse, np.ones((16, 16, 1), np.uint8)))
    image.save(buffer, "JPEG", quality=80, subsampling="4:2:2", restart_marker_blocks=4)
    return buffer.getvalue()


def write_ndpi(folder: Path) -> None:
    (folder / "slide.ndpi").write_bytes(ndpi())


def write_vms(folder: Path) -> None:
    lines = ["[Virtual Microscope Specimen]", "NoLayers=1", "NoJpegColumns=1", "NoJpegRows=1", "ImageFile=a.jpg"]
    lines += [
        "MapFile=a_map.jpg",
        "PhysicalWidth=256000",
        "PhysicalHeight=256000",
        "SourceLens=20",
        "MacroImage=a_map.jpg",
    ]
    (folder / "slide.vms").write_text("\n".join(lines) + "\n")
    (folder / "a.jpg").write_bytes(_restarted_jpeg(512, 0))
    (folder / "a_map.jpg").write_bytes(_restarted_jpeg(64, 1))


def write_czi(folder: Path) -> None:
    """No sound one: the first segments of a Zeiss file, which lead to nothing."""
    header = struct.pack("<16sqq", b"ZISRAWFILE", 512, 512) + struct.pack(
        "<iiii32siqqii", 1, 0, 0, 0, b"", 0, 544, 1088, 0, 0
    )
    directory = struct.pack("<16sqqi", b"ZISRAWDIRECTORY", 512, 512, 1).ljust(544, b"\0")
    (folder / "slide.czi").write_bytes(header.ljust(544, b"\0") + directory + directory)


def write_sakura(folder: Path) -> None:
    """No sound one: a database with the table by which OpenSlide knows the format."""
    connection = sqlite3.connect(folder / "slide.svslide")
    connection.execute("create table DataManagerSQLiteConfigXPO (TableName text)")
    connection.execute("insert into DataManagerSQLiteConfigXPO values ('T')")
    connection.execute("create table T (id text primary key, size integer, data blob)")
    connection.execute("insert into T values ('++MagicBytes', 11, 'SVGigaPixelImage')")
    connection.commit()
    connection.close()


def write_tiff(folder: Path) -> None:
    write_case(replace(BASES[1], name="slide", tile=(128, 96), levels=SIZES), folder)


def write_aperio(folder: Path) -> None:
    write_case(replace(BASES[0], name="slide", tile=(128, 96), levels=SIZES), folder)


WRITERS: dict[str, Callable[[Path], object]] = {
    "mirax": lambda folder: write_mirax(folder / "slide.mrxs", images=4, levels=2),
    "dicom": lambda folder: write_series(folder, seed=0),
    "ndpi": write_ndpi,
    "vms": write_vms,
    "aperio": write_aperio,
    "tiff": write_tiff,
    "czi": write_czi,
    "sakura": write_sakura,
}


# --- what chance makes of them -----------------------------------------------------------------------------------


def write_mutated(folder: Path, seed: int, number: int) -> None:
    """``number`` slides in folders of their own, each one to three of whose files are changed."""
    for index in range(number):
        random = np.random.default_rng([seed, index])
        kind = list(WRITERS)[index % len(WRITERS)]
        own = folder / f"{kind}-{index:04}"
        own.mkdir(parents=True)
        WRITERS[kind](own)
        files = sorted(file for file in own.rglob("*") if file.is_file())
        chosen = random.choice(len(files), min(len(files), int(random.integers(1, 4))), replace=False)
        for file in (files[one] for one in chosen):
            file.write_bytes(mutated(file.name, file.read_bytes(), random))


def mutated(name: str, data: bytes, random: Random) -> bytes:
    """A sound file with changes of its own kind, or with changed bytes."""
    if name.endswith((".ini", ".vms")):
        return _other_lines(data, random)
    is_tiff = name.endswith((".tiff", ".svs", ".ndpi"))
    return _other_tags(data, random) if is_tiff and random.random() < 0.7 else _other_bytes(data, random)


def _other_tags(data: bytes, random: Random) -> bytes:
    kind = (truncated, flipped, edited, lambda good, _: rechained(good))[int(random.integers(4))]
    found = list(kind(data, random))
    return found[int(random.integers(len(found)))][1]


def _other_lines(data: bytes, random: Random) -> bytes:
    """Mostly other values; now and then a line that is missing, twice there, or nonsense."""
    lines = data.decode("utf-8", "replace").splitlines()
    for _ in range(int(random.integers(1, 3))):
        index = int(random.integers(len(lines)))
        key, _, value = lines[index].partition("=")
        other = str(random.choice(TEXTS))
        ways = [[f"{key}={other}"]] * 12
        ways += [[f"{key}={value.strip()}{other}"], [], [lines[index]] * 2, [other], [f"[{key}]"]]
        lines[index : index + 1] = ways[int(random.integers(len(ways)))]
    return "\n".join(lines).encode()


def _other_bytes(data: bytes, random: Random) -> bytes:
    """Numbers, flipped bits, pieces that are missing, twice there, or zero; mostly in the first kilobytes."""
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 4))):
        most = len(changed) if random.random() < 0.3 else min(len(changed), 4096)
        place = int(random.integers(max(1, most)))
        what = int(random.integers(6))
        if what < 3:
            code = str(random.choice(["<H", "<I", "<Q", ">H", ">I"]))
            nbytes = struct.calcsize(code)
            number = NUMBERS[int(random.integers(len(NUMBERS)))] % 2 ** (8 * nbytes)
            changed[place : place + nbytes] = struct.pack(code, number)
        elif what == 3 and changed:
            changed[min(place, len(changed) - 1)] ^= 1 << int(random.integers(8))
        elif what == 4:
            length = int(random.integers(1, 64))
            changed[place : place + length] = bytes(length)
        else:
            length = int(random.integers(1, 512))
            piece = changed[place : place + length]
            changed[place : place + length] = b"" if random.random() < 0.5 else piece * 2
    return bytes(changed)


def sound_slides(folder: Path) -> Iterator[Path]:
    """One of each kind that OpenSlide opens, unchanged."""
    for kind in ("mirax", "dicom", "ndpi", "vms", "aperio", "tiff"):
        (folder / kind).mkdir(parents=True)
        WRITERS[kind](folder / kind)
        yield folder / kind

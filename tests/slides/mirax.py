"""Small MIRAX slides, made here from what OpenSlide reads of them: an index of 3DHISTECH's kind, and images of JPEG."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 256
SLIDE_ID = "0123456789ABCDEF0123456789ABCDEF"
VERSION = "01.02"
Ini = dict[str, dict[str, str]]


def ini_of(images: int, levels: int) -> Ini:
    """What Slidedat.ini says of a slide of ``images`` x ``images`` images on level 0."""
    names = [f"LAYER_0_LEVEL_{level}_SECTION" for level in range(levels)]
    layers = {
        name: {
            "OVERLAP_X": "0",
            "OVERLAP_Y": "0",
            "MICROMETER_PER_PIXEL_X": str(0.5 * 2**level),
            "MICROMETER_PER_PIXEL_Y": str(0.5 * 2**level),
            "IMAGE_FORMAT": "JPEG",
            "IMAGE_FILL_COLOR_BGR": "16777215",
            "DIGITIZER_WIDTH": str(SIDE),
            "DIGITIZER_HEIGHT": str(SIDE),
            "IMAGE_CONCAT_FACTOR": str(min(level, 1)),
        }
        for level, name in enumerate(names)
    }
    return {
        "GENERAL": {
            "SLIDE_VERSION": "01.02",
            "SLIDE_ID": SLIDE_ID,
            "IMAGENUMBER_X": str(images),
            "IMAGENUMBER_Y": str(images),
            "OBJECTIVE_MAGNIFICATION": "20",
            "CameraImageDivisionsPerSide": "1",
        },
        "HIERARCHICAL": {
            "HIER_COUNT": "1",
            "NONHIER_COUNT": "0",
            "INDEXFILE": "Index.dat",
            "HIER_0_NAME": "Slide zoom level",
            "HIER_0_COUNT": str(levels),
            **{f"HIER_0_VAL_{level}_SECTION": name for level, name in enumerate(names)},
        },
        "DATAFILE": {"FILE_COUNT": "1", "FILE_0": "Data0000.dat"},
        **layers,
    }


def text_of(ini: Ini) -> str:
    sections = (
        f"[{name}]\r\n" + "".join(f"{key} = {value}\r\n" for key, value in of.items()) for name, of in ini.items()
    )
    return "\r\n".join(sections)


def write_mirax(
    path: Path, *, images: int = 4, levels: int = 2, changes: Mapping[tuple[str, str], str] | None = None
) -> Path:
    """A slide of random dark colours at 0.5 µm/px, ``images`` (a multiple of 2 for each level above 0) images a side.
    ``changes`` of Slidedat.ini, by section and key."""
    folder = path.with_suffix("")
    folder.mkdir(parents=True)
    path.write_bytes(b"\xff\xd8\xff\xd9")  # a small JPEG in real files; nothing reads it
    ini = ini_of(images, levels)
    for (section, key), value in (changes or {}).items():
        ini[section][key] = value
    (folder / "Slidedat.ini").write_text(text_of(ini))
    data, pages = bytearray(), []
    for level in range(levels):
        step, page = 2**level, []
        for y in range(0, images, step):
            for x in range(0, images, step):
                stream = _jpeg(seed=level * 1000 + y * images + x)
                page.append((y * images + x, len(data), len(stream), 0))
                data += stream
        pages.append(page)
    (folder / "Data0000.dat").write_bytes(data)
    (folder / "Index.dat").write_bytes(_index(pages))
    return path


def _jpeg(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 200, (SIDE // 16, SIDE // 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.kron(coarse, np.ones((16, 16, 1), np.uint8))).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _index(pages: list[list[tuple[int, int, int, int]]]) -> bytes:
    """Index.dat: version, id, where the tables of the hierarchical and of the other records are; then for each level
    where its list begins: a zero and where its page is; a page is its length, the next one (none), and the records."""
    head = (VERSION + SLIDE_ID).encode()
    table = len(head) + 8
    place = table + 4 * len(pages)
    starts, lists = [], b""
    for page in pages:
        starts.append(place + len(lists))
        lists += struct.pack("<4i", 0, starts[-1] + 8, len(page), 0)
        lists += b"".join(struct.pack("<4i", *record) for record in page)
    return head + struct.pack("<2i", table, 0) + struct.pack(f"<{len(starts)}i", *starts) + lists

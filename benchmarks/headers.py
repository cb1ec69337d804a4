"""What it costs to judge headers before OpenSlide opens a slide, in one run: python benchmarks/headers.py

Opens the same files as ``init`` does (what the header claims, what its pages say, a trial where that settles nothing)
and by OpenSlide alone, in paired rounds, by one thread and by as many as ``init`` has.
"""

from __future__ import annotations

import argparse
import os
import shutil
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import openslide
from figures import Bench, Figure, Report, ratio, run_sections, slides_dir
from large_slides import made_large

from hypoxia_hpc.bench.rounds import paired
from hypoxia_hpc.slides.costs import HEADER_READERS
from hypoxia_hpc.slides.judging import judge
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.openslide_reader import read_pyramid
from hypoxia_hpc.stages.demo import REAL_SLIDE

HEADERS = 128
QUICK_HEADERS = 32
LARGE_HEIGHT_PX = 80_000  # 139,000 native tiles
ROUNDS, QUICK_ROUNDS = 5, 3
RESOLUTION, RATIONAL = 282, 5


def copies(path: Path, folder: Path, n: int) -> list[Path]:
    """``n`` names of the same file: what is measured is opening, not a disk."""
    folder.mkdir()
    named = [folder / f"{number:04}{path.suffix}" for number in range(n)]
    shutil.copy(path, named[0])
    for name in named[1:]:
        os.link(named[0], name)
    return named


def with_a_stray_tag(path: Path, target: Path) -> Path:
    """The same slide, one tag more of which lies outside of the file: OpenSlide does not look at it, and no header is
    settled that has one. The first directory goes to the end of the file."""
    data = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", data, 4)
    (n,) = struct.unpack_from("<H", data, start)
    entries = [bytes(data[at : at + 12]) for at in range(start + 2, start + 2 + 12 * n, 12)]
    link = bytes(data[start + 2 + 12 * n : start + 6 + 12 * n])
    stray = struct.pack("<HHII", 65_000, RATIONAL, 1, 2**31)
    directory = struct.pack("<H", n + 1) + b"".join([*entries, stray]) + link
    data += bytes(len(data) % 2)
    struct.pack_into("<I", data, 4, len(data))
    target.write_bytes(data + directory)
    return target


def judged(path: Path) -> None:
    with opened_slide(path):
        pass


def alone(path: Path) -> None:
    with openslide.OpenSlide(path) as slide:
        read_pyramid(slide)


def of_kind(bench: Bench, name: str, files: Sequence[Path], *, is_settled: bool) -> None:
    assert judge(files[0]).is_settled == is_settled  # noqa: S101
    rounds = QUICK_ROUNDS if bench.quick else ROUNDS
    for threads in (1, HEADER_READERS):
        with ThreadPoolExecutor(threads) as pool:
            works = {
                "judged": lambda pool=pool: list(pool.map(judged, files)),
                "OpenSlide": lambda pool=pool: list(pool.map(alone, files)),
            }
            for work in works.values():
                work()
            laps = paired(works, rounds)
        title = f"{name}, {threads} thread{'s' if threads > 1 else ''}"
        for one, column in laps.items():
            clock = sorted(lap.clock for lap in column)[len(column) // 2]
            bench.report.say(f"  {title}: {one:12}{1000 * clock / len(files):8.2f} ms a header")
        found = ratio(laps, "judged", "OpenSlide")
        processor = ratio(laps, "judged", "OpenSlide", "processor")
        bench.report.add(Figure(f"{title}: judged against OpenSlide alone", found, by_processor=processor))


def headers(bench: Bench) -> None:
    n = QUICK_HEADERS if bench.quick else HEADERS
    small = REAL_SLIDE
    large = made_large(bench.folder, codec="jpeg", height_px=LARGE_HEIGHT_PX)
    with TemporaryDirectory() as folder:
        stray = with_a_stray_tag(small, Path(folder) / "stray.svs")
        for name, path, is_settled in (
            ("settled, one level", small, True),
            ("settled, 139,000 native tiles", large, True),
            ("on trial, one level", stray, False),
        ):
            files = copies(path, Path(folder) / name, n)
            of_kind(bench, name, files, is_settled=is_settled)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--slides-dir", type=Path, default=slides_dir())
    options = parser.parse_args()
    bench = Bench(Report(), options.slides_dir, options.quick, 1)
    run_sections(bench, {"headers": partial(headers)}, options.json)


if __name__ == "__main__":
    main()

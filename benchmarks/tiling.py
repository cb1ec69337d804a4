"""The tiling benchmark, one command: python benchmarks/tiling.py [--quick] [--json FILE]

Prints the table of figures (medians of paired rounds) with their targets, and before it what every competitor made.
``--quick`` takes smaller slides and fewer rounds. benchmarks/README.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import worker
from figures import Figure, Report, run_sections, slides_dir
from one_core import Bench, against, jpeg_20x, jpeg_40x, jpeg_2000, peers

from hypoxia_hpc.bench.cases.kernels import TILE_PX, numpy_count
from hypoxia_hpc.bench.rounds import on_one_core, paired
from hypoxia_hpc.tiling.kernels.packed import count_background

WHITE = 220


def kernels(bench: Bench) -> None:
    """benchmarks/kernels.py, in a process of its own; and here, where NumPy finds memory that was used before: it then
    needs no fresh pages for its temporaries and is several times faster."""
    tile = np.random.default_rng(0).integers(150, 256, (TILE_PX, TILE_PX, 4), dtype=np.uint8)
    packed_tile = tile.view("<u4")[..., 0]
    works: dict[str, Callable[[], object]] = {
        "NumPy": lambda: [numpy_count(tile, WHITE) for _ in range(20)],
        "kernel": lambda: [count_background(packed_tile, 0, TILE_PX, WHITE) for _ in range(20)],
    }
    with on_one_core():
        asked = (sys.executable, str(Path(__file__).with_name("kernels.py")))
        told = subprocess.run(asked, check=True, capture_output=True, text=True).stdout  # noqa: S603
        laps = paired(works, 5 * bench.rounds)
    bench.report.say("\n" + told.rstrip())
    times, share = re.findall(r"([\d.]+) x", told)[-1], re.findall(r"([\d.]+)%", told)[-1]
    bench.report.add(
        Figure("background kernel, tiles in cache: against its NumPy twin", float(times), "x", 30),
        Figure("background kernel, out of cache: share of reading the memory", float(share) / 100, "%", 0.80),
        against("background kernel, tiles in cache: against NumPy in memory used before", laps, "NumPy", "kernel"),
    )


SECTIONS: dict[str, Callable[[Bench], None]] = {
    "jpeg-20x": jpeg_20x,
    "peers": peers,
    "fast": worker.fast_screening,
    "jpeg-40x": jpeg_40x,
    "jpeg-2000": jpeg_2000,
    "workers": worker.two_workers,
    "stores": worker.stores,
    "kernels": kernels,
    "memory": worker.memory,
    "inodes": worker.inodes,
}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = slides_dir()
    parser.add_argument("--quick", action="store_true", help="smaller slides, fewer rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was found, and the machine, there")
    parser.add_argument("--slides-dir", type=Path, default=cache, help=f"where slides are made and kept ({cache})")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this part alone; repeatable")
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    bench = Bench(Report(), arguments.slides_dir, arguments.quick, 3 if arguments.quick else 5)
    run_sections(bench, {name: SECTIONS[name] for name in arguments.only or SECTIONS}, arguments.json)


if __name__ == "__main__":
    main()

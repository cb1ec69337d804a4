"""The figures of whole workers: two at a time, tiles into stores, memory and inodes; and what ``fast`` decides."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import ours
from figures import Figure
from large_slides import LARGE_PLANAR_HEIGHT_PX, LARGE_PX, made_large
from one_core import REAL_SLIDE, Bench, collected
from pool import pool, seconds

from hypoxia_hpc.bench import delivery
from hypoxia_hpc.bench.bounds import NativeTiles, packed, write_and_fsync
from hypoxia_hpc.bench.rounds import Lap, on_one_core, paired, usable_cores
from hypoxia_hpc.bench.slides import recipes
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.stores.codecs import CODECS
from hypoxia_hpc.stores.features import write_features
from hypoxia_hpc.stores.layout import store_nbytes

SHARED_SLIDES = Path(__file__).parents[2] / "shared" / "data" / "slides"
SIDES_PX = (299, 224)
LARGE_LOW_PX = 12_000
DEFAULT, FULL = "ours", "ours, screening off"
LEVEL_0_MPP = 0.5  # said of the shared slides, whatever their headers say, so that they are cut at level 0


@contextmanager
def scratch(bench: Bench) -> Iterator[Path]:
    """A folder on the disk of the slides, deleted afterwards."""
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        yield Path(folder)


def two_workers(bench: Bench) -> None:
    """Each worker tiles the whole slide: twice the work in the same time would be a gain of 2."""
    figure = "two workers against one, as a share of what the bare decoder gains"
    cores, path = usable_cores(), bench.slide("jpeg-20x")
    if len(cores) < 2:
        bench.report.add(Figure(figure, None, "%", 0.95, note="needs two cores"))
        return
    decoder, gains = fastest_decoder(path), {"ours": [], "decoder": []}
    with pool(path, decoder, cores[:2]) as ends:
        for _ in range(2 * bench.rounds + 1):
            for work, found in gains.items():
                # One worker's rate is the mean of the two cores': they need not be equally fast.
                alone = (seconds(ends[:1], work) + seconds(ends[1:], work)) / 2
                found.append(2 * alone / seconds(ends, work))
    shares = [ours_ / bare for ours_, bare in zip(gains["ours"], gains["decoder"], strict=True)]
    bench.report.say(f"\ngain of a second process: { {name: statistics.median(v) for name, v in gains.items()} }")
    bench.report.add(Figure(figure, statistics.median(shares), "%", 0.95))


def fastest_decoder(path: Path) -> str:
    with on_one_core():
        laps = paired(NativeTiles(path).decoders(), 3)
    return min(laps, key=lambda name: min(one.clock for one in laps[name]))


def stores(bench: Bench) -> None:
    """One worker, all cores; the bounds have one thread each."""
    path, table = bench.slide("jpeg-20x"), TileTable()
    tiles = np.stack(collected(lambda new_tile: delivery.deliver(path, table, new_tile).kept).tiles)
    decode, default = NativeTiles(path).decoders()[fastest_decoder(path)], table.codec
    n_planned = delivery.plan_of(path, table).n_tiles
    bench.report.say(f"\ntiles into Zarr: {n_planned:,} tiles planned, {len(tiles):,} kept")
    for codec in (default, *(name for name in CODECS if name != default)):
        rounds = 3 * bench.rounds if codec == default else max(1, bench.rounds // 2)
        with scratch(bench) as folder:
            made = table.model_copy(update={"codec": codec})
            delivery.into_store(path, made, folder)
            n_bytes = store_nbytes(delivery.store_of(path, folder))
            shutil.rmtree(folder / "tiles")
            works = {
                "decoder": decode,
                "encoder": partial(packed, tiles, codec),
                "disk": partial(write_and_fsync, folder, n_bytes),
                DEFAULT: partial(delivery.into_store, path, made, folder),
                FULL: partial(delivery.into_store, path, made.model_copy(update={"screen": "off"}), folder),
            }
            tidy = partial(shutil.rmtree, folder / "tiles", ignore_errors=True)
            laps = paired(works, rounds, tidy)
        bench.report.rate(
            f"tiles into Zarr, codec {codec}, {n_bytes / len(tiles) / 1e3:.0f} KB a tile", laps, n_planned
        )
        target = 0.85 if codec == default else None
        for name, way, least in ((FULL, "screening off", target), (DEFAULT, "as `tile` makes them", None)):
            share = _share_of_lowest(laps[name], laps["decoder"], laps["encoder"], laps["disk"])
            bench.report.add(
                Figure(f"tiles into Zarr, codec {codec}, {way}: share of the lowest bound", share, "%", least)
            )


def _share_of_lowest(laps: list[Lap], *bounds: list[Lap]) -> float:
    rows = zip(laps, *bounds, strict=True)
    return statistics.median(max(one.clock for one in others) / own.clock for own, *others in rows)


def fast_screening(bench: Bench) -> None:
    planned = otherwise = 0
    shared = _shared_slides(bench)
    for path in (*(bench.slide(name) for name in recipes(quick=bench.quick)), REAL_SLIDE, *shared):
        for side_px in SIDES_PX:
            try:
                exact, fast = _exact_and_fast(path, side_px, LEVEL_0_MPP if path in shared else None)
            except SlideError as error:
                bench.report.say(f"  {path.name}: left out, {error.reason}")
                break
            planned, otherwise = planned + len(exact), otherwise + int((exact != fast).sum())
            differing = f"{int((exact & ~fast).sum())} lost, {int((~exact & fast).sum())} gained"
            bench.report.say(f"  {path.name}, {side_px} px: {exact.sum():,} of {len(exact):,} kept; fast: {differing}")
    name = f"screen fast: tiles decided otherwise ({otherwise:,} of {planned:,}, every slide at hand)"
    bench.report.add(Figure(name, otherwise / planned, "of 10,000", 1e-4, at_most=True))


def _shared_slides(bench: Bench) -> list[Path]:
    bench.report.say("\nscreen fast against exact")
    if not SHARED_SLIDES.is_dir():
        bench.report.say(f"  {SHARED_SLIDES}: not here, left out")
        return []
    return sorted(path for path in SHARED_SLIDES.iterdir() if path.name != REAL_SLIDE.name)


def _exact_and_fast(path: Path, side_px: int, mpp: float | None) -> list[np.ndarray]:
    tables = [TileTable(screen=screen, tile_px=side_px) for screen in ("exact", "fast")]
    return [delivery.deliver(path, table, delivery.ring(side_px), mpp).kept for table in tables]


def memory(bench: Bench) -> None:
    """Peak memory of a fresh worker that tiles a slide 100,000 px wide into a store."""
    low = made_large(bench.folder, codec="jpeg", height_px=LARGE_LOW_PX)  # the width is what counts
    jpeg = low if bench.quick else made_large(bench.folder, codec="jpeg", height_px=LARGE_PX)
    planar = made_large(bench.folder, codec="planar", height_px=LARGE_PLANAR_HEIGHT_PX)
    bench.report.say("\npeak memory of a worker")
    peaks = {"native": _peak(bench, jpeg), "OpenSlide": _peak(bench, planar)}
    if not bench.quick:
        peaks |= {
            "native, screen fast": _peak(bench, jpeg, "screen=fast"),
            "native, halved": _peak(bench, low, "mpp=1.0"),
            "native, averaged": _peak(bench, low, "mpp=0.7"),
        }
    measured = [peak for peak in peaks.values() if peak]
    failed = ", ".join(name for name, peak in peaks.items() if not peak)
    value = None if failed else max(measured)
    name = f"peak memory of a worker, {LARGE_PX:,} px slide"
    bench.report.add(Figure(name, value, "MB", 600, at_most=True, note=failed and f"failed: {failed}"))


def _peak(bench: Bench, path: Path, *settings: str) -> float | None:
    """MB of a worker; None where it fails, its error being on the terminal."""
    with scratch(bench) as folder:
        asked = (sys.executable, ours.__file__, str(path), str(folder), *settings)
        answer = subprocess.run(asked, check=False, stdout=subprocess.PIPE, text=True)  # noqa: S603
    if answer.returncode:
        return None
    told = json.loads(answer.stdout)
    line = f"{told['peak_memory_mb']:,.0f} MB, {told['seconds']:,.1f} s, {told['reader']}, {told['counts']}"
    bench.report.say(f"  {' '.join((path.name, *settings))}: {line}")
    return float(told["peak_memory_mb"])


def inodes(bench: Bench) -> None:
    """Files and directories of a store, and the receipt."""
    path, found = bench.slide("jpeg-20x"), {}
    with scratch(bench) as folder:
        for codec in CODECS:
            delivery.into_store(path, TileTable(codec=codec), folder / codec)
            found[f"tile, codec {codec}"] = _inodes(delivery.store_of(path, folder / codec))
        delivery.into_store(path, TileTable(pixels="none"), folder / "pixels")
        found["tile, no pixels"] = _inodes(delivery.store_of(path, folder / "pixels"))
        rows = 100_000
        xy = np.zeros((rows, 2), dtype=np.int64)
        write_features(folder / "F.zarr", np.ones((rows, 64), dtype=np.float16), xy, {"key": delivery.KEY})
        found["extract"] = _inodes(folder / "F.zarr")
    bench.report.say(f"\ninodes a slide, receipt included: {found}")
    bench.report.add(Figure("inodes a slide and stage", max(found.values()), "", 14, at_most=True))


def _inodes(store: Path) -> int:
    return sum(1 for _ in store.rglob("*")) + 2

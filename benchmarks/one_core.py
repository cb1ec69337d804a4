"""The figures of one core: tiles decided and delivered in memory, against the decoder alone and against others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from unittest import mock

import figures
import numpy as np
from figures import Figure, Report, ratio
from numpy.typing import NDArray

import hypoxia_hpc.slides
from hypoxia_hpc.bench import delivery
from hypoxia_hpc.bench.agreement import Output, difference
from hypoxia_hpc.bench.bounds import NativeTiles
from hypoxia_hpc.bench.delivery import Collected, NewTile
from hypoxia_hpc.bench.peers import CUCIM, DEEPZOOM, OPENSLIDE, PEERS, Peer
from hypoxia_hpc.bench.rounds import Laps, median_seconds, on_one_core, paired
from hypoxia_hpc.bench.slides import made, recipes
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import TilePlan
from hypoxia_hpc.slides import turbojpeg
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.tiling.touched_blocks import blocks_under

REAL_SLIDE = Path(hypoxia_hpc.slides.__file__).parent / "CMU-1-Small-Region.svs"
OFF, EXACT, FAST = (TileTable(screen=screen) for screen in ("off", "exact", "fast"))
OFF_DECODER, EXACT_DECODER = (table.model_copy(update={"reduce": "decoder"}) for table in (OFF, EXACT))
PLANES = "TurboJPEG, to planes"
LEAST_SHARE = 0.85  # of the decoder's rate, for full decoding
NAMES = {
    "ours": EXACT,
    "ours, screening off": OFF,
    "ours, screen fast": FAST,
    "ours, reduce decoder": EXACT_DECODER,
    "ours, reduce decoder, screening off": OFF_DECODER,
}

Deliver = Callable[[NewTile], NDArray[np.bool_]]


class Bench(figures.Bench):
    """One whose folder is that of its slides."""

    def slide(self, name: str) -> Path:
        return made(recipes(quick=self.quick)[name], self.folder)


def compete(bench: Bench, title: str, path: Path, names: Sequence[str], peers: Sequence[Peer], rounds: int) -> Laps:
    """Check every competitor's output against that of the first of ``names``, then time those that agree, and the codec
    libraries alone; the fastest of these is "decoder" in the result."""
    table = NAMES[names[0]]
    plan = delivery.plan_of(path, table)
    competitors: dict[str, Deliver] = {name: partial(_ours, path, NAMES[name]) for name in names}
    for peer in peers:
        if peer.missing:
            bench.report.say(f"{peer.name}: {peer.missing}")
        else:
            competitors[peer.name] = partial(peer.deliver, path, plan)
    bench.report.say(f"\nchecking {title}, against {names[0]!r}")
    competitors = agreeing(bench.report, competitors)
    tiles = NativeTiles(path)
    decoders = tiles.decoders()
    places = delivery.ring(table.tile_px)
    with on_one_core():
        laps = paired(
            {**decoders, **to_planes(tiles), **{name: partial(do, places) for name, do in competitors.items()}}, rounds
        )
    bench.report.rate(title, laps, plan.n_tiles)
    fastest = min(decoders, key=lambda name: median_seconds(laps[name]))
    return {**laps, "decoder": laps[fastest]}


def to_planes(tiles: NativeTiles, numbers: Iterable[int] | None = None) -> dict[str, Callable[[], None]]:
    """Native tiles (all, or those of these numbers) to planes of Y, Cb and Cr, which are no pixels yet: where there is
    a library for it."""
    library = turbojpeg.library()
    if library is None or not tiles.is_jpeg:
        return {}
    decoder = turbojpeg.PlaneDecoder(library)
    wanted = tiles.whole if numbers is None else [tiles.whole[number] for number in numbers]

    def decode() -> None:
        for tile, buffer in zip(wanted, tiles.buffers(4), strict=False):
            decoder.decode(tile, buffer)

    return {PLANES: decode}


def _packing(path: Path, plan: TilePlan, new_tile: NewTile) -> NDArray[np.bool_]:
    """Ours, screening off, as it is on a machine without the TurboJPEG library."""
    with mock.patch.object(turbojpeg, "library", lambda: None):
        return _ours(path, OFF, new_tile)


def _ours(path: Path, table: TileTable, new_tile: NewTile) -> NDArray[np.bool_]:
    return delivery.deliver(path, table, new_tile).kept


def agreeing(report: Report, competitors: Mapping[str, Deliver]) -> dict[str, Deliver]:
    """Those whose output is that of the first, identical or the same picture; says of each how it compares."""
    counted, reference = {}, None
    for name, deliver in competitors.items():
        output = collected(deliver)
        if reference is None:
            reference = output
        found = difference(reference, output)
        report.say(f"  {name}: {found}")
        if found.same_picture:
            counted[name] = deliver
        else:
            report.say(f"  {name}: its time does not count")
    return counted


def collected(deliver: Deliver) -> Output:
    places = Collected(TileTable().tile_px)
    kept = deliver(places)
    return Output(kept, places.tiles)


def against(name: str, laps: Laps, slower: str, faster: str, unit: str = "x", target: float | None = None) -> Figure:
    """The rate of ``faster`` as a multiple (or share) of that of ``slower``."""
    if slower not in laps or faster not in laps:
        lacking = slower if slower not in laps else faster
        return Figure(name, None, unit, target, note=f"{lacking}: not installed, or its output differs")
    by_clock, by_processor = (ratio(laps, slower, faster, time) for time in ("clock", "processor"))
    return Figure(name, by_clock, unit, target, by_processor=by_processor)


def jpeg_20x(bench: Bench) -> None:
    path = bench.slide("jpeg-20x")
    names = ("ours, screening off", "ours", "ours, screen fast")
    without = Peer("ours, screening off, no TurboJPEG", _packing, "simplejpeg", "simplejpeg")
    laps = compete(bench, "JPEG 20x, one core", path, names, (without,), 2 * bench.rounds + 1)
    places = delivery.ring(OFF.tile_px)
    read = {table.screen: delivery.deliver(path, table, places).blocks_read for table in (OFF, EXACT, FAST)}
    kept = delivery.deliver(path, OFF, places).kept
    needed = native_tiles_of(path, kept)
    bench.report.say(f"  background: {1 - kept.mean():.1%} of the tiles; kept tiles lie on {len(needed)} native tiles")
    bench.report.say(f"  native tiles decoded: {read}")
    tiles = NativeTiles(path)
    bare = {"all": to_planes(tiles), "needed": to_planes(tiles, needed)}
    with on_one_core():
        bare_laps = paired({name: work[PLANES] for name, work in bare.items() if work}, 2 * bench.rounds + 1)
    bench.report.add(
        against(
            "JPEG 20x, one core, screening off: share of the decoder's rate",
            laps,
            "decoder",
            names[0],
            "%",
            LEAST_SHARE,
        ),
        against("JPEG 20x, screening off: share of the rate of decoding to planes", laps, PLANES, names[0], "%"),
        against(
            "JPEG 20x, screening off, no TurboJPEG: share of the decoder's rate", laps, "decoder", without.name, "%"
        ),
        Figure("JPEG 20x, exact screening: native tiles decoded", read["exact"] / read["off"], "%", 0.75, at_most=True),
        against("JPEG 20x, exact screening: share of the full-decode rate", laps, names[0], names[1], "%", 1.05),
        against("JPEG 20x, screen fast: share of the full-decode rate", laps, names[0], names[2], "%", 1.50),
        against("JPEG 20x, screen fast, were decoding all there is to do: the same", bare_laps, "all", "needed", "%"),
        Figure(
            "JPEG 20x, screen fast: share of the least full-decode rate that the first line asks for",
            ratio(laps, "decoder", names[2]) / LEAST_SHARE,
            "%",
        ),
        against("JPEG 20x, screen fast: against screening off, no TurboJPEG", laps, without.name, names[2], "%"),
        against("JPEG 20x, exact screening: share of the decoder's rate for all tiles", laps, "decoder", names[1], "%"),
        against("JPEG 20x, screen fast: share of the decoder's rate for all tiles", laps, "decoder", names[2], "%"),
    )
    for name in ("jpeg-20x-tissue", "jpeg-20x-white"):
        laps = compete(bench, f"{name}, one core", bench.slide(name), names, (), bench.rounds)
        bench.report.add(
            against(f"{name}, screening off: share of the decoder's rate", laps, "decoder", names[0], "%"),
            against(f"{name}, exact screening: share of the full-decode rate", laps, names[0], names[1], "%"),
        )


def native_tiles_of(path: Path, kept: NDArray[np.bool_]) -> list[int]:
    """Numbers of the native tiles that kept tiles lie on: those that no screening can leave out."""
    with opened_slide(path) as opened:
        plan = delivery.plan_of(path, OFF)
        reading = opened.reading(plan, OFF.reduce)
    return np.flatnonzero(blocks_under(reading.blocks, reading.tiles, kept)).tolist()


def peers(bench: Bench) -> None:
    names = ("ours, screening off", "ours")
    laps = compete(bench, "JPEG 20x, one core, and others", bench.slide("jpeg-20x"), names, PEERS, bench.rounds)
    bench.report.add(
        against("JPEG 20x, one core, screening off: against the DeepZoom loop", laps, DEEPZOOM.name, names[0], "x", 6),
        against("JPEG 20x, one core, screening off: against cuCIM batch", laps, CUCIM.name, names[0], "x", 2.5),
        *(against(f"JPEG 20x, one core, default: against {one.name}", laps, one.name, names[1]) for one in PEERS),
    )
    laps = compete(bench, "CMU-1-Small-Region.svs, one core", REAL_SLIDE, names, PEERS, bench.rounds)
    bench.report.add(
        against("CMU-1-Small-Region, screening off: share of the decoder's rate", laps, "decoder", names[0], "%"),
        *(against(f"CMU-1-Small-Region, default: against {one.name}", laps, one.name, names[1]) for one in PEERS),
    )


def jpeg_40x(bench: Bench) -> None:
    path, names = bench.slide("jpeg-40x"), tuple(name for name in NAMES if NAMES[name].screen != "fast")
    laps = compete(bench, "JPEG 40x at 20x, one core", path, names, (DEEPZOOM, OPENSLIDE), bench.rounds)
    bench.report.add(
        against("JPEG 40x at 20x, area: against the DeepZoom loop", laps, DEEPZOOM.name, "ours", "x", 6),
        against("JPEG 40x at 20x, decoder: against the DeepZoom loop", laps, DEEPZOOM.name, names[2], "x", 10),
        against("JPEG 40x at 20x, area, screening off", laps, DEEPZOOM.name, names[1]),
        against("JPEG 40x at 20x, decoder, screening off", laps, DEEPZOOM.name, names[3]),
    )


def jpeg_2000(bench: Bench) -> None:
    path, names = bench.slide("jpeg2000-20x"), ("ours", "ours, screening off")
    laps = compete(bench, "JPEG 2000 20x, one core", path, names, (OPENSLIDE,), bench.rounds)
    bench.report.add(
        against("JPEG 2000 20x at 20x: against OpenSlide", laps, OPENSLIDE.name, "ours", "x", 1.2),
        against("JPEG 2000 20x at 20x, screening off", laps, OPENSLIDE.name, names[1]),
    )
    path, names = bench.slide("jpeg2000-40x"), tuple(name for name in NAMES if NAMES[name].screen != "fast")
    laps = compete(bench, "JPEG 2000 40x at 20x, one core", path, names, (OPENSLIDE,), bench.rounds)
    bench.report.add(
        against("JPEG 2000 40x at 20x, decoder: against OpenSlide", laps, OPENSLIDE.name, names[2], "x", 2.5),
        against("JPEG 2000 40x at 20x, decoder, screening off", laps, OPENSLIDE.name, names[3]),
        against("JPEG 2000 40x at 20x, area", laps, OPENSLIDE.name, names[0]),
    )

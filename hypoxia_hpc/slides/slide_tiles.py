"""A slide to tiles in memory or in a store: plan from the header, judge by masks, decode, decide and cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError, some
from hypoxia_hpc.records import Float32Array, Int64Array, Slide, ThreadSeconds, TileCounts, TilePlan, UInt8Array
from hypoxia_hpc.slides.masks import Masks, all_masked, tile_masks
from hypoxia_hpc.slides.opening import OpenedSlide
from hypoxia_hpc.slides.planning import SlidePlan, plan_slide
from hypoxia_hpc.slides.sources import Reading
from hypoxia_hpc.slides.timing import TimedNewTile, TimedSource, read_and_decode
from hypoxia_hpc.tiling.cutting import Cut, cut_tiles
from hypoxia_hpc.tiling.kernels.buffers import BUFFERS
from hypoxia_hpc.tiling.kernels.packed import most_background_px
from hypoxia_hpc.tiling.kernels.state import BACKGROUND, MASKED, UNREADABLE, CutRule

if TYPE_CHECKING:
    from hypoxia_hpc.slides.stain_fit import SlideStain


@dataclass(frozen=True, slots=True)
class SlideTiles:
    """The plan of a slide, how it was read, what became of each tile, and of the stain (None: none is normalised).
    ``xy_l0`` int64 (n, 2) and ``background`` float32 (n,) in 0..1 are of the n tiles that are kept, in reading order;
    ``threads`` is how many cut them, ``seconds`` are those of these threads."""

    planned: SlidePlan
    masks: Masks
    cut: Cut
    threads: int
    stain: SlideStain | None
    seconds: ThreadSeconds

    @property
    def plan(self) -> TilePlan:
        return self.planned.plan

    @property
    def reading(self) -> Reading:
        return self.planned.reading

    @property
    def counts(self) -> TileCounts:
        return _counts(self.cut)

    @property
    def xy_l0(self) -> Int64Array:
        return self.plan.xy_l0[self.cut.kept]

    @property
    def background(self) -> Float32Array:
        return (self.cut.background_px[self.cut.kept] / self.plan.tile_px**2).astype(np.float32)


def cut_slide(
    opened: OpenedSlide,
    slide: Slide,
    table: TileTable,
    new_tile: Callable[[], UInt8Array],
    tick: Callable[[int], None] = lambda tiles: None,
    *,
    threads: int = 1,
) -> SlideTiles:
    """Plan, judge by masks, decode, decide and cut; the pixels of the kept tiles go where ``new_tile`` says, as in
    :func:`cut_tiles`.

    Raises:
        SlideError: the slide cannot be planned or read, too many of its tiles do not decode, or none is kept.
    """
    began = time.perf_counter()
    planned = plan_slide(opened, slide, table)
    plan, reading = planned.plan, planned.reading
    if table.tissue != "none":
        BUFFERS.clear()
    masks = tile_masks(opened, plan, table, planned.selected)
    selected = masks.selected & ~masks.screened_background
    stain = None
    if table.stain.method != "none":
        from hypoxia_hpc.slides.slide_stain import sample_tissue  # its kernels, for those alone who ask for them
        from hypoxia_hpc.slides.stain_fit import fitted_stain

        stain = fitted_stain(sample_tissue(opened, planned, selected, table), table, slide.slide_id)
    sources = [TimedSource(source) for source in opened.sources(plan, reading, selected, threads)]
    paint, room = stain.paint if stain else None, TimedNewTile(new_tile)
    other = time.perf_counter() - began
    cut = cut_tiles(sources, reading.tiles, _rule(table), selected, room, tick, paint)
    cut.states[masks.selected & masks.screened_background] = BACKGROUND
    _refuse_unreadable(slide, cut, reading, plan, table)
    if not cut.kept.any():
        raise _no_tissue(_counts(cut), plan, table)
    return SlideTiles(planned, masks, cut, len(sources), stain, _seconds(cut, sources, room, other))


def _seconds(cut: Cut, sources: Sequence[TimedSource], room: TimedNewTile, other: float) -> ThreadSeconds:
    read, decode = read_and_decode(sources)
    wait = cut.waited_seconds + room.seconds
    kernel = cut.thread_seconds - read - decode - wait
    return ThreadSeconds(read, decode, kernel, wait=wait, other=other + cut.setup_seconds)


def _rule(table: TileTable) -> CutRule:
    return CutRule(table.white, most_background_px(table.tile_px, table.max_background), table.screen != "off")


def _counts(cut: Cut) -> TileCounts:
    return TileCounts(
        planned=len(cut.states),
        kept=int(cut.kept.sum()),
        background=int((cut.states == BACKGROUND).sum()),
        unreadable=int((cut.states == UNREADABLE).sum()),
        masked=int((cut.states == MASKED).sum()),
    )


def _refuse_unreadable(slide: Slide, cut: Cut, reading: Reading, plan: TilePlan, table: TileTable) -> None:
    unreadable = np.flatnonzero(cut.states == UNREADABLE)
    if len(unreadable) <= table.max_unreadable * plan.n_tiles:
        return
    x_l0, y_l0 = plan.xy_l0[unreadable[0]]
    first, why = next(iter(cut.unreadable.items()))
    row, column = divmod(first, reading.blocks.columns)
    raise SlideError(
        "unreadable",
        f"{slide.path}: {len(unreadable):,} of {plan.n_tiles:,} tiles do not decode, more than [tile] max_unreadable = "
        f"{table.max_unreadable:.3g}; the first is at ({x_l0}, {y_l0}) in level 0 pixels; what broke first, piece "
        f"{column} of row {row} on level {plan.level} ({reading.reader}): {why}",
        remedy="fetch the file again, or leave it out; a larger max_unreadable keeps the tiles that do decode",
    )


def _no_tissue(counts: TileCounts, plan: TilePlan, table: TileTable) -> SlideError:
    if counts.masked == plan.n_tiles:
        return all_masked(plan, table)
    problem = (
        f"none of {some(plan.n_tiles, 'tile')} has at most {table.max_background:.0%} background "
        f"(pixels with gray level {table.white} or more): {counts.background:,} have more, "
        f"{counts.masked:,} are masked by tissue or regions, {counts.unreadable:,} do not decode"
    )
    return SlideError("no-tissue", problem, remedy="look at the slide; if it has tissue, raise [tile] max_background")

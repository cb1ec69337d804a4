"""tile: slides -> tile stores. Plan from the header, judge by masks, decode, decide and cut, commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hypoxia_hpc import __version__
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError, some, some_names
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import (
    Float32Array,
    Int64Array,
    NativeTiles,
    Pyramid,
    Slide,
    SlideSource,
    TileCounts,
    TilePlan,
    TileWork,
    UInt8Array,
)
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import slide_tile_key, unread_tile_key
from hypoxia_hpc.runs.region_files import UNUSED, unused_regions
from hypoxia_hpc.runs.state import tile_state
from hypoxia_hpc.slides import turbojpeg
from hypoxia_hpc.slides.decoders import codec_versions
from hypoxia_hpc.slides.fingerprint import fingerprint
from hypoxia_hpc.slides.masks import Masks, all_masked, tile_masks
from hypoxia_hpc.slides.opening import OpenedSlide, opened_slide
from hypoxia_hpc.slides.openslide_reader import openslide_versions
from hypoxia_hpc.slides.planning import SlidePlan, plan_slide
from hypoxia_hpc.slides.sources import Reading
from hypoxia_hpc.stores.attributes import PlanRecord, SlideHeader, TileAttributes
from hypoxia_hpc.stores.tiles import new_tile_store, open_tiles
from hypoxia_hpc.tiling.cutting import Cut, cut_tiles
from hypoxia_hpc.tiling.kernels.buffers import BUFFERS
from hypoxia_hpc.tiling.kernels.packed import most_background_px
from hypoxia_hpc.tiling.kernels.state import BACKGROUND, MASKED, UNREADABLE, CutRule
from hypoxia_hpc.tiling.regions import regions_digest, regions_path
from hypoxia_hpc.workers.allocation import WHOLE, Allocation
from hypoxia_hpc.workers.scratch import Scratch, scratch_folder, staged, staging
from hypoxia_hpc.workers.slide_stage import StageOutcome, work_through

STAGE = "tile"


def tile(
    run: RunDir,
    slides: Sequence[Slide],
    *,
    workers: int | None,
    retry: bool,
    progress: Progress,
    stop: threading.Event,
    allocation: Allocation = WHOLE,
) -> StageOutcome:
    """Cut the slides into tile stores, ``workers`` at a time (default: [site] workers, else one per core); cores that
    have no slide of their own share those of others."""
    config = run.config()
    pool = min(workers or config.site.workers or allocation.cores, max(1, len(slides)))
    if config.tile.regions and (unused := unused_regions(config.tile, run.slides())):
        progress.note(f"{UNUSED}: {len(unused):,} ({some_names(unused)})")
    with staging(scratch_folder(config.site, run.root) if config.site.stage_slides else None) as scratch:
        work = TileStage(run, config.tile, max(1, allocation.cores // pool), scratch)
        return work_through(
            STAGE, slides, work, workers=pool, retry=retry, progress=progress, stop=stop, allocation=allocation
        )


@dataclass(frozen=True, slots=True)
class TileStage:
    """One slide to one tile store, by up to ``threads`` threads that decode."""

    run: RunDir
    table: TileTable
    threads: int = 1
    scratch: Scratch | None = None

    @property
    def receipts(self) -> Path:
        return self.run.receipts(STAGE)

    def target(self, slide: Slide) -> Path:
        return self.run.tiles(slide.slide_id)

    def key(self, slide: Slide) -> str:
        try:
            return slide_tile_key(self.table, slide, fingerprint(slide.path))
        except SlideError:
            made = tile_state(self.run, self.table, slide)
            if made.status == "done":
                return made.key  # the slide has gone since, its tiles are here
            raise

    def key_unread(self, slide: Slide, reason: str) -> str:
        return unread_tile_key(self.table, slide, reason)

    def made_of(self, slide: Slide) -> SlideSource | None:
        try:
            return SlideSource(fingerprint(slide.path))
        except SlideError:
            return None

    def rows(self, slide: Slide) -> int:
        return len(open_tiles(self.target(slide)).xy)

    def make(self, slide: Slide, key: str, tick: Callable[[int], None]) -> TileWork:
        with staged(slide.path, self.scratch) as path:
            return self._make(replace(slide, path=path), key, tick)

    def _make(self, slide: Slide, key: str, tick: Callable[[int], None]) -> TileWork:
        table = self.table
        stored = new_tile_store(self.target(slide), table.tile_px, codec=table.codec, pixels=table.pixels)
        with opened_slide(slide.path) as opened, stored as store:
            tiles = cut_slide(opened, slide, table, store.new_tile, tick, threads=self.threads)
            attributes = self._attributes(slide, opened.pyramid, tiles, key)
            store.commit(tiles.xy_l0, tiles.background, attributes.as_json())
        blocks = tiles.reading.blocks
        return TileWork(
            _counts(tiles.cut),
            tiles.reading.reader,
            tiles.threads,
            turbojpeg.library() is not None,
            NativeTiles(tiles.cut.blocks_read, blocks.rows * blocks.columns),
            attributes.slide.remarks,
        )

    def _attributes(self, slide: Slide, pyramid: Pyramid, tiles: SlideTiles, key: str) -> TileAttributes:
        regions = regions_path(self.table, slide.slide_id)
        return TileAttributes(
            key,
            _header(slide, pyramid, tiles.plan),
            self.table.keyed(exclude={"regions"}),
            _plan_record(tiles),
            _counts(tiles.cut),
            regions_digest(regions) if regions else "",
            tiles.planned.classes or {},
            {"hypoxia_hpc": __version__, "numpy": np.__version__, **openslide_versions(), **codec_versions()},
        )


@dataclass(frozen=True, slots=True)
class SlideTiles:
    """The plan of a slide, how it was read, and what became of each tile. ``xy_l0`` int64 (n, 2) and ``background``
    float32 (n,) in 0..1 are of the n tiles that are kept, in reading order; ``threads`` is how many cut them."""

    planned: SlidePlan
    masks: Masks
    cut: Cut
    threads: int

    @property
    def plan(self) -> TilePlan:
        return self.planned.plan

    @property
    def reading(self) -> Reading:
        return self.planned.reading

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
    planned = plan_slide(opened, slide, table)
    plan, reading = planned.plan, planned.reading
    if table.tissue != "none":
        BUFFERS.clear()
    masks = tile_masks(opened, plan, table, planned.selected)
    selected = masks.selected & ~masks.screened_background
    sources = opened.sources(plan, reading, selected, threads)
    cut = cut_tiles(sources, reading.tiles, _rule(table), selected, new_tile, tick)
    cut.states[masks.selected & masks.screened_background] = BACKGROUND
    _refuse_unreadable(slide, cut, reading, plan, table)
    if not cut.kept.any():
        raise _no_tissue(_counts(cut), plan, table)
    return SlideTiles(planned, masks, cut, len(sources))


def _rule(table: TileTable) -> CutRule:
    return CutRule(table.white, most_background_px(table.tile_px, table.max_background), table.screen != "off")


def _header(slide: Slide, pyramid: Pyramid, plan: TilePlan) -> SlideHeader:
    return SlideHeader(
        slide.slide_id,
        pyramid.size_l0,
        plan.mpp,
        plan.mpp_source,
        pyramid.vendor,
        pyramid.objective_power,
        fingerprint(slide.path),
        pyramid.images,
        pyramid.other_mpp,
    )


def _plan_record(tiles: SlideTiles) -> PlanRecord:
    plan, reading = tiles.plan, tiles.reading
    return PlanRecord(
        reading.reader,
        reading.why,
        plan.level,
        plan.downsample,
        plan.scale,
        plan.side_level,
        plan.side_l0,
        reading.reduced_by,
        plan.interpolated and reading.page is None,
        tiles.masks.record,
    )


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

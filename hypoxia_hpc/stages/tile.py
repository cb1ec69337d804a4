"""tile: slides -> tile stores. Plan from the header, judge by masks, decode, decide and cut, commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hypoxia_hpc import __version__
from hypoxia_hpc.config import RunConfig, TileTable
from hypoxia_hpc.errors import SlideError, some_names
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import NativeTiles, Pyramid, Slide, SlideSource, ThreadSeconds, TilePlan, TileWork
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import slide_tile_key, tile_entries, unread_tile_key
from hypoxia_hpc.slides.fingerprint import fingerprint_of
from hypoxia_hpc.stores.attributes import PlanRecord, SlideHeader, TileAttributes
from hypoxia_hpc.tiling.region_paths import regions_digest, regions_path
from hypoxia_hpc.workers.allocation import WHOLE, Allocation
from hypoxia_hpc.workers.scratch import Scratch, scratch_folder, staged, staging
from hypoxia_hpc.workers.slide_stage import StageOutcome, work_through

if TYPE_CHECKING:
    from hypoxia_hpc.slides.slide_tiles import SlideTiles

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
    if config.extract.imported:
        from hypoxia_hpc.runs.state import refuse_imported

        refuse_imported(run, config, STAGE)
    pool = min(workers or config.site.workers or allocation.cores, max(1, len(slides)))
    if config.tile.regions:
        _note_unused(run, config.tile, progress)
    if config.tile.stain.method != "none":
        _require_reference(run, config, progress, stop)
    if config.tile.series.is_on:
        from hypoxia_hpc.slides.nifti import has_nifti, require_nibabel

        if has_nifti(slides):
            require_nibabel()
    with staging(scratch_folder(config.site, run.root) if config.site.stage_slides else None) as scratch:
        work = TileStage(run, config.tile, max(1, allocation.cores // pool), scratch)
        return work_through(
            STAGE, slides, work, workers=pool, retry=retry, progress=progress, stop=stop, allocation=allocation
        )


def _require_reference(run: RunDir, config: RunConfig, progress: Progress, stop: threading.Event) -> None:
    """Make the cohort's, where that is asked for; what is wrong with a reference is no fault of any slide."""
    from hypoxia_hpc.slides.stain_reference import stain_target

    if config.tile.stain.reference == str(run.stain_file.absolute()):
        from hypoxia_hpc.runs.cohort_stain import keep_cohort_stain

        keep_cohort_stain(run, config, progress, stop)
    stain_target(config.tile)


def _note_unused(run: RunDir, table: TileTable, progress: Progress) -> None:
    from hypoxia_hpc.runs.region_files import UNUSED, unused_regions

    if unused := unused_regions(table, run.slides()):
        progress.note(f"{UNUSED}: {len(unused):,} ({some_names(unused)})")


@dataclass(frozen=True, slots=True)
class TileStage:
    """One slide to one tile store, by up to ``threads`` threads that decode. What decodes is imported where it works:
    the process that deals the slides has no use for it."""

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
            return slide_tile_key(self.table, slide, fingerprint_of(slide))
        except SlideError:
            from hypoxia_hpc.runs.state import tile_state

            made = tile_state(self.run, self.table, slide)
            if made.status == "done":
                return made.key  # the slide has gone since, its tiles are here
            raise

    def key_unread(self, slide: Slide, reason: str) -> str:
        return unread_tile_key(self.table, slide, reason)

    def made_of(self, slide: Slide) -> SlideSource | None:
        try:
            return SlideSource(fingerprint_of(slide))
        except SlideError:
            return None

    def rows(self, slide: Slide) -> int:
        from hypoxia_hpc.stores.tiles import open_tiles

        return len(open_tiles(self.target(slide)).xy)

    def make(self, slide: Slide, key: str, tick: Callable[[int], None]) -> TileWork:
        if slide.images:
            from hypoxia_hpc.slides.image_stores import make_image_store

            spec, target = tile_entries(self.table), self.target(slide)
            return make_image_store(slide, self.table, target, key, spec, tick, threads=self.threads)
        with staged(slide.path, self.scratch) as path:
            return self._make(replace(slide, path=path), key, tick)

    def _make(self, slide: Slide, key: str, tick: Callable[[int], None]) -> TileWork:
        began, table = time.perf_counter(), self.table  # before imports: a worker's first slide has them
        from hypoxia_hpc.slides import turbojpeg
        from hypoxia_hpc.slides.opening import opened_slide
        from hypoxia_hpc.slides.slide_tiles import cut_slide
        from hypoxia_hpc.stores.tiles import new_tile_store

        stored = new_tile_store(self.target(slide), table.tile_px, codec=table.codec, pixels=table.pixels)
        with opened_slide(slide.path) as opened, stored as store:
            before = time.perf_counter() - began
            tiles = cut_slide(opened, slide, table, store.new_tile, tick, threads=self.threads)
            began = time.perf_counter()
            attributes = self._attributes(slide, opened.pyramid, tiles, key)
            other = ThreadSeconds(other=before + time.perf_counter() - began)
            store.commit(tiles.xy_l0, tiles.background, attributes.as_json())
        blocks = tiles.reading.blocks
        return TileWork(
            tiles.counts,
            tiles.reading.reader,
            tiles.threads,
            turbojpeg.library() is not None,
            NativeTiles(tiles.cut.blocks_read, blocks.rows * blocks.columns),
            attributes.remarks,
            thread_seconds=(other + tiles.seconds + store.seconds).rounded(),
        )

    def _attributes(self, slide: Slide, pyramid: Pyramid, tiles: SlideTiles, key: str) -> TileAttributes:
        from hypoxia_hpc.slides.decoders import codec_versions
        from hypoxia_hpc.slides.openslide_reader import openslide_versions

        regions = regions_path(self.table, slide.slide_id)
        return TileAttributes(
            key,
            _header(slide, pyramid, tiles.plan),
            tile_entries(self.table),
            _plan_record(tiles),
            tiles.counts,
            regions_digest(regions) if regions else "",
            tiles.planned.classes or {},
            {"hypoxia_hpc": __version__, "numpy": np.__version__, **openslide_versions(), **codec_versions()},
            tiles.stain.record if tiles.stain else {},
        )


def _header(slide: Slide, pyramid: Pyramid, plan: TilePlan) -> SlideHeader:
    return SlideHeader(
        slide.slide_id,
        pyramid.size_l0,
        plan.mpp,
        plan.mpp_source,
        pyramid.vendor,
        pyramid.objective_power,
        fingerprint_of(slide),
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

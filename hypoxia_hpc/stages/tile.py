"""tile: slides -> tile stores. Plan from the header, read, decide and cut, commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hypoxia_hpc import __version__
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Float32Array, Json, Pyramid, Slide, TilePlan
from hypoxia_hpc.scale.keys import tile_key
from hypoxia_hpc.scale.listening import Listener
from hypoxia_hpc.scale.machine import usable_cores
from hypoxia_hpc.scale.rundir import RunDir
from hypoxia_hpc.scale.slidework import StageOutcome, work_through
from hypoxia_hpc.scale.standing import tile_standing
from hypoxia_hpc.slides.fingerprint import fingerprint
from hypoxia_hpc.slides.geometry import plan_tiles
from hypoxia_hpc.slides.openslide_reader import open_slide, openslide_versions, read_bands, read_pyramid
from hypoxia_hpc.stores.tiles import new_tile_store, open_tiles
from hypoxia_hpc.tiling.kernels import cut_band, most_background_px

STAGE = "tile"


def tile(
    run: RunDir,
    slides: Sequence[Slide],
    *,
    workers: int | None,
    retry: bool,
    listener: Listener,
    stop: threading.Event,
) -> StageOutcome:
    """Cut the slides into tile stores, ``workers`` at a time (default: [site] workers, else one per core)."""
    config = run.config()
    crew = workers or config.site.workers or usable_cores()
    work = TileWork(run, config.tile)
    return work_through(STAGE, slides, work, workers=crew, retry=retry, listener=listener, stop=stop)


@dataclass(frozen=True, slots=True)
class TileWork:
    """One slide to one tile store."""

    run: RunDir
    table: TileTable

    @property
    def receipts(self) -> Path:
        return self.run.receipts(STAGE)

    def target(self, slide: Slide) -> Path:
        return self.run.tiles(slide.slide_id)

    def key(self, slide: Slide) -> str:
        try:
            return tile_key(self.table, fingerprint(slide.path), slide.mpp)
        except SlideError:
            made = tile_standing(self.run, self.table, slide)
            if made.status == "done":
                return made.key  # the slide has gone since, its tiles are here
            raise

    def key_unread(self, slide: Slide, reason: str) -> str:
        return tile_key(self.table, f"unread: {reason}", slide.mpp)

    def rows(self, slide: Slide) -> int:
        return len(open_tiles(self.target(slide)).xy)

    def make(self, slide: Slide, key: str, tick: Callable[[int], None]) -> Json:
        with open_slide(slide.path) as opened, new_tile_store(self.target(slide), self.table.tile_px) as store:
            pyramid = read_pyramid(opened)
            # A slide may open and yet not read: one pixel tells, also where no tile is planned.
            opened.read_region((0, 0), 0, (1, 1))
            plan = plan_tiles(pyramid, self.table, slide.mpp)
            background_px = np.zeros(plan.n_tiles, dtype=np.int64)
            for squares, band in read_bands(opened, plan):
                pixels, background_px[squares] = cut_band(
                    band,
                    tile_px=self.table.tile_px,
                    white=self.table.white,
                    max_background=self.table.max_background,
                )
                store.append(pixels)
                tick(squares.stop - squares.start)
            kept = background_px <= most_background_px(self.table.tile_px, self.table.max_background)
            counts = _counts(kept)
            if not kept.any():
                raise _no_tissue(plan, pyramid, self.table)
            store.commit(
                plan.xy_l0[kept],
                _share_of_tile(background_px[kept], self.table),
                self._attributes(slide, pyramid, plan, counts, key),
            )
        return {"counts": counts}

    def _attributes(self, slide: Slide, pyramid: Pyramid, plan: TilePlan, counts: Json, key: str) -> Json:
        return {
            "slide": {
                "slide_id": slide.slide_id,
                "size_l0": list(pyramid.size_l0),
                "mpp": plan.mpp,
                "mpp_source": plan.mpp_source,
                "vendor": pyramid.vendor,
                "objective_power": pyramid.objective_power,
                "fingerprint": fingerprint(slide.path),
            },
            "spec": self.table.model_dump(),
            "plan": {
                "reader": "openslide",
                "level": plan.level,
                "downsample": plan.downsample,
                "scale": plan.scale,
                "side_level": plan.side_level,
                "side_l0": plan.side_l0,
                "interpolated": plan.interpolated,
            },
            "counts": counts,
            "key": key,
            "software": {"hypoxia_hpc": __version__, "numpy": np.__version__, **openslide_versions()},
        }


def _counts(kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Json:
    n_kept = int(kept.sum())
    return {"planned": len(kept), "kept": n_kept, "background": len(kept) - n_kept, "unreadable": 0}


def _share_of_tile(background_px: np.ndarray[tuple[int], np.dtype[np.int64]], table: TileTable) -> Float32Array:
    return (background_px / table.tile_px**2).astype(np.float32)


def _no_tissue(plan: TilePlan, pyramid: Pyramid, table: TileTable) -> SlideError:
    if plan.n_tiles == 0:
        width, height = pyramid.level_sizes[plan.level]
        problem = f"no whole tile fits: level {plan.level} has {width} x {height} px, a tile needs {plan.side_level}"
    else:
        problem = (
            f"none of {plan.n_tiles:,} tiles has at most {table.max_background:.0%} background "
            f"(pixels with gray level {table.white} or more)"
        )
    return SlideError("no-tissue", problem, remedy="look at the slide; if it has tissue, raise [tile] max_background")

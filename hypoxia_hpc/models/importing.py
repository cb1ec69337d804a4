"""Features of another tool to the stores of a slide: what a worker process does for one slide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hypoxia_hpc import __version__
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.config.extract import IMPORTED
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.imports.agreement import MPP_FACTOR
from hypoxia_hpc.imports.feature_files import FeatureFile
from hypoxia_hpc.imports.hdf5 import unfit
from hypoxia_hpc.imports.matching import ImportSource
from hypoxia_hpc.imports.spacing import is_overlapping, pitch
from hypoxia_hpc.imports.tile_rows import TileRows, read_rows
from hypoxia_hpc.reading import MOST_ARRAYS_BYTES, UnfitFileError, sha256_of
from hypoxia_hpc.records import Json, Pyramid, Receipt, Slide, SlideSource, TileCounts, TileWork
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import extract_key, slide_tile_key, tile_entries, unread_tile_key
from hypoxia_hpc.runs.receipts import write_receipt
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.stores.attributes import FeatureAttributes, PlanRecord, SlideHeader, TileAttributes
from hypoxia_hpc.stores.features import write_features
from hypoxia_hpc.stores.tiles import new_tile_store, open_tiles
from hypoxia_hpc.tiling.plan import resolve_mpp
from hypoxia_hpc.tiling.remarks import OVERLAPPING

NO_PYRAMID = Pyramid((), ())
NO_FEATURES = "no-imported-features"
SOFTWARE = {"hypoxia_hpc": __version__, "numpy": np.__version__}


@dataclass(frozen=True, slots=True)
class ImportStage:
    """Files of one slide to a tile store that keeps coordinates alone, and a feature store. The tile store is written
    last, and its key has the digest of the files: what it says is done is done. ``sources`` by slide id, ``spec`` that
    of the features."""

    run: RunDir
    name: str
    spec: Json
    dtype: str
    table: TileTable
    sources: Mapping[str, ImportSource]

    @property
    def receipts(self) -> Path:
        return self.run.receipts("tile")

    def target(self, slide: Slide) -> Path:
        return self.run.tiles(slide.slide_id)

    def key(self, slide: Slide) -> str:
        return slide_tile_key(self.table, slide, self._fingerprint(slide))

    def key_unread(self, slide: Slide, reason: str) -> str:
        return unread_tile_key(self.table, slide, reason)

    def made_of(self, slide: Slide) -> SlideSource | None:
        return SlideSource(self._fingerprint(slide))

    def rows(self, slide: Slide) -> int:
        return len(open_tiles(self.target(slide)).xy)

    def make(self, slide: Slide, key: str, tick: Callable[[int], None]) -> TileWork:
        source = self.sources.get(slide.slide_id, ImportSource())
        if source.features is None:
            raise source.problem or SlideError(
                NO_FEATURES,
                f"{slide.slide_id}: no file with features has this name",
                remedy=f"hypoxia-hpc import-features {self.run.word} FILE, or leave the slide out",
            )
        header = self._header(slide, source)
        rows = read_rows(source, self.dtype, header.mpp)
        plan = _plan(source, rows, header, self.table)
        _refuse_other_places(source, rows, header, plan, self.table)
        self._write(slide, key, header, plan, rows)
        tick(len(rows.xy_l0))
        counts = TileCounts(planned=len(rows.xy_l0), kept=len(rows.xy_l0))
        return TileWork(counts, plan.reader, remarks=_remarks(source, rows, plan))

    def _fingerprint(self, slide: Slide) -> str:
        """Of the files of a slide, for those of none the same."""
        source = self.sources.get(slide.slide_id, ImportSource())
        files = [one.path for one in (source.features, source.places) if one is not None]
        try:
            return IMPORTED + "+".join(sha256_of(path, MOST_ARRAYS_BYTES) for path in files)
        except (OSError, UnfitFileError):
            return f"{IMPORTED}unread"

    def _header(self, slide: Slide, source: ImportSource) -> SlideHeader:
        """Of the slide itself, where it is here; else what slides.csv and the files say."""
        try:
            with opened_slide(slide.path) as opened:
                pyramid = opened.pyramid
        except SlideError:
            pyramid = NO_PYRAMID
        size_l0 = pyramid.size_l0 if pyramid.level_sizes else _of_files(source, "size_l0")
        mpp, mpp_source = _mpp(slide, pyramid, source, self.table)
        seen = pyramid.vendor, pyramid.objective_power
        return SlideHeader(slide.slide_id, size_l0, mpp, mpp_source, *seen, self._fingerprint(slide))

    def _write(self, slide: Slide, key: str, header: SlideHeader, plan: PlanRecord, rows: TileRows) -> None:
        spec = {**tile_entries(self.table), "pixels": "none"}
        self._write_features(slide, key, spec, rows)
        n = len(rows.xy_l0)
        attributes = TileAttributes(key, header, spec, plan, TileCounts(planned=n, kept=n), software=SOFTWARE)
        unknown = np.full(n, np.nan, dtype=np.float32)
        with new_tile_store(self.target(slide), self.table.tile_px, pixels="none") as store:
            for _ in range(n):
                store.new_tile()
            store.commit(rows.xy_l0, unknown, attributes.as_json())

    def _write_features(self, slide: Slide, key_of_tiles: str, tile_spec: Json, rows: TileRows) -> None:
        key, slide_id = extract_key(self.spec, key_of_tiles), slide.slide_id
        made = FeatureAttributes(key, slide_id, self.spec, tile_spec, key_of_tiles, software=SOFTWARE)
        nbytes = write_features(self.run.features(self.name, slide_id), rows.values, rows.xy_l0, made.as_json())
        done = Receipt(slide_id, "done", key, rows=len(rows.xy_l0), bytes=nbytes)
        write_receipt(self.run.receipts("extract", self.name), done)


def _mpp(slide: Slide, pyramid: Pyramid, source: ImportSource, table: TileTable) -> tuple[float | None, str]:
    try:
        return resolve_mpp(pyramid, slide.mpp, table.default_mpp)
    except SlideError:
        mpp = _of_files(source, "mpp_l0")
        return (None, "") if mpp is None else (mpp, "magnification")


def _of_files(source: ImportSource, name: str) -> Any:
    """What the file of features says, else that of places."""
    files = (one for one in (source.features, source.places) if one is not None)
    return next((value for one in files if (value := getattr(one, name)) is not None), None)


def _remarks(source: ImportSource, rows: TileRows, plan: PlanRecord) -> tuple[str, ...]:
    """A file that does not say how far tiles lie apart may have overlapping ones, or other coordinates."""
    is_odd = _of_files(source, "step") is None and is_overlapping(rows.xy_l0, plan.side_l0)
    return (OVERLAPPING,) if is_odd else ()


def _plan(source: ImportSource, rows: TileRows, header: SlideHeader, table: TileTable) -> PlanRecord:
    """Where a file does not say how large a tile is, it is as [tile] says."""
    files = [one for one in (source.features, source.places) if one is not None]
    says = next((one for one in files if one.side_level), files[-1])
    side_l0 = rows.side_l0
    if side_l0 is None and header.mpp is not None:
        side_l0 = table.tile_px * table.mpp / header.mpp
    return PlanRecord(
        reader=f"imported from {files[0].layout}",
        level=says.level,
        downsample=says.downsample or 1.0,
        side_level=says.side_level or round(side_l0 or 0),
        side_l0=side_l0,
    )


def _refuse_other_places(
    source: ImportSource, rows: TileRows, header: SlideHeader, plan: PlanRecord, table: TileTable
) -> None:
    """Raises SlideError where tiles cannot lie so on this slide: coordinates of another level or slide, tiles of
    another resolution."""
    file = source.places if source.places is not None else source.features
    if file is None:
        raise ValueError("a source without features")
    _refuse_outside(file, rows, header.size_l0)
    _refuse_dense(file, rows, plan)
    _refuse_overlap(file, rows, plan)
    if header.mpp is None or plan.side_l0 is None:
        return
    mpp = plan.side_l0 * header.mpp / table.tile_px
    if not 1 / MPP_FACTOR <= mpp / table.mpp <= MPP_FACTOR:
        raise unfit(
            file.path,
            f"a tile is {plan.side_l0:g} px of a slide of {header.mpp:.4g} µm per pixel, which is {mpp:.3g} µm per "
            f"pixel of the tile; [tile] mpp = {table.mpp:g}",
            "give features of tiles of one resolution",
        )


def _refuse_outside(file: FeatureFile, rows: TileRows, size: tuple[int, int] | None) -> None:
    low, high = rows.xy_l0.min(axis=0).tolist(), rows.xy_l0.max(axis=0).tolist()
    if min(low) >= 0 and (size is None or (high[0] < size[0] and high[1] < size[1])):
        return
    on = "" if size is None else f" on a slide of {size[0]:,} x {size[1]:,} px"
    raise unfit(
        file.path,
        f"tiles from {tuple(low)} to {tuple(high)}{on}: coordinates of another slide, or not pixels of level 0",
        "give the file of this slide, with pixels of level 0",
    )


def _refuse_overlap(file: FeatureFile, rows: TileRows, plan: PlanRecord) -> None:
    """Raises SlideError where no file says how large a tile is, and the side of [tile] does not fit their places."""
    if rows.side_l0 is None and is_overlapping(rows.xy_l0, plan.side_l0):
        raise unfit(
            file.path,
            f"tiles lie {pitch(rows.xy_l0):g} px apart, and by [tile] they are {plan.side_l0:g} px of level 0 wide: no "
            "pixels of level 0, or tiles that overlap",
            "write coordinates in pixels of level 0; where tiles do overlap, give the file that says how large they "
            "are, too (patches/ of CLAM)",
        )


def _refuse_dense(file: FeatureFile, rows: TileRows, plan: PlanRecord) -> None:
    """Raises SlideError where tiles lie nearer to each other than the file says, as in pixels of a coarser level."""
    steps = np.concatenate([np.diff(np.unique(rows.xy_l0[:, axis])) for axis in (0, 1)])
    if file.step is None or plan.side_l0 is None or not len(steps):
        return
    expected = file.step * plan.side_l0
    if steps.min() < expected - max(2, 0.05 * expected):
        raise unfit(
            file.path,
            f"tiles lie {steps.min()} px apart, and by its attributes {expected:g}: no pixels of level 0",
            "write coordinates in pixels of level 0",
        )

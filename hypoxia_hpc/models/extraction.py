"""Tiles of a slide to a feature store, whatever the network: what a worker process does for one slide."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hypoxia_hpc import __version__
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.config.extract import IMPORTED
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.networks.backbones.precision import used_precision
from hypoxia_hpc.networks.inference.device import Device, DevicePlan, device_of
from hypoxia_hpc.networks.inference.feeding import Extracted, TileRows, compute_record, features_of
from hypoxia_hpc.records import ExtractWork, Float32Array, Json, Slide, ThreadSeconds, Tiles, UInt8Array
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import extract_key
from hypoxia_hpc.runs.state import tile_state
from hypoxia_hpc.slides.fingerprint import fingerprint_of
from hypoxia_hpc.slides.reread import ReadInOrder, slide_pixels
from hypoxia_hpc.stores.attributes import Compute, FeatureAttributes, compute_of, tile_attributes
from hypoxia_hpc.stores.features import open_features, write_features
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels_into
from hypoxia_hpc.workers.scratch import Scratch, staged
from hypoxia_hpc.workers.slide_stage import NOT_READY, HeldUpError

STAGE = "extract"


@dataclass(frozen=True, slots=True)
class ExtractStage:
    """One tile store to one feature store, features/<name>/. ``spec`` says what makes these features, and enters their
    key; ``dtype`` is that of the store."""

    run: RunDir
    name: str
    spec: Json
    dtype: str
    tile_table: TileTable
    plan: DevicePlan
    scratch: Scratch | None = None

    @property
    def receipts(self) -> Path:
        return self.run.receipts(STAGE, self.name)

    def target(self, slide: Slide) -> Path:
        return self.run.features(self.name, slide.slide_id)

    def key(self, slide: Slide) -> str:
        state = tile_state(self.run, self.tile_table, slide)
        if state.status == "quarantined" and state.receipt is not None:
            raise HeldUpError(state.receipt.reason, state.receipt.detail)
        if state.status != "done":
            raise HeldUpError(
                NOT_READY,
                f"{slide.slide_id}: no tiles yet by the present [tile] table",
                remedy=f"hypoxia-hpc tile {self.run.word}",
            )
        return extract_key(self.spec, state.key)

    def key_unread(self, slide: Slide, reason: str) -> str:
        return extract_key(self.spec, f"unread: {reason}")

    def made_of(self, _: Slide) -> None:
        """The tiles, whose key their store has."""

    def rows(self, slide: Slide) -> int:
        return len(open_features(self.target(slide)).xy)

    def make(self, slide: Slide, key: str, tick: Callable[[int], None]) -> ExtractWork:
        came = time.perf_counter()
        device = device_of(self.plan)
        in_line = time.perf_counter() - came if device.made_in != threading.get_ident() else 0.0
        tiles = open_tiles(self.run.tiles(slide.slide_id))
        refuse_other_size(tiles, self.plan.tile_px)
        spent: list[ThreadSeconds] = []
        extracted = features_of(device, partial(self._source, slide, tiles, spent), tick)
        made = tile_attributes(tiles.attributes)
        compute = self._compute(device, extracted)
        attributes = FeatureAttributes(
            key,
            slide.slide_id,
            self.spec,
            tile_spec=made.spec,
            tile_key=made.key,
            compute=compute,
            software={"hypoxia_hpc": __version__, "numpy": np.__version__},
        )
        values = checked_cast(extracted.values, self.dtype)
        began = time.perf_counter()
        write_features(self.target(slide), values, tiles.xy, attributes.as_json())
        seconds = sum(spent, ThreadSeconds(write=time.perf_counter() - began))
        return self._work(tiles, extracted, compute, in_line, seconds)

    def _compute(self, device: Device, extracted: Extracted) -> Compute:
        """What the bits of the features depend on."""
        return compute_of(
            {
                **compute_record(),
                **device.engine.record,
                "precision": used_precision(self.plan.precision),
                "batch_size": extracted.batch_size,
                "batch_size_asked": device.asked,
                "tile_px": device.tile_px,
            }
        )

    def _work(
        self, tiles: Tiles, extracted: Extracted, compute: Compute, in_line: float, seconds: ThreadSeconds
    ) -> ExtractWork:
        """Where the time went, for the receipt. ``in_line``: seconds in which another slide had the network built."""
        return ExtractWork(
            self.plan.threads,
            compute.device or "cpu",
            extracted.batch_size,
            device_seconds=round(extracted.lease.device_seconds, 4),
            waited_seconds=round(extracted.lease.waited_seconds, 4),
            queued_seconds=round(in_line + extracted.lease.queued_seconds, 4),
            bytes_read=None if tiles.pixels is None else tiles.pixels.nbytes(0, len(tiles.pixels)),
            note=_smaller_batches(extracted),
            thread_seconds=seconds.rounded(),
        )

    def _source(self, slide: Slide, tiles: Tiles, spent: list[ThreadSeconds]) -> AbstractContextManager[TileRows]:
        """The tiles' pixels, once; ``spent`` gets the seconds of reading them."""
        return _stored(tiles, spent) if tiles.pixels is not None else self._from_slide(slide, tiles, spent)

    @contextmanager
    def _from_slide(self, slide: Slide, tiles: Tiles, spent: list[ThreadSeconds]) -> Iterator[TileRows]:
        require_tiled_slide(slide, tiles)
        with (
            staged(slide.path, self.scratch) as path,
            slide_pixels(path, self.tile_table, slide.mpp, tiles.xy) as read,
        ):
            try:
                yield SlidePixels(len(tiles.xy), read)
            finally:
                spent.append(read.seconds)


def require_tiled_slide(slide: Slide, tiles: Tiles) -> None:
    """Raises SlideError where the slide is not there (``slide-gone``), or is not the one that these tiles were cut from
    (``slide-changed``), or nothing says from which slide another tool cut them (``imported-tiles``)."""
    tiled = tile_attributes(tiles.attributes).slide.fingerprint
    if tiled.startswith(IMPORTED):
        problem = "another tool cut its tiles, and nothing says from which file: their pixels are not read"
        raise SlideError("imported-tiles", problem, remedy="none is needed: features are there")
    try:
        present = fingerprint_of(slide)
    except SlideError as error:
        raise SlideError("slide-gone", error.problem, remedy="bring it back: its tiles keep no pixels") from None
    if present != tiled:
        raise SlideError(
            "slide-changed", f"{slide.path} is not the slide that was tiled", remedy="run tile again, then extract"
        )


def _smaller_batches(extracted: Extracted) -> str:
    if not extracted.too_large:
        return ""
    return (
        f"out of memory on the device with batches of {extracted.too_large[0]} tiles, goes on with "
        f"{extracted.batch_size}; [extract] batch_size = {extracted.batch_size} saves the attempt in later runs; in "
        "this one it would make all features anew"
    )


@contextmanager
def _stored(tiles: Tiles, spent: list[ThreadSeconds]) -> Iterator[TileRows]:
    yield StoredPixels(tiles)
    spent.append(tiles.pixels.seconds)  # also those of an attempt that had no memory


@dataclass(frozen=True, slots=True)
class StoredPixels:
    """A source of tiles: those of a store that keeps their pixels."""

    tiles: Tiles
    in_order: bool = False

    @property
    def n(self) -> int:
        return len(self.tiles.pixels)

    def read_into(self, start: int, stop: int, out: UInt8Array) -> int:
        return read_pixels_into(self.tiles, start, stop, out)


@dataclass(frozen=True, slots=True)
class SlidePixels:
    """A source of tiles: read from the slide itself."""

    n: int
    read: ReadInOrder
    in_order: bool = True

    def read_into(self, start: int, stop: int, out: UInt8Array) -> int:
        out[: stop - start] = self.read(start, stop)
        return stop - start


def refuse_other_size(tiles: Tiles, tile_px: int) -> None:
    """Raises SlideError ``tile-size`` where the tiles have another side than the network takes."""
    if tiles.pixels is not None and tiles.pixels.shape[1] != tile_px:
        raise SlideError(
            "tile-size",
            f"{tiles.slide_id}: the tiles of its store have {tiles.pixels.shape[1]} px, the network takes {tile_px}",
            remedy="delete this tile store and run tile again",
        )


def checked_cast(values: Float32Array, dtype: str) -> Float32Array:
    """Features in their stored type. Raises SlideError ``non-finite-features`` or ``float16-overflow``."""
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise SlideError(
            "non-finite-features",
            f"{len(bad)} of {len(values)} tiles have NaN or infinite features, the first is tile {bad[0]}",
            remedy="check the weights file; look at these tiles",
        )
    with np.errstate(over="ignore"):
        stored = values.astype(dtype)
    bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))
    if len(bad):
        raise SlideError(
            "float16-overflow",
            f"{len(bad)} of {len(values)} tiles have features up to {np.abs(values).max():g}, float16 ends at 65504",
            remedy='set [extract] dtype = "float32"',
        )
    return stored

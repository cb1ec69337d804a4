"""extract: tile stores -> feature stores. Every tile through the backbone, checked at the source, committed."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hypoxia_hpc import __version__
from hypoxia_hpc.config import ExtractTable, RunConfig, TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.networks.backbones import Backbone, build_backbone, resolve_backbone
from hypoxia_hpc.networks.feeding import compute_record, features_of
from hypoxia_hpc.records import Float32Array, Json, Slide, Tiles
from hypoxia_hpc.scale.keys import extract_key, extract_spec
from hypoxia_hpc.scale.listening import Listener
from hypoxia_hpc.scale.parts import WHOLE, Part
from hypoxia_hpc.scale.rundir import RunDir
from hypoxia_hpc.scale.scratch import Scratch, scratch_folder, staged, staging
from hypoxia_hpc.scale.slidework import NOT_READY, HeldUpError, StageOutcome, work_through
from hypoxia_hpc.scale.standing import tile_standing
from hypoxia_hpc.slides.fingerprint import fingerprint
from hypoxia_hpc.slides.pixels import ReadPixels, slide_pixels
from hypoxia_hpc.stores.features import open_features, write_features
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels

STAGE = "extract"


def extract(
    run: RunDir,
    slides: Sequence[Slide],
    *,
    workers: int | None,
    retry: bool,
    listener: Listener,
    stop: threading.Event,
    part: Part = WHOLE,
) -> StageOutcome:
    """Features of the slides' tiles, in ``workers`` processes (default: one, which has every core or the GPU)."""
    config = run.config()
    crew = workers or 1
    work = extract_work(run, config, threads=max(1, part.cores // crew))
    if work.backbone.is_random:
        listener.note(
            f"{work.backbone.name}: RANDOM weights (seed {config.extract.seed}), not a trained network. "
            "Fit for a demo or a test, not for results."
        )
    title = f"{STAGE} {config.extract.name}"
    reads_slides = config.site.stage_slides and config.tile.pixels == "none"
    with staging(scratch_folder(config.site, run.root) if reads_slides else None) as scratch:
        work = replace(work, scratch=scratch)
        return work_through(title, slides, work, workers=crew, retry=retry, listener=listener, stop=stop, part=part)


def extract_work(run: RunDir, config: RunConfig, threads: int) -> ExtractWork:
    """The work of this stage as run.toml describes it. Raises what ``resolve_backbone`` raises."""
    folder = Path(config.site.weights) if config.site.weights else None
    backbone = resolve_backbone(config.extract, config.tile.tile_px, folder)
    return ExtractWork(run, config.extract, config.tile, backbone, threads)


@dataclass(frozen=True, slots=True)
class ExtractWork:
    """One tile store to one feature store."""

    run: RunDir
    table: ExtractTable
    tile_table: TileTable
    backbone: Backbone
    threads: int
    scratch: Scratch | None = None

    @property
    def receipts(self) -> Path:
        return self.run.receipts(STAGE, self.table.name)

    def target(self, slide: Slide) -> Path:
        return self.run.features(self.table.name, slide.slide_id)

    def key(self, slide: Slide) -> str:
        standing = tile_standing(self.run, self.tile_table, slide)
        if standing.status == "quarantined" and standing.receipt is not None:
            raise HeldUpError(standing.receipt.reason, standing.receipt.detail)
        if standing.status != "done":
            raise HeldUpError(
                NOT_READY,
                f"{slide.slide_id}: no tiles yet by the present [tile] table",
                remedy=f"hypoxia-hpc tile {self.run.root}",
            )
        return extract_key(self.spec(), standing.key)

    def key_unread(self, slide: Slide, reason: str) -> str:
        return extract_key(self.spec(), f"unread: {reason}")

    def made_of(self, _: Slide) -> Json:
        return {}  # the key of the tiles, which their store tells

    def spec(self) -> Json:
        return extract_spec(self.table, self.backbone.tile_px, self.backbone.weights_digest)

    def rows(self, slide: Slide) -> int:
        return len(open_features(self.target(slide)).xy)

    def make(self, slide: Slide, key: str, tick: Callable[[int], None]) -> Json:
        tiles = open_tiles(self.run.tiles(slide.slide_id))
        model = _network(self.backbone, self.threads)
        with self._pixels(slide, tiles) as read:
            values = features_of(model, read, len(tiles.xy), batch_size=self.table.batch_size, tick=tick)
        stored = checked_cast(values, self.table.dtype)
        attributes: Json = {
            "slide_id": slide.slide_id,
            "spec": self.spec(),
            "tile_spec": tiles.attributes["spec"],
            "tile_key": tiles.attributes["key"],
            "compute": compute_record(),
            "key": key,
            "software": {"hypoxia_hpc": __version__, "numpy": np.__version__},
        }
        write_features(self.target(slide), stored, tiles.xy, attributes)
        return {"threads": self.threads, "device": attributes["compute"].get("device", "cpu")}

    @contextmanager
    def _pixels(self, slide: Slide, tiles: Tiles) -> Iterator[ReadPixels]:
        """From the store or, where it keeps none, from the slide, which must be the one that was tiled."""
        if tiles.pixels is not None:
            yield functools.partial(read_pixels, tiles)
            return
        try:
            present = fingerprint(slide.path)
        except SlideError as error:
            raise SlideError("slide-gone", error.problem, remedy="bring it back: its tiles keep no pixels") from None
        if present != tiles.attributes["slide"]["fingerprint"]:
            raise SlideError(
                "slide-changed", f"{slide.path} is not the slide that was tiled", remedy="run tile again, then extract"
            )
        with (
            staged(slide.path, self.scratch) as path,
            slide_pixels(path, self.tile_table, slide.mpp, tiles.xy) as read,
        ):
            yield read


@functools.lru_cache(maxsize=1)
def _network(backbone: Backbone, threads: int) -> object:
    # Read by TensorFlow when it is first imported, which in a worker process is below.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
    return build_backbone(backbone)


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

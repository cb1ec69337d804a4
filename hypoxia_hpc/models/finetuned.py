"""Networks of a run that are trained on pixels: what they begin with, how they are fine-tuned, and their probabilities
of every tile, kept as features are.

RUN/features/<model>/<slide_id>.zarr holds the probabilities of all classes or clusters, float32 (n, k). They are made
slide by slide as [extract] makes features, with receipts and a key that names the model's content; but in this process,
which has the device since it trained there.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hypoxia_hpc.config import CLUSTERINGS, ExtractTable, FinetuneTable, NetworkTable, RunConfig, Table
from hypoxia_hpc.config.heads.registry import declared
from hypoxia_hpc.errors import HypoxiaError, InputError, NotReadyError, SlideError, Stopped
from hypoxia_hpc.machine.cores import usable_cores
from hypoxia_hpc.models.extraction import ExtractStage
from hypoxia_hpc.models.tensorboard import TensorBoardCurves
from hypoxia_hpc.models.training_job import TrainingJob
from hypoxia_hpc.networks.backbones.pathology.registry import MODELS
from hypoxia_hpc.networks.backbones.resolve import IMAGENET, Backbone, build_inner, resolve_backbone
from hypoxia_hpc.networks.data.tile_stream import TileSource
from hypoxia_hpc.networks.heads.contrastive_network import load_contrastive
from hypoxia_hpc.networks.heads.loop import OnEpoch
from hypoxia_hpc.networks.heads.registry import find_head
from hypoxia_hpc.networks.heads.result import TrainedHead
from hypoxia_hpc.networks.heads.saved import read_record
from hypoxia_hpc.networks.heads.tile_network import build_network, load_finetuned
from hypoxia_hpc.networks.inference.device import DevicePlan
from hypoxia_hpc.outcomes.named import class_of
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Slide, Tiles
from hypoxia_hpc.runs.cohort import Cohort, damaged_in_run, model_names
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.state import SlideState
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels
from hypoxia_hpc.workers.slide_stage import ProcessSlide

RULE = 1  # raised when the probabilities of a model change


def first_network(config: RunConfig, name: str, seed: int | None = None) -> Backbone:
    """The network that a head or clustering on pixels begins with, its weights found and checked; ``seed`` of random
    ones: default, that of [train]. Raises as ``resolve_backbone``, in the names of this table's entries."""
    table = network_table(config, name)
    if table.weights == IMAGENET and table.backbone in MODELS:
        raise InputError(
            f"[train.{name}] begins with {table.backbone}, and no SHA-256 says with which weights",
            remedy="weights = PATH and weights_sha256, as weights fetch prints them: the key of a model has them",
        )
    asked = ExtractTable(
        backbone=table.backbone,
        weights=table.weights,
        weights_sha256=table.weights_sha256,
        seed=config.train.seed if seed is None else seed,
        precision=table.precision,
    )
    try:
        return resolve_backbone(asked, table.input_px, Path(config.site.weights) if config.site.weights else None)
    except HypoxiaError as error:
        offending = [_of_this_table(item, name) for item in error.offending]
        raise type(error)(
            _of_this_table(error.problem, name), remedy=_of_this_table(error.remedy, name), offending=offending
        ) from error


def _of_this_table(text: str, name: str) -> str:
    return (
        text.replace("[tile] tile_px", f"[train.{name}] input_px")
        .replace("set tile_px", "set input_px")
        .replace("[extract]", f"[train.{name}]")
    )


def network_table(config: RunConfig, name: str) -> NetworkTable:
    """The table of a head or clustering on pixels."""
    return _of_pixels(config.train.table_of(name))


def _of_pixels(table: Table) -> NetworkTable:
    if not isinstance(table, NetworkTable):
        raise TypeError(f"the table of a model on pixels is a NetworkTable, not a {type(table).__name__}")
    return table


def fit_finetune(job: TrainingJob, on_epoch: OnEpoch) -> TrainedHead:
    """Fine-tune a network on the tiles of a fold. Raises what the backbone, the stores and the training raise."""
    cohort = job.cohort
    table = FinetuneTable.model_validate(job.table)
    train, valid = (labelled_sources(cohort, job.model.head, states) for states in (job.train, job.valid))
    base, preprocess = build_inner(first_network(cohort.config, job.model.head))
    n_classes = len(cohort.outcome.table.classes)
    network = build_network(table, base, preprocess, cohort.config.tile.tile_px, n_classes)
    with TensorBoardCurves(cohort.run.tensorboard(job.model.name)) as curves:
        return find_head(job.model.head).train(
            table,
            network,
            train,
            valid,
            seed=job.seed,
            checkpoints=job.checkpoints,
            curves=curves,
            on_epoch=on_epoch,
            stop=job.stop,
        )


def labelled_sources(cohort: Cohort, head: str, states: Sequence[SlideState]) -> list[TileSource]:
    """`tile_sources` with the class of each slide."""
    sources = tile_sources(cohort, head, states)
    return [
        replace(source, label=class_of(cohort.label(state.slide)))
        for source, state in zip(sources, states, strict=True)
    ]


def tile_sources(cohort: Cohort, name: str, states: Sequence[SlideState]) -> list[TileSource]:
    """The tile stores of these slides, opened for a head or clustering; label 0. Raises NotReadyError naming every
    damaged one, InputError naming every one that keeps no pixels."""
    opened, damaged = [], []
    for state in states:
        try:
            opened.append((state.slide, open_tiles(cohort.run.tiles(state.slide.slide_id))))
        except SlideError as error:
            damaged.append(error.problem)
    if damaged:
        raise damaged_in_run(cohort.run, "tile", damaged)
    without = [slide.slide_id for slide, tiles in opened if tiles.pixels is None]
    if without:
        raise InputError(
            f"{name} needs the pixels of tiles, and {len(without)} of {len(opened)} tile stores keep none",
            offending=without,
            remedy=f'set [tile] pixels = "store" and run tile again, or take "{name}" out of [train]',
        )
    return [TileSource(partial(read_pixels, _slim(tiles)), len(tiles.xy), 0) for _, tiles in opened]


def _slim(tiles: Tiles) -> Tiles:
    """Without what is not needed of thousands of stores at once."""
    return replace(tiles, xy=tiles.xy[:0].copy(), background=tiles.background[:0].copy())


def make_probabilities(
    run: RunDir, model_run: RunDir, slides: Sequence[Slide], *, progress: Progress, stop: threading.Event
) -> None:
    """See to it that the probabilities of these slides of ``run`` by every network of ``model_run`` that was trained on
    pixels are there; those that are stay.

    Raises NotReadyError naming every slide of which they cannot be made, Stopped on request, MachineError.
    """
    train = model_run.config().train
    for name, head, _ in model_names(train):
        if head in train.on_pixels:
            _make(run, name, model_run.model(name), slides, progress, stop)


def _make(
    run: RunDir, name: str, folder: Path, slides: Sequence[Slide], progress: Progress, stop: threading.Event
) -> None:
    process = ProcessSlide(finetuned_stage(run, name, folder), retry=True)
    failed = []
    progress.begin(f"extract {name}", len(slides), sum(slide.cost for slide in slides), "slide")
    try:
        for slide in slides:
            if stop.is_set():
                raise Stopped(f"stopped on request while {name} predicts", remedy="run the same command again to go on")
            receipt = process(slide, progress.count).receipt
            if receipt.status != "done":
                failed.append(f"{slide.slide_id}: {receipt.detail.partition(chr(10))[0]}")
            progress.item(slide.cost)
    finally:
        progress.end()
    if failed:
        raise NotReadyError(
            f"{name} cannot predict {len(failed)} of {len(slides)} slides",
            offending=failed,
            remedy=f"mend what is named above, or delete these tile stores, then hypoxia-hpc run {run.word}",
        )


def finetuned_stage(run: RunDir, name: str, folder: Path) -> ExtractStage:
    """The work of making them. Raises NotReadyError where there is no sound model in ``folder``."""
    record = read_record(folder)
    table = _of_pixels(declared(record.head).table.model_validate(record.settings))
    config = run.config()
    tile_px = config.tile.tile_px
    load = load_contrastive if record.head in CLUSTERINGS else load_finetuned
    plan = DevicePlan(
        partial(load, folder, tile_px), tile_px, table.batch_size, table.precision, threads=usable_cores()
    )
    spec = {"head": record.head, "rule": RULE, "model": record.content, "batch_size": table.batch_size}
    return ExtractStage(run, name, spec, "float32", config.tile, plan)

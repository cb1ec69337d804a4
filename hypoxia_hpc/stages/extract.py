"""extract: tile stores -> feature stores. Every tile through the backbone, checked at the source, committed."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hypoxia_hpc.config import ExtractTable, RunConfig, SiteTable
from hypoxia_hpc.errors import InputError, NotReadyError
from hypoxia_hpc.machine.gpus import first_gpus, gpus_of_node, use_gpu
from hypoxia_hpc.models.extraction import STAGE, ExtractStage
from hypoxia_hpc.networks.backbones.memory import products_a_second, rate_in_words
from hypoxia_hpc.networks.backbones.needed import torch_entry
from hypoxia_hpc.networks.backbones.pathology.advice import advice_of
from hypoxia_hpc.networks.backbones.pathology.registry import MODELS
from hypoxia_hpc.networks.backbones.precision import cpu_precision
from hypoxia_hpc.networks.backbones.resolve import IMAGENET, BackboneBuilder, resolve_backbone
from hypoxia_hpc.networks.backbones.timm_networks import products_a_tile
from hypoxia_hpc.networks.inference.device import DevicePlan
from hypoxia_hpc.networks.inference.openvino_engine import require_openvino
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Json, Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import extract_spec
from hypoxia_hpc.runs.receipts import read_receipt
from hypoxia_hpc.runs.state import refuse_imported
from hypoxia_hpc.stores.attributes import read_feature_attributes
from hypoxia_hpc.workers.allocation import WHOLE, Allocation
from hypoxia_hpc.workers.scratch import scratch_folder, staging
from hypoxia_hpc.workers.slide_stage import StageOutcome, work_through

# While one slide is computed, the next is opened and its first tiles are read, and the one before is committed.
SLIDES_AT_ONCE = 2


def extract(
    run: RunDir,
    slides: Sequence[Slide],
    *,
    workers: int | None,
    retry: bool,
    progress: Progress,
    stop: threading.Event,
    allocation: Allocation = WHOLE,
) -> StageOutcome:
    """Features of the slides' tiles, in ``workers`` processes (default: [site] gpus, which have a GPU each, else one,
    which has every core or the GPU)."""
    config = run.config()
    refuse_imported(run, config, STAGE)
    pool = pool_size(workers, config.site)
    gpus = first_gpus(pool, gpus_of_node(os.environ)) if config.site.gpus else ()
    work = extract_stage(run, config, threads=max(1, allocation.cores // pool))
    _note_random(work, config, progress)
    if advice := advice_of(config):
        progress.note(advice)
    _note_rate(work, slides, config, progress)
    _note_replaced(work, slides, config.extract, progress)
    reads_slides = config.site.stage_slides and config.tile.pixels == "none"
    with staging(scratch_folder(config.site, run.root) if reads_slides else None) as scratch:
        return work_through(
            f"{STAGE} {config.extract.title}",
            slides,
            replace(work, scratch=scratch),
            workers=pool,
            retry=retry,
            progress=progress,
            stop=stop,
            allocation=allocation,
            at_once=SLIDES_AT_ONCE,
            init_worker=partial(use_gpu, gpus) if gpus else None,
        )


def pool_size(workers: int | None, site: SiteTable) -> int:
    """Worker processes. Raises InputError where they are more than the GPUs that [site] gives them."""
    if workers and site.gpus and workers > site.gpus:
        raise InputError(
            f"--workers {workers}, and [site] gpus = {site.gpus}: a process has a GPU for itself",
            remedy=f"--workers {site.gpus} or fewer, or leave it out",
        )
    return workers or site.gpus or 1


def extract_stage(run: RunDir, config: RunConfig, threads: int) -> ExtractStage:
    """The work of this stage as run.toml describes it. Raises what ``device_plan`` raises."""
    plan, spec = device_plan(config, threads)
    return ExtractStage(run, config.extract.name, spec, config.extract.dtype, config.tile, plan)


def device_plan(config: RunConfig, threads: int) -> tuple[DevicePlan, Json]:
    """What a process runs for [tile], [extract] and [site], in ``threads`` threads, and the spec of its features.

    Raises what ``resolve_backbone`` raises, MachineError where the engine is not installed."""
    if config.site.engine == "openvino":
        require_openvino()
    table = config.extract
    folder = Path(config.site.weights) if config.site.weights else None
    backbone = resolve_backbone(table, config.tile.tile_px, folder)
    by_openvino = config.site.engine == "openvino"
    plan = DevicePlan(
        BackboneBuilder(replace(backbone, precision="float32") if by_openvino else backbone),
        backbone.tile_px,
        table.batch_size,
        cpu_precision(backbone.precision) if by_openvino else backbone.precision,
        table.xla,
        config.site.engine,
        threads,
        # OpenVINO is chosen for the CPU.
        needs_given_gpu=not by_openvino and config.site.gpus != 0,
        torch_for=torch_entry(config),
    )
    return plan, extract_spec(table, backbone.tile_px, backbone.weights_digest)


def _note_random(work: ExtractStage, config: RunConfig, progress: Progress) -> None:
    if str(work.spec["weights_digest"]).startswith("random:"):
        progress.note(
            f"{config.extract.backbone}: RANDOM weights (seed {config.extract.seed}), not a trained network. "
            "Fit for a demo or a test, not for results."
        )


def _note_rate(work: ExtractStage, slides: Sequence[Slide], config: RunConfig, progress: Progress) -> None:
    """Of a foundation model without a GPU, before hours go by; of the tiles that are still to do."""
    model = MODELS.get(config.extract.backbone)
    if model is None or gpus_of_node(os.environ):
        return
    tiled = (read_receipt(work.run.receipts("tile"), one.slide_id) for one in slides if not work.target(one).exists())
    n_tiles = sum(one.rows for one in tiled if one is not None)
    a_tile = products_a_tile(model.network)
    if n_tiles and a_tile is not None:
        progress.note(rate_in_words(config.extract.backbone, a_tile, products_a_second(), n_tiles))


def _note_replaced(work: ExtractStage, slides: Sequence[Slide], table: ExtractTable, progress: Progress) -> None:
    """Say it before features of other settings are lost; by the first store that is there. Raises NotReadyError where
    run.toml is as it was, and the weights that were fetched are others than those of that store."""
    stores = (read_feature_attributes(work.target(slide)) for slide in slides)
    there = next((attributes for attributes in stores if attributes), None)
    if there is None or there.spec == work.spec:
        return
    was = there.spec
    changed = sorted(name for name in {*was, *work.spec} if was.get(name) != work.spec.get(name))
    if changed == ["weights_digest"] and table.backbone in MODELS and table.weights == IMAGENET:
        raise _other_weights(work, table.backbone, str(was["weights_digest"]))
    progress.note(
        f"features/{work.name} was made with other settings ({', '.join(changed)}) and is made anew; "
        "another [extract] name would keep both"
    )


def _other_weights(work: ExtractStage, backbone: str, was: str) -> NotReadyError:
    """A run keeps to the weights that it began with, unless run.toml names others."""
    return NotReadyError(
        f"features/{work.name} was made with weights of SHA-256 {was}, and those of {backbone} in "
        f"the folder of weights have {work.spec['weights_digest']} now",
        remedy="put those of before back; or, to make all features anew, name these in run.toml: weights = PATH and "
        "weights_sha256 in [extract]",
    )

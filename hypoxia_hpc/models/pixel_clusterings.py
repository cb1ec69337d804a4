"""The clustering of a run that is a network, trained on the pixels of tiles."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from hypoxia_hpc.config import ContrastiveNetworkTable
from hypoxia_hpc.models.finetuned import first_network, tile_sources
from hypoxia_hpc.models.tensorboard import TensorBoardCurves
from hypoxia_hpc.models.training_job import TrainingJob
from hypoxia_hpc.networks.backbones.resolve import build_inner
from hypoxia_hpc.networks.data.tile_stream import ReadTiles, TileSource
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.contrastive_network import build_contrastive, clusters_said, restored
from hypoxia_hpc.networks.heads.loop import OnEpoch
from hypoxia_hpc.networks.heads.registry import find_clustering
from hypoxia_hpc.networks.heads.result import Arrays, TrainedHead
from hypoxia_hpc.networks.heads.tile_network import predict
from hypoxia_hpc.networks.runtime import data_parallel
from hypoxia_hpc.records import Int64Array
from hypoxia_hpc.runs.cohort import Cohort
from hypoxia_hpc.runs.state import SlideState


def fit_network_clustering(job: TrainingJob, on_epoch: OnEpoch) -> TrainedHead:
    """Train network and heads on the tiles of a fold. Raises what the network, the stores and the training raise."""
    return train_network(
        job.cohort,
        job.model.head,
        job.train,
        curves=job.model.name,
        seed=job.seed,
        checkpoints=job.checkpoints,
        on_epoch=on_epoch,
        stop=job.stop,
    )


def train_network(
    cohort: Cohort,
    name: str,
    states: Sequence[SlideState],
    *,
    curves: str,
    seed: int,
    checkpoints: Checkpoints,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> TrainedHead:
    """The clustering ``name`` of [train] on the tiles of these slides; ``curves``: the name of what TensorBoard shows
    of it. Raises as `fit_network_clustering`."""
    table = _table(cohort, name)
    sources = tile_sources(cohort, name, states)
    with (
        data_parallel(min(table.batch_size, sum(source.n for source in sources))),
        TensorBoardCurves(cohort.run.tensorboard(curves)) as shown,
    ):
        base, preprocess = build_inner(first_network(cohort.config, name, seed))
        network = build_contrastive(table, base, preprocess, cohort.config.tile.tile_px, seed)
        return find_clustering(name).train(
            table, network, sources, seed=seed, checkpoints=checkpoints, curves=shown, on_epoch=on_epoch, stop=stop
        )


def clusters_of_tiles(
    cohort: Cohort, name: str, arrays: Arrays, slide_ids: Sequence[str], rows: Int64Array
) -> Int64Array:
    """The cluster of some tiles by a network that was trained, int64 (n,): those in ``rows`` of the stores of
    ``slide_ids``, tiles of a slide one behind the other. Raises as `tile_sources`."""
    table = _table(cohort, name)
    network = restored(table, arrays, cohort.config.tile.tile_px)
    states = {state.slide.slide_id: state for state in cohort.done}
    wanted = list(dict.fromkeys(slide_ids))
    sources = tile_sources(cohort, name, [states[slide_id] for slide_id in wanted])
    owners, found = np.asarray(slide_ids, dtype=object), []
    for slide_id, source in zip(wanted, sources, strict=True):
        of_slide = rows[owners == slide_id].tolist()
        said = predict(network, _of_rows(source, of_slide), len(of_slide), table.batch_size)
        found.append(clusters_said(said))
    return np.concatenate(found)


def _of_rows(source: TileSource, rows: Sequence[int]) -> ReadTiles:
    """These tiles of a source as those of one that has no others."""
    return lambda start, stop: np.concatenate([source.read(row, row + 1) for row in rows[start:stop]])


def _table(cohort: Cohort, name: str) -> ContrastiveNetworkTable:
    return ContrastiveNetworkTable.model_validate(cohort.config.train.table_of(name))

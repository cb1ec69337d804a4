"""What a trained model says of the tiles of a slide, as columns of a table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hypoxia_hpc.analysis.pooling import ATTENTION, LOGIT, logistic
from hypoxia_hpc.config import AttentionTable
from hypoxia_hpc.networks.attention import weigher
from hypoxia_hpc.networks.frozen import FrozenModel, load_model
from hypoxia_hpc.networks.heads import HeadTable, predictor
from hypoxia_hpc.networks.trained import Arrays
from hypoxia_hpc.records import Float32Array, Float64Array, Slide
from hypoxia_hpc.scale.cohort import model_names
from hypoxia_hpc.scale.rundir import RunDir
from hypoxia_hpc.stores.features import open_features

Columns = dict[str, Float64Array]
TileOutputs = Callable[[Float32Array], Columns]
SlideOutputs = Callable[[Slide, Float32Array], Columns]


def frozen_models(run: RunDir) -> dict[str, list[FrozenModel]]:
    """The models of a run's heads, one for each fold, in the order of its run.toml. Raises NotReadyError where any is
    missing or damaged."""
    table = run.config().train
    models: dict[str, list[FrozenModel]] = {head: [] for head in table.heads}
    for name, head, _ in model_names(table):
        if head in models:
            models[head].append(load_model(run.model(name)))
    return models


def outputs_of(model: FrozenModel) -> SlideOutputs:
    """A frozen top model as a function of a slide and its features: see `head_outputs`."""
    outputs = head_outputs(model.table, model.arrays, model.record.feature_length)  # type: ignore[arg-type]
    return lambda _, values: outputs(values)


def kept_outputs(run: RunDir, name: str) -> SlideOutputs:
    """What a fine-tuned network, which goes by pixels, has said of a slide: the probabilities of both classes that lie
    under its name, as features do. Raises SlideError where they are damaged."""

    def read(slide: Slide, _: Float32Array) -> Columns:
        return {"probability": open_features(run.features(name, slide.slide_id)).values[:, 1].astype(np.float64)}

    return read


def head_outputs(table: HeadTable, arrays: Arrays, feature_length: int) -> TileOutputs:
    """A top model as a function of feature vectors float32 (n, d): probability of each tile, float64 (n,) in 0..1, and
    what `pool_tiles` needs beside it."""
    if isinstance(table, AttentionTable):
        weigh = weigher(table, arrays)

        def outputs(values: Float32Array) -> Columns:
            found = weigh(values)
            return {"probability": logistic(found.logit), ATTENTION: found.attention_logit, LOGIT: found.logit}

        return outputs
    predict = predictor(table, arrays, feature_length)
    return lambda values: {"probability": predict(values)}

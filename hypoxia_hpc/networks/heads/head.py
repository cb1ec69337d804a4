"""What a head or clustering is, to the code that trains it and predicts with it.

This module imports nothing that is heavy and nothing that reads the registry: the module of an installed package that
adds a head imports it while the list of heads is being made. Such a module must not import Keras when it is imported,
and takes everything else of this package inside its functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypoxia_hpc.config.heads.declared import DeclaredClustering, DeclaredHead

if TYPE_CHECKING:
    from hypoxia_hpc.networks.heads.cost import CohortSize, HeadCost
    from hypoxia_hpc.networks.heads.result import Predictor, Shapes, TileOutputs, TrainedHead
    from hypoxia_hpc.outcomes.outcome import Outcome
    from hypoxia_hpc.records import Float32Array, Int64Array

    # Settings of a head and size of a cohort -> what one model takes; None where that is not known.
    CostOf = Callable[[Any, CohortSize], HeadCost | None]
    ShapesOf = Callable[[Any, int, Outcome], Shapes]


@dataclass(frozen=True, kw_only=True)
class Head(DeclaredHead):
    """A head: what run.toml says of it, and its code.

    ``train``: of a head on features, (table, data, *, seed, checkpoints, on_epoch, stop) -> `TrainedHead`, as
    `registry.train_head`; of one on pixels as `finetuning.train_finetuned`. ``predictor``: (table, arrays,
    feature_length, outcome) -> feature vectors float32 (n, d) to what ``outcome.outputs`` names, float64: the
    probability of class 1, a score or a log hazard (n,), of more classes than two the probability of each (n, k); None
    of a head on pixels, whose probabilities are kept as features are. ``outputs``: the same, to every column that
    `analysis.pooling.pool_tiles` needs; default: what ``predictor`` says. ``shapes``: (table,
    feature_length, outcome) -> shape and type of every array of a trained model, by name; without it a saved model's
    arrays only have to be finite. ``cost``: None where it is not known.
    """

    train: Callable[..., TrainedHead]
    predictor: Callable[[Any, Any, int, Outcome], Predictor] | None = None
    outputs: Callable[[Any, Any, int, Outcome], TileOutputs] | None = None
    shapes: ShapesOf | None = None
    cost: CostOf | None = None


@dataclass(frozen=True, kw_only=True)
class Clustering(DeclaredClustering):
    """A clustering of tiles: what run.toml says of it, and its code.

    ``train``: as of a head on features; of the one on pixels `contrastive_network.train_contrastive_network`.
    ``predictor``: (table, arrays, feature_length) -> feature vectors float32 (n, d) to the number of the cluster of
    each, int64 (n,); None of one on pixels, whose probabilities are kept as features are. ``n_clusters``: how many
    there are. ``shapes``: as of a head; a clustering has nothing to do with the outcome.
    """

    train: Callable[..., TrainedHead]
    n_clusters: Callable[[Any], int]
    predictor: Callable[[Any, Any, int], Callable[[Float32Array], Int64Array]] | None = None
    shapes: ShapesOf | None = None
    cost: CostOf | None = None

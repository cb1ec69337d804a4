"""A head and a study of one's own: the difference of the classes' means, and a study that is asked with it.

Their names are entry points of the package that holds this module (pyproject.toml):

    [project.entry-points."hypoxia_hpc.heads"]
    means = "example_heads:MEANS"

    [project.entry-points."hypoxia_hpc.studies"]
    plain = "example_heads:PLAIN"

In run.toml: [train] heads = ["means"], and its settings in [train.means].
"""

import numpy as np
from pydantic import Field

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.config.studies.study import Study
from hypoxia_hpc.networks.heads.head import Head


class MeansTable(Table):
    """[train.means]: along the difference of the means of both classes."""

    sharpness: float = Field(1.0, gt=0, description="slope of the probability")


def train_means(table, data, *, seed, checkpoints, on_epoch, stop):
    from hypoxia_hpc.networks.data.rows import opened_rows, require_trainable
    from hypoxia_hpc.networks.heads.result import TrainedHead

    with opened_rows(data) as (rows, _):
        require_trainable(rows)
        sums, n_rows = np.zeros((2, data.feature_length)), np.zeros((2, 1))
        for store, (total, n) in rows.each_chunk(lambda _, values: (values.sum(axis=0, dtype=float), len(values))):
            sums[rows.labels[store]] += total
            n_rows[rows.labels[store]] += n
    on_epoch({})
    return TrainedHead({"means": sums / n_rows}, {})


def means_predictor(table, arrays, feature_length, outcome):
    negative, positive = arrays["means"]
    direction, middle = table.sharpness * (positive - negative), (positive + negative) / 2
    return lambda values: 1 / (1 + np.exp(-(values.astype(float) - middle) @ direction))


def means_cost(table, size):
    from hypoxia_hpc.networks.heads.cost import Cost, HeadCost

    one_pass = Cost(size.tiles * size.feature_length * 1e-9, 1, 1e6)
    return HeadCost(one_pass, one_pass)


MEANS = Head(table=MeansTable, train=train_means, predictor=means_predictor, cost=means_cost)
PLAIN = Study("plain", "is the tumour plain?", {"train": {"heads": ["means"], "clusterings": []}})

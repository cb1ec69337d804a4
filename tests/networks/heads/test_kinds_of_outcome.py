"""Every head with every kind of outcome that it names: it learns what is there, and nothing where nothing is."""

import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import KINDS, LENGTH, planted
from scipy.stats import spearmanr
from stores_of_rows import store

from hypoxia_hpc.analysis.pooling import pool_tiles
from hypoxia_hpc.config import HEADS, AttentionTable, FunnelTable, LinearTable, LogisticTable, ReluTable, TanhTable
from hypoxia_hpc.networks.data.rows import TrainingData
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.registry import HeadTable, find_head, head_outputs, train_head
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import OUTCOMES, outcome_of
from hypoxia_hpc.records import Followed, Label
from hypoxia_hpc.stores.features import open_features

TABLES: dict[str, HeadTable] = {
    "tanh": TanhTable(units=16, epochs=8, batch_size=60, learning_rate=0.02),
    "funnel": FunnelTable(units=(16, 8), epochs=8, batch_size=60, dropout=0.1, balance="weight"),
    "relu": ReluTable(units=(16, 8), epochs=8, batch_size=60, learning_rate=0.005),
    "logistic": LogisticTable(c=0.1),
    "linear": LinearTable(penalty=0.1),
    "attention": AttentionTable(
        units=16, attention_units=8, epochs=10, batch_size=16, bag_tiles=12, dropout=0.0, learning_rate=0.005
    ),
}
PAIRS = [(head, kind) for head in TABLES for kind in HEADS[head].outcomes]
# Two classes are what all other tests of heads are about. Attention, which trains for long, by survival alone.
LONG = {("attention", "classes"), ("attention", "score")}
SOME_PAIRS = [
    pytest.param(*pair, marks=pytest.mark.long) if pair[1] == "binary" or pair in LONG else pair for pair in PAIRS
]


def patients(folder: Path, outcome: Outcome, effect: float, seed: int) -> TrainingData:
    """60 to train on, 30 to validate by."""
    stores = [
        store(folder, one.patient_id, one.values.astype(np.float16), one.label)
        for one in planted(outcome.kind, 90, effect, seed)
    ]
    return TrainingData(tuple(stores[:60]), tuple(stores[60:]), LENGTH, outcome)


def said_of(table: HeadTable, data: TrainingData, folder: Path) -> pd.DataFrame:
    """What a trained head says of the validation patients, pooled as a run pools."""
    trained = train_head(
        table,
        data,
        seed=1,
        checkpoints=Checkpoints(folder / "checkpoint", "key", 60),
        on_epoch=lambda _: None,
        stop=threading.Event(),
    )
    outcome = data.outcome
    shapes = find_head(next(name for name, one in TABLES.items() if one is table)).shapes
    assert shapes is not None
    made = {name: (array.shape, array.dtype.name) for name, array in trained.arrays.items()}
    assert made == shapes(table, LENGTH, outcome)
    outputs = head_outputs(table, trained.arrays, LENGTH, outcome)
    frames = [
        pd.DataFrame(outputs(open_features(one.path).values.astype(np.float32))).assign(patient_id=one.patient_id)
        for one in data.valid
    ]
    return pool_tiles(pd.concat(frames, ignore_index=True), "patient", outcome.outputs, outcome.link)


def agreement(outcome: Outcome, pooled: pd.DataFrame, labels: list[Label]) -> float:
    """0 for no agreement, 1 for all of it."""
    said = pooled[list(outcome.outputs)].to_numpy()
    if outcome.kind == "classes":
        assert said.sum(axis=1) == pytest.approx(1.0)
        return float(((said.argmax(axis=1) == labels).mean() - 1 / 3) * 1.5)
    if outcome.kind == "survival":
        died = {n: one.time for n, one in enumerate(labels) if isinstance(one, Followed) and one.event}
        return -float(spearmanr(said[list(died), 0], list(died.values())).statistic)
    return float(spearmanr(said[:, 0], labels).statistic)


@pytest.mark.parametrize(("head", "kind"), SOME_PAIRS)
def test_a_head_learns_what_is_there(tmp_path: Path, head: str, kind: str) -> None:
    outcome = outcome_of(KINDS[kind])
    data = patients(tmp_path, outcome, 1.0, seed=2)
    pooled = said_of(TABLES[head], data, tmp_path)
    assert pooled["id"].tolist() == [one.patient_id for one in data.valid]
    assert agreement(outcome, pooled, [one.label for one in data.valid]) > 0.6


@pytest.mark.parametrize(
    "kind", ["score", *(pytest.param(one, marks=pytest.mark.long) for one in ("classes", "survival"))]
)
def test_a_head_learns_nothing_where_nothing_is(tmp_path: Path, kind: str) -> None:
    outcome = outcome_of(KINDS[kind])
    data = patients(tmp_path, outcome, 0.0, seed=2)
    said = agreement(outcome, said_of(TABLES["attention"], data, tmp_path), [one.label for one in data.valid])
    assert abs(said) < 0.5


def test_every_kind_has_a_head_and_every_head_a_test() -> None:
    assert {kind for _, kind in PAIRS} == set(OUTCOMES) == set(KINDS)
    assert set(TABLES) == {head for head in HEADS if HEADS[head].inputs == "features"}

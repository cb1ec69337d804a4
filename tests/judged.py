"""Rows of predictions of every kind of outcome, and facts about their patients, drawn at random."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

from hypoxia_hpc.config import EvaluateTable, OutcomeTable
from hypoxia_hpc.evaluation.kinds import measures_of
from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.outcomes.registry import outcome_of

CLASSES = ("spindle", "round", "other")
OUTCOMES = {
    "binary": OutcomeTable(),
    "classes": OutcomeTable(kind="classes", classes=CLASSES),
    "score": OutcomeTable(kind="score"),
    "survival": OutcomeTable(kind="survival"),
}


def measures(kind: str, **settings: object) -> Measures:
    table = EvaluateTable(**{"bootstrap": 200, **settings})
    return measures_of(outcome_of(OUTCOMES[kind]), table)


def rows_of(
    kind: str, n: int, effect: float, *, model: str = "m", seed: int = 0, set_name: str = "test"
) -> pd.DataFrame:
    """Of n patients; ``effect`` is how far what the model says goes with the label, in standard deviations. Labels
    depend on the number of the patient alone."""
    fixed, noise = np.random.default_rng(7), np.random.default_rng([seed, 1])
    hidden, said = fixed.normal(size=n), noise.normal(size=n)
    ids = [f"P{number:03d}" for number in range(n)]
    rows = pd.DataFrame({"model": model, "fold": 0, "set": set_name, "id": ids, "patient_id": ids, "n_tiles": 20})
    rows["fold"] = rows["fold"].astype("Int64")
    if kind == "binary":
        return rows.assign(label=np.arange(n) % 2, probability=expit(said + effect * (np.arange(n) % 2 - 0.5)))
    if kind == "classes":
        labels = np.arange(n) % len(CLASSES)
        logits = noise.normal(size=(n, len(CLASSES))) + effect * np.eye(len(CLASSES))[labels]
        probabilities = softmax(logits, axis=1)
        return rows.assign(
            label=labels, **{f"probability_{name}": probabilities[:, i] for i, name in enumerate(CLASSES)}
        )
    if kind == "score":
        return rows.assign(label=hidden, predicted=said + effect * hidden)
    time = fixed.exponential(np.exp(-hidden))
    censored = fixed.exponential(2.0, size=n)
    event = (time <= censored).astype(int)
    return rows.assign(time=np.minimum(time, censored), event=event, risk=said + effect * hidden)


def facts_of(rows: pd.DataFrame, measures: Measures, **columns: object) -> pd.DataFrame:
    """Of the patients of these rows; tumour types, sites and colours are not known unless they are given."""
    known = rows.set_index("patient_id")[list(measures.outcome.label_types)]
    unknown: dict[str, object] = {"tumour_type": "", "site": "", "n_tiles": 20.0}
    unknown |= dict.fromkeys(("red", "green", "blue", "background"), np.nan)
    return known.assign(**(unknown | columns))

"""The content of metrics.json of patients of another cohort, whom no model has seen. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import pandas as pd

from hypoxia_hpc.errors import some, some_names
from hypoxia_hpc.evaluation.baselines import BASELINES, baseline_rows, makeable_outside, uninformative
from hypoxia_hpc.evaluation.claims import chances
from hypoxia_hpc.evaluation.content import (
    Said,
    compared_with,
    models_of,
    not_measured,
    of_groups,
    of_series,
    rows_by_model,
)
from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.evaluation.warnings import Warned, figure_warnings, outside_warnings
from hypoxia_hpc.records import Json

# Sets of patients of another cohort: no label; a label; in training or validation of the models.
UNLABELLED, EXTERNAL, TRAINED_ON = "predict", "external", "trained-on"


def outside_content(said: Said, lead: Json, facts: pd.DataFrame, measures: Measures) -> Json:
    """Metrics of labelled patients of the set `EXTERNAL`, each by itself, and what may be said of them: ``outcome``,
    ``models``, ``chance``, ``compared``, ``groups``, ``within``, ``lead`` as it is given, ``unchecked`` and
    ``warnings``. No metrics without labels. ``facts``: of all patients, see `baselines`."""
    levels = {"tile": said.tiles, **said.once}
    models = models_of({name: rows[rows["set"] == EXTERNAL] for name, rows in levels.items()}, measures, None)
    rows = rows_by_model(said.once["patient"], EXTERNAL, measures)
    heads = {name: part for name, part in rows.items() if name not in BASELINES}
    leading = str(lead["model"])
    chance = chances(heads, measures, None)
    content: Json = {
        "outcome": measures.outcome.table.model_dump(mode="json"),
        "models": models,
        "lead": lead,
        "chance": chance,
        "compared": compared_with(leading, rows, models, chance, EXTERNAL, measures, None),
        **of_groups(heads, facts, measures, None),
    }
    content["unchecked"] = not_measured(leading, content)
    content |= of_series(said, EXTERNAL, measures, None)
    own, least = heads.get(leading), 1.0
    warned: list[Warned] = []
    if own is not None:
        least, headline = measures.least_p(own), models[leading][EXTERNAL]["patient"][measures.headline]
        warned = figure_warnings(own, headline, measures, "outside patient")
    content["warnings"] = [asdict(one) for one in (*warned, *outside_warnings(content, measures, least, EXTERNAL))]
    return content


def outside_baselines(
    patients: pd.DataFrame, facts: pd.DataFrame, training: Sequence[pd.DataFrame], measures: Measures
) -> tuple[pd.DataFrame, dict[str, str]]:
    """``patients`` (rows of all models) with those of every baseline for the labelled outside patients, and why others
    cannot be made, by their names. ``facts``: of all patients; ``training``: of the training patients of each fold."""
    first = patients[(patients["model"] == patients["model"].iloc[0]) & (patients["set"] == EXTERNAL)]
    made, lacking = makeable_outside(facts.loc[first["patient_id"].astype(str).tolist()], training)
    rows = {name: baseline_rows(name, first, facts, training, measures) for name in made}
    return pd.concat([patients, *rows.values()], ignore_index=True), lacking | uninformative(rows, measures)


def trained_on_warning(found: Mapping[str, str]) -> list[Warned]:
    """``found``: patients who were in training or validation, and their ids there."""
    if not found:
        return []
    names = [one if one == there else f"{one} ({there} there)" for one, there in sorted(found.items())]
    return [
        Warned(
            "trained-on",
            f"{some(len(found), 'patient')} {'was' if len(found) == 1 else 'were'} in training or validation of these "
            f"models, by id or by slide, and no outside patients; all metrics leave them out: {some_names(names)}",
        )
    ]


def stain_warning(doubts: Mapping[str, str], n_slides: int) -> list[Warned]:
    """``doubts``: why a slide is no H&E, by slide id."""
    if not doubts:
        return []
    names = [f"{slide_id}: {why}" for slide_id, why in sorted(doubts.items())]
    return [
        Warned(
            "no-h-and-e",
            f"{len(doubts)} of {n_slides} slides do not look stained with haematoxylin and eosin, or were not scanned "
            f"in bright field: {'; '.join(names[:20])}{f'; and {len(names) - 20} more' if len(names) > 20 else ''}",
        )
    ]

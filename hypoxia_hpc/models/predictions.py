"""Predictions of tiles, slides and patients: made from frozen models and features, and committed as one folder."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import pandas_dtype, union_categoricals

from hypoxia_hpc.analysis.pooling import (
    ATTENTION,
    SERIES,
    Pooling,
    attention_weights,
    fused,
    pool_series,
    pool_tiles,
)
from hypoxia_hpc.cohorts.csvfiles import csv_text
from hypoxia_hpc.cohorts.splits import SETS
from hypoxia_hpc.config import EvaluateTable
from hypoxia_hpc.config.heads.registry import is_on_pixels
from hypoxia_hpc.evaluation.series import LATE
from hypoxia_hpc.models.clusterings import ClusterTables
from hypoxia_hpc.models.outputs import SlideOutputs, kept_outputs, outputs_of
from hypoxia_hpc.models.prediction_tables import (
    CLUSTERS_FILE,
    PATIENTS_FILE,
    SERIES_FILE,
    SLIDES_FILE,
    TILE_CLUSTERS_FILE,
    TILES_FILE,
    TRAINING_FILE,
)
from hypoxia_hpc.models.series import SeriesOf
from hypoxia_hpc.networks.heads.result import Columns
from hypoxia_hpc.networks.heads.sound import load_sound_model
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.reading import MOST_PREDICTIONS_BYTES, UnfitFileError, sha256_of
from hypoxia_hpc.records import Features, Int64Array, Patient, Slide
from hypoxia_hpc.runs.cohort import model_names
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.state import SlideState
from hypoxia_hpc.stores.commit import committing_directory, machine_errors
from hypoxia_hpc.stores.layout import content_digest

PART_TILES = 200_000  # tiles that are pooled at a time, about; patients stay whole


@dataclass(frozen=True, slots=True)
class Member:
    """A trained model of one fold: the set of every patient in that fold, and what it says of a slide's tiles."""

    fold: int
    sets: Mapping[str, str]
    outputs: SlideOutputs


@dataclass(frozen=True, slots=True)
class Predictions:
    """Three tables of the same models. ``tiles``: `tile_columns`, ``attention`` being what the tile weighs in its
    patient's bag, NaN for models that have none; ``slides`` and ``patients``: `columns_of` and patient_id. Labels are
    <NA> where it is not known; so is the fold where a row is the mean over the models of all folds. ``series``: as
    ``patients``, of each series of their images by itself, with that column, and of all of them fused late (`LATE`);
    None where there are no series."""

    tiles: pd.DataFrame
    slides: pd.DataFrame
    patients: pd.DataFrame
    series: pd.DataFrame | None = None


def columns_of(outcome: Outcome) -> list[str]:
    """The columns of patients.csv and slides.csv: what is known, and what a model says."""
    return ["model", "fold", "set", "id", *outcome.label_types, *outcome.outputs, "n_tiles"]


def tile_columns(outcome: Outcome) -> list[str]:
    """The columns of tiles.parquet."""
    place = ["model", "fold", "set", "slide_id", "patient_id", "x_l0", "y_l0"]
    return [*place, *outcome.label_types, *outcome.outputs, "attention"]


def saved_members(run: RunDir, model_run: RunDir, folds: Sequence[Mapping[str, str]]) -> dict[str, list[Member]]:
    """The models of ``model_run``'s heads, by head and fold, to predict slides of ``run``; ``folds`` has for each fold
    the set of every patient. Raises NotReadyError where a model is missing or damaged."""
    config = model_run.config()
    table, outcome = config.train, outcome_of(config.outcome)
    members: dict[str, list[Member]] = {head: [] for head in table.heads}
    for name, head, fold in model_names(table):
        if head in members:
            model = load_sound_model(model_run.model(name))
            outputs = kept_outputs(run, name, outcome) if is_on_pixels(head) else outputs_of(model)
            members[head].append(Member(fold, folds[fold], outputs))
    return members


def predict_cohort(
    models: Mapping[str, Sequence[Member]],
    states: Sequence[SlideState],
    features: Iterable[tuple[SlideState, Features]],
    patients: Mapping[str, Patient],
    outcome: Outcome,
    pooling: Pooling,
    series_of: SeriesOf | None = None,
) -> Predictions:
    """Every tile through every model, pooled to slides and patients: by ``pooling``, unless the model weighs tiles
    itself. ``features`` of ``states``, in their order, which has the slides of a patient together.

    A model of one fold says all there is. Of several, each predicts the patients of its sets, and tiles are kept from
    the fold that has their patient in its test set (with repeats the mean of those folds); who is in no set (no label,
    another cohort) gets the mean over the folds' models. So every tile stands once for each model.
    """
    found: dict[str, list[Predictions]] = {name: [] for name in models}
    for part in _parts(models, features):
        base = _base(part, states, series_of)
        for name, members in models.items():
            frames = [base.assign(**_whole(part.said[name, number])) for number in range(len(members))]
            found[name].append(_of_part(name, members, frames, patients, outcome, pooling))
    levels = ("tiles", "slides", "patients", *(("series",) if series_of is not None else ()))
    return Predictions(**{level: _joined(models, found, level) for level in levels})


@dataclass(slots=True)
class _Part:
    """Slides of some patients, all of each, and what every member of every model said of their tiles."""

    slides: list[tuple[Slide, Int64Array]]
    said: dict[tuple[str, int], list[Columns]]
    n_tiles: int = 0


def _parts(models: Mapping[str, Sequence[Member]], features: Iterable[tuple[SlideState, Features]]) -> Iterator[_Part]:
    part = _Part([], defaultdict(list))
    for _, slides in itertools.groupby(features, lambda pair: pair[0].slide.patient_id):
        for state, found in slides:
            part.slides.append((state.slide, found.xy))
            part.n_tiles += len(found.xy)
            values = found.values.astype(np.float32)
            for name, members in models.items():
                for number, member in enumerate(members):
                    part.said[name, number].append(member.outputs(state.slide, values))
        if part.n_tiles >= PART_TILES:
            yield part
            part = _Part([], defaultdict(list))
    if part.slides:
        yield part


def _whole(said: Sequence[Columns]) -> Columns:
    return {column: np.concatenate([one[column] for one in said]) for column in said[0]}


def _base(part: _Part, states: Sequence[SlideState], series_of: SeriesOf | None) -> pd.DataFrame:
    n_tiles = [len(xy) for _, xy in part.slides]
    xy_l0 = np.concatenate([xy for _, xy in part.slides])
    slides = pd.Categorical(
        [slide.slide_id for slide, _ in part.slides], sorted({one.slide.slide_id for one in states})
    )
    patients = [slide.patient_id for slide, _ in part.slides]
    owners = pd.Categorical(patients, sorted({one.slide.patient_id for one in states}))
    # As categories: 26 million tiles with a string each would take gigabytes.
    rows = np.repeat(np.arange(len(part.slides)), n_tiles)
    base = pd.DataFrame(
        {"slide_id": slides.take(rows), "patient_id": owners.take(rows), "x_l0": xy_l0[:, 0], "y_l0": xy_l0[:, 1]}
    )
    if series_of is None:
        return base
    series = union_categoricals([series_of(slide, len(xy)) for slide, xy in part.slides])
    return base.assign(**{SERIES: series})


def _of_part(
    name: str,
    members: Sequence[Member],
    frames: Sequence[pd.DataFrame],
    patients: Mapping[str, Patient],
    outcome: Outcome,
    pooling: Pooling,
) -> Predictions:
    """``frames``: the tiles of a part as each member sees them."""
    columns, labels = [*columns_of(outcome), "patient_id"], label_columns(patients, outcome)
    tiles, slides, pooled, by_series = [], [], [], []
    for member, frame in zip(members, frames, strict=True):

        def labelled(rows: pd.DataFrame, member: Member = member) -> pd.DataFrame:
            owners = rows["patient_id"].astype(object)
            known: dict[str, pd.Series[Any]] = {
                column: owners.map(values).astype(pandas_dtype(outcome.label_types[column]))
                for column, values in labels.items()
            }
            return rows.assign(model=name, fold=member.fold, set=owners.map(member.sets), **known).astype(
                {"fold": "Int64"}
            )

        attention = attention_weights(frame) if ATTENTION in frame else np.nan
        tiles.append(labelled(frame.assign(attention=attention))[tile_columns(outcome)])
        slides.append(labelled(pool_tiles(frame, "slide", outcome.outputs, outcome.link, pooling))[columns])
        pooled.append(labelled(pool_tiles(frame, "patient", outcome.outputs, outcome.link, pooling))[columns])
        if SERIES in frame:
            alone = labelled(pool_series(frame, "patient", outcome.outputs, outcome.link, pooling))
            by_series.append(with_late(alone[[*columns, SERIES]], outcome))
    said = (*outcome.outputs, "attention")
    of_tiles = _once(_of_folds(tiles, SETS[-1:], said), said)
    of_series = _of_folds(by_series, SETS, said) if by_series else None
    return Predictions(of_tiles, _of_folds(slides, SETS, said), _of_folds(pooled, SETS, said), of_series)


def with_late(by_series: pd.DataFrame, outcome: Outcome) -> pd.DataFrame:
    """Patients of one model by series, and behind them each of them once, all series fused late."""
    keys = ["id", "patient_id"]
    whole = fused(by_series, keys, outcome.outputs, outcome.link).assign(**{SERIES: LATE})
    return pd.concat([by_series, whole[by_series.columns]], ignore_index=True)


def _once(tiles: pd.DataFrame, said: Sequence[str]) -> pd.DataFrame:
    """Each tile once, by its place in the frame: where more folds than one tested it, as with repeats, the mean of what
    they ``said``; the fold is then not known."""
    again = tiles.index.duplicated(keep=False)
    if not again.any():
        return tiles
    first = tiles[~tiles.index.duplicated()]
    means = tiles.groupby(level=0)[list(said)].mean()
    fold = first["fold"].mask(pd.Series(again, tiles.index)[~tiles.index.duplicated()])
    return first.assign(fold=fold, **{column: means[column] for column in said})


def over_repeats(pooled: pd.DataFrame, outputs: Sequence[str]) -> pd.DataFrame:
    """Slides or patients, each once for each model in the test set: with repeats, which test everybody several times,
    the mean of the ``outputs`` of the folds that did; the fold is then not known. Other rows stay."""
    keys = ["model", "set", "id"]
    tested = pooled["set"] == SETS[-1]
    again = tested & pooled.duplicated(keys, keep=False)
    if not again.any():
        return pooled
    means = pooled[again].groupby(keys, sort=False)[list(outputs)].transform("mean")
    rows = pooled[again].assign(**{column: means[column] for column in outputs})
    once = rows.assign(fold=rows["fold"].mask(again)).drop_duplicates(keys)
    whole: pd.DataFrame = pd.concat([pooled[~again], once])
    return whole.sort_index(kind="stable")


def pooling_of(table: EvaluateTable) -> Pooling:
    """The pooling that [evaluate] asks for."""
    return Pooling(table.pooling, table.pooling_k, table.pooling_threshold, table.fusion == "late")


def pooling_note(pooling: Pooling, predictions: Predictions) -> str:
    """Which models do not pool by the configured ``pooling``; empty where all do, and where it is the default."""
    weighed = predictions.tiles["attention"].notna()
    models = sorted(predictions.tiles["model"][weighed].unique())
    if pooling.kind == "mean" or not models:
        return ""
    return f"[evaluate] pooling = {pooling.kind!r} is not for {', '.join(models)}, which weigh the tiles themselves"


def label_columns(patients: Mapping[str, Patient], outcome: Outcome) -> dict[str, dict[str, float | int]]:
    """What is known of each patient, by column and patient id; who has no label is left out."""
    known = {name: outcome.known(one.label) for name, one in patients.items() if one.label is not None}
    return {
        column: {name: values[number] for name, values in known.items()}
        for number, column in enumerate(outcome.label_types)
    }


def _of_folds(frames: Sequence[pd.DataFrame], kept: Sequence[str], averaged: Sequence[str]) -> pd.DataFrame:
    """The same rows by the models of all folds: those of the ``kept`` sets from each fold; of rows in no set of any
    fold one, the mean."""
    if len(frames) == 1:
        return frames[0]
    in_none = ~frames[0]["set"].isin(SETS)
    others = [frame[in_none] for frame in frames]
    means = {
        # One after the other: NumPy's mean adds in another order where there is one row.
        column: sum(frame[column].to_numpy() for frame in others) / len(others)
        for column in averaged
        if column in frames[0]
    }
    mean = others[0].assign(fold=pd.array([pd.NA] * len(others[0]), dtype="Int64"), **means)
    whole: pd.DataFrame = pd.concat([*(frame[frame["set"].isin(kept)] for frame in frames), mean])
    return whole.sort_index(kind="stable")


def _joined(
    models: Mapping[str, Sequence[Member]], found: Mapping[str, Sequence[Predictions]], level: str
) -> pd.DataFrame:
    """All parts of a level, model by model; slides and patients by fold and id."""
    frames: list[pd.DataFrame] = []
    for name in models:
        whole = pd.concat([getattr(part, level) for part in found[name]], ignore_index=True)
        by = ["fold", "id", *([SERIES] if level == "series" else [])]
        frames.append(whole if level == "tiles" else whole.sort_values(by, kind="stable"))
    return pd.concat(frames, ignore_index=True)


def write_predictions(
    folder: Path,
    predictions: Predictions,
    clusters: ClusterTables | None = None,
    training: pd.DataFrame | None = None,
) -> str:
    """Commit patients.csv, slides.csv and tiles.parquet as one folder, with series.csv where there are series,
    clusters.csv and tile_clusters.parquet where there are clusters, and training.csv where ``training`` is given; equal
    predictions give equal bytes.

    Returns their :func:`predictions_digest`.
    """
    with committing_directory(folder, lambda _: False, sealed=False) as made:
        for name, table in ((SLIDES_FILE, predictions.slides), (PATIENTS_FILE, predictions.patients)):
            (made / name).write_text(csv_text(table.drop(columns="patient_id")), encoding="utf-8")
        if predictions.series is not None:
            (made / SERIES_FILE).write_text(csv_text(predictions.series.drop(columns="patient_id")), encoding="utf-8")
        predictions.tiles.to_parquet(made / TILES_FILE, index=False, compression="zstd")
        if clusters is not None:
            (made / CLUSTERS_FILE).write_text(csv_text(clusters.shares), encoding="utf-8")
            clusters.tiles.to_parquet(made / TILE_CLUSTERS_FILE, index=False, compression="zstd")
        if training is not None:
            (made / TRAINING_FILE).write_text(csv_text(training), encoding="utf-8")
        return _digest(made)


def predictions_digest(folder: Path) -> str | None:
    """What tells these predictions from others: SHA-256 (hex) over the tables made of those of the tiles, None where a
    file is missing or no plain file. Raises MachineError.

    metrics.json names it, for it is another file: whatever comes between the two (a kill, ``predict``) must not pair it
    with predictions of something else. The Parquet file stays out: its bytes depend on the version of its writer.
    """
    with machine_errors(folder):
        try:
            return _digest(folder) if (folder / TILES_FILE).is_file() else None
        except (FileNotFoundError, UnfitFileError):
            return None


def _digest(folder: Path) -> str:
    names = [PATIENTS_FILE, SLIDES_FILE]
    if (folder / CLUSTERS_FILE).exists() or (folder / TILE_CLUSTERS_FILE).exists():
        names.append(CLUSTERS_FILE)
    names += [name for name in (TRAINING_FILE, SERIES_FILE) if (folder / name).exists()]
    return content_digest({name: sha256_of(folder / name, MOST_PREDICTIONS_BYTES) for name in names})

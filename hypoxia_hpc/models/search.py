"""Search over a declared grid: every point is trained on the training patients and judged by the validation patients.

Test patients are not among what a search is given. Each point has a folder of its own below RUN/checkpoints, with the
model and its scores once it is trained, so that a search that was killed trains no point twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.pooling import pool_tiles
from hypoxia_hpc.config import Table, canonical_json
from hypoxia_hpc.models.criteria import CRITERIA
from hypoxia_hpc.models.training_job import TrainingJob, model_record, require_trainable_patients
from hypoxia_hpc.networks.data.rows import LabelledStore
from hypoxia_hpc.networks.heads.registry import head_outputs
from hypoxia_hpc.networks.heads.result import TileOutputs, TrainedHead
from hypoxia_hpc.networks.heads.saved import damaged, load_model, model_key, read_record, save_model
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.cohort import Planned
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import point_key
from hypoxia_hpc.stores.features import open_features


@dataclass(frozen=True, slots=True)
class Score:
    """Of the validation patients: the figure of the outcome's `Criterion`, and its mean loss."""

    figure: float
    valid_loss: float


@dataclass(frozen=True, slots=True)
class Found:
    """The best point of a grid: its table and model; ``record`` (for model.json) names it, and every point's scores."""

    table: Table
    trained: TrainedHead
    record: Json


def search(job: TrainingJob, points: Sequence[Json], train: Callable[[TrainingJob, str], TrainedHead]) -> Found:
    """Try all points of a grid, equal ones once; ``train`` gets its number in words. Raises what the training raises,
    InputError where the validation patients are of one class, or lack whatever else the outcome needs."""
    labels = {store.patient_id: store.label for store in job.data.valid}
    who = f"the validation patients with features, by whom the search for model {job.model.name} chooses,"
    require_trainable_patients(job.cohort, labels, who, "give validation more ([train] split), or remove the search")
    points = distinct(points)
    settings = job.cohort.config.train
    tables = [settings.settings_of(job.model.head, point) for point in points]
    tries = [_job_of_point(job, number, table) for number, table in enumerate(tables)]
    scores = [_score_of(one, partial(train, one, f"{n} of {len(tries)}")) for n, one in enumerate(tries, start=1)]
    best = best_of(scores)
    model = load_model(_made(tries[best]))
    tried = [
        {"settings": point, **_recorded(score, job.cohort.outcome)} for point, score in zip(points, scores, strict=True)
    ]
    trained = TrainedHead(model.arrays, model.record.history)
    return Found(tables[best], trained, {"chosen": points[best], "points": tried})


def distinct(points: Sequence[Json]) -> list[Json]:
    """The first of each that are equal, in their order: a list in run.toml may hold a value twice."""
    first: dict[str, Json] = {}
    for point in points:
        first.setdefault(canonical_json(point), point)
    return list(first.values())


def best_of(scores: Sequence[Score]) -> int:
    """Which has the largest figure; among these the smallest loss; among these the first."""
    return min(range(len(scores)), key=lambda number: (-scores[number].figure, scores[number].valid_loss, number))


def _job_of_point(job: TrainingJob, number: int, table: Table) -> TrainingJob:
    """The training of one point of a model's grid: key and name of its own."""
    name, key = f"{job.model.name}.point{number}", point_key(job.model.key, table)
    return replace(job, model=job.model._replace(name=name, key=key), table=table)


def point_folders(run: RunDir, model: Planned) -> list[Path]:
    """What a search left below checkpoints/."""
    return sorted(run.checkpoint("").glob(f"{model.name}.point*"))


def _made(job: TrainingJob) -> Path:
    return job.cohort.run.checkpoint(f"{job.model.name}.made")


def _score_of(job: TrainingJob, train: Callable[[], TrainedHead]) -> Score:
    """The scores of a point, which is trained unless it is already."""
    folder, outcome = _made(job), job.cohort.outcome
    if model_key(folder) != job.model.key:
        trained = train()
        outputs = head_outputs(job.table, trained.arrays, job.data.feature_length, outcome)
        score = score_of(outputs, job.data.valid, outcome)
        save_model(folder, model_record(job, trained, search=_recorded(score, outcome)), trained.arrays)
        job.checkpoints.clear()
    found = read_record(folder).search or {}
    try:
        return Score(float(found[CRITERIA[outcome.kind].name]), float(found["valid_loss"]))
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder, f"what its search found is not there: {error!r}") from None


def _recorded(score: Score, outcome: Outcome) -> Json:
    """The figure under its name."""
    return {CRITERIA[outcome.kind].name: score.figure, "valid_loss": score.valid_loss}


def score_of(outputs: TileOutputs, stores: Sequence[LabelledStore], outcome: Outcome) -> Score:
    """How well a model ranks the patients of these stores, on whom a model could be trained."""
    frames = [
        pd.DataFrame(outputs(open_features(store.path).values.astype(np.float32))).assign(patient_id=store.patient_id)
        for store in stores
    ]
    pooled = pool_tiles(pd.concat(frames, ignore_index=True), "patient", outcome.outputs, outcome.link)
    label_of = {store.patient_id: store.label for store in stores}
    labels, said = np.array([label_of[name] for name in pooled["id"]]), pooled[list(outcome.outputs)].to_numpy()
    criterion = CRITERIA[outcome.kind]
    return Score(criterion.figure(labels, said), criterion.loss(labels, said))

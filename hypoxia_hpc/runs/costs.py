"""What the stages that see the whole cohort take, by run.toml and the cohort's size: sums over the models. Pure.

Every constant is fitted to `benchmarks/resources.json`, as those of `hypoxia_hpc.networks.heads.cost` are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hypoxia_hpc.config import RunConfig, Table
from hypoxia_hpc.networks.backbones.resolve import feature_length
from hypoxia_hpc.networks.heads.cost import CohortSize, Cost, HeadCost
from hypoxia_hpc.networks.heads.registry import find_clustering, find_head
from hypoxia_hpc.outcomes.named import NamedClasses
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.records import Label, Patient
from hypoxia_hpc.runs.stages import stages_of

# Python, TensorFlow, pandas; on other processors TensorFlow loads other libraries.
PROCESS_SECONDS, PROCESS_BYTES = 5.5, 1.0e9
# To read a store as a whole, and to know that it is the one that is wanted.
OPEN_SECONDS = 0.005
# Rows of predictions of one model: made, joined, sorted, written; with columns of text while they are.
ROW_SECONDS, ROW_BYTES = 5e-6, 300.0
# A value of a slide's features while they go through the models: as stored, as float32, as float64; and by how much the
# largest slide may have more tiles than the mean.
VALUE_BYTES, LARGEST_SLIDE = 18, 5
# A row of a resampling in the area under the curve.
RESAMPLED_SECONDS = 1e-9
# The part of a stage that belongs to no head.
START = "start"
# A signature of 50 columns, screened, fitted and measured on two sets of patients.
SIGNATURE_SECONDS, SIGNATURE_SECONDS_A_PATIENT = 0.03, 6e-5
# A slide's rows and its thumbnail in the report.
REPORT_SECONDS_A_SLIDE = 0.5


@dataclass(frozen=True, slots=True)
class StageCost:
    """What a stage takes: ``parts`` by name of a head or clustering (of all its folds and points of a search) and of
    what is left, one after the other; ``peak_bytes`` of its process. ``unknown``: heads, or the stage itself, without a
    known cost."""

    parts: Mapping[str, Cost]
    peak_bytes: float
    unknown: tuple[str, ...]

    @property
    def core_seconds(self) -> float:
        return sum(part.core_seconds for part in self.parts.values())

    def seconds(self, cores: int) -> float:
        """By the clock, on ``cores`` cores."""
        return sum(part.seconds(cores) for part in self.parts.values())


def cohort_cost(stage: str, config: RunConfig, size: CohortSize) -> StageCost:
    """Of a stage, by the ``cost`` that it names; unknown where it names none."""
    named: Sequence[StageCost | None] = [one.cost_of(config, size) for one in stages_of("cohort") if one.name == stage]
    return next((cost for cost in named if cost is not None), StageCost({}, PROCESS_BYTES, (stage,)))


def cohort_size(config: RunConfig, n_slides: int, patients: Sequence[Patient], n_tiles: float) -> CohortSize:
    """Of a run with ``n_tiles`` tiles; ``patients`` are those with slides. Tiles of patients without label count as
    predicted, not as trained on."""
    labels = [patient.label for patient in patients if patient.label is not None]
    labelled = len(labels) / max(len(patients), 1)
    train, valid = _fitted_shares(config)
    return CohortSize(
        n_tiles,
        n_slides,
        len(patients),
        labelled * train,
        labelled * valid,
        _repeats(config, labels),
        feature_length(config.extract.backbone, config.tile.tile_px),
        2 if config.extract.dtype == "float16" else 4,
        config.tile.tile_px,
    )


def _repeats(config: RunConfig, labels: Sequence[Label]) -> float:
    """How often a balanced epoch uses a patient, on average: all of the largest class once, others as often."""
    outcome = outcome_of(config.outcome)
    if not labels or not isinstance(outcome, NamedClasses):
        return 1.0
    n_classes = len(config.outcome.classes)
    return n_classes * max(labels.count(label) for label in range(n_classes)) / len(labels)


def _fitted_shares(config: RunConfig) -> tuple[float, float]:
    """Of labelled patients in training and in validation, of one fold."""
    train, valid, _ = config.train.split
    if config.train.folds == 1:
        return train, valid
    others = (1 - 1 / config.train.folds) / (train + valid)
    return train * others, valid * others


def train_cost(config: RunConfig, size: CohortSize) -> StageCost:
    """All models of [train], every fold and every point of a search, as if none was trained yet."""
    found = {name: _training(config, name, size) for name in _names(config)}
    known = {name: cost for name, cost in found.items() if cost is not None}
    start = Cost(PROCESS_SECONDS + size.slides * OPEN_SECONDS, 1, 0.0)
    peak = PROCESS_BYTES + max((cost.peak_bytes for cost in known.values()), default=0.0)
    return StageCost({START: start, **known}, peak, _unknown(found))


def evaluate_cost(config: RunConfig, size: CohortSize) -> StageCost:
    """All tiles through all models, pooled and measured."""
    found = {name: _predicting(config, name, size) for name in _names(config)}
    folds = config.train.n_folds
    known = {name: cost.times(folds) for name, cost in found.items() if cost is not None}
    rows = size.tiles * len(config.train.heads)
    a_row = ROW_SECONDS * folds + RESAMPLED_SECONDS * config.evaluate.bootstrap
    reading = size.reading_seconds(size.tiles) + size.slides * OPEN_SECONDS
    start = Cost(PROCESS_SECONDS + reading + rows * a_row, 1, 0.0)
    a_slide = LARGEST_SLIDE * size.tiles / max(size.slides, 1) * size.feature_length * VALUE_BYTES
    held = sum(folds * cost.peak_bytes for cost in known.values()) + rows * ROW_BYTES + a_slide
    return StageCost({START: start, **known}, PROCESS_BYTES + held, _unknown(found))


def phenotypes_cost(config: RunConfig, size: CohortSize) -> StageCost:
    """The clustering trained again with other seeds, and all tiles through that of the first fold."""
    found = {name: _head_cost(config, name, config.train.table_of(name), size) for name in config.train.clusterings}
    known = {name: cost for name, cost in found.items() if cost is not None}
    parts = {
        name: replace(cost.train, core_seconds=config.phenotypes.seeds * cost.train.core_seconds)
        for name, cost in known.items()
    }
    assigning = sum(cost.predict.core_seconds for cost in known.values())
    reading = size.reading_seconds(size.tiles) + size.slides * OPEN_SECONDS + size.tiles * ROW_SECONDS
    peak = PROCESS_BYTES + max((cost.train.peak_bytes for cost in known.values()), default=0.0) + size.tiles * ROW_BYTES
    return StageCost({START: Cost(PROCESS_SECONDS + reading + assigning, 1, 0.0), **parts}, peak, _unknown(found))


def survival_cost(config: RunConfig, size: CohortSize) -> StageCost:
    """Signatures made anew in every resampling of every endpoint."""
    resamples = len(config.survival.times) * (config.survival.bootstrap + config.survival.folds)
    seconds = PROCESS_SECONDS + resamples * (SIGNATURE_SECONDS + size.patients * SIGNATURE_SECONDS_A_PATIENT)
    return StageCost({START: Cost(seconds, 1, 0.0)}, PROCESS_BYTES, ())


def report_cost(_: RunConfig, size: CohortSize) -> StageCost:
    """The page with its thumbnails."""
    return StageCost({START: Cost(size.slides * REPORT_SECONDS_A_SLIDE, 1, 0.0)}, PROCESS_BYTES, ())


def _names(config: RunConfig) -> tuple[str, ...]:
    return (*config.train.heads, *config.train.clusterings)


def _unknown(found: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(name for name, cost in found.items() if cost is None)


def _tables(config: RunConfig, name: str) -> list[Table]:
    """The settings that a model is trained with: one, or those of every point of its search."""
    points = config.train.search.points(name)
    return [config.train.settings_of(name, point) for point in points] or [config.train.table_of(name)]


def _head_cost(config: RunConfig, name: str, table: Table, size: CohortSize) -> HeadCost | None:
    cost_of = (find_head(name) if name in config.train.heads else find_clustering(name)).cost
    return None if cost_of is None else cost_of(table, size)


def _costs(config: RunConfig, name: str, size: CohortSize) -> list[HeadCost] | None:
    """Of a model with each of its settings; None where any is not known."""
    found = [_head_cost(config, name, table, size) for table in _tables(config, name)]
    known = [cost for cost in found if cost is not None]
    return known if len(known) == len(found) else None


def _predicting(config: RunConfig, name: str, size: CohortSize) -> Cost | None:
    """With one model; of a search the one that takes longest, as long as none is chosen."""
    known = _costs(config, name, size)
    return None if known is None else max((cost.predict for cost in known), key=lambda cost: cost.core_seconds)


def _training(config: RunConfig, name: str, size: CohortSize) -> Cost | None:
    """Of all trainings of a head or clustering; with a search the validation patients are predicted after each."""
    known = _costs(config, name, size)
    if known is None:
        return None
    judged = size.valid if len(known) > 1 else 0.0
    seconds = sum(cost.train.core_seconds + judged * cost.predict.core_seconds for cost in known)
    largest = max((cost.train for cost in known), key=lambda cost: cost.peak_bytes)
    return replace(largest, core_seconds=seconds).times(config.train.n_folds)

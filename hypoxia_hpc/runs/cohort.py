"""The cohort of a run as train, evaluate and report see it: who is in which set, which slides have features."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd

from hypoxia_hpc.cohorts.groups import SITE, joined, said_groups
from hypoxia_hpc.cohorts.splits import SETS, Split
from hypoxia_hpc.config import RunConfig, TrainTable
from hypoxia_hpc.errors import NotReadyError, SlideError, Stopped, damaged_stores
from hypoxia_hpc.networks.backbones.resolve import find_network
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Features, Json, Label, Patient, Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import evaluate_key, train_key
from hypoxia_hpc.runs.split import split_of_run
from hypoxia_hpc.runs.state import SlideState, feature_states, require_ready, run_spec
from hypoxia_hpc.stores.features import open_features

FITTED = ("train", "valid")
FoldSets = tuple[Mapping[str, str], ...]  # of each fold, the set of every patient


class Planned(NamedTuple):
    """A model that [train] asks for: the name of its folder, of which head or clustering and fold, and its key."""

    name: str
    head: str
    fold: int
    key: str


@dataclass(frozen=True, slots=True)
class Cohort:
    """Slides and patients of a run, every slide done or quarantined. ``patients`` holds those that have a slide."""

    run: RunDir
    config: RunConfig
    spec: Json
    states: tuple[SlideState, ...]
    patients: Mapping[str, Patient]

    @property
    def outcome(self) -> Outcome:
        """What is asked of a patient."""
        return outcome_of(self.config.outcome)

    @property
    def done(self) -> list[SlideState]:
        return [state for state in self.states if state.status == "done"]

    @property
    def quarantined(self) -> list[SlideState]:
        return [state for state in self.states if state.status == "quarantined"]

    @property
    def patients_with_features(self) -> dict[str, Patient]:
        """Those of whom a slide is not quarantined, by id."""
        having = {state.slide.patient_id for state in self.done}
        return {name: each for name, each in self.patients.items() if name in having}

    def split(self) -> Split:
        """Of every patient with a slide. Raises InputError where no split can be made."""
        return split_of_run(self.run, self.config, list(self.patients.values()))

    def fold_sets(self) -> FoldSets:
        """Raises as ``split``."""
        return sets_by_fold(self.split().table)

    def planned(self, folds: FoldSets) -> tuple[Planned, ...]:
        """Every model that [train] asks for, with its key on this cohort. Raises what ``find_network`` does where a
        network that is to be fine-tuned is not installed here."""
        return tuple(
            Planned(name, head, fold, self._model_key(head, folds[fold]))
            for name, head, fold in model_names(self.config.train)
        )

    def evaluation_key(self, folds: FoldSets) -> str:
        """Key of predictions and metrics of every model of [train] on this cohort."""
        rows = []
        sites, together = self.groups(SITE), self.groups(self.config.train.keep_together)
        for state in self.done:
            patient = self.patients[state.slide.patient_id]
            own = (sites.get(patient.patient_id, ""), together.get(patient.patient_id, ""))
            known = "/".join((str(patient.label), patient.tumour_type, *own))
            places = ",".join(sets[patient.patient_id] for sets in folds)
            rows.append((places, patient.patient_id, state.slide.slide_id, known, state.key))
        keys = [(model.name, model.key) for model in self.planned(folds)]
        return evaluate_key(self.config.evaluate, keys, rows, self.config.outcome)

    def groups(self, column: str) -> dict[str, str]:
        """The group of each patient by a column of the run's tables, "" where it is not known; no patients where
        ``column`` is empty. Raises InputError for bad tables."""
        if not column:
            return {}
        known = joined(said_groups([self.run.patients_file, self.run.slides_file], column, self.patients))
        return {name: known.get(name, "") for name in self.patients}

    def of_set(self, sets: Mapping[str, str], name: str) -> tuple[SlideState, ...]:
        """The slides with features whose patients are in a set of one fold."""
        return tuple(state for state in self.done if sets[state.slide.patient_id] == name)

    def _model_key(self, name: str, sets: Mapping[str, str]) -> str:
        """Only slides of training and validation patients enter; of a model on pixels their tiles, not features."""
        on_pixels = name in self.config.train.on_pixels
        inputs = [
            (
                set_name,
                state.slide.patient_id,
                state.slide.slide_id,
                self.label(state.slide),
                state.tiles if on_pixels else state.key,
            )
            for set_name in FITTED
            for state in self.of_set(sets, set_name)
        ]
        rule = find_network(getattr(self.config.train, name).backbone).rule if on_pixels else 1
        return train_key(self.config.train, name, inputs, network_rule=rule, outcome=self.config.outcome)

    def label(self, slide: Slide) -> Label:
        """Label of a slide's patient, who must have one."""
        label = self.patients[slide.patient_id].label
        if label is None:
            raise ValueError(f"patient {slide.patient_id} has no label")
        return label


def load_cohort(run: RunDir, spec: Json | None = None) -> Cohort:
    """Read a run's tables and stores; ``spec`` where it is known without the weights (default: that of run.toml).

    Raises NotReadyError while slides are to do, InputError for bad tables."""
    config = run.config()
    slides = run.slides()
    spec = run_spec(config) if spec is None else spec
    states = feature_states(run, config, slides, spec)
    require_ready(run, states, config)
    return Cohort(run, config, spec, tuple(states), patients_with_slides(slides, run.patients()))


def lacking(folds: FoldSets, patients: Mapping[str, Patient], outcome: Outcome) -> list[tuple[str, str]]:
    """The sets of these patients on which no model could be trained, or by which not all could be measured, as one
    class only: the name of each, and a sentence."""
    found = []
    for fold, sets in enumerate(folds):
        where = f" of fold {fold}" if len(folds) > 1 else ""
        for name in SETS:
            labels = [
                each.label for each in patients.values() if sets[each.patient_id] == name and each.label is not None
            ]
            if labels and (why := outcome.untrainable(labels)):
                found.append((name, f"the {name} patients{where} {why}"))
    return found


def sets_by_fold(split: pd.DataFrame) -> FoldSets:
    """Of each fold, the set of every patient."""
    return tuple(dict(zip(part["patient_id"], part["set"], strict=True)) for _, part in split.groupby("fold"))


def model_names(table: TrainTable) -> list[tuple[str, str, int]]:
    """Name, head or clustering, and fold of every model that [train] asks for: ``tanh``, or with more folds than one
    ``tanh.fold0``, ``tanh.fold1``, ..."""
    return [
        (f"{head}.fold{fold}" if table.folds > 1 else head, head, fold)
        for head in (*table.heads, *table.clusterings)
        for fold in range(table.n_folds)
    ]


def patients_with_slides(slides: Sequence[Slide], patients: Sequence[Patient]) -> dict[str, Patient]:
    """Every patient that has a slide, by id; one that patients.csv lacks has no label."""
    known = {patient.patient_id: patient for patient in patients}
    with_slides = sorted({slide.patient_id for slide in slides})
    return {patient_id: known.get(patient_id, Patient(patient_id, None)) for patient_id in with_slides}


def by_patient(states: Sequence[SlideState]) -> list[SlideState]:
    """Slides of a patient together, patients by id, otherwise in their order."""
    return sorted(states, key=lambda state: state.slide.patient_id)


def each_features(cohort: Cohort, states: Sequence[SlideState]) -> Iterator[tuple[SlideState, Features]]:
    """The features of these slides, one at a time. Raises NotReadyError after the last, naming every damaged store."""
    damaged = []
    for state in states:
        try:
            features = open_features(cohort.run.features(cohort.config.extract.name, state.slide.slide_id))
        except SlideError as error:
            damaged.append(error.problem)
        else:
            yield state, features
    if damaged:
        raise damaged_in_run(cohort.run, "feature", damaged)


def damaged_in_run(run: RunDir, kind: Literal["tile", "feature"], damaged: Sequence[str]) -> NotReadyError:
    """The error for damaged stores of a run, each with a sentence of its own."""
    remedy = f"delete these folders below {run.root / f'{kind}s'}, then hypoxia-hpc run {run.word}"
    return damaged_stores(kind, damaged, remedy)


def listened(
    features: Iterable[tuple[SlideState, Features]], progress: Progress, stop: threading.Event
) -> Iterator[tuple[SlideState, Features]]:
    """The same, with progress after each slide. Raises Stopped on request."""
    for state, found in features:
        if stop.is_set():
            raise Stopped("stopped on request while predicting", remedy="run the same command again to go on")
        yield state, found
        progress.count(len(found.xy))
        progress.item(1)

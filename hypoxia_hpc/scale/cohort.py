"""The cohort of a run as train, evaluate and report see it: who is in which set, which slides have features."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from hypoxia_hpc.cohorts.splits import split_patients
from hypoxia_hpc.config import RunConfig
from hypoxia_hpc.errors import NotReadyError, SlideError, Stopped
from hypoxia_hpc.records import Features, Json, Patient, Slide
from hypoxia_hpc.scale.keys import evaluate_key, train_key
from hypoxia_hpc.scale.listening import Listener
from hypoxia_hpc.scale.rundir import RunDir
from hypoxia_hpc.scale.standing import Standing, feature_standings, require_ready, run_spec
from hypoxia_hpc.stores.features import open_features

FITTED = ("train", "valid")


@dataclass(frozen=True, slots=True)
class Cohort:
    """Slides and patients of a run, every slide done or quarantined. ``patients`` holds those that have a slide."""

    run: RunDir
    config: RunConfig
    spec: Json
    standings: tuple[Standing, ...]
    patients: Mapping[str, Patient]

    @property
    def done(self) -> list[Standing]:
        return [standing for standing in self.standings if standing.status == "done"]

    @property
    def quarantined(self) -> list[Standing]:
        return [standing for standing in self.standings if standing.status == "quarantined"]

    def split(self) -> pd.DataFrame:
        """patient_id, fold, set of every patient with a slide. Raises InputError where no split can be made."""
        table = self.config.train
        return split_patients(list(self.patients.values()), table.split, table.seed)

    def sets(self) -> dict[str, str]:
        """Set by patient_id. Raises as ``split``."""
        split = self.split()
        return dict(zip(split["patient_id"], split["set"], strict=True))

    def model_key(self, head: str, sets: Mapping[str, str]) -> str:
        """Key of a head trained on this cohort; only slides of training and validation patients enter."""
        inputs = [
            (sets[slide.patient_id], slide.patient_id, slide.slide_id, self.label(slide), standing.key)
            for standing in self.done
            if sets[(slide := standing.slide).patient_id] in FITTED
        ]
        return train_key(self.config.train, head, inputs)

    def model_keys(self, sets: Mapping[str, str]) -> dict[str, str]:
        """Key of every head of [train] on this cohort."""
        return {head: self.model_key(head, sets) for head in self.config.train.heads}

    def evaluation_key(self, sets: Mapping[str, str]) -> str:
        """Key of predictions and metrics of every head of [train] on this cohort."""
        rows = []
        for standing in self.done:
            patient = self.patients[standing.slide.patient_id]
            known = f"{patient.label}/{patient.tumour_type}"
            rows.append((sets[patient.patient_id], patient.patient_id, standing.slide.slide_id, known, standing.key))
        return evaluate_key(self.config.evaluate, self.model_keys(sets), rows)

    def label(self, slide: Slide) -> int:
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
    standings = feature_standings(run, config, slides, spec)
    require_ready(run, standings)
    return Cohort(run, config, spec, tuple(standings), patients_with_slides(slides, run.patients()))


def patients_with_slides(slides: Sequence[Slide], patients: Sequence[Patient]) -> dict[str, Patient]:
    """Every patient that has a slide, by id; one that patients.csv lacks has no label."""
    known = {patient.patient_id: patient for patient in patients}
    with_slides = sorted({slide.patient_id for slide in slides})
    return {patient_id: known.get(patient_id, Patient(patient_id, None)) for patient_id in with_slides}


def each_features(cohort: Cohort, standings: Sequence[Standing]) -> Iterator[tuple[Standing, Features]]:
    """The features of these slides, one at a time. Raises NotReadyError after the last, naming every damaged store."""
    damaged = []
    for standing in standings:
        try:
            features = open_features(cohort.run.features(cohort.config.extract.name, standing.slide.slide_id))
        except SlideError as error:
            damaged.append(f"{standing.slide.slide_id}: {error.problem}")
        else:
            yield standing, features
    if damaged:
        raise NotReadyError(
            f"{len(damaged)} feature stores are damaged",
            culprits=damaged,
            remedy=f"delete these folders below {cohort.run.root / 'features'}, then hypoxia-hpc run {cohort.run.root}",
        )


def listened(
    features: Iterable[tuple[Standing, Features]], listener: Listener, stop: threading.Event
) -> Iterator[tuple[Standing, Features]]:
    """The same, telling a listener of each slide when it is done with. Raises Stopped on request."""
    for standing, found in features:
        if stop.is_set():
            raise Stopped("stopped on request while predicting", remedy="run the same command again to go on")
        yield standing, found
        listener.count(len(found.xy))
        listener.item(1)

"""How far a run is, read from disk once: what ``status``, ``submit``, ``report`` and ``estimate`` build on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hypoxia_hpc.config import RunConfig
from hypoxia_hpc.errors import HypoxiaError, NotReadyError
from hypoxia_hpc.networks.heads.saved import model_key
from hypoxia_hpc.records import Json, Patient, Receipt, Slide
from hypoxia_hpc.runs.cohort import Cohort, model_names, patients_with_slides
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.made_by import is_predicted
from hypoxia_hpc.runs.prognosis import SURVIVAL_FILE, is_survival_current
from hypoxia_hpc.runs.stages import Stage, stage_named, stages_of
from hypoxia_hpc.runs.state import (
    SlideState,
    added_states,
    feature_state,
    is_current,
    require_ready,
    run_spec,
    tile_state,
)

# Opening a file takes a millisecond on a network file system, and waits for nothing else.
STATE_READERS = 16


@dataclass(frozen=True, slots=True)
class Survey:
    """Tables of a run and the state of every slide in every stage that goes slide by slide, in the order of the slides.

    ``spec`` is that of the features; where this machine cannot tell it (no weights, no backend), it is None,
    ``unknown`` says why, and ``features`` is empty. ``added`` has the states in stages of other packages, by name.
    """

    run: RunDir
    config: RunConfig
    slides: tuple[Slide, ...]
    patients: tuple[Patient, ...]
    spec: Json | None
    unknown: HypoxiaError | None
    tiles: tuple[SlideState, ...]
    features: tuple[SlideState, ...]
    added: Mapping[str, list[SlideState]]

    @property
    def by_stage(self) -> dict[str, tuple[SlideState, ...]]:
        """States by the name of the stage."""
        added = {name: tuple(states) for name, states in self.added.items()}
        return {"tile": self.tiles, "extract": self.features, **added}

    @property
    def furthest(self) -> tuple[SlideState, ...]:
        """States on the way to features, as far as they are known."""
        return self.features or self.tiles

    @property
    def costs(self) -> dict[str, int]:
        """Cost of each slide by its id."""
        return {slide.slide_id: slide.cost for slide in self.slides}

    @property
    def is_labelled(self) -> bool:
        """Does any patient have a label?"""
        return any(patient.label is not None for patient in self.patients)

    def cohort(self, *, with_labels: bool = True) -> Cohort:
        """Raises NotReadyError while slides are to do, where the spec is unknown, and, ``with_labels``, where no
        patient has one."""
        if with_labels and not self.is_labelled:
            raise NotReadyError("no patient has a label")
        if self.spec is None:
            raise NotReadyError("" if self.unknown is None else self.unknown.problem)
        require_ready(self.run, self.features, self.config)
        patients = patients_with_slides(self.slides, self.patients)
        return Cohort(self.run, self.config, self.spec, self.features, patients)


@dataclass(frozen=True, slots=True)
class CohortProgress:
    """Stages that see the whole cohort, in their order: how much of each is done for the present run.toml, tables and
    features, and of how much. ``problem`` says what they wait for; ``is_unknown``: it is the spec, without which
    nothing can be called done or stale. ``failing``: why it is not known of stages of other packages, by name."""

    done: Mapping[str, tuple[int, int]]
    problem: str = ""
    is_unknown: bool = False
    failing: Mapping[str, str] = field(default_factory=dict)


def survey_run(run: RunDir, find_spec: Callable[[RunConfig], Json] = run_spec, *, read_slides: bool = False) -> Survey:
    """Read a run once, in threads. ``read_slides`` as for :func:`tile_state`. Raises InputError for a folder that is no
    run, or bad tables."""
    config, slides = run.config(), run.slides()
    spec, unknown = _found(config, find_spec)
    with ThreadPoolExecutor(STATE_READERS) as pool:
        tiles = tuple(pool.map(partial(tile_state, run, config.tile, read_slides=read_slides), slides))
        name = config.extract.name
        features = () if spec is None else tuple(pool.map(partial(feature_state, run, name, spec), tiles))
    added = added_states(run, slides, {"tile": tiles, "extract": features})
    return Survey(run, config, slides, run.patients(), spec, unknown, tiles, features, added)


def _found(config: RunConfig, find_spec: Callable[[RunConfig], Json]) -> tuple[Json | None, HypoxiaError | None]:
    try:
        return find_spec(config), None
    except HypoxiaError as error:
        return None, error


def current_receipts(stage: str, states: Iterable[SlideState]) -> dict[str, Receipt]:
    """Receipts of the slides that need no more work in a stage, by slide id. Where one is missing or is of older
    settings, one that knows no more than the store stands for it."""
    return {
        state.slide.slide_id: own_receipt(state) or Receipt(state.slide.slide_id, state.status, state.key)
        for state in states
        if state.stage == stage and state.status != "todo"
    }


def own_receipt(state: SlideState) -> Receipt | None:
    """The receipt of what is there now; None where there is none, or it is of something older."""
    return state.receipt if state.receipt is not None and state.receipt.key == state.key else None


def cohort_progress(survey: Survey) -> CohortProgress:
    """What of the stages after the slides is done; what was made of another cohort or run.toml is not."""
    done, problem = _built_in(survey)
    asked = stages_of("cohort", survey.config)
    found, failing = _by_receipts(survey, [stage for stage in asked if stage.key])
    done |= found
    if survey.config.survival.of == "phenotypes" and done.get("phenotypes") == (0, 1):
        done["survival"] = 0, 1  # it is of phenotypes that are made anew
    in_order = {stage.name: done[stage.name] for stage in asked}
    is_unknown = survey.unknown is not None and problem == survey.unknown.problem
    return CohortProgress(in_order, problem, is_unknown, failing)


def _by_receipts(survey: Survey, asked: Sequence[Stage]) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Of stages that are judged by these: how much is done, and why that cannot be said."""
    features = survey.features
    ready = bool(features) and all(state.status != "todo" for state in features)
    done, failing = {}, {}
    for stage in asked:
        try:
            done[stage.name] = int(ready and is_current(survey.run, stage, features)), 1
        except HypoxiaError as error:
            done[stage.name], failing[stage.name] = (0, 1), error.problem
    return done, failing


def phenotypes_doubt(run: RunDir) -> str:
    """Why phenotypes/ of a run's own clustering may not be of its present slides, models and run.toml, in a sentence;
    empty where it is. Raises InputError for bad tables."""
    survey = survey_run(run)
    problem = "" if survey.unknown is None else survey.unknown.problem
    try:
        if not problem and is_current(run, stage_named("phenotypes"), survey.features):
            return ""
    except HypoxiaError as error:
        problem = error.problem
    if problem:
        return f"it cannot be said here whether {run.phenotypes} is of the present slides and run.toml: {problem}"
    return (
        f"{run.phenotypes} is not of the present slides, models and run.toml, and what follows goes by it; to make it "
        f"anew: hypoxia-hpc phenotypes {run.word}"
    )


def _built_in(survey: Survey) -> tuple[dict[str, tuple[int, int]], str]:
    run = survey.run
    n_models = len(model_names(survey.config.train))
    try:
        cohort = survey.cohort()
        folds = cohort.fold_sets()
        planned = cohort.planned(folds)
    except HypoxiaError as error:
        shown = run.report_file.exists() and (is_predicted(run) or not run.metrics_file.exists())
        survived = is_predicted(run) and is_survival_current(run, survey.config)
        todo = {"train": (0, n_models), "evaluate": (0, 1), "survival": (int(survived), 1)}
        return {**todo, "report": (int(shown), 1)}, error.problem
    trained = sum(model_key(run.model(model.name)) == model.key for model in planned)
    metrics = run.metrics()
    evaluated = metrics is not None and metrics.get("key") == cohort.evaluation_key(folds)
    survived = is_survival_current(run, survey.config)
    shown = (evaluated or is_predicted(run)) and _is_newer(run.report_file, run.metrics_file)
    if survived:
        shown = shown and _is_newer(run.report_file, run.survival / SURVIVAL_FILE)
    once = {"evaluate": evaluated, "survival": survived, "report": shown}
    return {"train": (trained, n_models), **{name: (int(is_done), 1) for name, is_done in once.items()}}, ""


def _is_newer(file: Path, than: Path) -> bool:
    return file.exists() and file.stat().st_mtime_ns >= than.stat().st_mtime_ns

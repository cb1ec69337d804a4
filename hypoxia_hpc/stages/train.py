"""train: features of training patients -> models. Validation patients are watched; test patients are not looked at."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from hypoxia_hpc.config import RunConfig
from hypoxia_hpc.config.heads.registry import is_on_pixels
from hypoxia_hpc.errors import some, some_names
from hypoxia_hpc.models.clusterings import fit_clustering
from hypoxia_hpc.models.finetuned import first_network, fit_finetune, make_probabilities, network_table
from hypoxia_hpc.models.pixel_clusterings import fit_network_clustering
from hypoxia_hpc.models.search import point_folders, search
from hypoxia_hpc.models.training_job import (
    Trainer,
    TrainingJob,
    fit_head,
    model_record,
    n_epochs,
    set_counts,
    training_data,
)
from hypoxia_hpc.networks.heads.loop import WATCHED, History
from hypoxia_hpc.networks.heads.result import TrainedHead
from hypoxia_hpc.networks.heads.saved import model_key, save_model
from hypoxia_hpc.networks.runtime import backend_name, require_given_gpu
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Json, Receipt
from hypoxia_hpc.runs.cohort import (
    FITTED,
    Cohort,
    FoldSets,
    Planned,
    lacking,
    load_cohort,
    sets_by_fold,
)
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.made_by import refuse_predicted
from hypoxia_hpc.runs.receipts import write_receipt
from hypoxia_hpc.runs.split import keep_split
from hypoxia_hpc.runs.trainable import refuse_shared_slides, refuse_untrainable
from hypoxia_hpc.stores.commit import remove_directory

STAGE = "train"


@dataclass(frozen=True, slots=True)
class Trained:
    """What train did: models trained now and found done, and the patients without label, who were left out."""

    made: tuple[str, ...]
    found: tuple[str, ...]
    unlabelled: tuple[str, ...]


def train(run: RunDir, *, progress: Progress, stop: threading.Event) -> Trained:
    """Split the patients, write split.csv, train every model of [train] that is not done.

    Raises:
        NotReadyError: slides without features, damaged stores.
        MachineError: Keras has no backend here, or does not see a GPU that this process was given; what a network to
            be fine-tuned begins with cannot be had.
        InputError: a run that models of another one predicted; a cohort that cannot be split, of which a set lost a
            class to quarantine, or in which one slide is under two patients; features that are no numbers.
        Stopped: on request; the model under way goes on from its checkpoint next time.
    """
    refuse_predicted(run, STAGE)
    cohort = load_cohort(run)
    refuse_shared_slides(cohort)
    split = cohort.split()
    keep_split(run, cohort.config, list(cohort.patients.values()), split)
    for what, balance in split.balances:
        progress.note(f"{what}: {balance.text}")
    folds = sets_by_fold(split.table)
    _note_lacking(cohort, folds, progress)
    unlabelled = tuple(sorted(name for name, set_name in folds[0].items() if set_name == "unlabelled"))
    if unlabelled:
        progress.note(
            f"without label, left out of training, still predicted: {len(unlabelled):,} ({some_names(unlabelled)})"
        )
    models = cohort.planned(folds)
    todo = [model for model in models if model_key(run.model(model.name)) != model.key]
    require_trainable(cohort.config, todo)
    _note_random(cohort.config, todo, progress)
    with endings_said(progress) as endings:
        for model in todo:
            _train_one(cohort, model, folds[model.fold], progress, stop, endings)
    for model in models:
        for folder in point_folders(run, model):
            remove_directory(folder)
    # Here, where the device is that trained them, if need be; evaluate finds them made.
    make_probabilities(run, run, [state.slide for state in cohort.done], progress=progress, stop=stop)
    found = tuple(model.name for model in models if model not in todo)
    return Trained(tuple(model.name for model in todo), found, unlabelled)


def require_splittable(run: RunDir) -> None:
    """To be known before the slides are read. Raises InputError where no split of this run's patients can be made, and
    what ``refuse_leaks`` raises of files that are equal; where a network is to be trained what ``first_network``
    raises."""
    refuse_untrainable(run)
    config = run.config()
    for name in config.train.on_pixels:
        first_network(config, name)


def require_trainable(config: RunConfig, todo: Sequence[Planned]) -> None:
    """To be known before the first of these models is trained, not after hours. Raises what ``backend_name`` raises
    where Keras has nothing to run on, MachineError where it does not see a GPU that this process was given, and for a
    network to be trained what ``first_network`` raises."""
    if todo:
        backend_name()
    if todo and config.site.gpus != 0:
        require_given_gpu()
    for name in _on_pixels(config, todo):
        first_network(config, name)


def _on_pixels(config: RunConfig, todo: Sequence[Planned]) -> tuple[str, ...]:
    """The heads and clusterings on pixels among those of these models."""
    return tuple(name for name in config.train.on_pixels if any(model.head == name for model in todo))


def _note_lacking(cohort: Cohort, folds: FoldSets, progress: Progress) -> None:
    """Of sets by which not all can be measured; nothing where training patients lack something, which is refused."""
    lacks = lacking(folds, cohort.patients_with_features, cohort.outcome)
    if all(name != FITTED[0] for name, _ in lacks):
        for _, what in lacks:
            progress.note(f"{what}: not all of their figures can be computed")


def _note_random(config: RunConfig, todo: Sequence[Planned], progress: Progress) -> None:
    for name in _on_pixels(config, todo):
        table = network_table(config, name)
        if table.weights == "random":
            progress.note(
                f"{name}: {table.backbone} begins with RANDOM weights (seed {config.train.seed}), not a trained "
                "network. Fit for a demo or a test, not for results."
            )


# Sentences, with the models that each is true of.
Endings = dict[str, list[str]]


@contextmanager
def endings_said(progress: Progress) -> Iterator[Endings]:
    """How trainings ended, where there is something to say of it: at the end each sentence once, with its models."""
    endings: Endings = {}
    try:
        yield endings
    finally:
        for ending, titles in endings.items():
            progress.note(f"{some_names(titles)}: {ending}")


def _train_one(
    cohort: Cohort,
    model: Planned,
    sets: Mapping[str, str],
    progress: Progress,
    stop: threading.Event,
    endings: Endings,
) -> None:
    started = time.perf_counter()
    settings = cohort.config.train
    data = training_data(cohort, sets, model.fold)
    train_set, valid_set = (cohort.of_set(sets, name) for name in FITTED)
    table = settings.table_of(model.head)
    job = TrainingJob(cohort, model, table, train_set, valid_set, data, stop)
    record: Json | None = None
    if points := settings.search.points(model.head):
        found = search(job, points, lambda one, point: _fit(one, f"{model.name}, point {point}", progress, endings))
        job, trained, record = replace(job, table=found.table), found.trained, found.record
    else:
        trained = _fit(job, model.name, progress, endings)
    save_model(cohort.run.model(model.name), model_record(job, trained, record), trained.arrays)
    job.checkpoints.clear()
    n_tiles = sum(counts["tiles"] for counts in set_counts(data).values())
    seconds = time.perf_counter() - started
    receipt = Receipt(model.name, "done", model.key, rows=n_tiles, seconds=seconds, of="model")
    write_receipt(cohort.run.receipts(STAGE), receipt)


def _fit(job: TrainingJob, title: str, progress: Progress, endings: Endings) -> TrainedHead:
    trainer = _trainer(job)
    epochs = n_epochs(job.table)
    progress.begin(f"{STAGE} {title}", epochs, epochs, "epoch")
    try:
        trained = trainer(job, lambda _: progress.item(1))
    finally:
        progress.end()
    if ending := how_it_ended(trained.history, epochs, getattr(job.table, "patience", None)):
        endings.setdefault(ending, []).append(title)
    return trained


def _trainer(job: TrainingJob) -> Trainer:
    on_pixels = is_on_pixels(job.model.head)
    if job.model.head in job.cohort.config.train.clusterings:
        return fit_network_clustering if on_pixels else fit_clustering
    return fit_finetune if on_pixels else fit_head


def how_it_ended(history: History, epochs: int, patience: int | None) -> str:
    """What to say of a training that ended before its last epoch, or had no validation patients to be ended by; empty
    where there is nothing to say."""
    losses = history.get(WATCHED, [])
    if not losses and patience is not None:
        why = f"no validation patients, so patience = {patience} had no loss to watch"
        return f"{why}: trained all of {some(epochs, 'epoch')}"
    if not 0 < len(losses) < epochs:
        return ""
    best = min(range(len(losses)), key=losses.__getitem__)
    return f"stopped early, after {len(losses)} of {epochs} epochs; the weights of epoch {best + 1} are kept"

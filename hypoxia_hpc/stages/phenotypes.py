"""phenotypes: the clustering of [train] on all slides -> what patients are composed of, and what the clusters are."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypoxia_hpc.analysis.embedding import require_umap
from hypoxia_hpc.analysis.phenotypes import most_typical
from hypoxia_hpc.config import canonical_json
from hypoxia_hpc.errors import InputError, NotReadyError
from hypoxia_hpc.models.clusterings import ClusterTables, ClusterTally, FoldClustering, saved_clusterings
from hypoxia_hpc.models.finetuned import make_probabilities
from hypoxia_hpc.models.galleries import strips
from hypoxia_hpc.models.phenotypes import (
    FACTS_FILE,
    SAMPLE_FILE,
    Sample,
    SampleClusters,
    Sampling,
    composition_digest,
    forget_seeds,
    group_facts,
    known_groups,
    of_other_seeds,
    pictured,
    read_facts,
    size_facts,
    stability_facts,
    standardised,
    write_composition,
    write_pictures,
)
from hypoxia_hpc.networks.heads.saved import model_key
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.cohort import (
    Cohort,
    FoldSets,
    Planned,
    by_patient,
    each_features,
    listened,
    load_cohort,
    patients_with_slides,
)
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import phenotypes_key
from hypoxia_hpc.runs.receipts import keep_receipt, timed_receipt
from hypoxia_hpc.runs.state import SlideState
from hypoxia_hpc.stores.commit import committing_directory
from hypoxia_hpc.stores.sealing import seal_problems

STAGE = "phenotypes"


@dataclass(frozen=True, slots=True)
class Phenotyped:
    """The content of phenotypes.json, and whether it was made now."""

    facts: Json
    fresh: bool


def phenotypes(run: RunDir, *, progress: Progress, stop: threading.Event) -> Phenotyped:
    """Assign every tile, compose slides and patients, say what the clusters are; write phenotypes/.

    Raises:
        InputError: [train] has no clustering, or umap-learn is not installed and asked for.
        NotReadyError: slides without features, a clustering that is not trained on the present cohort, damaged stores.
        Stopped: on request; a clustering under way goes on from its checkpoint next time.
    """
    cohort = load_cohort(run)
    require_umap(cohort.config.phenotypes.picture)
    folds = cohort.fold_sets()
    models = _trained(cohort, folds)
    key = _key(cohort, folds, models)
    if (held := read_facts(run)) is not None and held["key"] == key and not seal_problems(run.phenotypes):
        keep_receipt(run.receipts(STAGE), key)
        forget_seeds(cohort, models[0])
        return Phenotyped(held, fresh=False)
    with timed_receipt(run.receipts(STAGE), key):
        make_probabilities(run, run, [state.slide for state in cohort.done], progress=progress, stop=stop)
        found = saved_clusterings(run, run, folds)
        others: dict[str, SampleClusters] = {f"fold {one.fold}": one.clusters.of_tiles for one in found[1:]}
        others |= of_other_seeds(cohort, models[0], folds[0], progress=progress, stop=stop)
        tables, sample = _assigned(cohort, found[0], folds[0], progress, stop)
        facts = _written(cohort, found[0], others, tables, sample, key, progress)
        forget_seeds(cohort, models[0])
    return Phenotyped(facts, fresh=True)


def expected_key(run: RunDir, features: Sequence[SlideState]) -> str:
    """Key of the phenotypes of these features. Raises InputError where [train] has no clustering."""
    cohort = Cohort(run, run.config(), {}, tuple(features), patients_with_slides(run.slides(), run.patients()))
    folds = cohort.fold_sets()
    return _key(cohort, folds, _planned(cohort, folds))


def _planned(cohort: Cohort, folds: FoldSets) -> list[Planned]:
    clusterings = cohort.config.train.clusterings
    if not clusterings:
        raise InputError(
            "[train] clusterings is empty, and phenotypes are made of a clustering",
            remedy='set [train] clusterings = ["contrastive"] in run.toml, then run train again',
        )
    return [model for model in cohort.planned(folds) if model.head in clusterings]


def _trained(cohort: Cohort, folds: FoldSets) -> list[Planned]:
    models = _planned(cohort, folds)
    missing = [model.name for model in models if model_key(cohort.run.model(model.name)) != model.key]
    if missing:
        raise NotReadyError(
            f"{len(missing)} of {len(models)} clusterings are not trained (on the present cohort and run.toml)",
            offending=missing,
            remedy=f"hypoxia-hpc train {cohort.run.word}",
        )
    return models


def _key(cohort: Cohort, folds: FoldSets, models: Sequence[Planned]) -> str:
    names = sorted(cohort.patients)
    groups = known_groups(cohort, names)
    known = {name: "/".join(values) for name, *values in zip(names, *groups.values(), strict=True)}
    rows = []
    for state in cohort.done:
        patient_id = state.slide.patient_id
        rows.append((folds[0][patient_id], patient_id, state.slide.slide_id, known[patient_id], state.key))
    return phenotypes_key(cohort.config.phenotypes, [(model.name, model.key) for model in models], rows)


def _assigned(
    cohort: Cohort, clustering: FoldClustering, sets: Mapping[str, str], progress: Progress, stop: threading.Event
) -> tuple[ClusterTables, Sample]:
    tally = ClusterTally([clustering])
    sampling = Sampling([state.slide.slide_id for state in cohort.of_set(sets, "train")])
    states = by_patient(cohort.done)
    progress.begin(STAGE, len(states), len(states), "slide")
    try:
        for _ in sampling.passing(tally.passing(listened(each_features(cohort, states), progress, stop))):
            pass
    finally:
        progress.end()
    tables = tally.tables()
    assert tables is not None  # noqa: S101 - there is a clustering
    return tables, sampling.sample()


def _written(
    cohort: Cohort,
    clustering: FoldClustering,
    others: Mapping[str, SampleClusters],
    tables: ClusterTables,
    sample: Sample,
    key: str,
    progress: Progress,
) -> Json:
    table, k = cohort.config.phenotypes, clustering.k
    clusters, values = sample.clusters(clustering.clusters.of_tiles), standardised(sample)
    slides = {state.slide.slide_id: state.slide for state in cohort.done}
    owners = {state.slide.slide_id: state.slide.patient_id for state in cohort.done}
    with committing_directory(cohort.run.phenotypes, lambda _: False) as folder:
        patients = write_composition(folder, tables, owners)
        shown = pictured(sample, values, clusters, table.picture, cohort.config.train.seed)
        shown.to_csv(folder / SAMPLE_FILE, index=False, lineterminator="\n")
        typical = most_typical(values, clusters, k, table.gallery)
        facts = {
            "schema": 1,
            "key": key,
            "clustering": clustering.name,
            **size_facts(patients, table),
            "stability": stability_facts(clusters, {name: sample.clusters(of) for name, of in others.items()}, k),
            **group_facts(patients, known_groups(cohort, list(patients["patient_id"]))),
            "typical": [[sample.place(number) for number in places.tolist()] for places in typical],
            "tables": composition_digest(folder),
        }
        write_pictures(folder, strips(cohort.run, cohort.config.tile, slides, facts["typical"], progress))
        (folder / FACTS_FILE).write_text(canonical_json(facts), encoding="utf-8")
    return facts

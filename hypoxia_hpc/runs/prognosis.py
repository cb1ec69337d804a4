"""What `survival` goes by, read from a run's tables: follow-up and columns of patients.csv, phenotypes, predictions;
who is in discovery; and the key of its result."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from hypoxia_hpc.cohorts.tables import read_columns
from hypoxia_hpc.cohorts.textfiles import unguard
from hypoxia_hpc.config import RunConfig, canonical_json, stage_key
from hypoxia_hpc.config.survival import SurvivalTable
from hypoxia_hpc.errors import HypoxiaError, InputError, NotReadyError
from hypoxia_hpc.evaluation.candidates import SUM_SLACK, Source, clusters_of
from hypoxia_hpc.evaluation.endpoints import DISCOVERY
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.reading import (
    MOST_JSON_BYTES,
    MOST_PREDICTIONS_BYTES,
    UnfitFileError,
    open_plain,
    read_json,
    sha256_of,
)
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.cohort import patients_with_slides, sets_by_fold
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.made_by import MadeBy, is_predicted, keys_of, made_by
from hypoxia_hpc.runs.split import split_of_run

SURVIVAL_RULE = 1
SURVIVAL_FILE, HAZARDS_FILE, CURVES_FILE, RISKS_FILE = "survival.json", "hazards.csv", "curves.csv", "patients.csv"
EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is known of every patient of a run, the set of each ("" for none), and what the key is made of."""

    source: Source
    sets: tuple[str, ...]
    digest: Json
    made_by: MadeBy


class Applied(NamedTuple):
    """A signature of another run: what its phenotypes or predictions were ``made_by``, and that run as a ``word`` of a
    command."""

    made_by: MadeBy
    word: str


def read_inputs(run: RunDir, config: RunConfig, of: str, applied: Applied | None = None) -> Inputs:
    """``of``: what risks are made of, as [survival] says it. ``applied``: with the signature of another cohort; these
    patients are all of the set ``external`` then.

    Raises InputError for columns that patients.csv lacks and where no split can be made, NotReadyError where phenotypes
    or predictions are not there or damaged.
    """
    table, wanted = read_columns(run.patients_file), config.survival
    maker = made_by(run, config, of)
    if applied is not None:
        maker = MadeBy(applied.made_by.head, keys_of(run, of, list(applied.made_by.keys)))
    columns = (*wanted.times, *wanted.events, *wanted.covariates)
    _require_columns(run, table, config)
    patient_ids = tuple(table["patient_id"])
    cells = {name: tuple(table[name]) for name in dict.fromkeys(columns)}
    remedy = _remedy(run, of, applied)
    shares = _shares(run, patient_ids, remedy) if of == "phenotypes" else None
    said = _said(run, config, patient_ids, maker.head, remedy) if of == "predictions" else None
    sets = (EXTERNAL,) * len(patient_ids) if applied is not None else _sets(run, config, patient_ids)
    digest: Json = {"cells": {name: list(one) for name, one in cells.items()}, "ids": list(patient_ids)}
    digest |= {"sets": list(sets), "file": None if (file := _file(run, of)) is None else _sha(file)}
    if maker.keys:
        digest["made_by"] = dict(maker.keys)
    return Inputs(Source(patient_ids, cells, shares, said), sets, digest, maker)


def _remedy(run: RunDir, of: str, applied: Applied | None) -> str:
    """The command that makes phenotypes or predictions of these patients."""
    if applied is not None or is_predicted(run):
        return f"hypoxia-hpc predict {run.word} --model {applied.word if applied is not None else 'MODEL_RUN'}"
    return f"hypoxia-hpc {'phenotypes' if of == 'phenotypes' else 'evaluate'} {run.word}"


def survival_key(config: RunConfig, inputs: Inputs, used: str = "") -> str:
    """Key of survival/. ``used``: the key of the result whose frozen signature is applied."""
    settings = {"survival": config.survival.keyed(), "confidence": config.evaluate.confidence}
    seed = config.evaluate.seed
    return stage_key("survival", SURVIVAL_RULE, settings, {**inputs.digest, "used": used, "seed": seed})


def is_survival_current(run: RunDir, config: RunConfig) -> bool:
    """Is survival/ of the present tables and run.toml? By a signature of its own, but in a run that was predicted with
    models of another one, where a frozen one is what is asked for."""
    record = read_survival(run)
    is_asked = record is not None and (not record["used"] or is_predicted(run))
    return record is not None and is_asked and is_of_present(run, config, record)


def is_of_present(run: RunDir, config: RunConfig, record: Json) -> bool:
    """Was this content of survival.json made of the present tables and run.toml, by a signature of this run or of
    another one?"""
    of = str(record["of"]) if record["used"] else config.survival.of
    try:
        applied = Applied(maker_of(record), "MODEL_RUN") if record["used"] else None
        inputs = read_inputs(run, config, of, applied)
    except (HypoxiaError, KeyError):
        return False
    return bool(record["key"] == survival_key(config, inputs, str(record["used"])))


def read_survival(run: RunDir) -> Json | None:
    """The content of survival/survival.json; None where there is none, or it is not as it was written."""
    try:
        found = read_json(run.survival / SURVIVAL_FILE, MOST_JSON_BYTES)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    is_sound = isinstance(found, dict) and found.get("schema") == 1 and found.get("content") == content_of(found)
    return found if is_sound else None


def content_of(record: Json) -> str:
    """SHA-256 (hex) of all that survival.json says; it stands beside that as ``content``."""
    return hashlib.sha256(canonical_json({**record, "content": ""}).encode()).hexdigest()


def maker_of(record: Json) -> MadeBy:
    """What the phenotypes or predictions that survival.json is of were made by. Raises KeyError where it does not say,
    as those of older versions."""
    return MadeBy(str(record["made_by"]["head"]), dict(record["made_by"]["models"]))


def missing_columns(run: RunDir, config: RunConfig) -> list[str]:
    """The columns that [survival] names and patients.csv lacks."""
    return _missing(read_columns(run.patients_file), config)


def _missing(table: pd.DataFrame, config: RunConfig) -> list[str]:
    wanted = config.survival
    return [name for name in dict.fromkeys((*wanted.times, *wanted.events, *wanted.covariates)) if name not in table]


def _require_columns(run: RunDir, table: pd.DataFrame, config: RunConfig) -> None:
    missing = _missing(table, config)
    there = ", ".join(str(name) for name in table if name != "patient_id")
    if missing:
        raise InputError(
            f"{run.patients_file} lacks columns that [survival] of run.toml names",
            offending=missing,
            remedy=f"add them, or name others of its columns: {there}",
        )


def _sets(run: RunDir, config: RunConfig, patient_ids: Sequence[str]) -> tuple[str, ...]:
    """``discovery`` for patients of training and validation, ``test``; in cross-validation, and where no patient has a
    label, all are of discovery."""
    patients = patients_with_slides(run.slides(), run.patients())
    if all(one.label is None for one in patients.values()):
        return (DISCOVERY,) * len(patient_ids)
    folds = sets_by_fold(split_of_run(run, config, list(patients.values())).table)
    names = {"train": DISCOVERY, "valid": DISCOVERY, "test": DISCOVERY if len(folds) > 1 else "test"}
    return tuple(names.get(folds[0].get(one, ""), "") for one in patient_ids)


def _file(run: RunDir, of: str) -> Path | None:
    files: Mapping[str, Path] = {
        "phenotypes": run.phenotypes / "patients.csv",
        "predictions": run.predictions / "patients.csv",
    }
    return files.get(of)


def _sha(file: Path) -> str | None:
    try:
        return sha256_of(file, MOST_PREDICTIONS_BYTES)
    except (OSError, UnfitFileError):
        return None


def _read(run: RunDir, of: str, text: Sequence[str], remedy: str) -> pd.DataFrame:
    file = _file(run, of)
    try:
        with open_plain(Path(file or ""), MOST_PREDICTIONS_BYTES) as opened:
            return pd.read_csv(opened, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values={})
    except (FileNotFoundError, NotADirectoryError):
        problem = f"{file} does not exist, and [survival] of = {of!r} goes by it"
        raise NotReadyError(problem, remedy=remedy) from None
    except (UnfitFileError, ValueError) as error:
        raise _damaged(file, str(error), remedy) from None


def _damaged(file: Path | None, why: str, remedy: str) -> NotReadyError:
    return NotReadyError(f"{file} is damaged: {why[:200]}", remedy=remedy)


def _shares(run: RunDir, patient_ids: Sequence[str], remedy: str) -> pd.DataFrame:
    """n_tiles and shares of each patient, NaN for those without."""
    table = _read(run, "phenotypes", ("patient_id",), remedy)
    file, clusters = _file(run, "phenotypes"), clusters_of(table)
    try:
        indexed = table.set_index(table["patient_id"].map(unguard))[["n_tiles", *clusters]].astype("float64")
    except (KeyError, ValueError) as error:
        raise _damaged(file, str(error), remedy) from None
    sums = indexed[clusters].sum(axis=1)
    if len(clusters) < 2 or indexed.index.has_duplicates or ((sums - 1).abs() > SUM_SLACK).any():
        raise _damaged(file, "shares of two clusters or more that sum to 1 are needed, a row a patient", remedy)
    return indexed.reindex(list(patient_ids))


def _said(run: RunDir, config: RunConfig, patient_ids: Sequence[str], model: str, remedy: str) -> pd.DataFrame:
    """What the model of this head says of each patient: of cross-validated ones, the model that did not see it; of
    those of another cohort, all of them."""
    table = _read(run, "predictions", ("model", "set", "id"), remedy)
    outputs = list(outcome_of(config.outcome).outputs)
    is_crossed = config.train.n_folds > 1 and not is_predicted(run)
    try:
        own = table[table["model"] == model]
        own = own[own["set"] == "test"] if is_crossed else own
        values = own.set_index(own["id"].map(unguard))[outputs].astype("float64")
    except (KeyError, ValueError) as error:
        raise _damaged(_file(run, "predictions"), str(error), remedy) from None
    if values.empty:
        there = ", ".join(sorted(set(table["model"].map(str))))
        raise InputError(
            f"[survival] model = {model!r} has no predictions in {run.predictions}; these have: {there}",
            remedy="name one of them",
        )
    means: Any = values.groupby(level=0).mean()
    return pd.DataFrame(means.reindex(list(patient_ids)))


def require_asked(run: RunDir, table: SurvivalTable) -> None:
    """Raises InputError where [survival] does not say what risks are made of."""
    if table.of == "none":
        raise InputError(
            "[survival] of run.toml does not say what risks are made of",
            remedy=f'in {run.config_file}, below [survival], set of = "phenotypes", "predictions" (a model\'s), or '
            '"columns" with columns = ["age"]; and times and events to the columns with the follow-up',
        )

"""What patients of another cohort are held against: RUN/reference.npy, made of the training patients' mean features."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.outliers import Reference, distances, origin_of_limit, reference_of
from hypoxia_hpc.cohorts.splits import SETS
from hypoxia_hpc.errors import NotReadyError, some_names
from hypoxia_hpc.models.prediction_tables import DISTANCE, UNLIKE
from hypoxia_hpc.reading import MOST_JSON_BYTES, MOST_SHOWN, read_plain, sha256_of
from hypoxia_hpc.records import Float64Array, Json
from hypoxia_hpc.runs.cohort import FoldSets
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.commit import committed_file, machine_errors

TRAIN = SETS[0]


def keep_reference(run: RunDir, means: Mapping[str, Float64Array], folds: FoldSets) -> Json:
    """Write reference.npy, float64 (2, d): mean and scale of the training patients' mean features. ``means`` (d,) of
    each patient with features; ``folds``: the set of every patient in each fold. In cross-validation every labelled
    patient is in training.

    Returns its entry in metrics.json: SHA-256 (hex) of the file, the limit, of how many training and validation
    patients it is, and how many of the test patients are beyond it; empty, and no file is written, where too few
    patients are in training. Raises MachineError.
    """
    train, valid, test = (_of_set(name, means, folds) for name in SETS)
    made = reference_of(_rows(means, train), _rows(means, valid)) if train else None
    if made is None:
        return {}
    file = io.BytesIO()
    np.save(file, np.stack([made.mean, made.scale]), allow_pickle=False)
    committed_file(run.reference_file, file.getvalue())
    beyond = int((distances(_rows(means, test), made.mean, made.scale) > made.limit).sum()) if test else 0
    return {
        "sha256": hashlib.sha256(file.getvalue()).hexdigest(),
        "limit": made.limit,
        "n_train": len(train),
        "n_valid": len(valid),
        "test": {"n": len(test), "beyond": beyond},
    }


def is_kept(run: RunDir, entry: Json) -> bool:
    """Whether reference.npy is the one that an entry of metrics.json names; true where it names none. Raises
    MachineError where the file cannot be read."""
    if "sha256" not in entry:
        return True
    with machine_errors(file := run.reference_file):
        return file.is_file() and sha256_of(file, MOST_JSON_BYTES) == entry["sha256"]


def read_reference(run: RunDir, entry: Json) -> Reference:
    """The reference that an entry of metrics.json names. Raises NotReadyError where the file is missing or another
    one."""
    if not is_kept(run, entry):
        raise NotReadyError(
            f"{run.reference_file} is missing or not the one that metrics.json names",
            remedy=f"hypoxia-hpc evaluate {run.word}",
        )
    data = read_plain(run.reference_file, MOST_JSON_BYTES)
    try:
        mean, scale = np.load(io.BytesIO(data), allow_pickle=False)
        return Reference(mean, scale, float(entry["limit"]), int(entry["n_train"]) + int(entry["n_valid"]))
    except (ValueError, KeyError, TypeError, EOFError, MemoryError) as error:
        problem = f"{run.reference_file}, or what metrics.json says of it, is damaged: {str(error)[:MOST_SHOWN]}"
        raise NotReadyError(problem, remedy=f"hypoxia-hpc evaluate {run.word}") from None


def distance_table(reference: Reference, means: Mapping[str, Float64Array]) -> pd.DataFrame:
    """Index patient_id, sorted: ``distance`` float64, ``unlike_training`` 0 or 1."""
    names = sorted(means)
    found = distances(_rows(means, names), reference.mean, reference.scale) if names else np.zeros(0)
    index = pd.Index(names, name="patient_id", dtype=object)
    return pd.DataFrame({DISTANCE: found, UNLIKE: (found > reference.limit).astype(np.int64)}, index=index)


def unlike_sentence(table: pd.DataFrame, reference: Reference) -> str:
    """Which patients of a `distance_table` look unlike those of training; empty where none does."""
    unlike = table.index[table[UNLIKE] == 1].tolist()
    if not unlike:
        return ""
    look = "looks" if len(unlike) == 1 else "look"
    return (
        f"{len(unlike)} of {len(table)} patients {look} unlike the training patients: {some_names(unlike)}. What the "
        f"models say of them is not to be relied on. Their distance from the mean of training is above "
        f"{reference.limit:.2f}, {origin_of_limit(reference.n)}."
    )


def _of_set(name: str, means: Mapping[str, Float64Array], folds: FoldSets) -> list[str]:
    """Patients with features who are in a set in some fold and, of other sets than training, in no training set."""
    return [
        one
        for one in sorted(means)
        if any(sets.get(one) == name for sets in folds)
        and (name == TRAIN or not any(sets.get(one) == TRAIN for sets in folds))
    ]


def _rows(means: Mapping[str, Float64Array], names: Sequence[str]) -> Float64Array:
    length = len(next(iter(means.values())))
    return np.array([means[name] for name in names], dtype=np.float64).reshape(len(names), length)

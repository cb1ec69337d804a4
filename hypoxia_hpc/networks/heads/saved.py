"""Trained models on disk: arrays as safetensors and a JSON record. Loading runs nothing from either file."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from hypoxia_hpc.config import Table, canonical_json
from hypoxia_hpc.config.heads.registry import declared
from hypoxia_hpc.config.outcome import OutcomeTable
from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.networks.heads.result import Arrays
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import BINARY, outcome_of
from hypoxia_hpc.reading import MOST_ARRAYS_BYTES, read_json, read_plain
from hypoxia_hpc.records import Json
from hypoxia_hpc.stores.commit import committing_directory, machine_errors

ARRAYS_FILE = "weights.safetensors"
RECORD_FILE = "model.json"
CONFIG_FILE = "run.toml"


class ModelRecord(BaseModel):
    """model.json: which head, of which features, trained how. ``sets`` counts patients, slides and tiles by set;
    ``search`` says which settings were tried and how each did; ``outcome`` is the [outcome] table where it
    is not the default; ``content`` is the SHA-256 of the arrays' file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: int = 1
    head: str
    fold: int = 0
    key: str
    settings: Json
    seed: int
    feature_length: int
    tile_spec: Json
    extract_spec: Json
    sets: dict[str, dict[str, int]]
    history: dict[str, list[float]]
    search: Json | None = None
    outcome: Json | None = None
    compute: Json
    content: str = ""
    software: dict[str, str]

    @property
    def asked(self) -> Outcome:
        """What it was trained to predict."""
        return BINARY if self.outcome is None else outcome_of(OutcomeTable.model_validate(self.outcome))


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A trained model, ready to predict, and the folder that it was read from."""

    record: ModelRecord
    table: Table
    arrays: Arrays
    folder: Path


def save_model(folder: Path, record: ModelRecord, arrays: Arrays) -> None:
    """Commit a model's folder, all or nothing; equal models give equal bytes. Raises MachineError."""
    from safetensors.numpy import save

    with committing_directory(folder, lambda target: model_key(target) == record.key, sealed=False) as made:
        data = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        sealed = record.model_copy(update={"content": hashlib.sha256(data).hexdigest()})
        (made / ARRAYS_FILE).write_bytes(data)
        stated = sealed.model_dump(exclude={"outcome"} if sealed.outcome is None else None)
        (made / RECORD_FILE).write_text(canonical_json(stated), encoding="utf-8")


def model_key(folder: Path) -> str | None:
    """The key of the model in a folder, None where there is no model that can be read."""
    try:
        return read_record(folder).key
    except NotReadyError:
        return None


def read_record(folder: Path) -> ModelRecord:
    """model.json of a folder. Raises NotReadyError where there is none or it is damaged."""
    try:
        return ModelRecord.model_validate(read_json(folder / RECORD_FILE))
    except FileNotFoundError:
        raise NotReadyError(f"{folder} holds no trained model", remedy=train_command(folder)) from None
    except (ValidationError, ValueError) as error:
        raise damaged(folder, error) from None


def load_model(folder: Path) -> SavedModel:
    """A model whose arrays are those that were written, and finite; `sound` holds them against the head. Raises
    NotReadyError where it is absent or damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    record = read_record(folder)
    try:
        with machine_errors(folder):
            data = read_plain(folder / ARRAYS_FILE, MOST_ARRAYS_BYTES)
        if hashlib.sha256(data).hexdigest() != record.content:
            raise damaged(folder, f"{ARRAYS_FILE} is not the file that was written")
        arrays: dict[str, NDArray[np.generic]] = load(data)
        table = declared(record.head).table.model_validate(record.settings)
    except (SafetensorError, FileNotFoundError, KeyError, ValueError) as error:
        raise damaged(folder, error) from None
    problems = _not_finite(arrays)
    if problems:
        raise damaged(folder, f"{len(problems)} of its arrays hold values that are no finite numbers", problems)
    return SavedModel(record, table, arrays, folder)


def _not_finite(arrays: Arrays) -> list[str]:
    """Names of arrays with a value that is no finite number."""
    return sorted(
        name
        for name, array in arrays.items()
        if not (np.issubdtype(array.dtype, np.number) and np.isfinite(array).all())
    )


def damaged(folder: Path, why: object, offending: Sequence[str] = ()) -> NotReadyError:
    """The error for a model that cannot be used."""
    return NotReadyError(
        f"the model in {folder} is damaged: {why}",
        offending=offending,
        remedy=f"delete {folder} and train it again: {train_command(folder)}",
    )


def train_command(folder: Path) -> str:
    """The command that makes the models of a run anew, to be pasted; ``folder`` is one of them."""
    run = next((above for above in folder.parents if (above / CONFIG_FILE).exists()), folder.parent.parent)
    return f"hypoxia-hpc train {shlex.quote(str(run))}"

"""Which models made the phenotypes and predictions of a run: its own, or those of the run that `predict` was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.config import RunConfig, canonical_json
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.heads.saved import model_key
from hypoxia_hpc.reading import MOST_PREDICTIONS_BYTES, UnfitFileError, read_json, sha256_of
from hypoxia_hpc.records import Json, ModelsUsed
from hypoxia_hpc.runs.cohort import model_names
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.receipts import COHORT, read_receipt

# The entry of metrics.json that says whose models predicted.
USED = "predicted_with"
# Stages that a run has no part in which was predicted with models of another one.
OF_OWN_MODELS = ("train", "evaluate", "phenotypes")
# Beside phenotypes that another run's clustering made.
FROZEN_FILE = "frozen.json"


@dataclass(frozen=True, slots=True)
class MadeBy:
    """A head or clustering, and the key of its model of each fold by the model's name; a key that is not known is left
    out. Columns of a table are made by nothing: "" and no keys."""

    head: str
    keys: Mapping[str, str]


def is_predicted(run: RunDir) -> bool:
    """Are predictions there that were made with the models of another run?"""
    if run.model("").is_dir():
        return False
    return read_receipt(run.receipts("predict"), COHORT, "cohort") is not None or USED in (run.metrics() or {})


def used_of(run: RunDir) -> ModelsUsed:
    """The models of another run that predicted here; none where that is not known."""
    receipt = read_receipt(run.receipts("predict"), COHORT, "cohort")
    return receipt.details if receipt is not None and isinstance(receipt.details, ModelsUsed) else ModelsUsed()


def model_run_of(run: RunDir) -> RunDir | None:
    """The run whose models predicted here; None where it is not known, or not there any more."""
    path = used_of(run).path
    return RunDir(Path(path)) if path and RunDir(Path(path)).config_file.exists() else None


def refuse_predicted(run: RunDir, stage: str) -> None:
    """Raises InputError for a run that models of another one predicted: models of its own would mix with these."""
    if is_predicted(run):
        used = used_of(run)
        raise InputError(
            f"{run.root} was predicted with the models of {used.model_run or 'another run'}, and {stage} is for runs "
            "that have models of their own",
            remedy=f"hypoxia-hpc run {run.word} goes on with the predictions; to train models of its own, delete "
            f"{run.predictions}, {run.metrics_file} and {run.receipts('predict')} before",
        )


def made_by(run: RunDir, config: RunConfig, of: str) -> MadeBy:
    """What run.toml says that risks ``of`` phenotypes, predictions or columns are made by. Phenotypes are those of the
    first fold."""
    heads = {
        "phenotypes": next(iter(config.train.clusterings), ""),
        "predictions": config.survival.model or config.train.heads[0],
    }
    head = heads.get(of, "")
    names = [name for name, one, _ in model_names(config.train) if one == head]
    return MadeBy(head, keys_of(run, of, names[:1] if of == "phenotypes" else names))


def keys_of(run: RunDir, of: str, names: Sequence[str]) -> dict[str, str]:
    """The keys of the models of these names by which phenotypes or predictions of a run were made."""
    frozen = _frozen_keys(run) if of == "phenotypes" else (run.metrics() or {}).get(USED, {}).get("models")
    keys = {name: model_key(run.model(name)) for name in names} if frozen is None else frozen
    return {name: key for name in names if (key := keys.get(name)) is not None}


def write_frozen_keys(folder: Path, patients_file: Path, keys: Mapping[str, str]) -> None:
    """Say in a folder that is being made that these clusterings of another run made the phenotypes in it."""
    sealed: Json = {"schema": 1, "models": dict(keys), "patients": sha256_of(patients_file, MOST_PREDICTIONS_BYTES)}
    (folder / FROZEN_FILE).write_text(canonical_json(sealed), encoding="utf-8")


def _frozen_keys(run: RunDir) -> Mapping[str, str] | None:
    """None where phenotypes are not of another run's clustering; nothing where that is not known of the table there."""
    try:
        said = read_json(run.phenotypes / FROZEN_FILE)
        is_sound = said["patients"] == sha256_of(run.phenotypes / "patients.csv", MOST_PREDICTIONS_BYTES)
        return {str(name): str(key) for name, key in said["models"].items()} if is_sound else {}
    except FileNotFoundError:
        return None
    except (UnfitFileError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}

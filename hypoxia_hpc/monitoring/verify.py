"""verify: re-read every store and model of a run and compare with what was written; nobody is in two sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.models.predictions import predictions_digest
from hypoxia_hpc.models.reference import is_kept
from hypoxia_hpc.networks.heads.sound import load_sound_model
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.split import split_problems
from hypoxia_hpc.stores.integrity import check_store


@dataclass(frozen=True, slots=True)
class Verified:
    """A store, split.csv, a model, or metrics.json with its predictions (relative to the run), and its problems."""

    path: str
    problems: tuple[str, ...]


def everything_to_verify(run: RunDir) -> list[Path]:
    """Every tile store, feature store and model below a run, split.csv and metrics.json, in order."""
    stores = [*run.root.glob("tiles/*.zarr"), *run.root.glob("features/*/*.zarr")]
    models = [path for path in run.root.glob("models/*") if not path.name.startswith(".")]
    split = [run.split_file] if run.split_file.exists() else []
    results = [run.metrics_file] if run.metrics_file.exists() else []
    return sorted(path for path in stores if not path.name.startswith(".")) + split + sorted(models) + results


def verify(run: RunDir) -> Iterator[Verified]:
    """Check them one after the other."""
    for path in everything_to_verify(run):
        if path == run.split_file:
            problems = split_problems(run)
        elif path == run.metrics_file:
            problems = _result_problems(run)
        else:
            problems = _model_problems(path) if path.parent.name == "models" else check_store(path)
        yield Verified(str(path.relative_to(run.root)), tuple(problems))


def verify_notes(run: RunDir) -> list[str]:
    """What is sound, and has to be said beside it: figures of the run in which patients are in two sets."""
    metrics = run.metrics()
    warnings = [] if metrics is None else metrics.get("warnings", [])
    return [f"metrics.json: {one['text']}" for one in warnings if one["kind"] == "image-split"]


def _result_problems(run: RunDir) -> list[str]:
    metrics = run.metrics()
    if metrics is None:
        return ["metrics.json is not as it was written"]
    if predictions_digest(run.predictions) != metrics.get("predictions"):
        return ["predictions are not those that metrics.json was made of"]
    if not is_kept(run, metrics.get("reference", {})):
        return ["reference.npy is not the one that metrics.json names"]
    return []


def _model_problems(folder: Path) -> list[str]:
    try:
        load_sound_model(folder)
    except NotReadyError as error:
        return [error.problem]
    return []

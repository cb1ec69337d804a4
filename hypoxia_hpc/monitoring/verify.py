"""verify: re-read every store and model of a run and compare with what was written; nobody is in two sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.models.phenotypes import FACTS_FILE, read_facts
from hypoxia_hpc.models.predictions import predictions_digest
from hypoxia_hpc.models.reference import is_kept
from hypoxia_hpc.networks.heads.sound import load_sound_model
from hypoxia_hpc.reading import listed
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.prognosis import read_survival
from hypoxia_hpc.runs.receipts import COHORT, read_receipt
from hypoxia_hpc.runs.split import split_problems
from hypoxia_hpc.stores.integrity import check_store
from hypoxia_hpc.stores.sealing import seal_problems


@dataclass(frozen=True, slots=True)
class Verified:
    """A store, split.csv, a model, metrics.json with its predictions, phenotypes/ or survival/ with its receipt
    (relative to the run), and its problems."""

    path: str
    problems: tuple[str, ...]


def everything_to_verify(run: RunDir) -> list[Path]:
    """Every tile store, feature store and model below a run, split.csv, metrics.json, phenotypes/ and survival/, in
    order. Raises OSError for a folder that may not be listed."""
    holding = [run.root / "tiles", *listed(run.root / "features")]
    stores = [path for folder in holding for path in listed(folder) if path.suffix == ".zarr"]
    models = [path for path in listed(run.model("")) if not path.name.startswith(".")]
    split = [run.split_file] if run.split_file.exists() else []
    results = [run.metrics_file] if run.metrics_file.exists() else []
    results += [folder for folder in (run.phenotypes, run.survival) if folder.exists()]
    return sorted(path for path in stores if not path.name.startswith(".")) + split + sorted(models) + results


def verify(run: RunDir) -> Iterator[Verified]:
    """Check them one after the other."""
    for path in everything_to_verify(run):
        if path == run.split_file:
            problems = split_problems(run)
        elif path == run.metrics_file:
            problems = _result_problems(run)
        elif path in (run.phenotypes, run.survival):
            problems = _folder_problems(run, path)
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


def _folder_problems(run: RunDir, folder: Path) -> list[str]:
    """Of phenotypes/ or survival/: its files, and its receipt."""
    try:
        problems = seal_problems(folder)
    except NotADirectoryError as error:
        return [str(error)]
    stage = "predict" if folder == run.phenotypes and not (folder / FACTS_FILE).exists() else folder.name
    receipt = read_receipt(run.receipts(stage), COHORT, "cohort")
    if receipt is None:
        return [*problems, f"receipts/{stage}/{COHORT}.json is missing or damaged"]
    facts = read_facts(run) if folder == run.phenotypes else read_survival(run)
    if facts is not None and facts.get("key") != receipt.key:
        problems.append(f"receipts/{stage}/{COHORT}.json is of another result: its key is another one")
    return problems


def _model_problems(folder: Path) -> list[str]:
    try:
        load_sound_model(folder)
    except NotReadyError as error:
        return [error.problem]
    return []

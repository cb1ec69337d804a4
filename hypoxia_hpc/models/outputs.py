"""What a trained model says of the tiles of a slide, as columns of a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hypoxia_hpc.errors import NotReadyError, SlideError
from hypoxia_hpc.networks.heads.registry import head_outputs
from hypoxia_hpc.networks.heads.result import Columns, named_outputs
from hypoxia_hpc.networks.heads.saved import SavedModel, train_command
from hypoxia_hpc.networks.heads.sound import checked, load_sound_model, require_numbers
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Float32Array, Slide
from hypoxia_hpc.runs.cohort import model_names
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.features import open_features

SlideOutputs = Callable[[Slide, Float32Array], Columns]


def saved_models(run: RunDir) -> dict[str, list[SavedModel]]:
    """The models of a run's heads, one for each fold, in the order of its run.toml. Raises NotReadyError where any is
    missing or damaged."""
    table = run.config().train
    models: dict[str, list[SavedModel]] = {head: [] for head in table.heads}
    for name, head, _ in model_names(table):
        if head in models:
            models[head].append(load_sound_model(run.model(name)))
    return models


def outputs_of(model: SavedModel) -> SlideOutputs:
    """A frozen top model as a function of a slide and its features: see `head_outputs`. It raises what `checked`
    does."""
    record = model.record
    outcome = record.asked
    said = head_outputs(model.table, model.arrays, record.feature_length, outcome)
    outputs = checked(said, record.head, record.feature_length, train_command(model.folder), outcome)
    return lambda _, values: outputs(values)


def kept_probabilities(run: RunDir, name: str, slide_id: str) -> Float32Array:
    """What a network that goes by pixels has said of the tiles of a slide, float32 (n, k): the probabilities that lie
    under its name, as features do. Raises NotReadyError naming every damaged store of this network."""
    try:
        return open_features(run.features(name, slide_id)).values.astype(np.float32)
    except SlideError as error:
        raise _damaged(run, name) from error


def kept_outputs(run: RunDir, name: str, outcome: Outcome) -> SlideOutputs:
    """What a fine-tuned network has said of a slide. Raises NotReadyError naming every damaged store of this
    network."""

    def read(slide: Slide, _: Float32Array) -> Columns:
        kept = kept_probabilities(run, name, slide.slide_id)
        last = kept.shape[1] - outcome.n_outputs  # of two classes, the probability of the second
        said = named_outputs(kept[:, last:].astype(np.float64), outcome)
        require_numbers(name, said, f"hypoxia-hpc train {run.word}", outcome)
        return said

    return read


def _damaged(run: RunDir, name: str) -> NotReadyError:
    """Every store below features/NAME is read: who deletes one at a time runs evaluate once for each."""
    paths = [run.features(name, slide.slide_id) for slide in run.slides()]
    damaged = [problem for path in paths if path.exists() for problem in _problem_of(path)]
    stores_are = "store of probabilities is" if len(damaged) == 1 else "stores of probabilities are"
    return NotReadyError(
        f"{len(damaged)} {stores_are} damaged",
        offending=damaged,
        remedy="delete these folders, then run the same command again, which makes them anew",
    )


def _problem_of(path: Path) -> list[str]:
    try:
        open_features(path)
    except SlideError as error:
        return [error.problem]
    return []

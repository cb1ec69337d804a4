"""A signature of one run on what another says of its patients: by the same models, of tiles and features that are made
alike?"""

from __future__ import annotations

from collections.abc import Iterator

from hypoxia_hpc.errors import HypoxiaError, InputError, NotReadyError
from hypoxia_hpc.models.comparable import differing_features
from hypoxia_hpc.networks.heads.saved import ModelRecord, read_record
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import tile_spec
from hypoxia_hpc.runs.made_by import MadeBy
from hypoxia_hpc.runs.state import run_spec, spec_without_weights

KEY_LETTERS = 12


def refuse_other_makers(run: RunDir, ours: MadeBy, model_run: RunDir, theirs: MadeBy) -> None:
    """Raises InputError where what ``run`` says of its patients is of other models than the signature of ``model_run``,
    or run.toml asks for other tiles and features by now; it names both values of all that differs."""
    differences = [*_other_keys(ours, theirs), *_other_features(run, model_run, theirs)]
    if differences:
        raise InputError(
            f"the signature of {model_run.root} goes by its model {theirs.head}, and what {run.root} says of its "
            "patients is of another one",
            offending=differences,
            remedy=_remedy(run, model_run),
        )


def _other_keys(ours: MadeBy, theirs: MadeBy) -> Iterator[str]:
    for name in dict.fromkeys((*theirs.keys, *ours.keys)):
        here, there = (one.keys.get(name, "") for one in (ours, theirs))
        if here != there:
            shown = [f"key {key[:KEY_LETTERS]}" if key else "none that is known" for key in (here, there)]
            yield f"model {name}: {shown[0]} here, {shown[1]} where the signature was made"


def _other_features(run: RunDir, model_run: RunDir, theirs: MadeBy) -> list[str]:
    """Nothing where the model itself is not there any more: then its key says it all."""
    records = {name: record for name in theirs.keys if (record := _record(model_run, name)) is not None}
    if not records:
        return []
    config = run.config()
    return differing_features(tile_spec(config.tile), _spec(run), {theirs.head: next(iter(records.values()))})


def _record(model_run: RunDir, name: str) -> ModelRecord | None:
    try:
        return read_record(model_run.model(name))
    except NotReadyError:
        return None


def _spec(run: RunDir) -> Json:
    config = run.config()
    try:
        return run_spec(config)
    except HypoxiaError:  # weights that are not on this machine are not compared
        return spec_without_weights(config)


def _remedy(run: RunDir, model_run: RunDir) -> str:
    again = f"hypoxia-hpc survival {{run}} --model {model_run.word}"
    if run.model("").is_dir():
        return (
            f"{run.root} has models of its own, so make another run of its slides: hypoxia-hpc predict NEW --slides "
            f"{run.slides_file} --model {model_run.word}; copy {run.patients_file} there; then "
            f"{again.format(run='NEW')}"
        )
    return (
        f"make [tile] and [extract] of {run.config_file} those of {model_run.config_file} where they differ; then "
        f"hypoxia-hpc predict {run.word} --model {model_run.word}, and {again.format(run=run.word)}"
    )

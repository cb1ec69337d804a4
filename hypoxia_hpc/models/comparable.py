"""Models of one run on the slides of another: what may not differ from their training, and what belongs to the slides
that they were trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hypoxia_hpc.config import ExtractTable, RunConfig, Table, TileTable
from hypoxia_hpc.config.toml import toml_value
from hypoxia_hpc.errors import InputError, some_names
from hypoxia_hpc.networks.heads.saved import ModelRecord, SavedModel
from hypoxia_hpc.records import Json

# Which part of a slide is used; compared where both runs use a part.
OF_REGIONS = ("regions_rule", "region_classes", "min_region")
# What a slide is taken for of which something is missing, and names that change no feature.
OF_SLIDES = ("regions", "regions_missing", "default_mpp")
OF_RUNS = ("name", "batch_size")
SOURCES = {"slides": "slides", "folders": "images in folders"}
TABLES: Mapping[str, type[Table]] = {"tile": TileTable, "extract": ExtractTable}


@dataclass(frozen=True, slots=True)
class Runs:
    """The run that predicts and the run of the models, as words of a command."""

    run: str
    model_run: str


def config_for_other_slides(config: RunConfig) -> tuple[RunConfig, tuple[str, ...]]:
    """run.toml for slides that the models of a run were not trained on, and what is to be said about it: what belongs
    to the slides of training is left out."""
    notes = []
    if config.tile.regions:
        notes.append(
            f"[tile] regions = {toml_value(config.tile.regions)} are of the slides of training, and are not used here"
        )
    if config.tile.default_mpp is not None:
        notes.append(
            f"[tile] default_mpp = {config.tile.default_mpp:g} was said of the slides of training, and is not used "
            "here: slides that say no resolution are quarantined; where it is true of these, set it in run.toml"
        )
    tile = config.tile.model_copy(update={"regions": None, "default_mpp": None})
    train = config.train.model_copy(update={"split_file": None})
    return config.model_copy(update={"tile": tile, "train": train}), tuple(notes)


def records_of(models: Mapping[str, Sequence[SavedModel]]) -> dict[str, ModelRecord]:
    """What each head was trained on; the models of its folds are of the same run.toml."""
    return {head: first.record for head, (first, *_) in models.items()}


def regions_note(of_tiles: Json, models: Mapping[str, ModelRecord], run: str) -> str:
    """Where the models were trained on another part of slides than these are predicted by: the sentence that says so;
    else empty. ``of_tiles``: of this run, as ``tile_spec`` makes it; ``run``: its folder."""
    within = [name for name, record in models.items() if record.tile_spec.get("regions")]
    whole = [name for name in models if name not in within]
    if within and not of_tiles["regions"]:
        return (
            f"{_models(within)} on tiles by regions ([tile] regions); these slides are used whole, since "
            f"{run}/run.toml names no regions of its own: what a pathologist would leave out counts, too. For regions, "
            "export a file for each slide from QuPath, set [tile] regions there, and give the same command without "
            "--slides"
        )
    if whole and of_tiles["regions"]:
        return f"{_models(whole)} on whole slides; of these slides the tiles count that [tile] regions leave"
    return ""


def _models(names: Sequence[str]) -> str:
    return f"the model{'' if len(names) == 1 else 's'} {_trained(names)}"


def _trained(names: Sequence[str]) -> str:
    return f"{some_names(names)} {'was' if len(names) == 1 else 'were'} trained"


def refuse_other_source(config: RunConfig, model_config: RunConfig, runs: Runs) -> None:
    """Raises InputError where one of two runs starts from slides and the other from images in folders, which say no µm
    per pixel."""
    here, there = (SOURCES[each.source.kind] for each in (config, model_config))
    if here != there:
        raise InputError(
            f"{runs.run} is a run on {here}, and the models of {runs.model_run} were trained on {there}: nothing says "
            "that a pixel of both is as large",
            remedy=f"take models of a run on {here}, or make a run on {there} ([source] kind)",
        )


def refuse_other_features(of_tiles: Json, extract_spec: Json, models: Mapping[str, ModelRecord], runs: Runs) -> None:
    """Raises InputError naming every entry in which a run's features differ from those of a model's training. Where
    ``extract_spec`` has no weights, since they are not on this machine, those are not compared."""
    differences = list(_differences(of_tiles, extract_spec, models))
    if differences:
        raise InputError(
            "these features are made otherwise than those the models were trained on",
            offending=_sentences(differences),
            remedy=_remedy(differences, runs),
        )


def _sentences(differences: Sequence[_Difference]) -> list[str]:
    """Each difference once, with the models that it is true of."""
    trained: dict[tuple[str, str, str], list[str]] = {}
    for one in differences:
        trained.setdefault((one.place, _shown(one.ours), _shown(one.theirs)), []).append(one.model)
    return [
        f"{place}: {ours} here, {theirs} where {_trained(names)}" for (place, ours, theirs), names in trained.items()
    ]


def differing_features(of_tiles: Json, extract_spec: Json, models: Mapping[str, ModelRecord]) -> list[str]:
    """What `refuse_other_features` names, a sentence each."""
    return _sentences(list(_differences(of_tiles, extract_spec, models)))


@dataclass(frozen=True, slots=True)
class _Difference:
    """An entry of a spec that is not what it was where a model was trained; None where it has its default."""

    table: str
    entry: str
    ours: object
    theirs: object
    model: str

    @property
    def place(self) -> str:
        return f"[{self.table}] {self.entry}"


def _differences(of_tiles: Json, extract_spec: Json, models: Mapping[str, ModelRecord]) -> Iterator[_Difference]:
    for name, record in models.items():
        by_regions = bool(of_tiles["regions"] and record.tile_spec.get("regions"))
        unknown = {"weights_digest"} - extract_spec.keys()
        skipped = {*OF_SLIDES, *OF_RUNS, *(() if by_regions else OF_REGIONS), *unknown}
        for table, ours, theirs in (
            ("tile", of_tiles, record.tile_spec),
            ("extract", _without_px(extract_spec), _without_px(record.extract_spec)),
        ):
            for entry in sorted(ours.keys() | theirs.keys()):
                one, other = (_value(spec, table, entry) for spec in (ours, theirs))
                if one != other and entry not in skipped:
                    yield _Difference(table, entry, one, other, name)


def _without_px(spec: Json) -> Json:
    """[tile] has it."""
    return {entry: value for entry, value in spec.items() if entry != "tile_px"}


def _value(spec: Json, table: str, entry: str) -> object:
    """A spec leaves out entries of later versions that have their default."""
    if entry in spec:
        return spec[entry]
    default = TABLES[table].model_fields[entry].default if entry in TABLES[table].model_fields else None
    return list(default) if isinstance(default, tuple) else default


def _shown(value: object) -> str:
    return "nothing" if value is None else toml_value(value)


def _remedy(differences: Sequence[_Difference], runs: Runs) -> str:
    """The entries to change and the command to give then."""
    by_place: dict[str, set[str]] = {}
    for one in differences:
        by_place.setdefault(one.place, set()).add(_shown(one.theirs))
    if mixed := [place for place, values in by_place.items() if len(values) > 1]:
        return (
            f"the models were trained with different settings ({some_names(mixed)}), which no run has at once: "
            f"hypoxia-hpc run {runs.model_run} trains those anew that are not of its present run.toml"
        )
    entries = dict.fromkeys(_entry(one, runs) for one in differences)
    return (
        f"in {runs.run}/run.toml set {'; '.join(entries)}. Then hypoxia-hpc predict {runs.run} --model "
        f"{runs.model_run}: tiles and features are made again where that changes them"
    )


def _entry(one: _Difference, runs: Runs) -> str:
    """What of run.toml makes the entry of a spec what it was in training."""
    match one.entry:
        case "screen_fast":
            return f"[tile] screen = {toml_value('fast' if one.theirs else 'exact')}"
        case "lossy":
            return '[tile] codec = "jpeg" and pixels = "store"' if one.theirs else '[tile] codec = "none"'
        case "weights_digest":
            kind, _, rest = str(one.theirs).partition(":")
            if kind == "random":
                return f'[extract] weights = "random" and seed = {rest.split(":")[1]}'
            return f"[extract] weights and weights_sha256 as in {runs.model_run}/run.toml (a file with SHA-256 {kind})"
    return f"{one.place} = {toml_value(one.theirs)}" if one.theirs is not None else f"no {one.place}"

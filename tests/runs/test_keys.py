"""Keys: what they are made of, and that those of stores which lie on disks stay as they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, get_args
from unittest.mock import patch

import pytest
from pydantic import Field, create_model
from pydantic.fields import FieldInfo
from recorded_keys import CONFIGS, keys_of

from hypoxia_hpc.config import ADDED, CLUSTERINGS, RunConfig, Table, TrainTable, parse_config
from hypoxia_hpc.records import ImagePart, Patient, Slide
from hypoxia_hpc.runs import keys
from hypoxia_hpc.runs.cohort import Cohort
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.stages import STAGES
from hypoxia_hpc.runs.state import SlideState

RECORDED = json.loads(Path(__file__).with_name("recorded_keys.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CONFIGS)
def test_keys_are_those_on_record(name: str) -> None:
    """A key that changes makes users do again what they have: raise a rule where the output changes, and mark an entry
    that is added to a table (config.ADDED). No entry of the record is ever changed, only added."""
    found = keys_of(CONFIGS[name])
    digests = {what: key if len(key) == 64 else hashlib.sha256(key.encode()).hexdigest() for what, key in found.items()}
    assert digests == RECORDED[name]


# --- what must change which key ----------------------------------------------------------------------------------

# Everything that has a key of its own, and what is made from it. A change goes all the way down, and no other way.
FEATURE_MODELS = ("tanh", "funnel", "relu", "logistic", "attention", "deep_kmeans")
MODELS = (*FEATURE_MODELS, "finetune")
MADE_FROM = {
    "tile": ("extract", "finetune"),
    "extract": (*FEATURE_MODELS, "evaluate"),
    "tanh": ("point",),
    "point": (),
    "evaluate": (),
}
SHA256 = "ab" * 32
# A run that has every model, weights of its own, and a search.
BASE: dict[str, Any] = {
    "extract": {"weights": "a.weights.h5", "weights_sha256": SHA256},
    "train": {
        "heads": ["tanh", "funnel", "relu", "logistic", "attention", "finetune"],
        "finetune": {"weights": "b.weights.h5", "weights_sha256": SHA256},
        "search": {"tanh": {"units": [64, 128]}},
    },
    "site": {"slurm": {"ranks": 4}},
}
# Another value of every entry for which none can be made up from the one it has.
OTHER: dict[str, Any] = {
    "cohort.samples": ["tumour", "normal"],
    "cohort.preparations": ["diagnostic"],
    "source.pattern": "{patient}/{series}/{image}",
    "source.patient_column": "case",
    "source.path_column": "file",
    "source.label_column": "kind",
    "source.set_column": "part",
    "source.valid_column": "held_out",
    "source.series_column": "sequence",
    "source.image_mode": ["FLAIR"],
    "outcome.column": "subtype",
    "outcome.classes": ["wild type", "mutant"],
    "outcome.time": "months",
    "outcome.event": "died",
    "tile.default_mpp": 0.25,
    "tile.region_classes": ["Tumor"],
    "tile.stain.reference": "other.png",
    "tile.pad_value": 0,
    "extract.name": "other",
    "extract.backbone": "vgg16",
    "extract.weights": "other.weights.h5",
    "extract.weights_sha256": "cd" * 32,
    "train.heads": ["tanh", "funnel", "relu", "attention", "finetune"],
    "train.clusterings": [],
    "train.split": [0.5, 0.25, 0.25],
    "train.keep_together": "site",
    "train.split_file": "mine.csv",
    "train.funnel.units": [8, 4],
    "train.relu.units": [8, 4],
    "train.deep_kmeans.units": [64, 32],
    "train.contrastive.dropout": [0.2, 0.2],
    "train.contrastive.noise": [0.2, 0.2],
    "train.contrastive_network.backbone": "vgg16",
    "train.contrastive_network.weights": "other.weights.h5",
    "train.contrastive_network.weights_sha256": "cd" * 32,
    "train.contrastive_network.contrast": [0.2, 0.2],
    "train.contrastive_network.saturation": [0.2, 0.2],
    "train.contrastive_network.hue": [0.2, 0.2],
    "train.contrastive_network.noise": [0.2, 0.2],
    "train.contrastive_network.crop": [0.2, 0.2],
    "train.contrastive_network.rotation": [0.2, 0.2],
    "train.finetune.backbone": "vgg16",
    "train.finetune.weights": "other.weights.h5",
    "train.finetune.weights_sha256": "cd" * 32,
    "train.search.tanh.units": [64, 256],
    "survival.columns": ["age"],
    "survival.model": "tanh",
    "survival.times": ["os_months"],
    "survival.events": ["os_status"],
    "survival.event_words": ["DECEASED"],
    "survival.censored_words": ["LIVING"],
    "survival.reference": "cluster_1",
    "survival.adjust": ["stage"],
    "survival.treatment": "arm",
    "survival.subgroups": ["sex"],
    "survival.horizons": [12.0, 60.0],
    "site.slurm.binds": ["/data"],
    "site.slurm.mail_type": "END",
    "site.slurm.tile.mail_type": "END",
    "site.slurm.modules": ["apptainer"],
    "site.slurm.mpi": "pmix",
}
UNSAID: dict[type, Any] = {int: 3, float: 0.5, str: "other"}
# What an entry changes directly, where that is not what its table does.
TABLES: dict[str, tuple[str, ...]] = {
    "source": (),
    "cohort": (),
    "outcome": (*MODELS, "evaluate"),
    "tile": ("tile",),
    "tile.stain": ("tile",),
    "tile.series": ("tile",),
    "extract": ("extract",),
    **{f"train.{name}": (name,) for name in MODELS},
    **{f"train.search.{name}": (name,) for name in MODELS},
    "evaluate": ("evaluate",),
    "phenotypes": (),  # a key that no other is made from: see below
    "survival": (),  # tests/stages/test_survival.py
    "report": (),
    "site": (),
    "site.slurm": (),
    "site.slurm.tile": (),
}
ENTRIES: dict[str, tuple[str, ...]] = {
    "study": (),
    "tile.regions": (),  # by the content of its files: see below
    "extract.weights": (),  # these three by the digest of the weights: see below
    "extract.weights_sha256": (),
    "extract.seed": (),
    "train.finetune.weights": (),  # where the file lies; its digest counts
    "train.heads": ("evaluate",),
    "train.clusterings": ("evaluate",),
    "train.folds": ("evaluate",),
    "train.repeats": ("evaluate",),
    "train.split": (),  # by the sets that it gives: see below
    "train.keep_together": (),
    "train.split_file": (),
    "train.seed": MODELS,
}


@dataclass(frozen=True)
class World:
    """What else a key is made of."""

    fingerprint: str = "fingerprint"
    mpp: float | None = 0.25
    slide_id: str = "S1"
    patient_id: str = "P1"
    label: int = 1
    tumour_type: str = "BRCA"
    in_set: str = "train"
    weights: str = "digest"
    regions: str = "{}"
    network_rule: int = 1
    test_label: int = 0


# What each of these changes directly.
INPUTS: dict[str, tuple[World, tuple[str, ...]]] = {
    "fingerprint": (World(fingerprint="other"), ("tile",)),
    "mpp of the manifest": (World(mpp=0.5), ("tile",)),
    "no mpp in the manifest": (World(mpp=None), ("tile",)),
    "regions": (World(regions="{ }"), ("tile",)),
    "digest of the weights": (World(weights="other"), ("extract",)),
    "label": (World(label=0), (*MODELS, "evaluate")),
    "label of a test patient": (World(test_label=1), ("evaluate",)),
    "tumour type": (World(tumour_type="LUAD"), ("evaluate",)),
    "slide": (World(slide_id="S9"), (*MODELS, "evaluate")),
    "patient": (World(patient_id="P9"), (*MODELS, "evaluate")),
    "set": (World(in_set="valid"), (*MODELS, "evaluate")),
    "out of training": (World(in_set="test"), (*MODELS, "evaluate")),
    "rule of a network": (World(network_rule=2), ("finetune",)),
}
RULES = {"TILE_RULE": ("tile",), "EXTRACT_RULE": ("extract",), "TRAIN_RULE": (*MODELS,), "EVALUATE_RULE": ("evaluate",)}


def below(names: Iterable[str]) -> set[str]:
    """These, and all that is made from them: predictions are made from every model."""
    found = set(names)
    for name in names:
        found |= below(MADE_FROM.get(name, ("evaluate",)))
    return found | ({"evaluate"} if found & set(MODELS) else set())


def changed_keys(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {name for name in set(before) & set(after) if before[name] != after[name]}


def entries(table: Table, above: str = "") -> Iterator[tuple[str, FieldInfo, object]]:
    """Every entry of run.toml, by its name with those of its tables."""
    for name, info in type(table).model_fields.items():
        value = getattr(table, name)
        if isinstance(value, Table):
            yield from entries(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", info, value


def other_value(name: str, info: FieldInfo, value: object) -> object:
    """Another value that the entry may have. KeyError: say one in `OTHER`."""
    if name in OTHER:
        return OTHER[name]
    if name.startswith("train.search."):
        head, entry = name.removeprefix("train.search.").split(".")
        table = TrainTable().table_of(head)
        return [other_value(f"train.{head}.{entry}", type(table).model_fields[entry], getattr(table, entry))]
    choices = get_args(info.annotation)
    words = [one for one in (*choices, *(inner for one in choices for inner in get_args(one))) if isinstance(one, str)]
    if words:
        return next(one for one in words if one != value)
    if value is None:
        return UNSAID[next(one for one in _plain(choices) if one in UNSAID)]
    assert isinstance(value, (bool, int, float)), f"say another value of {name} in OTHER"
    return (not value) if isinstance(value, bool) else value + 1 if isinstance(value, int) else value * 0.75 + 0.01


def _plain(choices: Iterable[Any]) -> Iterator[type]:
    """Of ``Annotated[str, ...] | None``: str."""
    for one in choices:
        yield get_args(one)[0] if get_args(one) else one


def direct(name: str) -> tuple[str, ...]:
    """What an entry of run.toml must change. KeyError: say it in `ENTRIES`, or for a whole table in `TABLES`."""
    return ENTRIES[name] if name in ENTRIES else TABLES[name.rpartition(".")[0]]


# Of heads and clusterings that none of these models is.
OTHER_CLUSTERINGS = ("contrastive", "contrastive_network", "kmeans", "mini_batch_kmeans")
UNUSED = (
    *(f"train.{table}.{entry}" for table in ("linear", "search.linear") for entry in ("penalty", "max_iter")),
    *(f"train.{name}.{entry}" for name in OTHER_CLUSTERINGS for entry in TrainTable().table_of(name).model_dump()),
)
# Tables of one kind: that of tile stands for them.
ALIKE = tuple(f"site.slurm.{stage.name}." for stage in STAGES if stage.name != "tile")
CONFIG = parse_config(BASE, source="run.toml")
ALL = {name: (info, value) for name, info, value in entries(CONFIG) if not name.startswith(ALIKE)}


def test_another_kind_of_outcome_makes_other_models() -> None:
    """By itself: most heads of `BASE` cannot predict it."""
    train = {"train": {"heads": ["attention"], "clusterings": []}}
    before, after = (
        parse_config({"outcome": {"kind": kind}, **train}, source="run.toml") for kind in ("binary", "score")
    )
    inputs = [("train", "P1", "S1", 1, "features")]
    found = {keys.train_key(one.train, "attention", inputs, outcome=one.outcome) for one in (before, after)}
    assert len(found) == 2
    assert keys.train_key(before.train, "attention", inputs) in found, "the key of before there was [outcome]"


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("study", "outcome.kind", *UNUSED)])
def test_an_entry_changes_the_keys_that_it_must_and_no_other(name: str) -> None:
    raw = json.loads(json.dumps(BASE))
    if name == "tile.pixels":  # without pixels no network is fine-tuned
        raw["train"]["heads"].remove("finetune")
    if name == "train.repeats":
        raw["train"]["folds"] = 2
    if name == "tile.stain.reference":  # by its content: tests/slides/test_slide_stain.py
        raw["tile"] = {"stain": {"method": "macenko"}}
    if name == "tile.series.scale":  # of images alone
        raw["source"] = {"kind": "folders"}
    before = parse_config(raw, source="run.toml")
    *tables, last = name.split(".")
    inner = raw
    for table in tables:
        inner = inner.setdefault(table, {})
    inner[last] = other_value(name, *ALL[name])
    changed = parse_config(raw, source="run.toml")
    assert {one: value for one, _, value in entries(changed)}[name] != ALL[name][1]
    assert changed_keys(chain(before), chain(changed)) == below(direct(name)) & set(chain(before))


@pytest.mark.parametrize(
    "name", [name for name in ALL if name.split(".")[1:2] and name.split(".")[1] in OTHER_CLUSTERINGS]
)
def test_an_entry_of_another_clustering_changes_its_key_alone(name: str) -> None:
    _, clustering, entry = name.split(".")
    of_file = {"contrastive_network": {"weights": "b.weights.h5", "weights_sha256": SHA256}}.get(clustering, {})
    other = {**of_file, entry: other_value(name, *ALL[name])}
    before, after = (parse_config({"train": {clustering: one}}, source="run.toml").train for one in (of_file, other))
    keys_of_both = [{one: keys.train_key(table, one, []) for one in CLUSTERINGS} for table in (before, after)]
    assert {one for one in CLUSTERINGS if keys_of_both[0][one] != keys_of_both[1][one]} == (
        {clustering} if entry != "weights" else set()  # where the file lies; its digest counts
    )


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("phenotypes.")])
def test_an_entry_of_phenotypes_changes_their_key_unless_it_says_when(name: str) -> None:
    entry = name.removeprefix("phenotypes.")
    other = CONFIG.phenotypes.model_copy(update={entry: other_value(name, *ALL[name])})
    both = {keys.phenotypes_key(table, [("contrastive", "k")], []) for table in (CONFIG.phenotypes, other)}
    assert len(both) == (1 if entry == "make" else 2)


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_changes_the_keys_that_it_must_and_no_other(name: str) -> None:
    world, first = INPUTS[name]
    assert changed_keys(chain(CONFIG), chain(CONFIG, world)) == below(first)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_changes_the_keys_that_it_must_and_no_other(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = chain(CONFIG)
    monkeypatch.setattr(keys, rule, getattr(keys, rule) + 1)
    assert changed_keys(before, chain(CONFIG)) == below(RULES[rule])


def test_which_slices_of_which_series_count_where_tiles_go_by_them() -> None:
    """Where they do not, a run of before keeps its key, whatever its images.csv says of series."""
    slides = [Slide("S", Path("/s"), "P", 1, images=("a.nii",), parts=(part,)) for part in PARTS]
    by_series = parse_config({"source": {"kind": "folders"}, "tile": {"series": {"scale": "percentiles"}}}, source="x")
    assert len({keys.slide_tile_key(by_series.tile, slide, "f") for slide in slides}) == len(PARTS)
    assert len({keys.slide_tile_key(CONFIG.tile, slide, "f") for slide in slides}) == 1


PARTS = (ImagePart(), ImagePart("T1w"), ImagePart("T1w", "axial"), ImagePart("T1w", "axial", (0, 3)))


def test_no_two_things_have_the_same_key() -> None:
    found = chain(CONFIG)
    assert len(set(found.values())) == len(found) == len(MODELS) + 4


def test_the_reason_of_a_quarantine_enters_its_key() -> None:
    slide = Slide("S1", Path("/s1.svs"), "P1", 1)
    assert len({keys.unread_tile_key(CONFIG.tile, slide, reason) for reason in ("no-mpp", "no-tissue")}) == 2


def chain(config: RunConfig, world: World = World()) -> dict[str, str]:
    """The keys of a run of three patients, each made from those before it as a run makes them."""
    with TemporaryDirectory() as folder:
        (Path(folder) / f"{world.slide_id}.geojson").write_text(world.regions)
        table = config.tile.model_copy(update={"regions": folder})
        slide = Slide(world.slide_id, Path("/s1.svs"), world.patient_id, 1, world.mpp)
        tiles = keys.slide_tile_key(table, slide, world.fingerprint)
    spec = keys.extract_spec(config.extract, config.tile.tile_px, world.weights)
    features = keys.extract_key(spec, tiles)
    states = [SlideState(slide, "extract", "done", features, tiles=tiles)]
    patients = {world.patient_id: Patient(world.patient_id, world.label, world.tumour_type)}
    for name, label in (("2", 0), ("3", 1), ("4", world.test_label)):
        other = Slide(f"S{name}", Path(f"/s{name}.svs"), f"P{name}", 1)
        states.append(SlideState(other, "extract", "done", f"features {name}", tiles=f"tiles {name}"))
        patients[f"P{name}"] = Patient(f"P{name}", label)
    cohort = Cohort(RunDir(Path("/run")), config, spec, tuple(states), patients)
    sets = {world.patient_id: world.in_set, "P2": "train", "P3": "valid", "P4": "test"}
    with patch("hypoxia_hpc.runs.cohort.find_network", lambda _: SimpleNamespace(rule=world.network_rule)):
        folds = (sets,) * config.train.n_folds
        models = {model.head: model.key for model in cohort.planned(folds) if model.fold == 0}
        evaluate = cohort.evaluation_key(folds)
    point = keys.point_key(models["tanh"], config.train.settings_of("tanh", {"units": 64}))
    return {"tile": tiles, "extract": features, **models, "point": point, "evaluate": evaluate}


# --- entries that come later ----------------------------------------------------------------------------------------


def later(table: Table, value: object, default: object) -> Table:
    """A table that got one more entry, with this value of it."""
    entry: Any = (type(default), Field(default, json_schema_extra=ADDED, strict=False))
    made = create_model("Later", __base__=type(table), later=entry)
    return made.model_validate({**table.model_dump(exclude_unset=True), "later": value})


def replaced(table: Any, path: list[str], inner: Table) -> Any:
    """The same tables with another in place of the one at ``path``."""
    if not path:
        return inner
    name, *rest = path
    return table.model_copy(update={name: replaced(getattr(table, name), rest, inner)})


@pytest.mark.parametrize(
    ("name", "default", "other"),
    [
        ("tile", 3, 4),
        ("extract", 3, 4),
        ("evaluate", 3, 4),
        ("train.tanh", 3, 4),
        ("train.finetune", 3, 4),
        ("train.deep_kmeans", 3, 4),
        ("train.search.tanh", (), (4,)),
    ],
)
def test_an_entry_that_is_added_changes_no_key_of_before(name: str, default: object, other: object) -> None:
    path = name.split(".")
    table: Any = CONFIG
    for one in path:
        table = getattr(table, one)
    as_before, changed = (chain(replaced(CONFIG, path, later(table, value, default))) for value in (default, other))
    assert as_before == chain(CONFIG)
    assert changed_keys(as_before, changed) == below(TABLES[name])

"""run.toml: every mistake told at once, and keys that depend on what is done, not on how it is written."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hypoxia_hpc.config import (
    ExtractTable,
    FunnelTable,
    RunConfig,
    Table,
    TileTable,
    canonical_json,
    load_config,
    parse_config,
    preset,
    render_config,
    stage_key,
    toml_value,
)
from hypoxia_hpc.errors import InputError

SHA256 = "0" * 64


def refused(raw: dict[str, object]) -> InputError:
    with pytest.raises(InputError, match=r"^run\.toml has \d+ wrong entr") as caught:
        parse_config(raw, source="run.toml")
    assert caught.value.remedy
    return caught.value


def parsed(text: str) -> RunConfig:
    return parse_config(tomllib.loads(text), source="run.toml")


# --- mistakes ----------------------------------------------------------------------------------------------------


def test_an_unknown_key_is_answered_with_the_valid_ones_and_their_defaults() -> None:
    (item,) = refused({"tile": {"tile_size": 299}}).offending
    assert item == (
        "tile.tile_size: unknown key; valid keys of [tile] with their defaults: "
        "tile_px = 299, mpp = 0.5, max_background = 0.25, white = 220, default_mpp (no default), "
        'reduce = "area", screen = "exact", tissue = "none", min_tissue = 0.5, '
        'regions (no default), regions_rule = "include", region_classes = [], '
        'regions_missing = "quarantine", min_region = 0.5, max_unreadable = 0.01, '
        'pixels = "store", codec = "none", large_images = "cut", small_images = "stretch", pad_value = 255, '
        "[stain], [series]"
    )


@pytest.mark.parametrize(
    ("raw", "table"),
    [
        ({"extrac": {}}, "at the top"),
        ({"train": {"head": 1}}, "[train]"),
        ({"train": {"tanh": {"x": 1}}}, "[train.tanh]"),
    ],
)
def test_unknown_keys_in_any_table(raw: dict[str, object], table: str) -> None:
    (item,) = refused(raw).offending
    assert f"unknown key; valid keys {'of ' if table[0] == '[' else ''}{table} with their defaults:" in item


def test_all_mistakes_are_told_at_once() -> None:
    raw = {
        "tile": {"tile_px": 1, "mpp": -1.0, "nonsense": 0},
        "extract": {"backbone": "../vit"},
        "train": {"split": [0.5, 0.2, 0.2], "heads": ["tanh", "tanh"], "funnel": {"units": []}},
        "site": {"workers": 0},
    }
    error = refused(raw)
    assert error.problem == "run.toml has 8 wrong entries"
    named = {item.split(" ")[0].rstrip(":") for item in error.offending}
    assert named == {
        "tile.tile_px",
        "tile.mpp",
        "tile.nonsense",
        "extract.backbone",
        "train.split",
        "train.heads",
        "train.funnel.units",
        "site.workers",
    }
    assert "tile.tile_px = 1: must be greater than or equal to 16" in error.offending
    assert "train.heads = [\"tanh\", \"tanh\"]: each head at most once, got ['tanh', 'tanh']" in error.offending


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[tile]\ntile_px = "299"', 'tile.tile_px = "299"'),
        ("[tile]\nwhite = 220.5", "tile.white = 220.5"),
        ("[tile]\nmpp = 2020-01-01", "tile.mpp"),
        ("[site]\nworkers = true", "site.workers = true"),
        ('[train]\nheads = "tanh"', 'train.heads = "tanh"'),
        ("[train]\nsplit = [0.5, 0.5]", "train.split.2"),
        ("[train]\nsplit = [0.5, 0.25, '0.25']", 'train.split.2 = "0.25"'),
        ("[train]\nsplit = [0.0, 0.5, 0.5]", "train.split"),
        ("[tile]\nmpp = nan", "tile.mpp = NaN"),
        ("[train.logistic]\nc = inf", "train.logistic.c = Infinity"),
        ("tile = 3", "tile = 3"),
        ("[[tile]]\nmpp = 1", "tile = "),
        ('study = "lung"', 'study = "lung"'),
        ("[study]\nname = 1", "study"),
        ('[extract]\nname = "../elsewhere"', 'extract.name = "../elsewhere"'),
        ("[train.search.funnel]\nunits = [[8, 0], [4]]", "train.search.funnel.units.0.1 = 0"),
        ("[train.search.tanh]\nmomentum = []", "train.search.tanh.momentum = []"),
        ("[train.search.tanh]\nbalance = ['sample', 'all']", 'train.search.tanh.balance.1 = "all"'),
        ("[train.search.logistic]\nepochs = [1]", "train.search.logistic.epochs: unknown key"),
        ("[train.search.finetune]\nepochs = [1]", "train.search.finetune: unknown key"),
        ('[extract]\nweights = "a.h5"', 'extract: weights = "a.h5" names a file, so weights_sha256'),
        ('[train.finetune]\nweights = "~/x"', 'train.finetune: weights = "~/x" names a file, so weights_sha256'),
        (f'[train.finetune]\nweights_sha256 = "{SHA256}"', "train.finetune: weights_sha256 is for a file"),
        (f'[extract]\nweights_sha256 = "{SHA256}"', "extract: weights_sha256 is for a file"),
    ],
)
def test_a_value_of_another_type_or_range_is_named_with_its_key(text: str, named: str) -> None:
    (item,) = refused(tomllib.loads(text)).offending
    assert item.startswith(named)


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ('[train]\nheads = "tanh"', 'train.heads = "tanh": must be a list, in square brackets'),
        ('[train]\nheads = ["tanh2"]', "train.heads.0 = \"tanh2\": must be 'tanh', 'funnel', "),
        ("[train]\nsplit = [0.5, 0.5]", "train.split.2 = [0.5, 0.5]: the list is too short"),
        ("[train]\nsplit = [0.5, 0.2, 0.2, 0.1]", "train.split = [0.5, 0.2, 0.2, 0.1]: the list takes 3 at most, and "),
        ("[train.funnel]\nunits = []", "train.funnel.units = []: the list needs 1 or more, and has 0"),
        ('[tile]\ntile_px = "299"', 'tile.tile_px = "299": must be a whole number, without quotes'),
        ("[tile]\nregions = ''", 'tile.regions = "": must not be empty'),
        ("tile = 3", "tile = 3: must be a table"),
        ('[extract]\nname = "a b"', 'extract.name = "a b": must be letters, digits, dots'),
        ('[extract]\nbackbone = "a b"', 'extract.backbone = "a b": must be the name of a network'),
        ('[extract]\nbackbone = "timm:hf-hub:MahmoodLab/uni"', "architecture of timm"),
        ('[train.finetune]\nbackbone = "hf-hub:MahmoodLab/uni"', 'weights = "FILE.safetensors"'),
        ("[train.finetune]\nweights = 'a.h5'\nweights_sha256 = 'A'", "that sha256sum FILE prints"),
        ("[site.slurm]\naccount = 'a\tb'", "must be one line"),
        (
            "[train.finetune]\ncolour_jitter = 0.2\nlight_jitter = 0.1",
            "and so does light_jitter = 0.1: set one of them",
        ),
    ],
)
def test_mistakes_are_told_in_plain_words(text: str, item: str) -> None:
    (told,) = refused(tomllib.loads(text)).offending
    assert item in told
    assert not any(word in told for word in ("uple", "Input", "pattern", "validation", "^["))


@pytest.mark.parametrize("text", ["[tile\n", "a = \n", "[tile]\nmpp = 0.5\nmpp = 0.5\n", "mpp = 0,5"])
def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(InputError, match=r"run\.toml is not valid TOML: .*line") as caught:
        load_config(tmp_path / "run.toml")
    assert caught.value.exit_code == 2


def test_a_folder_without_run_toml_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no run directory") as caught:
        load_config(tmp_path / "run.toml")
    assert "hypoxia-hpc init" in caught.value.remedy
    (tmp_path / "run.toml").write_bytes(b"study = '\xff'")
    with pytest.raises(InputError, match="not valid TOML"):
        load_config(tmp_path / "run.toml")


def test_an_unknown_study_is_answered_with_the_presets() -> None:
    with pytest.raises(InputError, match="'lungs' is not one") as caught:
        preset("lungs")
    assert "hypoxia" in caught.value.remedy


def test_configurations_are_frozen() -> None:
    config = preset("hypoxia")
    for table, entry in ((config, "tile"), (config.tile, "mpp"), (config.train.funnel, "units")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(table, entry, 1)
    assert hash(config) == hash(preset("hypoxia"))


# --- there and back ----------------------------------------------------------------------------------------------

paths = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True)
tile_tables = st.fixed_dictionaries(
    {},
    optional={
        "tile_px": st.integers(16, 4096),
        "mpp": st.floats(1e-6, 100),
        "max_background": st.floats(0, 1),
        "white": st.integers(1, 255),
        "default_mpp": st.floats(0.01, 20),
        "reduce": st.sampled_from(["area", "decoder"]),
        "screen": st.sampled_from(["off", "exact", "fast"]),
        "tissue": st.sampled_from(["none", "otsu", "watershed"]),
        "min_tissue": st.floats(0, 1),
        "regions": paths,
        "regions_rule": st.sampled_from(["include", "exclude"]),
        "region_classes": st.lists(st.sampled_from(["Tumor", "Stroma: Positive", 'a"b']), max_size=2),
        "regions_missing": st.sampled_from(["quarantine", "whole"]),
        "min_region": st.floats(0, 1),
        "max_unreadable": st.floats(0, 1),
        "pixels": st.sampled_from(["store", "none"]),
        "codec": st.sampled_from(["none", "lz4", "zstd", "jpeg"]),
    },
)
extract_tables = st.fixed_dictionaries(
    {
        "weights": st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
            lambda text: text not in ("imagenet", "random")
        )
    },
    optional={"name": names, "seed": st.integers(0, 2**63 - 1), "dtype": st.sampled_from(["float16", "float32"])},
)


@given(
    tile=tile_tables,
    extract=extract_tables,
    units=st.lists(st.integers(1, 65536), min_size=1, max_size=5),
    rate=st.floats(1e-300, 1e300),
)
def test_a_rendered_configuration_is_read_as_the_same(
    tile: dict[str, object], extract: dict[str, object], units: list[int], rate: float
) -> None:
    raw = {
        "tile": tile,
        "extract": {**extract, "weights_sha256": SHA256},
        "train": {"funnel": {"units": units, "learning_rate": rate}},
    }
    config = preset("hypoxia", raw)
    again = parsed(render_config(config))
    assert again == config
    for table in ("tile", "extract", "train", "evaluate"):
        assert key_of(again, table) == key_of(config, table)


MEMORY_AND_NONE = 'asks for memory, and memory = "none" asks for none'


@pytest.mark.parametrize(
    ("slurm", "said"),
    [
        ('memory = "none"\nmemory_gb = 8', f"- site.slurm: memory_gb {MEMORY_AND_NONE}"),
        ('tile = {memory = "none", memory_gb = 8}', f"- site.slurm: tile: memory_gb {MEMORY_AND_NONE}"),
        ('memory = "none"\ntrain = {memory_gb = 8}', f"- site.slurm: train: memory_gb {MEMORY_AND_NONE}"),
        ("memory_gb = 1e-9", "memory_gb = 1e-09: must be greater than or equal to 0.5"),
        ("tile = {memory_gb = 0.4}", "site.slurm.tile.memory_gb = 0.4: must be greater than or equal to 0.5"),
        ('exclude = "n[1"', """site.slurm.exclude = "n[1": must be names of nodes"""),
        ('train = {nodelist = "n1, n2"}', """site.slurm.train.nodelist = "n1, n2": must be names of nodes"""),
        ('mail_type = "nope"', """site.slurm.mail_type = "nope": must be of NONE, BEGIN, END"""),
    ],
)
def test_what_sbatch_would_refuse_or_drop_is_refused_when_it_is_read(slurm: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        parsed(f"[site.slurm]\n{slurm}")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "slurm",
    [
        'memory_gb = 8\ntile = {memory = "none"}',
        'memory = "none"\nmemory_gb = 8\nextract = {memory = "per-cpu"}',
        'memory = "none"\ntrain = {memory = "per-node", memory_gb = 8}',
    ],
)
def test_memory_may_be_for_some_stages_alone(slurm: str) -> None:
    parsed(f"[site.slurm]\n{slurm}")


def test_a_grid_is_every_combination_and_is_read_again() -> None:
    config = parsed("[train.search.funnel]\nmomentum = [0.8, 0.9]\nunits = [[8, 4], [2]]")
    assert config.train.search.points("funnel") == [
        {"units": (8, 4), "momentum": 0.8},
        {"units": (8, 4), "momentum": 0.9},
        {"units": (2,), "momentum": 0.8},
        {"units": (2,), "momentum": 0.9},
    ]
    assert config.train.search.points("tanh") == []
    text = render_config(config)
    assert parsed(text) == config
    assert text.count("[train.search.") == 1
    assert config.train.settings_of("funnel", config.train.search.points("funnel")[3]) == FunnelTable(
        units=(2,), momentum=0.9
    )


def test_all_that_is_wrong_with_grids_is_told_at_once() -> None:
    many = [value / 1000 for value in range(1, 1000)]
    grids = {"funnel": {"dropout": many, "momentum": many, "learning_rate": [*many, 1.0]}, "tanh": {"epochs": [1]}}
    raw: dict[str, object] = {"train": {"heads": ["tanh"], "split": [0.5, 0.0, 0.5], "search": grids}}
    (item,) = refused(raw).offending
    for problem in (
        "search.tanh: no validation patients to judge by",
        "search.funnel: heads does not list funnel",
        "search.funnel: 998,001,000 points, at most 64",
    ):
        assert problem in item


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"tile": {"pixels": "none"}}, "goes by the pixels of tiles"),
        ({"extract": {"name": "finetune"}}, "choose another"),
        ({"extract": {"name": "finetune.fold1"}}, "choose another"),
    ],
)
def test_fine_tuning_needs_pixels_and_the_name_of_its_own(raw: dict[str, object], said: str) -> None:
    assert parse_config(raw, source="run.toml")
    error = refused({**raw, "train": {"heads": ["tanh", "finetune"]}})
    assert said in error.offending[0]


def test_the_rendered_text_states_every_key_and_its_meaning() -> None:
    text = render_config(preset("hypoxia"))
    for table in (RunConfig, *(type(value) for _, value in preset("hypoxia") if isinstance(value, Table))):
        for name, info in table.model_fields.items():
            if not isinstance(info.default, Table):
                (line,) = [line for line in text.split("\n") if line.removeprefix("# ").startswith(f"{name} =")][:1]
                assert info.description
                assert "  # " in line
    assert "[train.funnel]" in text


def test_defaults_of_site_are_comments_for_a_site_file_may_say_otherwise() -> None:
    config = preset("hypoxia", {"site": {"workers": 3, "slurm": {"cpus": 8, "train": {"hours": 9.0}}}})
    stated = tomllib.loads(render_config(config))["site"]
    assert stated == {"workers": 3, "slurm": {"cpus": 8, "train": {"hours": 9.0}}}
    assert "[site.slurm.tile]" not in render_config(config)


@given(st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**63), 2**63 - 1), st.booleans()))
def test_toml_values_come_back(value: object) -> None:
    assert tomllib.loads(f"a = {toml_value(value)}")["a"] == value


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=4))
def test_toml_numbers_come_back(values: list[float]) -> None:
    assert tomllib.loads(f"a = {toml_value(values)}")["a"] == values


# --- keys --------------------------------------------------------------------------------------------------------


def key_of(config: RunConfig, table: str) -> str:
    return stage_key(table, 1, getattr(config, table).model_dump(), "input")


def test_a_key_is_the_hash_of_canonical_json() -> None:
    expected = '{"inputs":["a"],"rule":2,"stage":"tile","table":{"a":0.5,"b":1}}'
    found = stage_key("tile", 2, {"b": 1, "a": 0.5}, ["a"])
    assert found == hashlib.sha256(expected.encode()).hexdigest()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(table=st.dictionaries(st.text(), json_values, max_size=5), data=st.data())
def test_the_order_of_keys_does_not_matter_and_their_values_do(table: dict[str, object], data: st.DataObject) -> None:
    shuffled = dict(data.draw(st.permutations(list(table.items()))))
    assert canonical_json(shuffled) == canonical_json(table)
    assert stage_key("tile", 1, shuffled, "x") == stage_key("tile", 1, table, "x")
    assert json.loads(canonical_json(table)) == table
    assert len({stage_key("tile", rule, {**table, "a": a}, i) for rule in (1, 2) for a in (1, 2) for i in "xy"}) == 8


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_no_key_is_made_of_nan(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        stage_key("tile", 1, {"mpp": number}, "x")


def test_keys_depend_on_what_is_done_not_on_how_it_is_written() -> None:
    default = preset("hypoxia")
    same = parsed("[tile]\nwhite = 220\nmpp = 5e-1\n[site]\nworkers = 7\nweights = '/elsewhere'\n")
    assert same.site != default.site
    other = parsed("[tile]\nwhite = 219\n")
    assert key_of(same, "tile") == key_of(default, "tile") != key_of(other, "tile")
    assert key_of(parsed("[tile]\nmpp = 1"), "tile") == key_of(parsed("[tile]\nmpp = 1.0"), "tile")


def test_every_entry_of_a_table_enters_its_key() -> None:
    changes: dict[str, tuple[object, ...]] = {
        "tile_px": (300,),
        "mpp": (0.6,),
        "max_background": (0.3,),
        "white": (200,),
        "default_mpp": (0.5,),
        "reduce": ("decoder",),
        "screen": ("off", "fast"),
        "tissue": ("otsu", "watershed"),
        "min_tissue": (0.6,),
        "regions": ("regions",),
        "regions_rule": ("exclude",),
        "region_classes": (("Tumor",),),
        "regions_missing": ("whole",),
        "min_region": (0.6,),
        "max_unreadable": (0.02,),
        "pixels": ("none",),
        "codec": ("lz4", "zstd", "jpeg"),
        "stain": ({"method": "macenko"}, {"method": "vahadane"}, {"untrusted": "quarantine"}),
        "large_images": ("resize",),
        "small_images": ("pad",),
        "pad_value": (0,),
        "series": ({"scale": "percentiles"}, {"min_content": 0.5}),
    }
    assert set(changes) == set(TileTable.model_fields)
    tables = [
        TileTable(),
        *(TileTable.model_validate({name: value}) for name, values in changes.items() for value in values),
    ]
    assert len({stage_key("tile", 1, table.model_dump(), "x") for table in tables}) == len(tables)


def test_tables_come_back_from_the_json_of_a_model() -> None:
    """Models on disk keep their table as JSON, where a tuple is a list."""
    table = FunnelTable(units=(8, 4))
    assert FunnelTable.model_validate(json.loads(canonical_json(table.model_dump(mode="json")))) == table
    extract = ExtractTable(weights="random", seed=3)
    assert ExtractTable.model_validate(json.loads(canonical_json(extract.model_dump()))) == extract


def test_the_words_for_weights_are_named() -> None:
    (item,) = refused({"extract": {"weights": "imagnet"}}).offending
    assert item.startswith('extract: weights = "imagnet" names a file')
    assert item.endswith('"imagenet" and "random" are the words that are no path')


def test_a_pooling_that_is_not_for_the_outcome_is_refused() -> None:
    assert parsed('[evaluate]\npooling = "share-above"').evaluate.pooling == "share-above"
    asked = '[outcome]\nkind = "{}"\n[train]\nheads = ["linear"]\nclusterings = []\n[evaluate]\npooling = "{}"'
    assert parsed(asked.format("survival", "top-k")).evaluate.pooling_k == 10
    with pytest.raises(InputError, match=r"'share-above' is not for .* 'score'; these are: mean, median, top-k"):
        parsed(asked.format("score", "share-above"))


def test_a_split_over_images_is_not_for_survival() -> None:
    asked = '[outcome]\nkind = "{}"\n[train]\nheads = ["linear"]\nclusterings = []\n[evaluate]\nimage_split = true'
    assert parsed(asked.format("score")).evaluate.image_split
    with pytest.raises(InputError, match=r"image_split is not for an \[outcome\] of kind .survival."):
        parsed(asked.format("survival"))


def test_the_study_of_small_cell_lung_cancer_has_its_published_numbers() -> None:
    config = preset("sclc")
    assert (config.outcome.kind, config.tile.tile_px, config.tile.mpp) == ("survival", 224, 0.5)
    assert (config.tile.tissue, config.tile.min_tissue) == ("watershed", 0.6)
    assert (config.extract.backbone, config.extract.name) == ("resnet50", "resnet50")
    assert config.train.clusterings == ("contrastive",)
    table = config.train.contrastive
    assert (table.clusters, table.units, table.learning_rate, table.epochs) == (50, 2048, 0.0005, 100)
    assert config.train.folds == 5
    assert config.train.heads == ("linear", "attention"), "those that predict survival"
    assert config.phenotypes.make
    assert config.survival.of == "phenotypes"
    assert preset("sclc", {"tile": {"tissue": "otsu"}}).tile.tissue == "otsu"
    assert not preset("hypoxia").phenotypes.make


def test_the_study_of_sarcomas_has_its_published_numbers() -> None:
    config = preset("sarcoma")
    assert (config.outcome.kind, config.outcome.classes) == ("classes", ("DDLPS", "LMS", "MFS", "SS", "UPS"))
    assert (config.tile.tile_px, config.extract.backbone) == (1024, "densenet121")
    assert config.train.heads == ("tanh", "logistic", "attention", "finetune")
    table = config.train.finetune
    assert (table.backbone, table.weights, table.input_px, table.batch_size) == ("densenet121", "imagenet", 1024, 5)
    assert (table.frozen_epochs, table.unfrozen_epochs) == (25, 25)
    assert (table.learning_rate, table.unfrozen_learning_rate, table.schedule) == (1e-4, 1e-4, "one-cycle")
    assert table.flips and table.light_jitter and table.cutout and not table.colour_jitter
    assert table.balance == "weight"


def test_the_mgmt_study_has_its_published_numbers() -> None:
    config = preset("mgmt")
    assert (config.source.kind, config.source.pattern) == ("folders", "{patient}/{series}/{image}")
    assert config.outcome.classes == ("unmethylated", "methylated")
    assert (config.tile.tile_px, config.tile.large_images, config.tile.max_background) == (224, "resize", 1.0)
    assert config.tile.series.scale == "percentiles"
    assert (config.extract.backbone, config.extract.weights) == ("vgg16", "imagenet")
    assert (config.train.heads, config.train.clusterings) == (("relu", "attention"), ())
    table = config.train.relu
    assert (table.units, table.learning_rate, table.batch_size) == ((128, 64, 32, 16), 0.0005, 32)
    assert config.evaluate.fusion == "late"
    assert not config.evaluate.image_split, "the figure of a split over images is shown on request"


def test_contrastive_training_has_the_numbers_of_the_study_and_its_bounds() -> None:
    table = preset("sclc").train.contrastive_network
    assert (table.backbone, table.input_px, table.clusters, table.units) == ("resnet50", 224, 50, 2048)
    assert (table.contrast[0], table.hue[0], table.saturation[0]) == (0.25, 0.3, 0.3)
    assert (table.learning_rate, table.epochs) == (0.0005, 100)
    wrong = {"contrastive_network.crop": "[1.0, 0.0]", "contrastive_network.hue": "[0.3, 0.6]"}
    wrong |= {"contrastive_network.weights": '"mine.h5"', "contrastive.noise": "[2.0, 2.0]"}  # Keras takes no more
    for name, value in wrong.items():
        clustering, entry = name.split(".")
        with pytest.raises(InputError, match=f"train.{clustering}"):
            parsed(f"[train.{clustering}]\n{entry} = {value}")

"""Models on the slides of another run: what is refused, what is said, and what is not taken over."""

from __future__ import annotations

from typing import Any

import pytest

from hypoxia_hpc.config import RunConfig, parse_config, preset
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.models.comparable import Runs, config_for_other_slides, refuse_other_features, regions_note
from hypoxia_hpc.networks.heads.saved import ModelRecord
from hypoxia_hpc.runs.keys import extract_spec, tile_spec

RUNS = Runs("new", "'old run'")
SHA = "a" * 64


def specs(config: RunConfig, digest: str = SHA) -> tuple[dict[str, Any], dict[str, Any]]:
    return tile_spec(config.tile), extract_spec(config.extract, config.tile.tile_px, digest)


def config(**tables: object) -> RunConfig:
    return preset("hypoxia", tables)


def models(*trained: tuple[str, RunConfig, str]) -> dict[str, ModelRecord]:
    found = {}
    for name, of, digest in trained:
        tiles, features = specs(of, digest)
        empty: dict[str, Any] = {}
        found[name] = ModelRecord(
            head="tanh", key="k", settings=empty, seed=0, feature_length=2, tile_spec=tiles, extract_spec=features,
            sets={}, history={}, compute={}, software={},
        )  # fmt: skip
    return found


def refusal(ours: RunConfig, *trained: tuple[str, RunConfig, str], digest: str = SHA) -> InputError:
    with pytest.raises(InputError) as caught:
        refuse_other_features(*specs(ours, digest), models(*trained), RUNS)
    return caught.value


@pytest.mark.parametrize(
    ("ours", "theirs", "entries"),
    [
        ({"tile": {"mpp": 1.0}}, {}, "[tile] mpp = 0.5"),
        ({"tile": {"screen": "fast"}}, {}, '[tile] screen = "exact"'),
        ({}, {"tile": {"screen": "fast"}}, '[tile] screen = "fast"'),
        ({"tile": {"codec": "jpeg"}}, {}, '[tile] codec = "none"'),
        ({}, {"tile": {"codec": "jpeg"}}, '[tile] codec = "jpeg" and pixels = "store"'),
        ({"tile": {"tile_px": 200}}, {}, "[tile] tile_px = 299"),
        ({"extract": {"backbone": "vgg16"}}, {}, '[extract] backbone = "inception_v3"'),
        ({"extract": {"xla": True}, "tile": {"white": 230}}, {}, "[tile] white = 220; [extract] xla = false"),
        (
            {"tile": {"regions": "x", "region_classes": ["Tumor"]}},
            {"tile": {"regions": "y"}},
            "[tile] region_classes = []",
        ),
    ],
    ids=str,
)
def test_the_remedy_has_the_entries_of_training_and_they_mend_it(
    ours: dict[str, Any], theirs: dict[str, Any], entries: str
) -> None:
    told = refusal(config(**ours), ("tanh", config(**theirs), SHA), ("funnel", config(**theirs), SHA))
    command = (
        "Then hypoxia-hpc predict new --model 'old run': tiles and features are made again where that changes them"
    )
    assert told.remedy == f"in new/run.toml set {entries}. {command}"
    assert all("where tanh, funnel were trained" in one for one in told.offending)
    mended = dict(ours)
    for entry in entries.replace(" and ", "; [tile] ").split("; "):
        table, _, line = entry.removeprefix("[").partition("] ")
        name, _, value = line.partition(" = ")
        mended[table] = {**mended.get(table, {}), **_parsed(table, name, value)}
    refuse_other_features(*specs(config(**mended)), models(("tanh", config(**theirs), SHA)), RUNS)


def _parsed(table: str, name: str, value: str) -> dict[str, Any]:
    import tomllib

    found: dict[str, Any] = tomllib.loads(f"[{table}]\n{name} = {value}")[table]
    return found


def test_the_size_of_tiles_is_named_once() -> None:
    told = refusal(config(tile={"tile_px": 200}), ("tanh", config(), SHA))
    assert told.offending == ("[tile] tile_px: 200 here, 299 where tanh was trained",)


def test_weights_are_named_by_their_file_or_their_seed() -> None:
    random = refusal(config(), ("tanh", config(), "random:3:7"))
    assert 'set [extract] weights = "random" and seed = 7. Then' in random.remedy
    file = refusal(config(), ("tanh", config(), f"{'b' * 64}:2"), digest="random:3:0")
    assert f"weights and weights_sha256 as in 'old run'/run.toml (a file with SHA-256 {'b' * 64})" in file.remedy


def test_weights_that_are_not_there_are_not_compared() -> None:
    tiles, features = specs(config(extract={"backbone": "vgg16"}))
    del features["weights_digest"]
    with pytest.raises(InputError, match='backbone: "vgg16" here, "inception_v3" where tanh was trained') as caught:
        refuse_other_features(tiles, features, models(("tanh", config(), SHA)), RUNS)
    assert "weights" not in str(caught.value)


def test_models_that_no_run_suits_are_to_be_trained_again() -> None:
    told = refusal(config(), ("tanh", config(tile={"mpp": 1.0}), SHA), ("funnel", config(tile={"mpp": 2.0}), SHA))
    assert "different settings ([tile] mpp)" in told.remedy
    assert "hypoxia-hpc run 'old run'" in told.remedy
    assert len(told.offending) == 2


REGIONS = {"regions": "drawn", "regions_rule": "exclude", "min_region": 0.3, "regions_missing": "whole"}


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ({}, {}, ""),
        (REGIONS, {**REGIONS, "regions": "elsewhere", "regions_missing": "quarantine"}, ""),
        ({"min_region": 0.1, "default_mpp": 0.5}, {}, ""),
        (
            {},
            REGIONS,
            "the model tanh was trained on tiles by regions ([tile] regions); these slides are used whole, since new/",
        ),
        (
            REGIONS,
            {},
            "the model tanh was trained on whole slides; of these slides the tiles count that [tile] regions leave",
        ),
    ],
    ids=str,
)
def test_regions_and_resolutions_of_slides_are_said_and_not_refused(
    ours: dict[str, Any], theirs: dict[str, Any], said: str
) -> None:
    here, trained = config(tile=ours), models(("tanh", config(tile=theirs), SHA))
    refuse_other_features(*specs(here), trained, RUNS)
    note = regions_note(tile_spec(here.tile), trained, "new")
    assert (note.startswith(said), bool(note)) == (True, bool(said))


def test_what_belongs_to_the_slides_of_training_is_not_taken_over() -> None:
    trained = parse_config(
        {"tile": {"regions": "/drawn", "default_mpp": 0.25, "mpp": 1.0}, "train": {"split_file": "/split.csv"}},
        source="x",
    )
    made, notes = config_for_other_slides(trained)
    assert (made.tile.regions, made.tile.default_mpp, made.tile.mpp, made.train.split_file) == (None, None, 1.0, None)
    assert len(notes) == 2
    assert '"/drawn"' in notes[0]
    assert "0.25" in notes[1]
    assert config_for_other_slides(config()) == (config(), ())
    refuse_other_features(*specs(made), models(("tanh", trained, SHA)), RUNS)

"""Attributes of stores: every value comes back as it was written, and what does not fit takes its default."""

from __future__ import annotations

import json

import pytest

from hypoxia_hpc.records import Json, TileCounts
from hypoxia_hpc.stores.attributes import (
    Compute,
    FeatureAttributes,
    PlanRecord,
    SlideHeader,
    TileAttributes,
    compute_of,
    feature_attributes,
    tile_attributes,
)

PLAN = PlanRecord("openslide", "no page", 1, 4.0, 1.0, 299, 1196.0, "area", False, {"tissue_level": 2})
TILES = TileAttributes(
    "key",
    SlideHeader("a", (4000, 3000), 0.5, "slide", "aperio", None, "f" * 64),
    {"tile_px": 299},
    PLAN,
    TileCounts(9, 5, 2, 1, 1),
    software={"numpy": "2"},
)
COMPUTE = {"backend": "tensorflow", "device": "cpu", "batch_size": 16, "keras": "3.12", "processor": "a processor"}


def on_disk(attributes: Json) -> Json:
    found: Json = json.loads(json.dumps(attributes))
    return found


def test_tile_attributes_on_disk_and_back() -> None:
    held = on_disk(TILES.as_json())
    assert held.keys() == {"slide", "spec", "plan", "counts", "key", "software"}
    assert held["slide"]["size_l0"] == [4000, 3000]
    assert held["plan"]["tissue_level"] == 2 and "masks" not in held["plan"]
    assert held["slide"]["objective_power"] is None
    assert tile_attributes(held) == TILES


def test_regions_are_an_entry_only_where_there_are_some() -> None:
    with_regions = TileAttributes("key", regions="r" * 64)
    assert on_disk(with_regions.as_json())["regions"] == "r" * 64
    assert tile_attributes(on_disk(with_regions.as_json())) == with_regions


def test_feature_attributes_on_disk_and_back() -> None:
    made = FeatureAttributes("key", "a", {"backbone": "vgg16"}, {"tile_px": 32}, "tiles", compute_of(COMPUTE))
    held = on_disk(made.as_json())
    assert held["compute"] == COMPUTE
    assert feature_attributes(held) == made
    assert made.compute.others == {"keras": "3.12", "processor": "a processor"}


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ({"slide": None}, SlideHeader()),
        ({"slide": []}, SlideHeader()),
        ({"slide": {"fingerprint": "g", "size_l0": [1, 2]}}, SlideHeader(size_l0=(1, 2), fingerprint="g")),
    ],
)
def test_a_header_that_does_not_fit(damage: Json, expected: SlideHeader) -> None:
    found = tile_attributes(on_disk(TILES.as_json()) | damage)
    assert (found.key, found.slide, found.counts) == ("key", expected, TILES.counts)


@pytest.mark.parametrize("damage", [None, 3, "plan", ["reader"]])
def test_other_entries_that_do_not_fit(damage: object) -> None:
    found = tile_attributes({"key": "key", "plan": damage, "counts": damage, "spec": damage})
    assert found == TileAttributes("key")
    assert feature_attributes({"key": "key", "compute": damage}) == FeatureAttributes("key")
    assert compute_of({"batch_size": "all", "device": "cpu"}) == Compute(device="cpu")

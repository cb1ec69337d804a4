"""The keys of three run.toml, made of fixed inputs: what tests/runs/test_keys.py compares with digests on record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypoxia_hpc.config import RunConfig, canonical_json, parse_config
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.keys import (
    evaluate_key,
    extract_key,
    extract_spec,
    point_key,
    slide_tile_key,
    tile_spec,
    train_key,
    unread_tile_key,
)

SHA256 = "ab" * 32
CONFIGS: Mapping[str, dict[str, Any]] = {
    "defaults": {},
    "other slides": {
        "tile": {"tile_px": 224, "mpp": 1.0, "default_mpp": 0.25, "tissue": "otsu", "codec": "jpeg", "screen": "fast"},
        "extract": {
            "name": "dense",
            "backbone": "densenet121",
            "weights": "weights/dense.weights.h5",
            "weights_sha256": SHA256,
            "dtype": "float32",
            "precision": "bfloat16",
        },
    },
    "other training": {
        "train": {
            "heads": ["tanh", "attention", "finetune"],
            "folds": 5,
            "seed": 7,
            "tanh": {"units": 512, "patience": 3},
            "attention": {"bag_tiles": 64},
            "finetune": {"weights": "r.safetensors", "weights_sha256": SHA256, "unfrozen_epochs": 2},
            "deep_kmeans": {"clusters": 50, "units": []},
            "search": {"tanh": {"units": [64, 128], "learning_rate": [0.1, 0.01]}},
        },
        "evaluate": {"threshold": 0.4, "seed": 3},
    },
}
SLIDE = Slide("S1", Path("/slides/s1.svs"), "P1", 100, mpp=0.25)
MODELS = ("tanh", "funnel", "logistic", "attention", "finetune", "deep_kmeans")


def keys_of(changes: Mapping[str, Any]) -> dict[str, str]:
    """Every key that a run with these changes of the defaults takes, by what it is the key of."""
    config = parse_config(changes, source="run.toml")
    spec = extract_spec(config.extract, config.tile.tile_px, "digest")
    tiles = slide_tile_key(config.tile, SLIDE, "fingerprint")
    return {
        "tile": tiles,
        "tile, unread": unread_tile_key(config.tile, SLIDE, "unreadable"),
        "tile spec": canonical_json(tile_spec(config.tile)),
        "extract spec": canonical_json(spec),
        "extract": extract_key(spec, tiles),
        **_of_models(config, extract_key(spec, tiles)),
        "evaluate": evaluate_key(config.evaluate, [("tanh", "k")], [("train", "P1", "S1", "1/BRCA", tiles)]),
    }


def _of_models(config: RunConfig, features: str) -> dict[str, str]:
    inputs = [("train", "P1", "S1", 1, features), ("valid", "P2", "S2", 0, "k")]
    keys = {name: train_key(config.train, name, inputs) for name in MODELS}
    keys["finetune, rule 2"] = train_key(config.train, "finetune", inputs, network_rule=2)
    for point in config.train.search.points("tanh")[:1]:
        keys["point"] = point_key(keys["tanh"], config.train.settings_of("tanh", point))
    return keys

"""The expected key of every stage's result, in one place, so that stages which meet on disk agree.

A rule version is raised when the output of a stage changes for the same table and inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from hypoxia_hpc.cohorts.dealing import Member
from hypoxia_hpc.config import (
    EvaluateTable,
    ExtractTable,
    OutcomeTable,
    PhenotypesTable,
    Table,
    TileTable,
    TrainTable,
    stage_key,
)
from hypoxia_hpc.networks.backbones.precision import asked_precision
from hypoxia_hpc.records import Json, Label, Slide
from hypoxia_hpc.tiling.reference_digest import reference_digest
from hypoxia_hpc.tiling.region_paths import regions_digest, regions_path

TILE_RULE = 2
# Of what a file of regions means: raised alone, it leaves the keys of slides without one.
REGIONS_RULE = 2
EXTRACT_RULE = 1
TRAIN_RULE = 2
EVALUATE_RULE = 5
PREDICT_RULE = 3
PHENOTYPES_RULE = 1
# Of who is in which set. It enters no other key: those hold the set of each patient.
SPLIT_RULE = 2
# What was asked before there was [outcome]; it enters no key.
TWO_CLASSES = OutcomeTable()


def slide_tile_key(table: TileTable, slide: Slide, slide_fingerprint: str) -> str:
    """Key of the tile store that a slide of this fingerprint should have. Raises SlideError where its regions file
    cannot be read; that counts by its content, not by the folder it lies in."""
    path = regions_path(table, slide.slide_id)
    regions = f"{regions_digest(path)}:rule-{REGIONS_RULE}" if path is not None else ""
    inputs: Json = {"fingerprint": slide_fingerprint, "mpp": slide.mpp, "regions": regions}
    if table.series.is_on:
        inputs["parts"] = [list(part) for part in slide.parts]
    return stage_key("tile", TILE_RULE, tile_entries(table), inputs)


def tile_spec(table: TileTable) -> Json:
    """What makes tiles of two runs comparable: the [tile] table without what changes no tile, or how it is kept."""
    kept = {
        name: value
        for name, value in tile_entries(table).items()
        if name not in ("screen", "max_unreadable", "pixels", "codec")
    }
    lossy = table.codec == "jpeg" and table.pixels == "store"
    return {**kept, "regions": table.regions is not None, "screen_fast": table.screen == "fast", "lossy": lossy}


def unread_tile_key(table: TileTable, slide: Slide, reason: str) -> str:
    """Key of the quarantine of a slide that cannot be read: it holds until the reason changes."""
    return stage_key("tile", TILE_RULE, tile_entries(table), {"fingerprint": f"unread: {reason}", "mpp": slide.mpp})


def tile_entries(table: TileTable) -> Json:
    """The [tile] table as keys and stores have it: without the folder of regions, and the reference of a stain by its
    SHA-256 ("" where it cannot be read)."""
    entries = table.keyed(exclude={"regions"})
    if table.stain.reference is not None:
        entries["stain"] = {**entries["stain"], "reference": reference_digest(Path(table.stain.reference))}
    return entries


def extract_spec(table: ExtractTable, tile_px: int, weights_digest: str) -> Json:
    """What makes features comparable: the [extract] table with the weights' digest in place of where they lie."""
    kept = table.keyed(exclude={"weights", "weights_sha256", "seed"})
    return {**kept, "precision": asked_precision(table), "tile_px": tile_px, "weights_digest": weights_digest}


def extract_key(spec: Json, key_of_tiles: str) -> str:
    """Key of a feature store."""
    return stage_key("extract", EXTRACT_RULE, spec, key_of_tiles)


def split_key(table: TrainTable, members: Sequence[Member]) -> str:
    """Key of a split: of the entries of [train] that it goes by, and of what it sees of each patient."""
    names = ("split", "folds", "repeats", "seed", "keep_together")
    entries = {name: getattr(table, name) for name in names}
    return stage_key("split", SPLIT_RULE, entries, sorted(astuple(each) for each in members))


def train_key(
    table: TrainTable,
    name: str,
    inputs: Sequence[tuple[str, str, str, Label, str]],
    *,
    network_rule: int = 1,
    outcome: OutcomeTable = TWO_CLASSES,
) -> str:
    """Key of the model of a head or clustering. ``inputs``: set, patient_id, slide_id, label, key of features of every
    slide it may see: those of training and validation patients. ``network_rule``: of a network that is fine-tuned."""
    settings = table.table_of(name).keyed()
    if settings.get("weights_sha256") is not None:
        del settings["weights"]  # where the file lies
    mine = {"head": name, "seed": table.seed, "settings": settings}
    if (asked := stated_outcome(outcome)) is not None:
        mine["outcome"] = asked
    if network_rule != 1:
        mine["network_rule"] = network_rule
    if table.search.n_points(name):
        mine["search"] = table.search.grid(name).keyed()
    return stage_key("train", TRAIN_RULE, mine, sorted(inputs))


def stated_outcome(table: OutcomeTable) -> Json | None:
    """The [outcome] table where it says anything else than the default."""
    return None if table == TWO_CLASSES else table.keyed()


def point_key(model_key: str, settings: Table) -> str:
    """Key of one training of a search for the model of this key."""
    return stage_key("search", TRAIN_RULE, settings.keyed(), model_key)


def evaluate_key(
    table: EvaluateTable,
    models: Sequence[tuple[str, str]],
    rows: Sequence[tuple[str, str, str, str, str]],
    outcome: OutcomeTable = TWO_CLASSES,
) -> str:
    """Key of predictions and metrics. ``models``: name and key, in the order of [train], which decides where models
    tie. ``rows``: set, patient_id, slide_id, what is known of the patient, key of features of every slide."""
    inputs: Json = {"models": [list(model) for model in models], "rows": sorted(rows)}
    if (asked := stated_outcome(outcome)) is not None:
        inputs["outcome"] = asked
    if outcome.kind == "classes":
        inputs["chance"] = "permutations"  # before, by the accuracy's interval
    return stage_key("evaluate", EVALUATE_RULE, table.keyed(), inputs)


def predict_key(used: Json, rows: Sequence[tuple[str, str, str, str]]) -> str:
    """Key of predictions by the models of another run. ``used``: their keys, and the content of that run's
    metrics.json. ``rows``: patient_id, slide_id, label, key of features of every slide."""
    return stage_key("predict", PREDICT_RULE, used, sorted(rows))


def phenotypes_key(
    table: PhenotypesTable, models: Sequence[tuple[str, str]], rows: Sequence[tuple[str, str, str, str, str]]
) -> str:
    """Key of phenotypes. ``models``: name and key of the clusterings of all folds. ``rows``: set in the first fold,
    patient_id, slide_id, what is known of the patient, key of features of every slide."""
    inputs: Json = {"models": [list(model) for model in models], "rows": sorted(rows)}
    return stage_key("phenotypes", PHENOTYPES_RULE, table.keyed(exclude={"make"}), inputs)

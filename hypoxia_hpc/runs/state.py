"""The state of every slide in every stage, from what is on disk: done, quarantined (with its receipt) or to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hypoxia_hpc.config import RunConfig, TileTable
from hypoxia_hpc.config.extract import IMPORTED
from hypoxia_hpc.errors import HypoxiaError, InputError, NotReadyError, SlideError
from hypoxia_hpc.networks.backbones.resolve import resolve_backbone
from hypoxia_hpc.reading import read_json
from hypoxia_hpc.records import Json, Receipt, Slide, SlideSource
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import extract_key, extract_spec, slide_tile_key, unread_tile_key
from hypoxia_hpc.runs.receipts import COHORT, read_receipt
from hypoxia_hpc.runs.stages import Stage, stages_of
from hypoxia_hpc.slides.fingerprint import fingerprint_of
from hypoxia_hpc.stores.attributes import read_tile_attributes
from hypoxia_hpc.stores.integrity import store_key
from hypoxia_hpc.tiling.remarks import by_kind, left_out_images

# In place of the digest of weights: imported features are known by what made them, and those of each slide by its file.
IMPORTED_WEIGHTS = "imported"


@dataclass(frozen=True, slots=True)
class SlideState:
    """One slide in one stage. ``key`` is that of the store or quarantine ("" while it is to do), ``stage`` the stage
    that holds the slide up where it is quarantined, ``reader`` what read the slide where its tiles are done, ``tiles``
    the key of its tiles where its features are done, ``problem`` why it is not known where it stands, ``remarks`` what
    is odd about the slide where its tiles are done, ``left_out`` how many of a patient's images are no tiles then, by
    the reason."""

    slide: Slide
    stage: str
    status: Literal["done", "quarantined", "todo"]
    key: str = ""
    receipt: Receipt | None = None
    reader: str = ""
    tiles: str = ""
    problem: str = ""
    remarks: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


def tile_state(run: RunDir, table: TileTable, slide: Slide, *, read_slides: bool = True) -> SlideState:
    """A tile store counts as done when its key is that of the present rule, [tile] table and mpp for the slide it was
    made of; the slide itself is read only for quarantines (``tile`` reads it, and notices another file).

    Without ``read_slides`` a quarantine is about the slide that its receipt names, even where another file lies there
    now. The slide is read only where the receipt names none (it could not be read; an older version).
    """
    made = read_tile_attributes(run.tiles(slide.slide_id))
    receipt = read_receipt(run.receipts("tile"), slide.slide_id)
    if made is not None and made.key == _key_of(table, slide, made.slide.fingerprint):
        reader, odd = made.plan.reader, made.remarks
        return SlideState(slide, "tile", "done", made.key, receipt, reader, remarks=odd, left_out=made.left_out)
    if receipt is not None and receipt.status == "quarantined" and _holds(table, slide, receipt, read_slides):
        return SlideState(slide, "tile", "quarantined", receipt.key, receipt)
    return SlideState(slide, "tile", "todo")


def odd_slides(tiles: Sequence[SlideState]) -> dict[str, tuple[str, ...]]:
    """What is odd about slides that are tiled all the same, and which images are no tiles: slides by sentence."""
    odd = by_kind((one.slide.slide_id, one.remarks) for one in tiles)
    return odd | left_out_images((one.slide.slide_id, one.left_out) for one in tiles)


def _holds(table: TileTable, slide: Slide, receipt: Receipt, read_slides: bool) -> bool:
    made_of = receipt.details.fingerprint if isinstance(receipt.details, SlideSource) else ""
    if not made_of or (read_slides and not made_of.startswith(IMPORTED)):
        return receipt.key == _key_of_slide(table, slide)
    return receipt.key == _key_of(table, slide, made_of)


def _key_of(table: TileTable, slide: Slide, made_of: str) -> str:
    try:
        return slide_tile_key(table, slide, made_of)
    except SlideError as error:
        return unread_tile_key(table, slide, error.reason)


def _key_of_slide(table: TileTable, slide: Slide) -> str:
    try:
        return slide_tile_key(table, slide, fingerprint_of(slide))
    except SlideError as error:
        return unread_tile_key(table, slide, error.reason)


def feature_state(run: RunDir, name: str, spec: Json, tiles: SlideState) -> SlideState:
    """Features count as done when they were made of the present tiles by the present [extract] table."""
    if tiles.status == "quarantined":
        return tiles
    if tiles.status == "todo":
        return SlideState(tiles.slide, "extract", "todo")
    expected = extract_key(spec, tiles.key)
    receipt = read_receipt(run.receipts("extract", name), tiles.slide.slide_id)
    if store_key(run.features(name, tiles.slide.slide_id)) == expected:
        return SlideState(tiles.slide, "extract", "done", expected, receipt, tiles=tiles.key)
    if receipt is not None and receipt.status == "quarantined" and receipt.key == expected:
        return SlideState(tiles.slide, "extract", "quarantined", expected, receipt)
    return SlideState(tiles.slide, "extract", "todo")


def added_states(
    run: RunDir, slides: Sequence[Slide], known: Mapping[str, Sequence[SlideState]]
) -> dict[str, list[SlideState]]:
    """Of the stages that are judged by their receipts: the state of each slide. ``known``: those of other stages, none
    where they are not known; what needs them is to do then."""
    found: dict[str, Sequence[SlideState]] = dict(known)
    added = {}
    for stage in stages_of("slide"):
        if stage.key is not None:
            ready = [SlideState(slide, "", "done") for slide in slides]
            before = found[stage.needs[-1]] if stage.needs else ready
            unknown = [SlideState(slide, stage.name, "todo") for slide in slides]
            found[stage.name] = added[stage.name] = [_added_state(run, stage, one) for one in before] or unknown
    return added


def _added_state(run: RunDir, stage: Stage, before: SlideState) -> SlideState:
    if before.status == "quarantined":
        return before
    if before.status == "done":
        try:
            expected = stage.expected_key(run, before)
        except HypoxiaError as error:
            return SlideState(before.slide, stage.name, "todo", problem=error.problem)
        receipt = read_receipt(run.receipts(stage.name), before.slide.slide_id)
        if receipt is not None and receipt.key == expected:
            return SlideState(before.slide, stage.name, receipt.status, expected, receipt)
    return SlideState(before.slide, stage.name, "todo")


def is_current(run: RunDir, stage: Stage, features: Sequence[SlideState]) -> bool:
    """Do the receipt and the result of a stage that sees the whole cohort say that they are of these features?
    Raises what ``stage.expected_key`` does."""
    receipt = read_receipt(run.receipts(stage.name), COHORT, "cohort")
    if (
        receipt is None
        or receipt.status != "done"
        or (stage.result and _key_in(run.root / stage.result) != receipt.key)
    ):
        return False
    return receipt.key == stage.expected_key(run, features)


def _key_in(file: Path) -> str | None:
    """What a JSON file says that its key is; None where it says nothing."""
    try:
        found = read_json(file)
    except (OSError, ValueError):
        return None
    return str(found.get("key")) if isinstance(found, dict) else None


def run_spec(config: RunConfig) -> Json:
    """The extract spec that run.toml describes, its weights found and hashed. Raises what ``resolve_backbone`` does."""
    if config.extract.imported:
        return extract_spec(config.extract, config.tile.tile_px, IMPORTED_WEIGHTS)
    folder = Path(config.site.weights) if config.site.weights else None
    backbone = resolve_backbone(config.extract, config.tile.tile_px, folder)
    return extract_spec(config.extract, backbone.tile_px, backbone.weights_digest)


def refuse_imported(run: RunDir, config: RunConfig, stage: str) -> None:
    """Raises InputError where a run's features come from another tool, so that there is nothing to cut or compute."""
    if config.extract.imported:
        raise InputError(
            f'{stage}: {run.config_file} has [extract] backbone = "{config.extract.backbone}", and these features '
            "come from another tool",
            remedy=f"hypoxia-hpc import-features {run.word} DIR; or name a network in [extract] backbone",
        )


def spec_without_weights(config: RunConfig) -> Json:
    """`run_spec` without the digest of weights, which are not looked for."""
    spec = extract_spec(config.extract, config.tile.tile_px, "")
    del spec["weights_digest"]
    return spec


def feature_states(run: RunDir, config: RunConfig, slides: Sequence[Slide], spec: Json) -> list[SlideState]:
    """Where each slide stands on its way to features."""
    tiles = (tile_state(run, config.tile, slide) for slide in slides)
    return [feature_state(run, config.extract.name, spec, state) for state in tiles]


def require_ready(run: RunDir, states: Sequence[SlideState], config: RunConfig) -> None:
    """Every slide is done or quarantined. Raises NotReadyError naming those that are not."""
    todo = [state.slide.slide_id for state in states if state.status == "todo"]
    if todo:
        made = f"hypoxia-hpc tile {run.word} && hypoxia-hpc extract {run.word}"
        brought = f"hypoxia-hpc import-features {run.word} DIR, with the folder of their features"
        raise NotReadyError(
            f"{len(todo)} of {len(states)} slides have no features yet (for the present run.toml)",
            offending=todo,
            remedy=brought if config.extract.imported else made,
        )

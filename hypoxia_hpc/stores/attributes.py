"""What ``tile`` and ``extract`` write into the attributes of their stores, written and read here and nowhere else.

A reader gets every field: an entry that is missing or of another type, in a store of another version or in one
that was changed by hand, takes the field's default. Only the key decides whether a store counts as done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from hypoxia_hpc.records import Json, TileCounts
from hypoxia_hpc.stores.integrity import store_attributes
from hypoxia_hpc.tiling.remarks import NEAR_EMPTY, SEVERAL_PATIENTS, UNTRUSTED_STAIN, remarks

Kind = TypeVar("Kind")
# ``mpp_source`` of images in folders: no resolution is known or used, a pixel is a pixel.
AS_THEY_ARE = "images as they are"


@dataclass(frozen=True, slots=True)
class SlideHeader:
    """Of the slide that was cut: ``size_l0`` (width, height) in level 0 pixels, ``mpp`` in µm per level 0 pixel and
    where it comes from, and the fingerprint of its file. ``images`` of full resolution are in the file, of which the
    largest was cut; it is not written where it is 1. ``other_mpp``: what another place in the file says of ``mpp``; not
    written where none does."""

    slide_id: str = ""
    size_l0: tuple[int, int] | None = None
    mpp: float | None = None
    mpp_source: str = ""
    vendor: str = ""
    objective_power: float | None = None
    fingerprint: str = ""
    images: int = 1
    other_mpp: float | None = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """The kinds of what is odd about the slide."""
        return remarks(self.mpp, self.mpp_source, self.objective_power, self.images, self.other_mpp)


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """How a slide was read: by what, from which level, with tiles of which side (in pixels of that level and of
    level 0). ``why_not_native`` says why OpenSlide had to read it; ``masks`` has the levels that masks and the fast
    screening looked at, as entries beside the others."""

    reader: str = ""
    why_not_native: str = ""
    level: int = 0
    downsample: float = 0.0
    scale: float = 0.0
    side_level: int = 0
    side_l0: float | None = None
    reduced_by: str = ""
    interpolated: bool = False
    masks: Json = field(default_factory=dict)

    def as_json(self) -> Json:
        entries = asdict(self)
        return {**entries.pop("masks"), **entries}


@dataclass(frozen=True, slots=True)
class TileAttributes:
    """Of a tile store. ``spec`` is the [tile] table, ``regions`` the SHA-256 of the regions file ("" without one), in
    which each class has as many annotations as ``region_classes`` says ("" is no class). ``stain``: what the fit of
    [tile.stain] has found and what the tiles were given; not written where none is asked for. ``images``: of a patient
    whose images lie in folders, an entry each with its place on the sheet, or why it is left out; not written for a
    slide. ``series``: of a patient with series of slices, an entry each with what is black and white in it.
    ``patient_ids``: how many patients the DICOM files of one patient name; not written where it is 0."""

    key: str
    slide: SlideHeader = field(default_factory=SlideHeader)
    spec: Json = field(default_factory=dict)
    plan: PlanRecord = field(default_factory=PlanRecord)
    counts: TileCounts | None = None
    regions: str = ""
    region_classes: Mapping[str, int] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)
    stain: Json = field(default_factory=dict)
    images: tuple[Json, ...] = ()
    series: tuple[Json, ...] = ()
    patient_ids: int = 0

    @property
    def remarks(self) -> tuple[str, ...]:
        """The kinds of what is odd about the slide and its tiles."""
        of_tiles = {UNTRUSTED_STAIN: self.stain.get("why_not"), SEVERAL_PATIENTS: self.patient_ids > 1}
        return (*self.slide.remarks, *(kind for kind, is_so in of_tiles.items() if is_so))

    @property
    def left_out(self) -> dict[str, int]:
        """How many of the images are no tiles, by the reason."""
        return dict(Counter(reason for one in self.images if (reason := why_left_out(one))))

    def as_json(self) -> Json:
        entries = asdict(self)
        for name in ("stain", "images", "series", "patient_ids"):
            if not entries[name]:
                del entries[name]
        drawn = {name: entries.pop(name) for name in ("regions", "region_classes")}
        if self.slide.images == 1:
            del entries["slide"]["images"]
        if self.slide.other_mpp is None:
            del entries["slide"]["other_mpp"]
        return entries | {"plan": self.plan.as_json()} | (drawn if self.regions else {})


@dataclass(frozen=True, slots=True)
class Compute:
    """What the bits of features depend on beside their inputs: ``others`` has versions of the backend, the processor
    and what the engine adds."""

    backend: str | None = None
    device: str | None = None
    engine: str | None = None
    compiler: str | None = None
    precision: str | None = None
    batch_size: int | None = None
    batch_size_asked: int | None = None
    tile_px: int | None = None
    others: Json = field(default_factory=dict)

    def as_json(self) -> Json:
        entries = asdict(self)
        others = entries.pop("others")
        return {**others, **{name: value for name, value in entries.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class FeatureAttributes:
    """Of a feature store. ``spec`` says what makes these features, ``tile_spec`` and ``tile_key`` come from the tile
    store."""

    key: str
    slide_id: str = ""
    spec: Json = field(default_factory=dict)
    tile_spec: Json = field(default_factory=dict)
    tile_key: str = ""
    compute: Compute = field(default_factory=Compute)
    software: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> Json:
        return {**asdict(self), "compute": self.compute.as_json()}


def why_left_out(image: Json) -> str:
    """The reason why an entry of ``images`` became no tiles; "" where it did."""
    return str(image.get("reason") or (NEAR_EMPTY if image.get("near_empty") else ""))


def tile_attributes(held: Json) -> TileAttributes:
    """From the attributes of a tile store, which have a text ``key``."""
    plan = held.get("plan")
    known = {entry.name for entry in fields(PlanRecord)}
    masks = {name: value for name, value in plan.items() if name not in known} if isinstance(plan, dict) else {}
    return fitting(TileAttributes, {**held, "plan": fitting(PlanRecord, {**_entries(plan), "masks": masks})})


def feature_attributes(held: Json) -> FeatureAttributes:
    """From the attributes of a feature store, which have a text ``key``."""
    return fitting(FeatureAttributes, {**held, "compute": compute_of(held.get("compute"))})


def compute_of(held: object) -> Compute:
    """From ``compute`` of a feature store."""
    known = {entry.name for entry in fields(Compute)}
    others = {name: value for name, value in _entries(held).items() if name not in known}
    return fitting(Compute, {**_entries(held), "others": others})


def read_tile_attributes(store: Path) -> TileAttributes | None:
    """Of the tile store at a path, from its group document alone; None where there is none."""
    held = store_attributes(store)
    return None if held is None else tile_attributes(held)


def read_feature_attributes(store: Path) -> FeatureAttributes | None:
    """Of the feature store at a path, from its group document alone; None where there is none."""
    held = store_attributes(store)
    return None if held is None else feature_attributes(held)


def fitting(kind: type[Kind], held: object) -> Kind:
    """A dataclass from those entries of a JSON object that fit its fields; the other fields keep their defaults."""
    whole, by_field = _adapters(kind)  # type: ignore[arg-type]
    entries = _entries(held)
    try:
        fitted: Kind = whole.validate_python(entries)
    except ValidationError:
        found: Json = {}
        for name, adapter in by_field.items():
            with suppress(ValidationError):
                found |= {name: adapter.validate_python(entries[name])} if name in entries else {}
        return kind(**found)
    return fitted


def _entries(held: object) -> Json:
    return held if isinstance(held, dict) else {}


@cache
def _adapters(kind: type[Any]) -> tuple[TypeAdapter[Any], Mapping[str, TypeAdapter[Any]]]:
    """To read all fields at once, and one by one."""
    return TypeAdapter(kind), {name: TypeAdapter(hint) for name, hint in get_type_hints(kind).items()}

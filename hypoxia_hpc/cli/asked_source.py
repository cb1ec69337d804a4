"""What ``init`` starts from, as [source] of run.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypoxia_hpc.config.image_paths import check_pattern
from hypoxia_hpc.errors import InputError

if TYPE_CHECKING:
    from hypoxia_hpc.records import Json

SINGULAR = ("samples", "preparations")  # --sample and --preparation may be given several times
OF_SERIES = ("series", "middle")
READ_HERE = ("slides", "images", *SINGULAR, *OF_SERIES)
OPTIONS = {"images_pattern": "pattern", "path_column": "path_column", "set_column": "set_column"}


@dataclass(frozen=True, slots=True)
class AskedSource:
    """``folder`` of slides or images (or a manifest), ``changes`` of run.toml, and the options that are left."""

    folder: Path
    changes: Json
    others: dict[str, Any]


def asked_source(options: Mapping[str, Any]) -> AskedSource:
    """``options``: those of init by name, empty where they are not given. Raises InputError where they contradict each
    other; what they name is read later."""
    slides, images = options["slides"], options["images"]
    others = {name: value for name, value in options.items() if name not in (*OPTIONS, *READ_HERE)}
    given = {name: options[name] for name in OPTIONS if options[name] is not None}
    if "images_pattern" in given:
        _require_pattern(given["images_pattern"])
    if (slides is None) == (images is None):
        raise InputError(
            "give --slides or --images, one of them" if slides is None else "--slides and --images are both given",
            remedy="--slides DIR|CSV for slides, --images DIR for images in folders",
        )
    if slides is not None:
        wrong = {name: options[name] for name in ("images_table", *OF_SERIES) if options[name]}
        _refuse(given | wrong, "--slides")
        return AskedSource(slides, {}, others)
    assert images is not None  # noqa: S101 - one of them is given
    _refuse({name: options[name] for name in ("samples", "preparations") if options[name]}, "--images")
    table, own = options["images_table"], {OPTIONS[name]: value for name, value in given.items()}
    if table is not None:
        _refuse({name: given[name] for name in ("images_pattern",) if name in given}, "--images-table")
        own |= _columns_of_table(options)
        others |= {"label_column": options["label_column"] if options["patients"] else None}
    else:
        _refuse({name: given[name] for name in ("path_column", "set_column") if name in given}, "no --images-table")
    return AskedSource(images, {"source": {"kind": "folders", **own, **_of_series(options)}}, others)


def _require_pattern(pattern: str) -> None:
    try:
        check_pattern(pattern)
    except ValueError as error:
        raise InputError(
            f"--images-pattern {pattern!r} {error}",
            remedy="say how paths below --images are made, without suffix, as '{patient}/{series}/{image}'",
        ) from None


def _of_series(options: Mapping[str, Any]) -> Json:
    """--series and --middle as entries of [source]."""
    modes = {"image_mode": list(options["series"])} if options["series"] else {}
    middle = {"patient_mode": "middle", "middle": options["middle"]} if options["middle"] else {}
    return modes | middle


def _columns_of_table(options: Mapping[str, Any]) -> Json:
    """Those of --patient-column and --label-column that are columns of --images-table."""
    from hypoxia_hpc.cohorts.textfiles import read_rows

    asked = {"patient_column": options["patient_column"]}
    asked |= {} if options["patients"] else {"label_column": options["label_column"]}
    named = {name: column for name, column in asked.items() if column is not None}
    if not named:
        return {}
    held = read_rows(options["images_table"], (), tuple(named.values())).columns
    if not options["patients"] and (missing := [column for column in named.values() if column not in held]):
        raise InputError(
            f"{options['images_table']} has no column {', '.join(missing)}", remedy=f"it has: {', '.join(held)}"
        )
    return {name: column for name, column in named.items() if column in held}


def _refuse(given: Mapping[str, Any], against: str) -> None:
    if given:
        options = [name.removesuffix("s") if name in SINGULAR else name for name in given]
        named = ", ".join(f"--{name}".replace("_", "-") for name in options)
        raise InputError(f"{named}: not with {against}", remedy="leave it out")

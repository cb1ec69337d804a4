"""Tables of tiles with all that is known of them, as CSV and as Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.csvfiles import csv_text
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.exports.slide import File, Format, SlideExport


def tile_table(slide: SlideExport) -> pd.DataFrame:
    """A row for each tile: slide_id, patient_id, x_l0, y_l0, side_l0, what is said of it, and ``class``; of images in
    folders also ``image``, below the patient's folder, and ``series`` where one is known. Raises SlideError for a store
    that does not say which image a tile is of."""
    called = [slide.names[number] if number >= 0 else "" for number in slide.classes.tolist()]
    found = pd.DataFrame({"slide_id": slide.slide.slide_id, "patient_id": slide.slide.patient_id}, slide.said.index)
    found["x_l0"], found["y_l0"] = slide.xy_l0.T
    found["side_l0"] = slide.side_l0
    for name, values in _images_of_tiles(slide).items():
        found[name] = values
    return found.join(slide.said).assign(**({"class": called} if slide.names else {}))


def _images_of_tiles(slide: SlideExport) -> dict[str, list[str]]:
    """The image of each tile, and its series where images have some; nothing for a slide."""
    if not slide.slide.images:
        return {}
    entries = slide.attributes.images
    images = [str(one["path"]) for one in entries for _ in range(int(one.get("kept", 0)))]
    if len(images) != len(slide.xy_l0):
        raise SlideError(
            "damaged-store",
            f"the tile store of {slide.slide.slide_id} says of {len(images):,} of {len(slide.xy_l0):,} tiles which "
            "image they are of",
        )
    series = {image: part.series for image, part in zip(slide.slide.images, slide.slide.parts, strict=False)}
    of_series = {"series": [series.get(image, "") for image in images]} if any(series.values()) else {}
    return {"image": images, **of_series}


def _csv(slide: SlideExport, folder: Path) -> Iterator[File]:
    yield f"{slide.slide.slide_id}.csv", lambda path: _write_csv(slide, path)


def _write_csv(slide: SlideExport, path: Path) -> None:
    path.write_text(csv_text(tile_table(slide)), encoding="utf-8")


def _parquet(slide: SlideExport, folder: Path) -> Iterator[File]:
    table = tile_table(slide)
    yield f"{slide.slide.slide_id}.parquet", lambda path: table.to_parquet(path, index=False)


CSV = Format("csv", "A table of tiles for each slide: ID.csv", _csv, has_features=False, has_places=False)
PARQUET = Format("parquet", "The same as Parquet: ID.parquet", _parquet, has_features=False, has_places=False)

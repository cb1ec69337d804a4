"""One slide of a run: its stores, and pictures of its kept tiles and of what a model says of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypoxia_hpc.api.features import Features, stored_features
from hypoxia_hpc.api.notebook import facts, or_words, picture, words
from hypoxia_hpc.api.slides import Slide, open_slide
from hypoxia_hpc.api.tiles import Tiles, stored_tiles
from hypoxia_hpc.api.viewing import View, view
from hypoxia_hpc.errors import NotReadyError, some
from hypoxia_hpc.models.contact_sheets import kept_tiles_jpeg
from hypoxia_hpc.models.map_layers import prediction_layer, refuse_images
from hypoxia_hpc.models.prediction_tables import TILES_FILE, tiles_of_slides
from hypoxia_hpc.runs import directory
from hypoxia_hpc.stores.attributes import read_tile_attributes
from hypoxia_hpc.stores.features import open_features
from hypoxia_hpc.stores.tiles import open_tiles

SHOWN_PX = 480  # of a picture in a notebook


@dataclass(frozen=True, slots=True)
class Heatmap:
    """What a model says of the tiles of a slide, as ``hypoxia-hpc maps`` draws it; a notebook shows it.

    Attributes:
        slide_id: The slide.
        model: The model.
        png: The picture, a PNG file.
    """

    slide_id: str
    model: str
    png: bytes

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return picture(self.png, "png", f"{self.model} on {self.slide_id}")


@dataclass(frozen=True, slots=True)
class RunSlide:
    """One slide of a run: ``run["slide_id"]``.

    Attributes:
        slide_id: Its name in slides.csv.
        path: The file.
        patient_id: Its patient.
        mpp: Micrometres per level 0 pixel as slides.csv says, or None.
    """

    slide_id: str
    path: Path
    patient_id: str
    mpp: float | None
    _run: directory.RunDir

    def open(self) -> Slide:
        """Open the file. Raises as :func:`hypoxia_hpc.open_slide`."""
        return open_slide(self.path, mpp=self.mpp)

    @property
    def tiles(self) -> Tiles:
        """Its tiles. Pixels are read when they are sliced: ``tiles.pixels[:16]``.

        Raises SlideError (``damaged-store``: also where there is no store), MachineError."""
        return stored_tiles(open_tiles(self._require(self._run.tiles(self.slide_id), "tile")))

    @property
    def features(self) -> Features:
        """Its features by the present [extract] table, all of them. Raises as ``tiles``."""
        name = self._run.config().extract.name
        return stored_features(open_features(self._require(self._run.features(name, self.slide_id), "extract")))

    def heatmap(self, model: str = "") -> Heatmap:
        """What a model says of its tiles, drawn where they lie, in the colours of the whole cohort.

        Args:
            model: Default: the leading one.

        Raises:
            InputError: A model without predictions; images in folders, which have no place on a slide.
            NotReadyError: There are no predictions of this slide, or its tiles are gone.
        """
        refuse_images(self._run)
        layer = prediction_layer(self._run, model)
        rows = tiles_of_slides(self._run.predictions / TILES_FILE, [self.slide_id])
        rows = rows[rows["model"] == layer.name]
        made = read_tile_attributes(self._run.tiles(self.slide_id))
        png = None if made is None or not len(rows) else layer.pictures[0].png(rows, made)
        if png is None:
            raise NotReadyError(
                f"{layer.name} says nothing of slide {self.slide_id}, or its tile store is gone",
                remedy="run.tile(), run.extract() and run.evaluate()",
            )
        return Heatmap(self.slide_id, layer.name, png)

    def view(self, **options: Any) -> View:
        """This slide in a cell of a notebook, the others of its run beside it. ``options`` and errors are those of
        :func:`hypoxia_hpc.view`."""
        return view(self._run.root, slide_id=self.slide_id, **options)

    def _repr_html_(self) -> str:
        """What a notebook shows: which slide it is, and its kept tiles on it."""
        rows = [("slide", self.slide_id), ("patient", self.patient_id), ("file", self.path.name)]
        return facts(rows) + or_words(self._tiles_html)

    def _tiles_html(self) -> str:
        slides = [one for one in self._run.slides() if one.slide_id == self.slide_id]
        if not slides or not self._run.tiles(self.slide_id).exists():
            return words("No tiles yet: run.tile(), or see run.slides for the reason.")
        kept = words(f"{some(len(self.tiles), 'tile')} kept, outlined in blue.")
        shown = kept_tiles_jpeg(self._run, slides[0], SHOWN_PX)
        return (
            words("Its tile store does not say where tiles lie.")
            if shown is None
            else kept + picture(shown, "jpeg", "kept tiles")
        )

    def _require(self, store: Path, stage: str) -> Path:
        if not store.exists():
            raise NotReadyError(f"{store} does not exist", remedy=f"run.{stage}(), or see run.slides for the reason")
        return store

"""Which series of a patient's images each tile is of, where images.csv says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.attributes import read_tile_attributes

# A slide and the number of its tiles to the series of each.
SeriesOf = Callable[[Slide, int], pd.Categorical]


@dataclass(frozen=True, slots=True)
class _Series:
    run: RunDir
    names: tuple[str, ...]

    def __call__(self, slide: Slide, n_tiles: int) -> pd.Categorical:
        """Raises NotReadyError where the tile store is not there, or is one of other tiles."""
        made = read_tile_attributes(self.run.tiles(slide.slide_id))
        own = {image: part.series for image, part in zip(slide.images, slide.parts, strict=True)}
        images = () if made is None else made.images
        found = [own.get(str(one["path"]), "") for one in images for _ in range(int(one.get("kept", 0)))]
        if len(found) != n_tiles:
            raise NotReadyError(
                f"the series of {len(found):,} of {n_tiles:,} tiles of patient {slide.patient_id} are known, for the "
                "tile store is not there, or not that of the features",
                remedy=f"hypoxia-hpc run {self.run.word}",
            )
        return pd.Categorical(found, self.names)


def series_of_run(run: RunDir, slides: Iterable[Slide]) -> SeriesOf | None:
    """None where fewer than two series of images are known of these slides."""
    names = sorted({part.series for slide in slides for part in slide.parts})
    return _Series(run, tuple(names)) if len(names) > 1 else None

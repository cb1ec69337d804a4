"""How large a slide is whose tiles another tool had cut: its files do not always say, the slide's header does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.stores.attributes import TileAttributes


def with_size(made: TileAttributes, path: Path) -> TileAttributes:
    """The same with ``size_l0`` from the header of the slide at ``path``, where the store has none and the slide is
    there and can be opened. Raises MachineError where it cannot be tried."""
    if made.slide.size_l0 is not None:
        return made
    try:
        with opened_slide(path) as slide:
            return replace(made, slide=replace(made.slide, size_l0=slide.pyramid.size_l0))
    except SlideError:
        return made

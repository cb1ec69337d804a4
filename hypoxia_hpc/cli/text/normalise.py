"""What ``normalise`` shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.words import table

if TYPE_CHECKING:
    from hypoxia_hpc.tiling.stain.reinhard import LabMoments
    from hypoxia_hpc.tiling.stain.stains import Stains


def normalised_text(source: Stains | LabMoments, target: Stains | LabMoments) -> Iterator[str]:
    """What was found in the image and what it was given: dyes with their strength, or moments of L*, a*, b*."""
    from hypoxia_hpc.tiling.stain.stains import Stains

    if isinstance(source, Stains) and isinstance(target, Stains):
        heads = ["optical density", "red", "green", "blue", "99th percentile"]
        yield table(heads, [*_rows("image", source), *_rows("reference", target)])
        light = (", ".join(f"{level:.0f}" for level in one.white) for one in (source, target))
        yield "light of the glass: image {}; reference {}".format(*light)
    elif not isinstance(source, Stains) and not isinstance(target, Stains):
        rows = [
            [f"{name}, {what}", *(f"{value:.2f}" for value in values)]
            for name, one in (("image", source), ("reference", target))
            for what, values in (("mean", one.mean), ("deviation", one.deviation))
        ]
        yield table(["tissue", "L*", "a*", "b*"], rows)


def _rows(name: str, stains: Stains) -> list[list[str]]:
    return [
        [f"{name}, {dye}", *(f"{part:.3f}" for part in stains.directions[:, n]), f"{stains.strongest[n]:.3f}"]
        for n, dye in enumerate(("haematoxylin", "eosin"))
    ]

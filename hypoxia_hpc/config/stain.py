"""[tile.stain]: stain normalisation of the tiles that are kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.config.paths import ReferencePath


class StainTable(Table):
    """[tile.stain]: the stain of a reference for all tiles; background is judged before."""

    method: Literal["none", "macenko", "vahadane", "reinhard"] = Field(
        "none", description="how the stain of a slide is found, on its tissue alone, and replaced"
    )
    reference: ReferencePath | None = Field(
        None,
        description="image of tissue (PNG, JPEG, TIFF) whose stain all slides get; without it the published dyes "
        '(Macenko, Vahadane); relative to this file; "cohort": what training slides agree on (needs [train] '
        "split_file), or the stain.json that such a run made",
    )
    untrusted: Literal["keep", "quarantine"] = Field(
        "keep",
        description='a slide whose fit cannot be right (one dye, ink, no H&E): "keep" leaves its colours and says so',
    )

    @model_validator(mode="after")
    def _has_a_reference(self) -> StainTable:
        if self.method == "reinhard" and self.reference is None:
            raise ValueError('method = "reinhard" takes its colours from an image: name one as reference, or "cohort"')
        if self.method == "none" and self.reference is not None:
            raise ValueError('reference is of no use with method = "none": choose a method, or remove it')
        return self

"""[cohort]: which of the slides that are found belong to it."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from hypoxia_hpc.config.base import Table

Sample = Literal["tumour", "normal", "control"]
Preparation = Literal["diagnostic", "frozen"]
SAMPLES: tuple[Sample, ...] = get_args(Sample)
PREPARATIONS: tuple[Preparation, ...] = get_args(Preparation)


class CohortTable(Table):
    """[cohort]: which slides init takes, where a TCGA barcode or a GDC sample sheet says what they are of."""

    samples: tuple[Sample, ...] = Field(
        ("tumour",),
        min_length=1,
        strict=False,
        description='"tumour" (sample types 01-09), "normal" (10-19), "control" (20 and above)',
    )
    preparations: tuple[Preparation, ...] = Field(
        PREPARATIONS,
        min_length=1,
        strict=False,
        description='"diagnostic" (DX, embedded in paraffin), "frozen" sections (TS, BS, MS)',
    )

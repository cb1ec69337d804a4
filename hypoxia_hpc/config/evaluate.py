"""[evaluate]: predictions and metrics."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hypoxia_hpc.config.base import ADDED, Fraction, Table

PoolingKind = Literal["mean", "median", "top-k", "share-above"]


class EvaluateTable(Table):
    """[evaluate]: predictions and metrics."""

    threshold: Fraction = Field(0.5, description="a probability above this is called the positive class")
    threshold_rule: Literal["youden", "sensitivity"] = Field(
        "youden",
        description='how a second threshold is chosen on validation patients: "youden": largest sensitivity + '
        'specificity; "sensitivity": the highest that has wanted_sensitivity',
        json_schema_extra=ADDED,
    )
    wanted_sensitivity: float = Field(
        0.9, gt=0, le=1, description='of threshold_rule = "sensitivity"', json_schema_extra=ADDED
    )
    bootstrap: int = Field(
        2000, ge=100, le=1000000, description="resamplings of patients, where an interval comes from a bootstrap"
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="coverage of the intervals")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the resampling")
    pooling: PoolingKind = Field(
        "mean",
        description='what of its tiles stands for a slide or patient: their "mean", "median", the mean of the "top-k" '
        'largest, the "share-above" pooling_threshold; attention weighs tiles itself',
        json_schema_extra=ADDED,
    )
    pooling_k: int = Field(
        10, ge=1, le=1000000, description='how many tiles pooling = "top-k" takes', json_schema_extra=ADDED
    )
    pooling_threshold: Fraction = Field(
        0.5, description='of a tile\'s probability, for pooling = "share-above"', json_schema_extra=ADDED
    )
    fusion: Literal["together", "late"] = Field(
        "together",
        description='of images in several series: what stands for a patient is pooled from all tiles "together", or '
        '"late": from each series by itself, and of these the mean of the logits; attention weighs the tiles of all '
        "series itself",
        json_schema_extra=ADDED,
    )
    image_split: bool = Field(
        False,
        description="also say what a split over images would have given, with tiles of the same patients in training "
        "and test; it is shown as that, and is no result",
        json_schema_extra=ADDED,
    )

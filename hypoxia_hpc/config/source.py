"""[source]: what a run starts from, slides or images in folders."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hypoxia_hpc.config.base import ADDED, Table, Word
from hypoxia_hpc.config.image_paths import check_pattern
from hypoxia_hpc.config.outcome import ColumnName

Plane = Literal["unknown", "axial", "coronal", "sagittal"]


class SourceTable(Table):
    """[source]: what init starts from, and what the columns of a table of images are called."""

    kind: Literal["slides", "folders"] = Field(
        "slides", description='"folders": PNG, JPEG, TIFF, DICOM and NIfTI images below a folder (init --images)'
    )
    pattern: str = Field(
        "{patient}/{image}",
        max_length=1024,
        description="where no table says it: how paths below the folder are made, without suffix, of {patient}, and "
        "as far as there are any {series}, {label}, {image}",
    )
    patient_column: ColumnName = Field("patient_ID", description="column of the table of images: the patient")
    path_column: ColumnName = Field("Path", description="the image, as a path below the folder of images")
    label_column: ColumnName = Field("Label", description="what [outcome] asks of the patient")
    set_column: ColumnName = Field("training_set", description="TRAIN, VALID or TEST: used as it is")
    valid_column: ColumnName = Field(
        "is_valid", description="where there is no column of sets: True for validation, False for training"
    )
    series_column: ColumnName = Field(
        "series", description="the series that an image is of, where there is such a column", json_schema_extra=ADDED
    )
    image_mode: tuple[Word, ...] = Field(
        (),
        strict=False,
        description='series that are taken, in this order, as ["FLAIR", "T2w"]; empty: all of them',
        json_schema_extra=ADDED,
    )
    patient_mode: Literal["all", "middle"] = Field(
        "all",
        description='slices of each series that are taken: "all", or those in the "middle" of their order',
        json_schema_extra=ADDED,
    )
    middle: int = Field(
        1, ge=1, le=100_000, description='slices of each series; patient_mode = "middle"', json_schema_extra=ADDED
    )
    orientation: Plane = Field(
        "unknown",
        description="plane of slices whose files say nothing of it (PNG, JPEG, TIFF): it is written to images.csv, and "
        "changes no slice",
        json_schema_extra=ADDED,
    )

    plane: Literal["axial", "coronal", "sagittal"] = Field(
        "axial",
        description="plane of the slices of a NIfTI volume whose spacings are equal; of others slices lie across the "
        "largest spacing",
        json_schema_extra=ADDED,
    )

    @property
    def by_series(self) -> bool:
        """Whether anything is said of series, so that images.csv has a plane for each image."""
        return bool(self.image_mode) or self.patient_mode != "all" or self.orientation != "unknown"

    @field_validator("pattern")
    @classmethod
    def _is_pattern(cls, pattern: str) -> str:
        check_pattern(pattern)
        return pattern

    @model_validator(mode="after")
    def _names_each_series_once(self) -> SourceTable:
        twice = sorted({name for name in self.image_mode if self.image_mode.count(name) > 1})
        if twice:
            raise ValueError(f"image_mode has {', '.join(twice)} twice")
        return self

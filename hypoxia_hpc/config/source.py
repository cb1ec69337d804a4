"""[source]: what a run starts from, slides or images in folders."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.config.image_paths import check_pattern
from hypoxia_hpc.config.outcome import ColumnName


class SourceTable(Table):
    """[source]: what init starts from, and what the columns of a table of images are called."""

    kind: Literal["slides", "folders"] = Field(
        "slides", description='"folders": PNG, JPEG and TIFF images below a folder (init --images)'
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

    @field_validator("pattern")
    @classmethod
    def _is_pattern(cls, pattern: str) -> str:
        check_pattern(pattern)
        return pattern

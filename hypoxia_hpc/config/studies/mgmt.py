"""MGMT promoter methylation from slices of brain MRI in folders: the question of the RSNA-MICCAI challenge of 2021."""

from __future__ import annotations

from hypoxia_hpc.config.studies.study import Study

MGMT = Study(
    "mgmt",
    "is the MGMT promoter of a glioblastoma methylated? (MRI slices in folders)",
    {
        "source": {"kind": "folders", "pattern": "{patient}/{series}/{image}"},
        "outcome": {"classes": ["unmethylated", "methylated"]},
        # A slice has no glass: all of them are kept, each as one tile.
        "tile": {"tile_px": 224, "large_images": "resize", "white": 255, "max_background": 1.0},
        "extract": {"name": "vgg16", "backbone": "vgg16"},
        "train": {"heads": ["relu", "attention"], "clusterings": [], "folds": 5},
    },
    patient_column="BraTS21ID",
    label_column="MGMT_value",
)

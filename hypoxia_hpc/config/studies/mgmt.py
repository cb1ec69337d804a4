"""MGMT promoter methylation from slices of brain MRI in folders: the question of the RSNA-MICCAI challenge of 2021."""

from __future__ import annotations

from hypoxia_hpc.config.studies.study import Ceiling, Study

MGMT = Study(
    "mgmt",
    "is the MGMT promoter of a glioblastoma methylated? (MRI slices in folders)",
    {
        "source": {"kind": "folders", "pattern": "{patient}/{series}/{image}"},
        "outcome": {"classes": ["unmethylated", "methylated"]},
        # A slice has no glass: each of them is one tile, but for those that are near-empty.
        "tile": {
            "tile_px": 224,
            "large_images": "resize",
            "max_background": 1.0,
            "series": {"scale": "percentiles"},
        },
        "extract": {"name": "vgg16", "backbone": "vgg16"},
        "train": {"heads": ["relu", "attention"], "clusterings": [], "folds": 5},
        "evaluate": {"fusion": "late"},
    },
    patient_column="BraTS21ID",
    label_column="MGMT_value",
    is_stained=False,
    ceiling=Ceiling(
        "The published ceiling of MGMT methylation from MRI is a ROC AUC of about 0.6 on outside patients: the winner "
        "of the RSNA-MICCAI challenge had 0.56. Splits over images, with slices of one patient in training and test, "
        "have given more.",
        leak_above=0.7,
    ),
)

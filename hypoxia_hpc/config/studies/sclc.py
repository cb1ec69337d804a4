"""Prognosis in small cell lung cancer by phenotype clusters: as PathoSig has it, on frozen features."""

from __future__ import annotations

from hypoxia_hpc.config.studies.study import Study

SCLC = Study(
    "sclc",
    "which tissue phenotypes go with survival?",
    {
        "outcome": {"kind": "survival"},
        # Its file takes Otsu's threshold, its text a watershed: tissue = "otsu" gives the former.
        "tile": {"tile_px": 224, "mpp": 0.5, "tissue": "watershed", "min_tissue": 0.6, "max_background": 0.4},
        "extract": {"name": "resnet50", "backbone": "resnet50"},
        "train": {"clusterings": ["contrastive"], "contrastive": {"clusters": 50}, "folds": 5},
        "phenotypes": {"make": True, "seeds": 0},
        "survival": {"of": "phenotypes"},
    },
)

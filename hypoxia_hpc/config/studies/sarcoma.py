"""Five soft tissue sarcomas from H&E images in folders (Foersch et al. 2021): a whole network fine-tuned on them, and
heads on its frozen features beside it."""

from __future__ import annotations

from hypoxia_hpc.config.studies.study import Study

SARCOMA = Study(
    "sarcoma",
    "which of five soft tissue sarcomas is it?",
    {
        "outcome": {"kind": "classes", "classes": ["DDLPS", "LMS", "MFS", "SS", "UPS"]},
        # Its images were chosen by pathologists, and fat and myxoid tissue are pale: a rule for glass would leave out
        # more of some classes than of others.
        "tile": {"tile_px": 1024, "max_background": 1.0},
        "extract": {"name": "densenet121", "backbone": "densenet121", "batch_size": 5},
        "train": {
            "heads": ["tanh", "logistic", "attention", "finetune"],
            "clusterings": [],
            "finetune": {
                "backbone": "densenet121",
                "input_px": 1024,
                "batch_size": 5,
                "frozen_epochs": 25,
                "unfrozen_epochs": 25,
                "optimizer": "adamw",
                "learning_rate": 1e-4,
                "unfrozen_learning_rate": 1e-4,
                "schedule": "one-cycle",
                # How strong they are is ours.
                "light_jitter": 0.2,
                "cutout": 0.15,
                "balance": "weight",
            },
        },
    },
)

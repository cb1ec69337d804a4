"""Hypoxia from H&E slides of TCGA: the defaults of every table are those of this study."""

from __future__ import annotations

from hypoxia_hpc.config.studies.study import Study

HYPOXIA = Study("hypoxia", "is the tumour hypoxic?")

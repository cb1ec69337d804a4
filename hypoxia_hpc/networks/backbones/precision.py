"""What a network is computed in: what run.toml asks for, what keys hold, what a device then uses.

Keys are computed on machines of every kind, so they hold what was asked for; `compute` of a store holds what was used.
"""

from __future__ import annotations

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.networks.backbones.pathology.registry import MODELS
from hypoxia_hpc.networks.runtime import gpu_names

AUTO, SINGLE = "auto", "float32"
# Before the precision of a foundation model's makers, which is used on a GPU alone.
BY_MAKERS = f"{AUTO}:"


def asked_precision(table: ExtractTable) -> str:
    """As [extract] says; "auto" is float32, or for a foundation model whose makers run it in 16 bits ``auto:float16``
    or ``auto:bfloat16``."""
    if table.precision != AUTO:
        return table.precision
    model = MODELS.get(table.backbone)
    return SINGLE if model is None or model.precision == SINGLE else f"{BY_MAKERS}{model.precision}"


def used_precision(asked: str) -> str:
    """float32, float16 or bfloat16 on the device of this process. Starts the backend where that decides."""
    if not asked.startswith(BY_MAKERS):
        return asked
    return asked.removeprefix(BY_MAKERS) if gpu_names() else SINGLE


def cpu_precision(asked: str) -> str:
    """The same for a process that computes on the CPU. There 16 bits are for who asks for them: processors that lack
    them are slower by them, and nodes of one run may differ in that."""
    return SINGLE if asked.startswith(BY_MAKERS) else asked

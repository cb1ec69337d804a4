"""[site]: this machine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.config.paths import LocalPath, NodePath
from hypoxia_hpc.config.slurm import SlurmTable


class SiteTable(Table):
    """[site]: this machine. Enters no key: changing it never makes work again."""

    workers: int | None = Field(None, ge=1, le=1024, description="worker processes of tile; default: one per core")
    weights: LocalPath | None = Field(
        None, description="folder of weight files; default: $HYPOXIA_HPC_WEIGHTS, else ~/.keras/models"
    )
    scratch: NodePath | None = Field(
        None, description='folder on a disk of the node itself; $NAMES are filled in, as "$TMPDIR"'
    )
    gpus: int | None = Field(
        None,
        ge=0,
        le=64,
        description="GPUs of a node that extract uses, one process each; default: one process; 0: extract and train "
        "may run without a GPU that the job has",
    )
    engine: Literal["keras", "openvino"] = Field(
        "keras",
        description='what runs the network in extract: Keras, or "openvino" (faster on Intel and AMD CPUs)',
    )
    checkpoint_minutes: float = Field(10.0, gt=0, le=1440, description="how often training writes down where it is")
    stage_slides: bool = Field(False, description="copy each slide to scratch before it is read, and delete it after")
    slurm: SlurmTable = SlurmTable()

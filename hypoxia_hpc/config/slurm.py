"""[site.slurm]: what ``submit`` asks SLURM for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from hypoxia_hpc.config.base import Table, Word
from hypoxia_hpc.config.paths import IsPath


class SlurmTable(Table):
    """[site.slurm]: what ``submit`` asks SLURM for. Nothing in it is a shell command."""

    image: Annotated[Word, IsPath()] | None = Field(
        None, description="Apptainer image to run in; default: the Python environment that submit runs in"
    )
    binds: tuple[Word, ...] = Field((), strict=False, description='folders the image sees, "/data" or "/data:/mnt"')
    modules: tuple[Word, ...] = Field((), strict=False, description="environment modules to load before anything else")
    account: Word | None = Field(None, description="account to charge")
    qos: Word | None = Field(None, description="quality of service")
    partition: Word | None = Field(None, description="partition of stages that need no GPU")
    gpu_partition: Word | None = Field(None, description="partition of extract and train; default: partition")
    gres: Word | None = Field(None, description='what extract and train ask for, as "gpu:1"; default: no GPU')
    nodes: int = Field(1, ge=1, le=1024, description="nodes of one array element")
    ranks: int = Field(1, ge=1, le=65536, description="MPI ranks of one array element; 1: no MPI")
    mpi: Word = Field("pmi2", description="srun --mpi: how ranks find each other (see srun --mpi=list)")
    cpus: int = Field(4, ge=1, le=1024, description="cores of one rank, one worker each")
    memory_gb: float | None = Field(None, gt=0, le=65536, description="memory of one rank; default: by its workers")
    hours: float = Field(4.0, gt=0, le=720, description="how long one array element should take")
    most_elements: int = Field(1000, ge=1, le=1000000, description="most elements of an array")
    throttle: int | None = Field(None, ge=1, description="most elements that run at once")
    stop_seconds: int = Field(
        300, ge=10, le=65535, description="time before the limit at which a job stops and requeues"
    )
    most_requeues: int = Field(10, ge=0, le=1000, description="most times that one element is requeued")

    @model_validator(mode="after")
    def _a_rank_for_every_node(self) -> SlurmTable:
        if self.nodes > self.ranks:
            raise ValueError(f"nodes = {self.nodes} needs as many ranks or more, and ranks = {self.ranks}")
        return self

"""[site.slurm]: what ``submit`` asks SLURM for, and what it asks for otherwise in one stage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from hypoxia_hpc.config.base import Table, Word
from hypoxia_hpc.config.paths import IsPath
from hypoxia_hpc.config.slurm_words import host_list, mail_types

Memory = Literal["per-node", "per-cpu", "none"]
Hosts = Annotated[Word, AfterValidator(host_list)]
# The libraries alone take as much.
LEAST_MEMORY_GB = 0.5


class _Place(Table):
    image: Annotated[Word, IsPath()] | None = Field(
        None, description="Apptainer image to run in; default: the Python environment that submit runs in"
    )
    binds: tuple[Word, ...] = Field((), strict=False, description='folders the image sees, "/data" or "/data:/mnt"')
    modules: tuple[Word, ...] = Field((), strict=False, description="environment modules to load before anything else")


class _Project(Table):
    account: Word | None = Field(None, description="account to charge")
    qos: Word | None = Field(None, description="quality of service")
    partition: Word | None = Field(None, description="partition of stages that need no GPU")
    gres: Word | None = Field(None, description='what extract and train ask for, as "gpu:1"; default: no GPU')
    memory_gb: float | None = Field(
        None, ge=LEAST_MEMORY_GB, le=65536, description="memory of one rank; default: by its workers"
    )


class _Further(Table):
    """Options of sbatch that pass through as they are."""

    constraint: Word | None = Field(None, description='features that nodes must have, as "gpu" or "a100|h100"')
    reservation: Word | None = Field(None, description="reservation to run in")
    exclude: Hosts | None = Field(None, description='nodes never to use, as "n[01-04]"')
    nodelist: Hosts | None = Field(None, description="nodes that each job has to get")
    licenses: Word | None = Field(None, description='licences that each job takes, as "scratch" for a file system')
    nice: int | None = Field(None, ge=0, le=2147483645, description="by how much to lower the priority")
    mail_type: Annotated[Word, AfterValidator(mail_types)] | None = Field(
        None, description='when to send mail, as "END,FAIL"'
    )
    mail_user: Word | None = Field(None, description="where to send mail; default: who submits")
    comment: Word | None = Field(None, description="comment of each job, where a site asks for one")
    export: Word | None = Field(
        None, description='variables that jobs get from where submit runs, as "NONE"; default: all'
    )
    hint: Literal["compute_bound", "memory_bound", "multithread", "nomultithread"] | None = Field(
        None, description="how to place threads on cores (man sbatch, --hint)"
    )


class StageSlurmTable(_Further, _Project):
    """[site.slurm.STAGE]: what this stage asks for otherwise; the rest is that of [site.slurm]."""

    partition: Word | None = Field(None, description="partition of this stage")
    gres: Word | None = Field(None, description='what this stage asks for, as "gpu:1"')
    memory: Memory | None = Field(None, description="how to ask for memory")
    cpus: int | None = Field(None, ge=1, le=1024, description="cores of one rank, one worker each")
    hours: float | None = Field(
        None, gt=0, le=720, description="how long an element should take; of a stage without array its time limit"
    )


class ArraySlurmTable(StageSlurmTable):
    """[site.slurm.STAGE]: what this stage asks for otherwise; the rest is that of [site.slurm]."""

    nodes: int | None = Field(None, ge=1, le=1024, description="nodes of one array element")
    ranks: int | None = Field(None, ge=1, le=65536, description="MPI ranks of one array element; 1: no MPI")
    most_elements: int | None = Field(None, ge=1, le=1000000, description="most elements of an array")
    throttle: int | None = Field(None, ge=1, description="most elements that run at once")


class _Sizes(_Project, _Place):
    gpu_partition: Word | None = Field(None, description="partition of extract and train; default: partition")
    nodes: int = Field(1, ge=1, le=1024, description="nodes of one array element")
    ranks: int = Field(1, ge=1, le=65536, description="MPI ranks of one array element; 1: no MPI")
    mpi: Word = Field("pmi2", description="srun --mpi: how ranks find each other (see srun --mpi=list)")
    cpus: int = Field(4, ge=1, le=1024, description="cores of one rank, one worker each")
    memory: Memory = Field(
        "per-node", description='how to ask for memory: sbatch --mem, --mem-per-cpu, or not ("none": the site says)'
    )
    hours: float = Field(0.25, gt=0, le=720, description="how long one array element should take")
    most_elements: int = Field(1000, ge=1, le=1000000, description="most elements of an array")
    throttle: int | None = Field(None, ge=1, description="most elements of a stage that run at once")
    stop_seconds: int = Field(
        300, ge=10, le=65535, description="time before the limit at which a job stops and requeues"
    )
    most_requeues: int = Field(10, ge=0, le=1000, description="most times that one element is requeued")


class SlurmTable(_Further, _Sizes):
    """[site.slurm]: what ``submit`` asks SLURM for. Nothing in it is a shell command."""

    tile: ArraySlurmTable = ArraySlurmTable()
    extract: ArraySlurmTable = ArraySlurmTable()
    train: StageSlurmTable = StageSlurmTable()
    evaluate: StageSlurmTable = StageSlurmTable()
    phenotypes: StageSlurmTable = StageSlurmTable()
    survival: StageSlurmTable = StageSlurmTable()
    report: StageSlurmTable = StageSlurmTable()

    @model_validator(mode="after")
    def _a_rank_for_every_node(self) -> SlurmTable:
        for name in ("", "tile", "extract"):
            own = self.own(name)
            nodes, ranks = own.get("nodes", self.nodes), own.get("ranks", self.ranks)
            if nodes > ranks:
                where = f"{name}: " if name else ""
                raise ValueError(f"{where}nodes = {nodes} needs as many ranks or more, and ranks = {ranks}")
        return self

    @model_validator(mode="after")
    def _memory_is_asked_for(self) -> SlurmTable:
        """A table may say how much for others than itself: [site.slurm] for its stages."""
        own = {name: self.own(name) for name in type(self).model_fields}
        ways = {name: table.get("memory", self.memory) for name, table in own.items()}
        reached = {way for name, way in ways.items() if "memory_gb" not in own[name]}
        dropped = [f"{name}: " for name, way in ways.items() if "memory_gb" in own[name] and way == "none"]
        dropped += [""] if self.memory_gb is not None and reached == {"none"} else []
        if dropped:
            raise ValueError(
                f'{dropped[0]}memory_gb asks for memory, and memory = "none" asks for none: leave one of them out, or '
                'choose memory = "per-node" or "per-cpu"'
            )
        return self

    def own(self, stage: str) -> dict[str, Any]:
        """What the table of a stage says; nothing for a stage of another package, which has none."""
        table = getattr(self, stage) if stage in type(self).model_fields else None
        return table.model_dump(exclude_none=True) if isinstance(table, StageSlurmTable) else {}

    def of_stage(self, stage: str, device: Literal["cpu", "gpu"]) -> SlurmTable:
        """What holds for a stage, in the plain entries: ``partition`` and ``gres`` are those that it gets."""
        own, gpu = self.own(stage), device == "gpu"
        place = {
            "partition": (self.gpu_partition or self.partition) if gpu else self.partition,
            "gres": self.gres if gpu else None,
            "gpu_partition": None,
        }
        return self.model_copy(update=place | own)

"""What to ask SLURM for: how many parts, how long, how much memory, which array elements. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hypoxia_hpc.config import SlurmTable
from hypoxia_hpc.config.slurm import Memory
from hypoxia_hpc.errors import some
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.costs import StageCost
from hypoxia_hpc.runs.rates import Figure
from hypoxia_hpc.runs.stages import stage_named
from hypoxia_hpc.workers.shares import slides_of_shares

# Without one of one's own: what SLURM has by default.
DEFAULT_MAX_ARRAY_SIZE = 1001
# Start of a container and of TensorFlow on a node that has read neither, from a busy network drive.
START_SECONDS = 600
# Twice what is expected, if figures scatter so far: what takes longer is stopped in time and goes on later.
MOST_SAFETY = 2.0
STEP_MINUTES = 5
# Elements do not become shorter than this for another stage's sake: a task starts for some 15 s, and sites ask for jobs
# of minutes, not of seconds.
LEAST_HOURS = 1 / 12
# A worker of tile had at most 544 MB (benchmarks/README.md), its parent 300 MB.
TILE_GB, TILE_GB_A_WORKER = 1.0, 0.75
# TensorFlow with InceptionV3 and batches of 32: 3 GB on CPU; on a GPU the driver's share of host memory comes to that.
EXTRACT_GB, EXTRACT_GB_GPU = 6.0, 12.0
# Never less for a stage that sees the whole cohort; on a GPU what EXTRACT_GB_GPU has more than EXTRACT_GB comes on top.
LEAST_COHORT_GB = 4.0
# On top of what it should need: other allocators and other processors' libraries take more.
MEMORY_HEADROOM = 1.2
# gpu, gpu:2, gpu:a100:2; of what shares a GPU (shard, mps) a number says no GPUs. Where gres names no number: gpu:a100.
_GPUS = re.compile(
    r"(?:^|,)(?:gpu(?::[^:,]*[^:,0-9][^:,]*)?(?::([0-9]+))?|(?:shard|mps)(?::[^,]*)?)(?=,|$)", re.IGNORECASE
)
# Many partitions allow a day and no more; a head that is trained stays trained when the job is stopped and goes on.
MOST_COHORT_SECONDS = 23 * 3600


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One stage as SLURM is asked for it. ``elements``: parts of ``of`` that have something to do, None for a stage
    that sees the whole cohort. ``memory_mb`` is what a node needs, ``memory`` the way to ask for it, ``minutes`` the
    time limit of an element, ``exclude`` nodes beside those of [site.slurm] that are passed over. ``is_memory_given``:
    [site.slurm] says how much."""

    stage: str
    elements: tuple[int, ...] | None
    of: int
    nodes: int
    ranks: int
    cpus: int
    memory_mb: int
    minutes: int
    partition: str | None
    gres: str | None
    throttle: int | None = None
    memory: Memory = "per-node"
    exclude: tuple[str, ...] = ()
    is_memory_given: bool = False


@dataclass(frozen=True, slots=True)
class Array:
    """One sbatch of an array: element ``index`` of it does part ``first + index``. Indices lie below MaxArraySize."""

    first: int
    indices: tuple[int, ...]


def table_of(stage: str, table: SlurmTable) -> SlurmTable:
    """[site.slurm] as it holds for a stage."""
    return table.of_stage(stage, stage_named(stage).device)


def gpus_of(gres: str | None) -> int:
    """GPUs of a node that [site.slurm] gres asks for, 1 for a share of one; 0 where it asks for other things alone."""
    found = _GPUS.search(gres or "")
    return int(found[1] or 1) if found else 0


def request_by_slide(
    stage: str,
    slides: Sequence[Slide],
    remaining: Collection[str],
    earlier: int | None,
    pace: Figure,
    table: SlurmTable,
) -> JobRequest:
    """What to ask for a stage that goes slide by slide. ``slides`` are all of the run, ``remaining`` the ids of
    those to do (at least one), ``earlier`` into how many parts an earlier submission cut them, ``pace`` the seconds
    of a core (of a GPU, for extract where gres has some) per unit of cost."""
    table = table_of(stage, table)
    todo = [slide for slide in slides if slide.slide_id in remaining]
    lanes, speed = lanes_of(stage, table)
    seconds = sum(slide.cost for slide in todo) * pace.value / speed
    kept = earlier if earlier and earlier <= table.most_elements else 1
    of = max(kept, count_of_shares(seconds, len(todo), lanes, table))
    parts = [[slide.cost for slide in part if slide.slide_id in remaining] for part in slides_of_shares(slides, of)]
    longest = max(seconds_of_part(part, lanes) for part in parts)
    expected = longest * min(pace.high, MOST_SAFETY * pace.value) / speed
    return JobRequest(
        stage,
        tuple(index for index, part in enumerate(parts) if part),
        of,
        nodes=table.nodes,
        ranks=table.ranks,
        cpus=table.cpus,
        memory_mb=_memory_mb(table, _slide_stage_gb(stage, table)),
        minutes=minutes_to_request(expected, table),
        partition=table.partition,
        gres=table.gres,
        throttle=table.throttle,
        memory=table.memory,
        is_memory_given=table.memory_gb is not None,
    )


def count_of_shares(seconds: float, n_slides: int, lanes: int, table: SlurmTable) -> int:
    """Parts of [site.slurm] hours each, for work of ``seconds`` on one lane: at most most_elements, and at least
    a slide for every worker."""
    by_time = math.ceil(seconds / lanes / (table.hours * 3600))
    return max(1, min(by_time, table.most_elements, n_slides // lanes))


def most_parts(stage: str, slides: Sequence[Slide], remaining: Collection[str], pace: Figure, table: SlurmTable) -> int:
    """The most parts that a stage may be cut into: none shorter than `LEAST_HOURS`, or its own hours where these are
    less. What it is given is as of `request_by_slide`."""
    table = table_of(stage, table)
    lanes, speed = lanes_of(stage, table)
    todo = [slide.cost for slide in slides if slide.slide_id in remaining]
    finest = table.model_copy(update={"hours": min(table.hours, LEAST_HOURS)})
    return count_of_shares(sum(todo) * pace.value / speed, len(todo), lanes, finest)


def seconds_of_part(costs: Sequence[int], lanes: int) -> float:
    """How long the costs of a part take, each on one of ``lanes`` and dealt costliest first, in units of cost: no
    longer than an even division and the longest of them together."""
    return sum(costs) / lanes + max(costs) * (1 - 1 / lanes) if costs else 0.0


def request_of_cohort(stage: str, cost: StageCost, table: SlurmTable) -> JobRequest:
    """What to ask for a stage that sees the whole cohort. The time is that of its own table, else that of CPU cores,
    with a GPU too, and as long as may be where the cost of a head is unknown."""
    hours = table.own(stage).get("hours")
    table = table_of(stage, table)
    seconds = math.inf if cost.unknown else MOST_SAFETY * cost.seconds(table.cpus)
    minutes = minutes_to_request(min(seconds, MOST_COHORT_SECONDS), table)
    gigabytes = max(LEAST_COHORT_GB, MEMORY_HEADROOM * cost.peak_bytes / 1e9)
    gigabytes += EXTRACT_GB_GPU - EXTRACT_GB if gpus_of(table.gres) else 0.0
    return JobRequest(
        stage,
        None,
        1,
        nodes=1,
        ranks=1,
        cpus=table.cpus,
        memory_mb=math.ceil(1000 * (table.memory_gb or gigabytes)),
        minutes=minutes if hours is None else math.ceil(60 * hours),
        partition=table.partition,
        gres=table.gres,
        memory=table.memory,
        is_memory_given=table.memory_gb is not None,
    )


def cohort_notes(stage: str, cost: StageCost, table: SlurmTable) -> Iterator[str]:
    """What the user should know of such a request, a sentence each; nothing of its time where its own table says it."""
    if "hours" in table.own(stage):
        return
    table = table_of(stage, table)
    most, hours = MOST_COHORT_SECONDS / 3600, cost.seconds(table.cpus) / 3600
    if cost.unknown:
        yield (
            f"how long {stage} takes is not known, for {', '.join(cost.unknown)} does not say what it costs: {most:g} "
            "h are asked for, and memory for the other models alone; [site.slurm] memory_gb sets it"
        )
    elif hours > most:
        yield (
            f"{stage} may take {hours:,.0f} h on {some(table.cpus, 'core')}, and {most:g} h are asked for: it is "
            f"stopped in time and requeued, at most {some(table.most_requeues, 'time')}; what is done stays done"
        )
    if gpus_of(table.gres):
        yield f"no GPU was measured: the time of {stage} is that of CPU cores, and should be far less on {table.gres}"


def minutes_to_request(seconds: float, table: SlurmTable) -> int:
    """A time limit for ``seconds`` of work: with start and the time before the limit at which a job is stopped."""
    minutes = (START_SECONDS + seconds + table.stop_seconds) / 60
    return STEP_MINUTES * math.ceil(minutes / STEP_MINUTES)


def time_limits(partitions: str) -> dict[str, float]:
    """Most minutes of a job in each partition (inf: no limit), from the words of ``scontrol --oneliner show
    partition``; that of the default partition stands under "", too."""
    limits: dict[str, float] = {}
    for line in partitions.splitlines():
        words = dict(word.partition("=")[::2] for word in line.split())
        minutes = _minutes(words.get("MaxTime", ""))
        if "PartitionName" in words and minutes is not None:
            limits[words["PartitionName"]] = minutes
            if words.get("Default") == "YES":
                limits[""] = minutes
    return limits


def _minutes(text: str) -> float | None:
    """From ``1-12:00:00``, ``12:00:00`` or ``UNLIMITED``; None for other words."""
    if text.upper() in ("UNLIMITED", "INFINITE"):
        return math.inf
    match = re.fullmatch(r"(?:([0-9]+)-)?([0-9]+):([0-9]+):[0-9]+", text)
    return int(match[1] or 0) * 1440 + int(match[2]) * 60 + int(match[3]) if match else None


def most_minutes(partition: str | None, limits: Mapping[str, float]) -> float:
    """What a job may ask for in a partition, in the best of ``a,b``, or in the default one; inf: not known."""
    return max((limits.get(name, math.inf) for name in (partition or "").split(",")), default=math.inf)


def within(request: JobRequest, limit: float) -> JobRequest:
    """No more than ``limit`` minutes: SLURM takes a job that asks for more, and never starts it."""
    return replace(request, minutes=int(min(request.minutes, limit)))


def mpi_types(printed: str) -> frozenset[str]:
    """What ``srun --mpi=list`` names: a line each, and versions of pmix after a colon."""
    lines = [line.rpartition(":")[2].replace(",", " ").split() for line in printed.splitlines()]
    alone = {words[0] for words in lines if len(words) == 1}
    return frozenset(alone | {word for words in lines for word in words if word.startswith("pmi")})


def lanes_of(stage: str, table: SlurmTable) -> tuple[int, int]:
    """How many slides an element works on at once, and how many cores (or GPUs) each of them has; ``table`` as it holds
    for the stage."""
    if stage_named(stage).device == "cpu":
        return table.ranks * table.cpus, 1
    return (table.nodes, 1) if gpus_of(table.gres) else (table.ranks, table.cpus)


def _slide_stage_gb(stage: str, table: SlurmTable) -> float:
    if stage_named(stage).device == "cpu":
        return TILE_GB + TILE_GB_A_WORKER * table.cpus
    return EXTRACT_GB_GPU if gpus_of(table.gres) else EXTRACT_GB


def _memory_mb(table: SlurmTable, gigabytes: float) -> int:
    a_rank = gigabytes if table.memory_gb is None else table.memory_gb
    return math.ceil(1000 * a_rank * math.ceil(table.ranks / table.nodes))


def arrays_of(elements: Sequence[int], max_array_size: int) -> list[Array]:
    """The sbatches that send these parts, each with indices from 0 to ``max_array_size`` - 1."""
    by_first: dict[int, list[int]] = {}
    for element in elements:
        by_first.setdefault(element - element % max_array_size, []).append(element % max_array_size)
    return [Array(first, tuple(indices)) for first, indices in sorted(by_first.items())]


def index_ranges(indices: Sequence[int]) -> str:
    """Rising indices as sbatch reads them: ``0-3,7``."""
    ranges: list[list[int]] = []
    for index in indices:
        if ranges and index == ranges[-1][1] + 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    return ",".join(f"{start}-{stop}" if stop > start else f"{start}" for start, stop in ranges)


def max_array_size(config: str) -> int:
    """MaxArraySize from the words of ``scontrol show config``; SLURM's default where they do not say."""
    found = re.search(r"^MaxArraySize\s*=\s*([0-9]+)\s*$", config, re.MULTILINE)
    return max(1, int(found[1])) if found else DEFAULT_MAX_ARRAY_SIZE

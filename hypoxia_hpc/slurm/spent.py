"""What the jobs of a run had and used, stage by stage: from accounting, or from what a job of the run wrote down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from hypoxia_hpc.machine.programs import query_program
from hypoxia_hpc.reading import MOST_TABLE_BYTES, UnfitFileError, read_plain
from hypoxia_hpc.records import StageUsage
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slurm.queue import Ended, Sent, parse_accounted, query_sacct, sent_jobs
from hypoxia_hpc.slurm.usage import Usage

NODE_FORMAT = "%N|%c"
# In RUN/slurm, written by the job of the report: an image has neither sacct nor sinfo.
WRITTEN = "accounting.txt"


def spent_of_run(run: RunDir) -> tuple[tuple[StageUsage, ...], str]:
    """What the jobs that were sent for a run had and used; or why it is not known. Nothing of a run without jobs."""
    sent = sent_jobs(run)
    if not sent:
        return (), ""
    accounted, why = query_sacct(list(dict.fromkeys(one.job_id for one in sent)))
    if accounted is not None and accounted.ended:
        return spent_by_stage(sent, accounted.ended, query_node_cpus(accounted.ended)), ""
    text = _written(run)
    found = spent_by_stage(sent, parse_accounted(text).ended, parse_node_cpus(text))
    return found, "" if found else why or "sacct knows none of them"


def _written(run: RunDir) -> str:
    try:
        return read_plain(run.root / "slurm" / WRITTEN, MOST_TABLE_BYTES).decode(errors="replace")
    except (OSError, UnfitFileError):
        return ""


def spent_by_stage(
    sent: Iterable[Sent], ended: Iterable[Ended], node_cpus: Mapping[str, int]
) -> tuple[StageUsage, ...]:
    """What the jobs that are over had and used, in the order in which stages were sent; nothing of jobs that never
    ran. ``node_cpus``: how many cores nodes have, as far as it is known."""
    over = {one.job: one for one in ended if one.usage.seconds and one.usage.cpus}
    by_stage: dict[str, list[tuple[Sent, Ended]]] = {}
    for one in sent:
        found = [(one, over[job]) for job in one.jobs() if job in over]
        by_stage.setdefault(one.stage, []).extend(found)
    return tuple(_of_stage(stage, found, node_cpus) for stage, found in by_stage.items() if found)


def _of_stage(stage: str, found: Sequence[tuple[Sent, Ended]], node_cpus: Mapping[str, int]) -> StageUsage:
    jobs = [one.usage for _, one in found]
    known = [one for one in jobs if one.cpu_seconds is not None]
    most = max(jobs, key=lambda one: one.memory or 0)
    longest_sent, longest = max(found, key=lambda pair: pair[1].usage.seconds)
    measured = [one.usage for _, one in found if one.usage.joules and has_whole_nodes(one, node_cpus)]
    return StageUsage(
        stage,
        len(jobs),
        core_seconds=sum(map(_core_seconds, jobs)),
        longest_seconds=longest.usage.seconds,
        limit_seconds=60 * longest_sent.minutes or None,
        cpu_share=sum(one.cpu_seconds or 0 for one in known) / sum(map(_core_seconds, known)) if known else None,
        memory_asked=most.memory_asked or None,
        memory_used=most.memory,
        gpu_seconds=sum(one.gpus * one.seconds for one in jobs),
        gpu_share=max((one.gpu_share for one in jobs if one.gpu_share is not None), default=None),
        gpu_memory=max((one.gpu_memory for one in jobs if one.gpu_memory is not None), default=None),
        joules=sum(one.joules or 0 for one in measured) or None,
        measured_jobs=len(measured),
    )


def _core_seconds(usage: Usage) -> int:
    return usage.cpus * usage.seconds


def has_whole_nodes(one: Ended, node_cpus: Mapping[str, int]) -> bool:
    """Whether a job had all cores of its nodes; of several nodes none is taken to have fewer than the largest."""
    cores = node_cpus.get(one.node, 0) if one.usage.nodes == 1 else max(node_cpus.values(), default=0)
    return 0 < cores * one.usage.nodes <= one.usage.cpus


def query_node_cpus(ended: Iterable[Ended]) -> dict[str, int]:
    """How many cores nodes have, where accounting has measured energy; empty where that is not known."""
    if not any(one.usage.joules for one in ended):
        return {}
    answer, _ = query_program("sinfo", "--noheader", "--Node", f"--format={NODE_FORMAT}")
    return parse_node_cpus(answer or "")


def parse_node_cpus(text: str) -> dict[str, int]:
    """The lines of ``sinfo --Node`` in `NODE_FORMAT`; others are left out."""
    return dict(_node_rows(text))


def _node_rows(text: str) -> Iterator[tuple[str, int]]:
    for line in text.splitlines():
        node, bar, cpus = line.strip().partition("|")
        if bar and cpus.isascii() and cpus.isdecimal() and len(cpus) < 7:
            yield node, int(cpus)

"""The jobs of a run as SLURM knows them: what waits and runs, and what failed and still matters."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from hypoxia_hpc.records import Slide, StageUsage
from hypoxia_hpc.slurm.queue import (
    Accounted,
    FailedJob,
    Queued,
    Sent,
    failed_ones,
    n_unknown,
    query_sacct,
    query_squeue,
)
from hypoxia_hpc.slurm.spent import query_node_cpus, spent_by_stage
from hypoxia_hpc.workers.shares import slides_of_shares


@dataclass(frozen=True, slots=True)
class Jobs:
    """What SLURM says: ``queued`` and ``failed`` are None where it is not known. ``sent`` is empty for a run that was
    never submitted. Where the queue does not answer, ``accounted`` has what waits and runs as accounting last heard,
    and of ``unknown`` jobs and elements it has not heard. ``spent``: what the jobs that are over had and used."""

    sent: tuple[Sent, ...] = ()
    queued: tuple[Queued, ...] | None = None
    failed: tuple[FailedJob, ...] | None = None
    why_not_queued: str = ""
    why_not_ended: str = ""
    accounted: tuple[Queued, ...] = ()
    unknown: int = 0
    spent: tuple[StageUsage, ...] = ()


def query_jobs(sent: Sequence[Sent]) -> Jobs:
    """Ask squeue and sacct about what was sent, both at a time; neither where nothing was sent."""
    if not sent:
        return Jobs()
    ids = list(dict.fromkeys(one.job_id for one in sent))
    with ThreadPoolExecutor(2) as pool:
        squeue, sacct = pool.submit(query_squeue, ids), pool.submit(query_sacct, ids)
    queued, why_not_queued = squeue.result()
    accounted, why_not_ended = sacct.result()
    jobs = judged(sent, queued, why_not_queued, accounted, why_not_ended)
    ended = () if accounted is None else accounted.ended
    return replace(jobs, spent=spent_by_stage(sent, ended, query_node_cpus(ended)))


def judged(
    sent: Sequence[Sent],
    queued: Sequence[Queued] | None,
    why_not_queued: str,
    accounted: Accounted | None,
    why_not_ended: str,
) -> Jobs:
    """What the answers of squeue and sacct say together. What neither says is unknown and has not failed."""
    is_blind = queued is None and accounted is not None
    living = accounted.living if accounted is not None else ()
    return Jobs(
        tuple(sent),
        None if queued is None else tuple(queued),
        None if accounted is None else tuple(failed_ones(accounted.ended, _known(queued, living), sent)),
        why_not_queued,
        why_not_ended,
        living if is_blind else (),
        n_unknown(accounted, sent) if is_blind and accounted is not None else 0,
    )


def _known(queued: Sequence[Queued] | None, living: Sequence[Queued]) -> list[Queued] | None:
    """What is not over, by either: accounting hears of an end a little later than the queue."""
    return None if queued is None else [*queued, *living]


def that_matter(jobs: Jobs, slides: Sequence[Slide], left: Mapping[str, Collection[str] | None]) -> Jobs:
    """Without failures whose work another job or process has done since. ``left``: ids of the slides to do, by stages
    that are not done, None for one that sees the whole cohort."""
    if not jobs.failed:
        return jobs
    parts = {of: slides_of_shares(slides, of) for of in {one.of for one in jobs.failed if one.part is not None}}

    def matters(one: FailedJob) -> bool:
        ids = left.get(one.stage)
        if one.stage not in left or ids is None or one.part is None:
            return one.stage in left
        return one.part < one.of and any(slide.slide_id in ids for slide in parts[one.of][one.part])

    return replace(jobs, failed=tuple(one for one in jobs.failed if matters(one)))

"""Stages side by side: an element begins when its own element of the stage before has ended, not all of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from hypoxia_hpc.errors import some
from hypoxia_hpc.runs.stages import stage_named
from hypoxia_hpc.slurm.chain import Job
from hypoxia_hpc.slurm.resources import Array

# Of one stage: each is a call of sbatch, for which a busy controller takes a second. More elements go in groups.
MOST_CALLS = 100


def common_count(counts: Mapping[str, int], most: Mapping[str, int]) -> int | None:
    """Into how many parts all of these stages can be cut, so that each has the same slides in the same part: as many as
    the stage that has most. None where they are as many already, or where a stage would have too small ones. ``most``
    is what each may have beside the ``counts`` that it has."""
    of = max(counts.values(), default=0)
    if len(set(counts.values())) < 2:
        return None
    return of if all(of in (counts[stage], min(of, most[stage])) for stage in counts) else None


def side_by_side(jobs: Sequence[Job]) -> list[Job]:
    """The jobs of a chain, where those that can begin element by element do, in about `MOST_CALLS` arrays."""
    return [
        replace(job, arrays=tuple(_groups(job)), is_beside=True) if _is_alike(job, before) else job
        for job, before in zip(jobs, (None, *jobs), strict=False)
    ]


def waiting_notes(jobs: Sequence[Job]) -> Iterator[str]:
    """A sentence for each stage that could begin element by element, and does not."""
    for before, job in pairwise(jobs):
        if _follows(job, before) and not job.is_beside:
            stage, need = job.request.stage, before.request.stage
            yield (
                f"{stage} begins when all of {need} has ended, for {need} has {some(before.request.of, 'part')} and "
                f"{stage} {job.request.of}: hours and most_elements in [site.slurm.{need}] and [site.slurm.{stage}] "
                "set them"
            )


def _follows(job: Job, before: Job) -> bool:
    """Whether there is a wait that could be shorter."""
    if job.request.elements is None or before.request.elements is None:
        return False
    return before.request.stage in stage_named(job.request.stage).needs and before.n_elements + job.n_elements > 2


def _is_alike(job: Job, before: Job | None) -> bool:
    return before is not None and _follows(job, before) and job.request.of == before.request.of


def _groups(job: Job) -> Iterator[Array]:
    size = math.ceil(job.n_elements / MOST_CALLS)
    for array in job.arrays:
        if array is not None:
            for start in range(0, len(array.indices), size):
                yield Array(array.first, array.indices[start : start + size])

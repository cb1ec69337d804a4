"""From slides and their costs to the jobs of a chain: how many parts, which arrays, which stages side by side. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from hypoxia_hpc.config import SlurmTable
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.rates import Figure
from hypoxia_hpc.slurm.chain import Job
from hypoxia_hpc.slurm.overlap import common_count, side_by_side
from hypoxia_hpc.slurm.resources import JobRequest, arrays_of, most_parts, request_by_slide


def slide_requests(
    slides: Sequence[Slide],
    remaining: Mapping[str, Collection[str]],
    earlier: Mapping[str, int | None],
    pace: Mapping[str, Figure],
    table: SlurmTable,
) -> list[JobRequest]:
    """What to ask for the stages that go slide by slide, cut into parts that are the same in all of them, where they
    can be. By stage: ids of the ``remaining`` slides (none: the stage is left out), into how many parts an ``earlier``
    submission cut all of them, and the ``pace`` as of `request_by_slide`."""
    todo = {stage: ids for stage, ids in remaining.items() if ids}

    def requests(of: Mapping[str, int | None]) -> list[JobRequest]:
        return [request_by_slide(stage, slides, ids, of[stage], pace[stage], table) for stage, ids in todo.items()]

    usual = requests(earlier)
    most = {stage: most_parts(stage, slides, ids, pace[stage], table) for stage, ids in todo.items()}
    of = common_count({one.stage: one.of for one in usual}, most)
    return usual if of is None else requests(dict.fromkeys(todo, of))


def chain_of(requests: Sequence[JobRequest], max_array_size: int) -> list[Job]:
    """The jobs that send these requests, in their order."""
    return side_by_side([_job(asked, max_array_size) for asked in requests])


def _job(asked: JobRequest, max_array_size: int) -> Job:
    return Job(asked, (None,) if asked.elements is None else tuple(arrays_of(asked.elements, max_array_size)))

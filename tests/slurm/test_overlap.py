"""Which stages go side by side, element by element, and in how many parts they are cut for it."""

from __future__ import annotations

import pytest

from hypoxia_hpc.slurm.chain import Job
from hypoxia_hpc.slurm.overlap import MOST_CALLS, common_count, side_by_side, waiting_notes
from hypoxia_hpc.slurm.resources import Array, JobRequest, arrays_of


def job_of(stage: str, elements: tuple[int, ...] | None, of: int = 1) -> Job:
    request = JobRequest(stage, elements, of, 1, 1, 1, 1, 1, None, None)
    return Job(request, (None,) if elements is None else tuple(arrays_of(elements, 1001)))


@pytest.mark.parametrize(
    ("tile", "extract", "most_tile", "most_extract", "common"),
    [
        (3, 5, 9, 9, 5),
        (5, 3, 9, 9, 5),
        (5, 40, 99, 99, 40),
        (4, 40, 40, 99, 40),
        (4, 40, 39, 99, None),  # too short parts, too few slides, or most_elements
        (3, 5, 4, 9, None),
        (5, 3, 2, 9, 5),  # what a stage has, it may have: an earlier submission cut it so
        (4, 4, 9, 9, None),  # nothing to change
    ],
)
def test_all_have_the_parts_of_the_stage_that_has_most(
    tile: int, extract: int, most_tile: int, most_extract: int, common: int | None
) -> None:
    assert common_count({"tile": tile, "extract": extract}, {"tile": most_tile, "extract": most_extract}) == common


def test_one_stage_alone_has_nothing_in_common() -> None:
    assert common_count({"extract": 3}, {"extract": 9}) is None
    assert common_count({}, {}) is None


def test_equal_parts_go_side_by_side_and_what_sees_the_cohort_waits_for_all() -> None:
    jobs = [job_of("tile", (0, 2), 4), job_of("extract", (0, 1, 2), 4), job_of("train", None)]
    tile, extract, train = side_by_side(jobs)
    assert (tile, train) == (jobs[0], jobs[2])
    assert extract.is_beside
    assert extract.arrays == (Array(0, (0,)), Array(0, (1,)), Array(0, (2,)))
    assert extract.n_elements == 3
    assert list(waiting_notes([tile, extract, train])) == []


def test_other_parts_wait_for_all_and_it_is_said() -> None:
    jobs = [job_of("tile", (0, 1, 2), 3), job_of("extract", tuple(range(40)), 40), job_of("train", None)]
    assert side_by_side(jobs) == jobs
    (note,) = waiting_notes(jobs)
    assert "tile has 3 parts and extract 40" in note and "[site.slurm.extract]" in note


def test_what_tile_has_done_before_waits_for_nothing() -> None:
    """One element of tile is sent again."""
    _, extract = side_by_side([job_of("tile", (1,), 3), job_of("extract", (0, 1, 2), 3)])
    assert extract.is_beside


@pytest.mark.parametrize(
    "jobs", [[job_of("tile", (0,), 4), job_of("extract", (0,), 3)], [job_of("extract", (0, 1), 2)]]
)
def test_where_one_element_waits_for_one_nothing_is_said(jobs: list[Job]) -> None:
    assert side_by_side(jobs) == jobs
    assert list(waiting_notes(jobs)) == []


def test_many_elements_go_in_groups_within_their_arrays() -> None:
    elements = tuple(range(990, 1990))
    _, extract = side_by_side([job_of("tile", elements, 2000), job_of("extract", elements, 2000)])
    groups = [array for array in extract.arrays if array is not None]
    assert tuple(group.first + index for group in groups for index in group.indices) == elements
    assert len(groups) <= MOST_CALLS + 1
    assert max(len(group.indices) for group in groups) == 10

"""The chain of calls of sbatch: what waits for what, and how many elements of a stage run at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.config import SlurmTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.slurm.chain import Call, Job, Part, Plan, throttles
from hypoxia_hpc.slurm.resources import Array, JobRequest

STAGES = ("tile", "extract", "train", "report")


def job_of(stage: str, n_arrays: int = 0, throttle: int | None = None) -> Job:
    request = JobRequest(stage, None, 1, 1, 1, 1, 1, 1, None, None, throttle)
    return Job(request, tuple(Array(10 * number, (0, 1)) for number in range(n_arrays)) or (None,))


def plan_of(*jobs: Job, after: str = "") -> Plan:
    return Plan(Path("/r"), SlurmTable(), "", jobs, (), "today", after)


def test_a_stage_begins_after_all_of_the_one_before() -> None:
    calls = list(plan_of(job_of("tile", 2), job_of("extract", 1), job_of("train")).calls())
    assert [(call.name, call.before) for call in calls] == [
        ("tile_0", ()),
        ("tile_1", ()),
        ("extract_0", ("tile_0", "tile_1")),
        ("train_0", ("extract_0",)),
    ]


def test_more_arrays_than_elements_may_run_wait_for_each_other() -> None:
    calls = list(plan_of(job_of("tile", 5, throttle=2), job_of("train")).calls())
    assert [(call.before, call.most) for call in calls[:5]] == [
        *(((), 1), ((), 1), (("tile_0",), 1), (("tile_1",), 1), (("tile_2",), 1)),
    ]
    assert calls[5].before == ("tile_0", "tile_1", "tile_2", "tile_3", "tile_4")


@given(throttle=st.integers(1, 40), n_arrays=st.integers(1, 40))
def test_a_throttle_holds_over_all_arrays_of_a_stage_together(throttle: int, n_arrays: int) -> None:
    """Arrays that do not wait for each other run side by side: what they may run is the throttle in all."""
    shares = throttles(throttle, n_arrays)
    assert sum(share or 0 for share in shares) == throttle
    assert all(share is not None and share >= 1 for share in shares)
    calls = list(plan_of(job_of("tile", n_arrays, throttle)).calls())
    lanes: dict[str, str] = {}
    for call in calls:
        lanes[call.name] = lanes[call.before[0]] if call.before else call.name
    most = {lanes[call.name]: call.most for call in calls}
    assert sum(share or 0 for share in most.values()) == throttle


def test_the_first_stage_waits_for_a_job_of_the_user_to_end_well() -> None:
    plan = plan_of(job_of("tile", 3, throttle=2), job_of("train"), after="77")
    ids = {f"tile_{number}": str(number) for number in range(3)}
    waits = [word for call in plan.calls() for word in plan.arguments(call, ids) if word.startswith("--dependency")]
    assert waits == [*["--dependency=afterok:77"] * 2, "--dependency=afterany:0", "--dependency=afterany:0:1:2"]
    assert not [word for word in plan.trial_arguments(plan.jobs[0]) if word.startswith("--dependency")]


def beside(n: int, throttle: int | None = None) -> Job:
    """Extract in as many arrays as it has elements."""
    request = JobRequest("extract", tuple(range(n)), n, 1, 1, 1, 1, 1, None, None, throttle)
    return Job(request, tuple(Array(0, (number,)) for number in range(n)), is_beside=True)


def waits_of(calls: list[Call]) -> list[tuple[str, ...]]:
    return [(*call.before, *(f"{name}[{index}]" for name, index in call.elements)) for call in calls]


def test_an_element_that_is_beside_waits_for_its_own_of_the_stage_before() -> None:
    """tile sends the parts 0, 1, 10 and 11, and extract 2, which has tiles, too."""
    extract = beside(3)
    parts = (*extract.arrays, Array(10, (0, 1)))
    plan = plan_of(job_of("tile", 2), Job(extract.request, parts, is_beside=True), job_of("train"), after="77")
    calls = list(plan.calls())
    assert waits_of(calls[2:]) == [
        *(("tile_0[0]",), ("tile_0[1]",), (), ("tile_1[0]", "tile_1[1]")),
        ("extract_0", "extract_1", "extract_2", "extract_3"),
    ]
    waits = [word for line in plan.commands() for word in line.split() if word.startswith("--dependency")]
    assert waits[2:] == [
        "--dependency=afterany:${tile_0}_0",
        "--dependency=afterany:${tile_0}_1",
        "--dependency=afterok:77",
        "--dependency=afterany:${tile_1}_0:${tile_1}_1",
        "--dependency=afterany:${extract_0}:${extract_1}:${extract_2}:${extract_3}",
    ]
    assert "--dependency=afterany:5_1" in plan.arguments(calls[3], {"tile_0": "5"})


def test_a_throttle_holds_over_elements_that_are_beside() -> None:
    """No more than two of them are between the end of what they wait for and their own."""
    tile = Job(JobRequest("tile", (0, 1, 2, 3), 4, 1, 1, 1, 1, 1, None, None, 3), (Array(0, (0, 1, 2, 3)),))
    calls = list(plan_of(tile, beside(4, throttle=2)).calls())
    assert waits_of(calls) == [
        *((), ("tile_0[0]",), ("tile_0[1]",)),
        *(("extract_0", "tile_0[2]"), ("extract_1", "tile_0[3]")),
    ]
    assert [call.most for call in calls] == [3, 1, 1, 1, 1]


@pytest.mark.parametrize("after", ["5", "5_3"])
def test_the_chain_waits_for_a_job_or_an_element_of_an_array(after: str) -> None:
    assert f"--dependency=afterok:{after}" in next(plan_of(job_of("tile"), after=after).commands())


def test_a_stretch_of_the_stages() -> None:
    assert Part().of(STAGES) == STAGES
    assert Part("extract", "train").of(STAGES) == ("extract", "train")
    assert Part(last="tile").of(STAGES) == ("tile",)
    for part, said in ((Part("nowhere"), "--from nowhere"), (Part("train", "tile"), "--from train comes after --upto")):
        with pytest.raises(InputError, match=said):
            part.of(STAGES)

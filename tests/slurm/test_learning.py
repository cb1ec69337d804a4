"""Submissions that learn from what failed: more memory, more time, other nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hypoxia_hpc.slurm.learning import bad_nodes, learned
from hypoxia_hpc.slurm.queue import Ended, FailedJob, Sent
from hypoxia_hpc.slurm.resources import JobRequest
from hypoxia_hpc.slurm.usage import Usage

ASK = JobRequest("tile", (0, 1), 2, nodes=1, ranks=1, cpus=4, memory_mb=4000, minutes=60, partition=None, gres=None)
SENT = (
    Sent("tile", "7", (0, 1), 2, memory_mb=4000, minutes=60),
    Sent("extract", "8", (0, 1), 2, memory_mb=6000, minutes=90),
)


def failed(state: str, job: str = "7_1", stage: str = "tile") -> list[FailedJob]:
    return [FailedJob(stage, 1, 2, Ended(job, state, "0:125", node="n1"))]


def test_nothing_failed_and_nothing_changes() -> None:
    assert learned(ASK, [], [Ended("7_0", "COMPLETED", node="n1")], SENT) == (ASK, ())


def test_after_out_of_memory_half_as_much_again() -> None:
    changed, said = learned(ASK, failed("OUT_OF_MEMORY"), [], SENT)
    assert changed == replace(ASK, memory_mb=6000)
    assert said == ("tile ran out of memory with 4 GB a node: 6 GB are asked for",)


def test_once_more_from_what_it_had() -> None:
    sent = (*SENT, Sent("tile", "9", (1,), 2, memory_mb=6000, minutes=60))
    changed, _ = learned(ASK, failed("OUT_OF_MEMORY", "9_1"), [], sent)
    assert changed.memory_mb == 9000


def test_who_asks_for_more_already_keeps_to_it() -> None:
    """[site.slurm] memory_gb was raised by hand."""
    asks = replace(ASK, memory_mb=16000)
    assert learned(asks, failed("OUT_OF_MEMORY"), [], SENT) == (asks, ())


def test_memory_does_not_grow_for_ever() -> None:
    sent = (Sent("tile", "7", (0, 1), 2, memory_mb=30_000, minutes=60),)
    changed, said = learned(ASK, failed("OUT_OF_MEMORY"), [], sent)
    assert changed.memory_mb == 32_000
    assert "never more ([site.slurm] memory_gb sets it)" in said[0]


def test_after_a_limit_twice_the_time() -> None:
    changed, said = learned(ASK, failed("TIMEOUT"), [], SENT)
    assert changed == replace(ASK, minutes=120)
    assert said == ("tile was ended at its limit of 60 min: 120 are asked for",)


@pytest.mark.parametrize("state", ["CANCELLED", "FAILED", "PREEMPTED", "NODE_FAIL"])
def test_other_ends_change_no_request(state: str) -> None:
    assert learned(ASK, failed(state), [], SENT) == (ASK, ())


def test_each_stage_learns_by_itself() -> None:
    assert learned(ASK, failed("OUT_OF_MEMORY", "8_1", "extract"), [], SENT) == (ASK, ())


def test_jobs_whose_request_is_not_known_teach_nothing() -> None:
    assert learned(ASK, failed("OUT_OF_MEMORY"), [], (Sent("tile", "7", (0, 1), 2),)) == (ASK, ())


WELL = Ended("1_0", "COMPLETED", "0:0", node="n2")


@pytest.mark.parametrize(
    ("ended", "bad"),
    [
        ([Ended("1_1", "NODE_FAIL", node="n1"), Ended("1_2", "FAILED", "4:0", node="n1"), WELL], ("n1",)),
        ([Ended("1_1", "FAILED", "127:0", node="n1"), WELL], ()),  # once
        ([Ended(f"1_{n}", "FAILED", "4:0", node="n1") for n in (1, 2)], ()),  # no other has served
        ([Ended(f"1_{n}", "FAILED", "4:0", node=f"n{n}") for n in (1, 1, 2, 2)], ()),  # nor here
        ([*(Ended(f"1_{n}", "FAILED", "1:0", node="n1") for n in (1, 2)), WELL], ()),  # a bug, or a table
        ([*(Ended(f"1_{n}", "NODE_FAIL", node="n[1-2]") for n in (1, 2)), WELL], ()),  # which of them is not known
    ],
)
def test_nodes_that_fail_while_others_serve_are_passed_over(ended: list[Ended], bad: tuple[str, ...]) -> None:
    assert bad_nodes(ended) == bad
    changed, said = learned(ASK, [], ended, SENT)
    assert changed.exclude == bad
    assert bool(said) == bool(bad)


def used(gigabytes: float, state: str = "COMPLETED", n: int = 3, **others: float) -> list[Ended]:
    usage = replace(Usage(600, 4, memory_asked=4 * 10**9, memory=round(gigabytes * 1e9)), **others)
    return [Ended(f"7_{number}", state, usage=usage, node="n1") for number in range(n)]


MANY = (Sent("tile", "7", (0, 1, 2), 3, memory_mb=4000, minutes=60),)


@pytest.mark.parametrize(
    ("gigabytes", "asked"),
    [(0.1, 2000), (1.6, 2400), (2.6, 3900), (2.7, 4000), (3.5, 4000), (3.7, 5550)],
)
def test_memory_follows_what_was_used(gigabytes: float, asked: int) -> None:
    changed, said = learned(ASK, [], used(gigabytes), MANY)
    assert changed == replace(ASK, memory_mb=asked)
    assert bool(said) == (asked != 4000)


def test_what_says_too_little_changes_no_memory() -> None:
    """Too few jobs, jobs with fewer cores, a stage that sees the whole cohort, one of them had too little."""
    assert learned(ASK, [], used(0.1, n=2), MANY) == (ASK, ())
    assert learned(replace(ASK, cpus=8), [], used(0.1), MANY)[1] == ()
    assert learned(replace(ASK, elements=None), [], used(0.1), MANY)[1] == ()
    assert learned(replace(ASK, is_memory_given=True), [], used(3.9), MANY)[1] == ()
    assert learned(replace(ASK, memory="none"), [], used(3.9), MANY)[1] == ()
    ran_out = [*used(0.1), Ended("6_0", "OUT_OF_MEMORY", usage=Usage(600, 4), node="n1")]
    assert learned(ASK, [], ran_out, (*MANY, Sent("tile", "6", (0,), 3))) == (ASK, ())


def test_what_lay_idle_is_said() -> None:
    assert learned(ASK, [], used(2.7, cpu_seconds=600), MANY)[1] == (
        "tile kept 25% of its cores busy: fewer [site.slurm.tile] cpus may serve as well",
    )
    assert learned(ASK, [], used(2.7, cpu_seconds=1800), MANY)[1] == ()
    (said,) = learned(ASK, [], used(2.7, gpus=2, gpu_share=0.1, cpu_seconds=1), MANY)[1]
    assert said.startswith("tile kept at most 10% of its GPU busy: a smaller one ([site.slurm.tile] gres)")

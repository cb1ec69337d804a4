"""What the answers of squeue and sacct say together, where one of them does not come, too."""

from __future__ import annotations

from hypoxia_hpc.slurm.jobs import judged
from hypoxia_hpc.slurm.queue import NEVER_STARTED, Accounted, Ended, FailedJob, Queued, Sent

SENT = (Sent("tile", "7", (0, 1, 2, 3), 4), Sent("train", "8", None))
RUNNING = Queued("7_1", "RUNNING", "", "n1")
WAITING = Queued("8", "PENDING", "Dependency", "")
ACCOUNTED = Accounted(
    (Ended("7_0", "COMPLETED"), Ended("7_2", "FAILED", "4:0")), (RUNNING, Queued("8", "PENDING", "", ""))
)
FAILED = FailedJob("tile", 2, 4, Ended("7_2", "FAILED", "4:0"))


def test_both_answer() -> None:
    jobs = judged(SENT, [RUNNING, WAITING], "", ACCOUNTED, "")
    assert jobs.queued == (RUNNING, WAITING)
    assert jobs.failed == (FAILED, FailedJob("tile", 3, 4, Ended("7_3", NEVER_STARTED)))
    assert (jobs.accounted, jobs.unknown) == ((), 0)


def test_without_squeue_nothing_is_called_cancelled() -> None:
    jobs = judged(SENT, None, "squeue: no controller", ACCOUNTED, "")
    assert (jobs.queued, jobs.why_not_queued) == (None, "squeue: no controller")
    assert jobs.failed == (FAILED,)
    assert jobs.accounted == ACCOUNTED.living
    assert jobs.unknown == 1  # 7_3


def test_what_has_left_the_queue_and_is_not_over_by_sacct_has_not_failed() -> None:
    """Accounting hears of an end a little later."""
    jobs = judged(SENT, [], "", ACCOUNTED, "")
    assert [one.how.job for one in jobs.failed or ()] == ["7_2", "7_3"]


def test_without_sacct_no_failure_is_known() -> None:
    jobs = judged(SENT, [WAITING], "", None, "sacct: no database")
    assert (jobs.queued, jobs.failed, jobs.why_not_ended) == ((WAITING,), None, "sacct: no database")
    neither = judged(SENT, None, "a", None, "b")
    assert (neither.queued, neither.failed, neither.accounted, neither.unknown) == (None, None, (), 0)

"""What squeue and sacct say, read from what they really printed (SLURM 22.05.8, Debian 12)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hypoxia_hpc.machine.programs import environment, query_program
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slurm.queue import (
    NEVER_STARTED,
    Accounted,
    Ended,
    FailedJob,
    Queued,
    Sent,
    failed_ones,
    n_unknown,
    parse_living,
    parse_sacct,
    parse_squeue,
    query_sacct,
    query_squeue,
    sent_jobs,
)
from hypoxia_hpc.slurm.usage import Usage

SQUEUE = """\
1|1|1|PENDING||JobArrayTaskLimit
1|2|1|PENDING||JobArrayTaskLimit
5|N/A|5|PENDING||DependencyNeverSatisfied
8|1|8|PENDING||None
2|0|2|PENDING||JobHeldUser
9|N/A|9|PENDING||BeginTime
1|0|7|RUNNING|n1|None
"""
SACCT = """\
3|FAILED|4:0|00:00:00|n1||||||
3.batch|FAILED|4:0|00:00:00|n1||||||
5|CANCELLED by 1001|0:0|00:00:00|None assigned||||||
6|COMPLETED|0:0|00:00:05|n2||||||
6.batch|COMPLETED|0:0|00:00:05|n2|3248K|||||
1_0|COMPLETED|0:0|00:00:25|n1||||||
1_0.batch|COMPLETED|0:0|00:00:25|n1|132272K|||||
1_1|CANCELLED by 1001|0:0|00:00:05|n1||||||
1_1.batch|CANCELLED|0:15|00:00:05|n1||||||
1_2|RUNNING|0:0|00:00:20|n1||||||
1_2.batch|RUNNING|0:0|00:00:20|n1||||||
1_[2-3%1]|PENDING|0:0|00:00:00|None assigned||||||
2_[0-1]|CANCELLED by 1001|0:0|00:00:00|None assigned||||||
9|TIMEOUT|0:0|00:01:27|n1||||||
9.batch|FAILED|15:0|00:01:27|n1|10644K|||||
9.0|CANCELLED|0:15|00:01:27|n1|1780K|||||
"""


def test_squeue_every_element_by_the_name_that_its_task_knows() -> None:
    queued = parse_squeue(SQUEUE)
    assert [one.job for one in queued] == ["1_1", "1_2", "5", "8_1", "2_0", "9", "1_0"]
    assert [one.phase for one in queued] == ["pending"] * 4 + ["held", "pending", "running"]
    assert queued[-1] == Queued("1_0", "RUNNING", "", "n1")
    assert queued[0].reason == "JobArrayTaskLimit"


def test_sacct_the_jobs_that_are_over_with_the_memory_of_their_steps() -> None:
    ended = {one.job: one for one in parse_sacct(SACCT)}
    assert set(ended) == {"3", "5", "6", "1_0", "1_1", "2_0", "2_1", "9"}
    assert ended["1_0"] == Ended("1_0", "COMPLETED", "0:0", "00:00:25", Usage(memory=132272 * 1024), "n1")
    assert (ended["3"].state, ended["3"].exit_code) == ("FAILED", "4:0")
    assert (ended["5"].state, ended["5"].node) == ("CANCELLED", "")
    assert (ended["9"].state, ended["9"].usage.memory) == ("TIMEOUT", 10644 * 1024)


@pytest.mark.parametrize(
    ("name", "jobs"),
    [
        ("7_[0-2,5,8-9%4]", ["7_0", "7_1", "7_2", "7_5", "7_8", "7_9"]),
        ("7_[3]", ["7_3"]),
        ("7_[0-2,...]", []),  # as SLURM cuts long lists
        ("7_3.batch", []),
        ("7.0", []),
        ("7+1", []),
    ],
)
def test_names_of_sacct(name: str, jobs: list[str]) -> None:
    assert [one.job for one in parse_sacct(f"{name}|CANCELLED by 0|0:0|00:00:00|None assigned||||||")] == jobs


@pytest.mark.parametrize("text", ["", "slurm_load_jobs error: Unable to contact slurm controller", "1|2|3\n||\n"])
def test_lines_of_another_kind_are_left_out(text: str) -> None:
    assert parse_squeue(text) == []
    assert parse_sacct(text) == []


def names(failed: list[FailedJob]) -> list[str]:
    return [one.how.job for one in failed]


def test_what_failed_and_was_not_sent_again() -> None:
    sent = [
        Sent("tile", "1", (0, 1), 4),
        Sent("extract", "2", (0, 1), 2),
        Sent("train", "3", None),
        Sent("tile", "6", (1,), 4),
    ]
    ended = [*parse_sacct(SACCT), Ended("6_1", "COMPLETED")]
    failed = failed_ones(ended, [], sent)
    assert [(one.stage, one.part, one.of) for one in failed] == [
        ("extract", 0, 2),
        ("extract", 1, 2),
        ("train", None, 1),
    ]
    assert names(failed_ones(ended, [Queued("3", "PENDING", "BeginTime", "")], sent)) == ["2_0", "2_1"]
    assert names(failed_ones(ended, [], sent[:3])) == ["1_1", "2_0", "2_1", "3"]


def test_an_element_counts_by_the_part_that_it_does() -> None:
    ended = parse_sacct(
        "7_0|COMPLETED|0:0|00:00:05|n1||||||\n7_2|FAILED|1:0|00:00:05|n1||||||\n8_2|COMPLETED|0:0|00:00:05|n1||||||\n"
    )
    sent = [Sent("tile", "7", (1001, 1003), 2000, 1001)]
    assert [(one.how.job, one.part) for one in failed_ones(ended, [], sent)] == [("7_2", 1003)]
    assert names(failed_ones(ended, [], [*sent, Sent("tile", "8", (2,), 2000)])) == ["7_2"]
    assert names(failed_ones(ended, [], [*sent, Sent("tile", "8", (1003,), 2000, 1001)])) == []


def test_an_element_that_no_answer_names_was_cancelled_before_it_started() -> None:
    ended = parse_sacct("7_0|COMPLETED|0:0|00:00:05|n1||||||")
    failed = failed_ones(ended, [Queued("7_1", "RUNNING", "", "n1")], [Sent("tile", "7", (0, 1, 2), 3)])
    assert failed == [FailedJob("tile", 2, 3, Ended("7_2", NEVER_STARTED))]


def test_without_the_queue_only_what_accounting_says_has_failed() -> None:
    sent = [Sent("tile", "1", (0, 1, 2, 3), 4), Sent("extract", "8", (0, 1), 2), Sent("train", "3", None)]
    assert names(failed_ones(parse_sacct(SACCT), None, sent)) == ["1_1", "3"]
    accounted = Accounted(tuple(parse_sacct(SACCT)), tuple(parse_living(SACCT)))
    assert n_unknown(accounted, sent) == 2  # 8_0, 8_1


def test_sacct_the_jobs_that_wait_and_run() -> None:
    assert parse_living(SACCT) == [
        Queued("1_2", "RUNNING", "", "n1"),
        Queued("1_2", "PENDING", "", ""),
        Queued("1_3", "PENDING", "", ""),
    ]


def test_recorded_jobs_and_what_is_wrong_among_them(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert sent_jobs(run) == []
    folder = tmp_path / "slurm" / "jobs"
    folder.mkdir(parents=True)
    good = {"stage": "tile", "job_id": "1230", "elements": [0, 2], "of": 8, "submitted": "2026-01-01T00:00:00+00:00"}
    far = {**good, "job_id": "1231", "elements": [1001, 1003], "first": 1001, "logs": "2026-01-01T000000Z"}
    later = {
        "stage": "train",
        "job_id": "99",
        "elements": None,
        "logs": "../../..",
        "of": 1,
        "submitted": "2026-01-02T00:00:00+00:00",
    }
    later["logs"] = "../../.."
    bad = [
        {**good, "job_id": "1;reboot"},
        {**good, "job_id": 7},
        {**good, "elements": ["x"]},
        {**far, "first": "x"},
        {"stage": "tile"},
        "tile",
        None,
        [good],
    ]
    texts = [*(json.dumps(entry) for entry in (later, *bad, far, good)), "", "{", json.dumps(good)[:-9], "7", "\x80"]
    for number, text in enumerate(texts):
        (folder / f"{number}.json").write_bytes(text.encode("latin-1"))
    (folder / ".tmp-5.json-host-1-00000000").write_text(json.dumps(good))
    assert sent_jobs(run) == [
        Sent("tile", "1230", (0, 2), 8),
        Sent("tile", "1231", (1001, 1003), 8, 1001, "2026-01-01T000000Z"),
        Sent("train", "99", None),
    ]


def test_jobs_sent_in_the_same_second_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "slurm" / "jobs"
    folder.mkdir(parents=True)
    sent = {"stage": "tile", "elements": None, "submitted": "2026-01-01T00:00:00+00:00"}
    for job_id in ("1000", "999", "99", "10001"):
        (folder / f"{job_id}.json").write_text(json.dumps({**sent, "job_id": job_id}))
    assert [one.job_id for one in sent_jobs(RunDir(tmp_path))] == ["99", "999", "1000", "10001"]


@pytest.mark.parametrize(
    ("state", "reason", "phase"),
    [
        ("PENDING", "JobHoldMaxRequeue", "held"),
        ("PENDING", "JobHeldAdmin", "held"),
        ("REQUEUE_HOLD", "job requeued in held state", "held"),
        ("PENDING", "Priority", "pending"),
        ("RUNNING", "JobHoldMaxRequeue", "running"),
    ],
)
def test_a_job_that_waits_for_a_person_is_held(state: str, reason: str, phase: str) -> None:
    assert Queued("7", state, reason, "").phase == phase


def test_a_program_that_is_missing_or_fails_or_hangs_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert query_program("sleep", "infinity", patience=0.3) == (None, "sleep did not answer within 0.3 s")
    for patience in (1, 10, 100):  # on a busy machine bash may take long to say anything
        answer = query_program("bash", "-c", "echo so >&2; sleep infinity", patience=patience)
        if answer != (None, f"bash did not answer within {patience} s"):
            break
    assert answer == (None, f"bash did not answer within {patience} s: so")
    assert query_program("ls", "/does/not/exist")[0] is None
    assert "No such file" in query_program("ls", "/does/not/exist")[1]
    assert query_program("false", also=(1,)) == ("", "")
    monkeypatch.setenv("PATH", "/does/not/exist")
    assert query_squeue(["1"]) == (None, "squeue is not on this machine")
    assert query_sacct(["1"]) == (None, "sacct is not on this machine")


def test_settings_of_the_user_do_not_change_what_squeue_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQUEUE_STATES", "SUSPENDED")
    monkeypatch.setenv("SACCT_FORMAT", "JobName")
    monkeypatch.setenv("KEPT", "1")
    answer, _ = query_program("env")
    assert answer is not None
    assert "KEPT=1" in answer.splitlines()
    assert "SQUEUE_STATES" not in answer
    assert "SACCT_FORMAT" not in answer


def test_an_allocation_around_does_not_reach_slurm_s_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """``sbatch`` would pass it on: SLURM_MEM_PER_CPU beside --mem ends every step of the job."""
    around = ["SLURM_MEM_PER_CPU", "SLURM_JOB_ID", "SLURM_NNODES", "SLURMD_NODENAME", "SRUN_CPUS_PER_TASK"]
    refused = ["SBATCH_MEM_PER_CPU", "SBATCH_EXPORT", "SBATCH_ARRAY_INX"]
    kept = ["SLURM_CONF", "SLURM_CLUSTERS", "SBATCH_ACCOUNT", "SBATCH_PARTITION"]
    for name in (*around, *refused, *kept):
        monkeypatch.setenv(name, "1")
    names = set(environment())
    assert not names & {*around, *refused}
    assert names >= {*kept, "PATH"}


def test_a_controller_that_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("squeue") is None:
        pytest.skip("squeue is not installed")
    conf = tmp_path / "slurm.conf"
    conf.write_text("ClusterName=none\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort=1\nAuthType=auth/none\n")
    monkeypatch.setenv("SLURM_CONF", str(conf))
    answer, why = query_squeue(["1"])
    assert answer is None
    assert why.startswith("squeue")
    assert "\n" not in why

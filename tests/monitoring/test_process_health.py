"""What to think of a process that last said that it was working."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hypoxia_hpc.monitoring.process_health import ProcessHealth, assess, seconds_left, still_matters
from hypoxia_hpc.slurm.queue import Queued
from hypoxia_hpc.workers.heartbeat import Heartbeat

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUNNING = Heartbeat(
    stage="tile",
    name="",
    share=(4, 8),
    rank=0,
    ranks=1,
    host="n1",
    pid=4711,
    job="123_4",
    workers=2,
    started=(NOW - timedelta(minutes=10)).isoformat(),
    updated=NOW.isoformat(),
    state="working",
    slides_done=10,
    slides_total=30,
    cost_done=100.0,
    cost_total=300.0,
    tiles=6000,
    in_flight=("a", "b"),
    busy_seconds=(540.0, 600.0),
    idle_seconds=(60.0, 0.0),
)
QUIET = replace(RUNNING, updated=(NOW - timedelta(minutes=1)).isoformat())
SILENT = replace(RUNNING, updated=(NOW - timedelta(minutes=5)).isoformat())
JUST_STARTED = replace(RUNNING, started=(NOW + timedelta(seconds=1)).isoformat())
ON_NODE = Queued("123_4", "RUNNING", "", "n1")
REQUEUED = Queued("123_4", "PENDING", "BeginTime", "")


def thought(running: Heartbeat, queue: dict[str, Queued] | None, alive: bool | None = None) -> ProcessHealth:
    """As of files read a second after the queue was asked."""
    return assess(running, queue, NOW, NOW + timedelta(seconds=1), lambda _: alive)


@pytest.mark.parametrize(
    ("heartbeat", "queue", "alive", "health", "why"),
    [
        (RUNNING, {"123_4": ON_NODE}, None, "working", ""),
        (RUNNING, None, None, "working", ""),
        (RUNNING, {}, None, "dead", "job 123_4 is not in the queue any more"),
        (RUNNING, {"123_4": REQUEUED}, None, "dead", "job 123_4 waits to start again"),
        (JUST_STARTED, {}, None, "working", ""),
        (JUST_STARTED, {"123_4": REQUEUED}, None, "working", ""),
        (replace(JUST_STARTED, started=NOW.isoformat(timespec="seconds")), {}, None, "working", ""),
        (replace(RUNNING, job=""), {}, False, "working", ""),
        (QUIET, {"123_4": ON_NODE}, None, "working", ""),
        (QUIET, None, None, "working", ""),
        (QUIET, {}, None, "dead", "job 123_4 is not in the queue any more"),
        (SILENT, {"123_4": ON_NODE}, None, "silent", "job 123_4 is RUNNING on n1"),
        (SILENT, {}, None, "dead", "job 123_4 is not in the queue any more"),
        (SILENT, {"123_4": REQUEUED}, None, "dead", "job 123_4 waits to start again"),
        (SILENT, None, None, "silent", "it is not known whether its job lives"),
        (replace(SILENT, job=""), {}, False, "dead", "process 4711 is gone"),
        (replace(SILENT, job=""), {}, True, "silent", "process 4711 lives"),
        (replace(SILENT, job=""), {}, None, "silent", "process 4711 cannot be asked"),
        (replace(SILENT, state="ended"), {}, None, "ended", ""),
        (replace(SILENT, state="failed"), {}, None, "failed", ""),
        (replace(RUNNING, state="stopped"), {}, None, "stopped", ""),
    ],
)
def test_what_to_think(
    heartbeat: Heartbeat, queue: dict[str, Queued] | None, alive: bool | None, health: str, why: str
) -> None:
    found = thought(heartbeat, queue, alive)
    assert (found.health, found.why) == (health, why)


@pytest.mark.parametrize(
    ("running", "todo", "matters"),
    [
        (replace(RUNNING, job=""), set(), True),
        (RUNNING, set(), False),  # its job is gone
        (SILENT, {"b", "z"}, True),
        (SILENT, {"z"}, False),  # others did what it left
        (replace(SILENT, in_flight=()), {"z"}, True),
        (replace(SILENT, in_flight=()), set(), False),
        (replace(SILENT, state="failed"), {"a"}, True),
        (replace(SILENT, state="ended"), {"a"}, False),
    ],
)
def test_who_is_worth_a_line(running: Heartbeat, todo: set[str], matters: bool) -> None:
    assert still_matters(thought(running, {}), {"tile": todo}) == matters


def test_another_stage_s_slides_are_not_its_own() -> None:
    extracting = replace(SILENT, stage="extract", name="resnet50")
    assert thought(extracting, {}).title == "extract resnet50"
    assert not still_matters(thought(extracting, {}), {"tile": {"a"}, "extract inception_v3": {"a"}})
    assert still_matters(thought(extracting, {}), {"extract resnet50": {"a"}})


def test_pace_and_idle_time() -> None:
    process = thought(RUNNING, {})
    assert process.tiles_per_second == 10
    assert process.idle_shares == [0.1, 0.0]


def test_time_left_is_that_of_the_workers_at_work_idle_as_they_are() -> None:
    busy = replace(RUNNING, idle_seconds=(0.0, 0.0))
    half_idle = replace(RUNNING, workers=4, busy_seconds=(300.0,) * 4, idle_seconds=(300.0,) * 4)
    assert seconds_left(1000, 0.5, []) is None
    assert seconds_left(1000, 0.5, [thought(busy, {})]) == 250
    assert seconds_left(1000, 0.5, [thought(busy, {}), thought(busy, {})]) == 125
    assert seconds_left(1000, 0.5, [thought(half_idle, {})]) == 250
    starting = replace(RUNNING, busy_seconds=(), idle_seconds=())
    assert seconds_left(1000, 0.5, [thought(starting, {})]) == 250

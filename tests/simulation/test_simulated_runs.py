"""Simulated runs against what can be reckoned without simulating."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import list_schedule

from hypoxia_hpc.config import SlurmTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.rates import Figure
from hypoxia_hpc.simulation.accounts import SPENT, Idle
from hypoxia_hpc.simulation.cluster import Cluster, Controller, FileSystem, Outage, StartUp
from hypoxia_hpc.simulation.nodes import Nodes, Room
from hypoxia_hpc.simulation.run import Simulated, simulate
from hypoxia_hpc.simulation.work import SlideWork
from hypoxia_hpc.slurm.chain import Job
from hypoxia_hpc.slurm.resources import JobRequest, gpus_of, within
from hypoxia_hpc.slurm.sizing import chain_of, slide_requests
from hypoxia_hpc.workers.shares import slides_of_shares

STAGES = ("tile", "extract")
PACE = Figure(0.001, 0.001, 0.001, "stated")
AT_ONCE = Controller(submit=0, start=0, free=0, hold=121, notice=15)
NO_LIMITS = FileSystem(1e15, 1e15, 1e15)


def slides_of(seconds: Sequence[float]) -> list[Slide]:
    return [Slide(f"s{number:05d}", Path("/"), "p", round(1000 * one)) for number, one in enumerate(seconds)]


def cluster_of(nodes: int = 1, cores: int = 4, **settings: Any) -> Cluster:
    plain = Cluster(nodes, cores, 0, AT_ONCE, NO_LIMITS, dict.fromkeys(STAGES, StartUp(0)))
    return replace(plain, **settings)


def jobs_of(slides: Sequence[Slide], table: SlurmTable, stages: Sequence[str] = ("tile",)) -> list[Job]:
    ids = frozenset(slide.slide_id for slide in slides)
    asked = slide_requests(
        slides, dict.fromkeys(stages, ids), dict.fromkeys(stages), dict.fromkeys(stages, PACE), table
    )
    return chain_of(asked, 1001)


def run_of(
    seconds: Sequence[float],
    table: SlurmTable,
    cluster: Cluster,
    stages: Sequence[str] = ("tile",),
    *,
    minutes: int | None = None,
    **work: Any,
) -> Simulated:
    slides = slides_of(seconds)
    jobs = jobs_of(slides, table, stages)
    if minutes is not None:
        jobs = [replace(job, request=within(job.request, minutes)) for job in jobs]
    to_do: Mapping[str, Mapping[str, SlideWork]] = {
        stage: {one.slide_id: SlideWork(one.slide_id, one.cost / 1000, **work) for one in slides} for stage in stages
    }
    return simulate(jobs, slides, to_do, cluster, table)


def drawn(n: int, seed: int = 0) -> list[float]:
    source = random.Random(seed)
    return [round(source.lognormvariate(2, 0.8), 3) for _ in range(n)]


def test_one_worker_takes_as_long_as_all_its_slides() -> None:
    seconds = drawn(50)
    found = run_of(seconds, SlurmTable(cpus=1, hours=100), cluster_of(cores=1))
    assert found.seconds == pytest.approx(sum(seconds))
    assert found.efficiency == pytest.approx(1)
    assert found.times["tile"].starts == 1


@pytest.mark.parametrize("lanes", [2, 3, 8])
def test_an_element_deals_its_slides_as_list_scheduling_does(lanes: int) -> None:
    seconds = drawn(60, lanes)
    found = run_of(seconds, SlurmTable(cpus=lanes, hours=100), cluster_of(cores=lanes))
    assert found.seconds == pytest.approx(list_schedule(sorted(seconds, reverse=True), lanes))
    least = max(sum(seconds) / lanes, *seconds)
    assert least <= found.seconds <= sum(seconds) / lanes + max(seconds) * (1 - 1 / lanes)  # Graham 1969


@pytest.mark.parametrize("nodes", [1, 3, 7])
def test_elements_take_the_nodes_as_list_scheduling_does(nodes: int) -> None:
    seconds, table = drawn(400, nodes), SlurmTable(cpus=1, hours=0.05)
    found = run_of(seconds, table, cluster_of(nodes, cores=1))
    (job,) = jobs_of(slides_of(seconds), table)
    parts = [sum(one.cost for one in part) / 1000 for part in slides_of_shares(slides_of(seconds), job.request.of)]
    assert job.request.of > 10
    assert found.seconds == pytest.approx(list_schedule(parts, nodes))


def test_all_node_seconds_are_accounted_for() -> None:
    files = FileSystem(2e9, 1e9, 100)
    cluster = cluster_of(
        3, controller=Controller(1, 0.2, 1.5, 121, 15), files=files, start_up=dict.fromkeys(STAGES, StartUp(4, 50))
    )
    table = SlurmTable(cpus=2, hours=0.02, stop_seconds=30)
    found = run_of(drawn(300), table, cluster, ("tile", "extract"), nbytes=3e9, operations=20)
    # From the first sbatch until the last cores are free again.
    assert found.accounts.whole == pytest.approx(3 * (found.seconds + 1.5), rel=1e-6)
    assert {*found.accounts.spent} == {*SPENT}
    assert found.efficiency + sum(found.losses.values()) == pytest.approx(1)


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0.1, 400), st.floats(1, 600)), max_size=6))
@settings(max_examples=60, deadline=None)
def test_no_second_is_counted_twice_where_nodes_die(outages: list[tuple[int, float, float]]) -> None:
    """A node may die while a task starts, while it works, while it is down; elements are stopped and requeued."""
    cluster = cluster_of(
        3,
        controller=Controller(1, 0.2, 0, 121, 15),
        files=FileSystem(2e9, 1e9, 100),
        start_up=dict.fromkeys(STAGES, StartUp(20, 200)),
        outages=tuple(Outage(*one) for one in outages),
    )
    table = SlurmTable(cpus=3, hours=0.02, stop_seconds=30, most_requeues=1000)
    found = run_of(drawn(60), table, cluster, minutes=2, nbytes=3e8, operations=20)
    assert found.accounts.whole == pytest.approx(3 * found.seconds, rel=1e-6)
    assert min(found.accounts.spent.values()) >= 0
    assert found.times["tile"].unfinished == 0
    assert found.accounts.spent["work"] + found.accounts.spent["lost"] >= sum(drawn(60)) / 4 * (1 - 1e-9)


def test_a_node_that_dies_while_a_task_starts_loses_what_it_spent() -> None:
    cluster = cluster_of(
        1,
        files=FileSystem(1e15, 1e15, 10),
        start_up=dict.fromkeys(STAGES, StartUp(20, 200)),
        outages=(Outage(0, 30, 10),),
    )
    spent = run_of([100.0], SlurmTable(cpus=4), cluster).accounts.spent
    assert (spent["lost"], spent["start"], spent["names"]) == (30, 20, 20)


def test_a_node_that_dies_again_while_it_is_down_stays_down() -> None:
    outages = (Outage(0, 0.5, 100), Outage(0, 50, 950))
    assert run_of([10.0], SlurmTable(cpus=4), cluster_of(outages=outages)).seconds == pytest.approx(1010)
    outages = (Outage(0, 0.5, 1000), Outage(0, 50, 50))
    assert run_of([10.0], SlurmTable(cpus=4), cluster_of(outages=outages)).seconds == pytest.approx(1010.5)


@pytest.mark.parametrize(("cpus", "share"), [(17, 15 / 32), (20, 12 / 32), (16, 0), (10, 2 / 32)])
def test_cores_that_no_element_fits_into_wait_for_no_controller(cpus: int, share: float) -> None:
    found = run_of([100.0] * 2000, SlurmTable(cpus=cpus, hours=0.03), cluster_of(2, cores=32))
    assert found.losses["fit"] == pytest.approx(share, abs=0.001)
    assert found.losses["queue"] == pytest.approx(0, abs=0.001)


def test_a_file_system_that_is_too_slow_sets_the_time() -> None:
    files = FileSystem(1e9, 1e9, 1e9)
    found = run_of([1.0] * 400, SlurmTable(cpus=4, hours=0.01), cluster_of(3, files=files), nbytes=1e9)
    assert found.seconds == pytest.approx(400 * 1e9 / 1e9, rel=1e-6)
    assert next(iter(found.losses)) == "bytes"


def test_operations_on_names_set_the_time() -> None:
    cluster = cluster_of(3, files=FileSystem(1e15, 1e15, 10))
    found = run_of([1.0] * 400, SlurmTable(cpus=4, hours=0.01), cluster, operations=10)
    assert found.seconds == pytest.approx(400 * 10 / 10, rel=0.01)
    assert next(iter(found.losses)) == "names"


def test_a_throttle_leaves_nodes_idle() -> None:
    plain, throttled = (
        run_of([10.0] * 80, SlurmTable(cpus=1, hours=10 / 3600, throttle=most), cluster_of(8, cores=1))
        for most in (None, 2)
    )
    assert (plain.seconds, throttled.seconds) == (100, 400)
    assert next(iter(throttled.losses)) == "throttle"


def test_extract_of_a_part_begins_when_its_tiles_are_there() -> None:
    seconds = [10.0] * 7 + [100.0]
    found = run_of(seconds, SlurmTable(cpus=1, hours=10 / 3600), cluster_of(8, cores=1), ("tile", "extract"))
    assert found.times["extract"].begin < found.times["tile"].end


def test_a_stage_of_the_whole_cohort_waits_for_all_and_has_one_node() -> None:
    slides, table = slides_of([10.0] * 8), SlurmTable(cpus=1, hours=10 / 3600)
    train = JobRequest("train", None, 1, 1, 1, 1, 100, 60, None, None)
    work = {"tile": {one.slide_id: SlideWork(one.slide_id, 10.0) for one in slides}, "train": {"": SlideWork("", 50.0)}}
    cluster = cluster_of(4, cores=1, start_up=dict.fromkeys(("tile", "train"), StartUp(1.0)))
    found = simulate([*jobs_of(slides, table), Job(train, (None,))], slides, work, cluster, table)
    assert found.times["train"].begin == found.times["tile"].end == 22
    assert found.seconds == 22 + 51


def test_few_parts_are_said_to_be_few() -> None:
    found = run_of([10.0] * 80, SlurmTable(cpus=1, hours=4), cluster_of(16, cores=1))
    assert found.losses["few"] == pytest.approx(15 / 16)


def test_an_element_at_its_limit_is_stopped_held_and_goes_on() -> None:
    table = SlurmTable(cpus=1, hours=100, stop_seconds=10)
    found = run_of([10.0] * 20, table, cluster_of(cores=1), minutes=2)
    # 110 s after its start nothing more is dealt: eleven slides are done, and nine follow two minutes later.
    assert found.seconds == pytest.approx(110 + 121 + 90)
    assert (found.times["tile"].requeues, found.times["tile"].unfinished) == (1, 0)
    assert found.accounts.spent["lost"] == 0


def test_a_signal_that_comes_early_stops_earlier() -> None:
    table = SlurmTable(cpus=1, hours=100, stop_seconds=10)
    early = cluster_of(cores=1, controller=replace(AT_ONCE, early=25))
    found = run_of([10.0] * 20, table, early, minutes=2)
    # The ninth slide is under way 85 s after each start, and is finished; two slides are left to the third start.
    assert found.seconds == pytest.approx(90 + 121 + 90 + 121 + 20)
    assert (found.times["tile"].requeues, found.times["tile"].unfinished) == (2, 0)


def test_what_is_under_way_at_the_last_moment_is_lost_and_done_again_as_often_as_allowed() -> None:
    table = SlurmTable(cpus=1, hours=100, stop_seconds=10, most_requeues=3)
    found = run_of([10.0, 500.0], table, cluster_of(cores=1), minutes=2)
    # The longest slide comes first; the other one has no turn.
    assert found.times["tile"].unfinished == 2
    assert found.times["tile"].starts == 4
    assert found.accounts.spent["lost"] > 300


def test_a_node_that_dies_takes_along_what_is_in_flight_and_no_more() -> None:
    table = SlurmTable(cpus=1, hours=100)
    cluster = cluster_of(2, cores=1, outages=(Outage(0, 35.0, 1e6),))
    found = run_of([10.0] * 8, table, cluster)
    # Three slides are done, half of the fourth is lost; after 15 s the node is down, and 121 s later the rest goes on.
    assert found.seconds == pytest.approx(35 + 15 + 121 + 50)
    assert found.accounts.spent["lost"] * 1 == pytest.approx(5)
    assert found.times["tile"].starts == 2


def test_nodes_die_at_random_and_the_same_seed_gives_the_same() -> None:
    cluster = cluster_of(5, cores=1, failures_per_node_hour=3.0, repair_seconds=300)
    slides, table = slides_of(drawn(200)), SlurmTable(cpus=1, hours=0.02)
    work = {"tile": {one.slide_id: SlideWork(one.slide_id, one.cost / 1000) for one in slides}}
    found = [simulate(jobs_of(slides, table), slides, work, cluster, table, seed) for seed in (1, 1, 2)]
    assert found[0].seconds == found[1].seconds != found[2].seconds
    assert found[0].times["tile"].requeues > 0
    assert found[0].times["tile"].unfinished == 0


def test_a_slow_node_takes_longer_for_the_same_slides() -> None:
    found = run_of([10.0] * 8, SlurmTable(cpus=1, hours=100), cluster_of(cores=1, slow={0: 1.5}))
    assert found.seconds == pytest.approx(120)
    assert found.losses["slow"] == pytest.approx(1 / 3)


def test_an_element_that_fits_no_node_is_refused() -> None:
    with pytest.raises(InputError, match="16 cores"):
        run_of([1.0] * 100, SlurmTable(cpus=16), cluster_of(cores=8))


def test_nothing_to_do_takes_no_time() -> None:
    assert simulate([], [], {}, cluster_of(), SlurmTable()).seconds == 0


@pytest.mark.parametrize(
    ("gres", "number"),
    [
        (None, 0),
        ("", 0),
        ("gpu", 1),
        ("gpu:2", 2),
        ("gpu:a100:4", 4),
        ("gpu:a100", 1),
        ("GPU:1", 1),
        ("shard:3", 1),
        ("tmp:5,mps:50", 1),
        ("lscratch:100", 0),
        ("mygpu:2", 0),
        ("tmp:5,gpu:3", 3),
    ],
)
def test_gpus_of_gres(gres: str | None, number: int) -> None:
    assert gpus_of(gres) == number


def test_rooms_on_nodes() -> None:
    nodes = Nodes(cluster_of(3, cores=4))
    assert nodes.find(Room(2, 3, 0)) == [0, 1]
    nodes.take(Room(2, 3, 0), [0, 1])
    nodes.down[2] = 10.0
    assert nodes.find(Room(1, 2, 0)) == ()
    assert nodes.find(Room(2, 1, 0)) == [0, 1]
    nodes.free(Room(2, 3, 0), [0, 1])
    assert nodes.find(Room(1, 4, 0)) == [0]
    assert nodes.find(Room(1, 4, 1)) == ()


def test_idle_nodes_have_one_cause_each() -> None:
    idle = Idle(nodes=10, dead=1, held=3, unfit=0, queued=2, throttled=0, wanted=7)
    assert idle.causes() == {"dead": 1, "fit": 0, "queue": 2, "throttle": 0, "few": 3, "uneven": 1}
    assert sum(Idle(10, 0, 4, 0, 20, 20, 2).causes().values()) == 6

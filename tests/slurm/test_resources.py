"""What is asked of SLURM: every undone slide exactly once, indices below MaxArraySize, even parts, enough time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hypoxia_hpc.config import SlurmTable
from hypoxia_hpc.networks.heads.cost import Cost
from hypoxia_hpc.records import Share, Slide
from hypoxia_hpc.runs.costs import StageCost
from hypoxia_hpc.runs.rates import Figure
from hypoxia_hpc.slurm.resources import (
    JobRequest,
    arrays_of,
    cohort_notes,
    count_of_shares,
    index_ranges,
    max_array_size,
    minutes_to_request,
    most_minutes,
    most_parts,
    mpi_types,
    request_by_slide,
    request_of_cohort,
    seconds_of_part,
    table_of,
    time_limits,
    within,
)
from hypoxia_hpc.workers.shares import slides_of_share, slides_of_shares

PACE = Figure(0.001, 0.0005, 0.003, "test")


def slides_of(costs: list[int]) -> list[Slide]:
    return [Slide(f"s{number}", Path(f"{number}.svs"), "p", cost) for number, cost in enumerate(costs)]


def expanded(ranges: str) -> list[int]:
    """Twin: every index of ``0-3,7``."""
    parts = [part.split("-") for part in ranges.split(",")]
    return [index for part in parts for index in range(int(part[0]), int(part[-1]) + 1)]


@given(
    costs=st.lists(st.integers(1, 100_000), min_size=1, max_size=120),
    hours=st.floats(0.0001, 10),
    most=st.integers(1, 50),
    cpus=st.integers(1, 4),
    limit=st.integers(1, 20),
    data=st.data(),
)
def test_every_undone_slide_is_sent_exactly_once(
    costs: list[int], hours: float, most: int, cpus: int, limit: int, data: st.DataObject
) -> None:
    slides = slides_of(costs)
    ids = [slide.slide_id for slide in slides]
    remaining = frozenset(data.draw(st.lists(st.sampled_from(ids), min_size=1, unique=True)))
    table = SlurmTable(hours=hours, most_elements=most, cpus=cpus)
    request = request_by_slide("tile", slides, remaining, None, PACE, table)
    assert request.elements is not None
    assert 1 <= request.of <= most
    arrays = arrays_of(request.elements, limit)
    assert all(0 <= index < limit for array in arrays for index in array.indices)
    parts = [array.first + index for array in arrays for index in expanded(index_ranges(array.indices))]
    sent = [slide.slide_id for part in parts for slide in slides_of_share(slides, Share(part, request.of))]
    assert len(sent) == len(set(sent))
    assert remaining <= set(sent)
    idle = [
        part
        for part in parts
        if not remaining & {slide.slide_id for slide in slides_of_share(slides, Share(part, request.of))}
    ]
    assert idle == []


def test_a_later_submission_keeps_the_parts() -> None:
    slides = slides_of([5_000_000] * 100)
    table = SlurmTable(hours=0.5, cpus=4)
    first = request_by_slide("tile", slides, {slide.slide_id for slide in slides}, None, PACE, table)
    again = request_by_slide("tile", slides, {"s3", "s77"}, first.of, PACE, table)
    assert again.of == first.of > 10
    assert again.elements is not None
    assert len(again.elements) == 2


def test_fewer_parts_where_most_elements_is_lowered() -> None:
    slides = slides_of([5_000_000] * 100)
    everything = {slide.slide_id for slide in slides}
    assert request_by_slide("tile", slides, everything, 30, PACE, SlurmTable(hours=0.5, most_elements=20)).of == 20


def test_finer_parts_where_they_are_wanted_now() -> None:
    slides = slides_of([500_000] * 1000)
    everything = {slide.slide_id for slide in slides}
    assert request_by_slide("tile", slides, everything, 5, PACE, SlurmTable(hours=0.5, cpus=4)).of > 50


def test_a_log_normal_cohort_of_13000_slides_over_128_parts_is_even() -> None:
    """Slowest over mean, as the tasks see it: each asks for its own share."""
    costs = np.random.default_rng(1).lognormal(np.log(12_000), 0.9, 13_000).astype(int) + 1
    slides = slides_of([int(cost) for cost in costs])
    loads = [sum(slide.cost for slide in part) for part in slides_of_shares(slides, 128)]
    assert max(loads) / (sum(loads) / len(loads)) <= 1.05
    for index in (0, 63, 127):
        assert sum(slide.cost for slide in slides_of_share(slides, Share(index, 128))) == loads[index]


def test_parts_take_about_the_hours_that_are_wanted() -> None:
    slides = slides_of([20_000] * 10_000)  # 20 s each: 55.6 core-hours
    everything = {slide.slide_id for slide in slides}
    assert request_by_slide("tile", slides, everything, None, PACE, SlurmTable(cpus=4, hours=2)).of == 7
    assert (
        request_by_slide("tile", slides, everything, None, PACE, SlurmTable(cpus=4, ranks=4, nodes=2, hours=2)).of == 2
    )
    assert request_by_slide("tile", slides, everything, None, PACE, SlurmTable(cpus=1, hours=0.01)).of == 1000


def test_no_more_parts_than_workers_have_slides() -> None:
    slides = slides_of([10**9] * 24)
    request = request_by_slide(
        "tile", slides, {slide.slide_id for slide in slides}, None, PACE, SlurmTable(cpus=2, hours=0.1)
    )
    assert request.of == 12


@given(costs=st.lists(st.integers(1, 1000), min_size=1, max_size=30), lanes=st.integers(1, 8))
def test_a_part_never_takes_longer_than_told(costs: list[int], lanes: int) -> None:
    """Dealt costliest first to whoever is free."""
    busy = [0] * lanes
    for cost in sorted(costs, reverse=True):
        busy[busy.index(min(busy))] += cost
    assert max(busy) <= seconds_of_part(costs, lanes) + 1e-6


def test_a_second_more_than_the_hours_takes_a_further_part() -> None:
    table = SlurmTable(hours=1, most_elements=50)
    assert [count_of_shares(seconds, 100, 2, table) for seconds in (0, 7200, 7201, 1e9)] == [1, 1, 2, 50]
    assert count_of_shares(1e9, 9, 2, table) == 4
    assert count_of_shares(1e9, 1, 2, table) == 1


def test_parts_for_another_stage_s_sake_last_five_minutes_or_the_hours_that_are_wanted() -> None:
    slides = slides_of([20_000] * 10_000)  # 20 s each: 55.6 core-hours, 13.9 h on 4 cores
    everything = {slide.slide_id for slide in slides}

    def most(**settings: Any) -> int:
        return most_parts("tile", slides, everything, PACE, SlurmTable.model_validate({"cpus": 4, **settings}))

    assert most(hours=4) == most(hours=0.25) == math.ceil(50_000 / 300)
    assert most(hours=0.05) == math.ceil(50_000 / 180)
    assert most(most_elements=20) == 20
    assert most(tile={"cpus": 8}) == math.ceil(25_000 / 300)
    assert most_parts("tile", slides, {"s1", "s2"}, PACE, SlurmTable(cpus=1)) == 1


def test_by_default_an_element_takes_a_quarter_of_an_hour() -> None:
    slides = slides_of([20_000] * 10_000)
    asked = request_by_slide("tile", slides, {slide.slide_id for slide in slides}, None, PACE, SlurmTable())
    assert asked.of == math.ceil(50_000 / 900)
    assert asked.minutes == 50  # start, stop, twice the work and the longest slide, in steps of five minutes


def test_the_time_of_a_part_is_its_even_division_and_what_the_costliest_adds() -> None:
    assert seconds_of_part([3, 1], 2) == 3.5
    assert seconds_of_part([], 2) == 0


def test_time_holds_the_work_the_start_and_the_stop() -> None:
    table = SlurmTable(stop_seconds=300)
    assert minutes_to_request(0, table) == 15
    for seconds in (1, 3600, 86_400):
        minutes = minutes_to_request(seconds, table)
        assert minutes % 5 == 0
        assert seconds + 900 <= 60 * minutes < seconds + 900 + 300


def test_time_follows_the_measured_pace() -> None:
    slides = slides_of([60_000] * 64)
    everything = {slide.slide_id for slide in slides}
    slow, fast = (
        request_by_slide(
            "tile", slides, everything, 4, Figure(pace, pace, pace, "measured", 30), SlurmTable(cpus=1, hours=4)
        ).minutes
        for pace in (0.01, 0.001)
    )
    assert (slow, fast) == (175, 35)


def test_extract_counts_cores_or_gpus() -> None:
    slides = slides_of([60_000] * 64)
    everything = {slide.slide_id for slide in slides}
    pace = Figure(0.1, 0.1, 0.1, "measured", 30)
    cores = request_by_slide(
        "extract", slides, everything, 4, pace, SlurmTable(hours=24, cpus=8, gpu_partition="g", partition="c")
    )
    gpus = request_by_slide(
        "extract", slides, everything, 4, pace, SlurmTable(hours=24, cpus=8, gres="gpu:1", gpu_partition="g")
    )
    assert (cores.gres, gpus.gres, cores.partition, gpus.partition) == (None, "gpu:1", "g", "g")
    assert gpus.minutes > 6 * cores.minutes
    assert gpus.memory_mb > cores.memory_mb


def test_memory_is_that_of_the_ranks_of_a_node() -> None:
    slides = slides_of([1000] * 64)
    everything = {slide.slide_id for slide in slides}

    def asked(**settings: object) -> int:
        return request_by_slide("tile", slides, everything, 4, PACE, SlurmTable.model_validate(settings)).memory_mb

    assert asked(cpus=4) == 4000
    assert asked(cpus=4, ranks=5, nodes=2) == 12_000
    assert asked(cpus=4, ranks=4, nodes=2, memory_gb=2.5) == 5000


@pytest.mark.parametrize(
    ("stage", "gres", "expected"),
    [
        ("tile", None, JobRequest("tile", (0, 1), 2, 2, 4, 3, 6500, 245, "c", None, 7)),
        ("extract", None, JobRequest("extract", (0, 1), 2, 2, 4, 3, 12_000, 165, "g", None, 7)),
        ("extract", "gpu:1", JobRequest("extract", tuple(range(12)), 12, 2, 4, 3, 24_000, 195, "g", "gpu:1", 7)),
    ],
)
def test_all_that_is_asked_for_by_slide(stage: str, gres: str | None, expected: JobRequest) -> None:
    """24 slides of an hour each: on 12 workers of tile, on 4 ranks of 3 cores, on 2 nodes with a GPU each."""
    slides = slides_of([3_600_000] * 24)
    table = SlurmTable(
        partition="c", gpu_partition="g", gres=gres, nodes=2, ranks=4, cpus=3, hours=1, throttle=7, stop_seconds=300
    )
    assert request_by_slide(stage, slides, {slide.slide_id for slide in slides}, None, PACE, table) == expected


def test_what_a_stage_asks_for_otherwise() -> None:
    """A centre with a project for GPUs and one for cores: the stages of one chain go to both."""
    table = SlurmTable.model_validate(
        {
            **{"account": "cores", "partition": "c", "cpus": 8, "hours": 2, "throttle": 9, "gres": "gpu:1"},
            "tile": {"cpus": 2, "throttle": 4, "memory": "per-cpu", "gres": "disk:1"},
            "extract": {"account": "gpus", "partition": "g", "gres": "gpu:4", "memory_gb": 40.0},
            "train": {"partition": "t", "hours": 12.5, "memory": "none"},
        }
    )
    slides = slides_of([3_600_000] * 24)
    tile, extract = (
        request_by_slide(stage, slides, {one.slide_id for one in slides}, None, PACE, table)
        for stage in ("tile", "extract")
    )
    train, report = (request_of_cohort(stage, cost_of(8), table) for stage in ("train", "report"))
    assert (tile.partition, tile.gres, tile.cpus, tile.throttle, tile.memory) == ("c", "disk:1", 2, 4, "per-cpu")
    assert (extract.partition, extract.gres, extract.cpus, extract.throttle) == ("g", "gpu:4", 8, 9)
    assert (extract.memory, extract.memory_mb) == ("per-node", 40_000)
    assert (train.partition, train.gres, train.minutes, train.memory) == ("t", "gpu:1", 750, "none")
    assert (report.partition, report.gres, report.cpus) == ("c", None, 8)
    assert list(cohort_notes("train", cost_of(1), table)) == []
    accounts = [table_of(stage, table).account for stage in ("tile", "extract", "train")]
    assert accounts == ["cores", "gpus", "cores"]


@pytest.mark.parametrize("stage", ["", "tile", "extract"])
def test_ranks_of_a_stage_are_at_least_its_nodes(stage: str) -> None:
    wrong = {"nodes": 3, "ranks": 2}
    with pytest.raises(ValidationError, match="nodes = 3 needs as many ranks or more, and ranks = 2"):
        SlurmTable.model_validate({stage: wrong} if stage else wrong)
    assert SlurmTable.model_validate({"nodes": 2, "ranks": 2, "tile": {"ranks": 4}}).ranks == 2


def cost_of(hours: float, gigabytes: float = 1.0, cores: int = 8, unknown: tuple[str, ...] = ()) -> StageCost:
    return StageCost({"tanh": Cost(3600 * hours, cores, 0.0)}, gigabytes * 1e9, unknown)


def test_the_cohort_s_stages_follow_their_cost_and_gpu_goes_to_training() -> None:
    table = SlurmTable(partition="c", gpu_partition="g", gres="gpu:1", ranks=8, nodes=2)
    small, large = (request_of_cohort("train", one, table) for one in (cost_of(1), cost_of(10, 20)))
    assert (small.gres, small.partition, small.nodes, small.ranks, small.elements) == ("gpu:1", "g", 1, 1, None)
    assert small.minutes < large.minutes
    assert small.memory_mb < large.memory_mb
    report = request_of_cohort("report", cost_of(1), table)
    assert (report.gres, report.partition) == (None, "c")
    assert request_of_cohort("train", cost_of(1), SlurmTable(memory_gb=2.0)).memory_mb == 2000


def test_all_that_is_asked_for_of_a_stage_that_sees_the_cohort() -> None:
    table = SlurmTable(partition="c", gpu_partition="g", gres="gpu:1", ranks=8, nodes=2, cpus=4, throttle=7)
    train, report = (request_of_cohort(stage, cost_of(8), table) for stage in ("train", "report"))
    assert train == JobRequest("train", None, 1, 1, 1, 4, 10_000, 255, "g", "gpu:1")
    assert report == JobRequest("report", None, 1, 1, 1, 4, 4000, 255, "c", None)


def test_twice_the_time_on_the_cores_that_share_the_work_is_asked_for() -> None:
    four, many = (request_of_cohort("train", cost_of(8), SlurmTable(cpus=cpus)).minutes for cpus in (4, 64))
    assert four == minutes_to_request(2 * 2 * 3600, SlurmTable())
    assert many == minutes_to_request(2 * 1 * 3600, SlurmTable())


def test_more_memory_than_it_takes_and_never_little_is_asked_for() -> None:
    asked = [request_of_cohort("train", cost_of(1, gigabytes), SlurmTable()).memory_mb for gigabytes in (1, 10)]
    assert asked == [4000, 12_000]
    assert request_of_cohort("train", cost_of(1, 10), SlurmTable(gres="gpu:1")).memory_mb > 12_000
    assert request_of_cohort("evaluate", cost_of(1, 10), SlurmTable(gres="gpu:1")).memory_mb == 12_000


def test_no_job_asks_for_more_than_a_day_and_what_takes_longer_is_said() -> None:
    table = SlurmTable(cpus=4)
    assert request_of_cohort("train", cost_of(1e4), table).minutes <= 24 * 60
    assert list(cohort_notes("train", cost_of(10), table)) == []
    assert list(cohort_notes("train", cost_of(4 * 23), table)) == []
    assert list(cohort_notes("train", cost_of(40_000), table)) == [
        "train may take 10,000 h on 4 cores, and 23 h are asked for: it is stopped in time and requeued, at most 10 "
        "times; what is done stays done"
    ]


def test_a_head_that_does_not_say_what_it_costs_is_unknown_and_not_free() -> None:
    cost = cost_of(1, unknown=("foreign", "strange"))
    assert request_of_cohort("train", cost, SlurmTable()).minutes > 23 * 60
    assert list(cohort_notes("train", cost, SlurmTable())) == [
        "how long train takes is not known, for foreign, strange does not say what it costs: 23 h are asked for, and "
        "memory for the other models alone; [site.slurm] memory_gb sets it"
    ]


def test_that_no_gpu_was_measured_is_said() -> None:
    table = SlurmTable(gres="gpu:1")
    assert list(cohort_notes("train", cost_of(1), table)) == [
        "no GPU was measured: the time of train is that of CPU cores, and should be far less on gpu:1"
    ]
    assert list(cohort_notes("evaluate", cost_of(1), table)) == []
    assert request_of_cohort("train", cost_of(8), table).minutes == minutes_to_request(4 * 3600, table)


@given(st.lists(st.integers(0, 200), unique=True, min_size=1))
def test_ranges_name_every_index(indices: list[int]) -> None:
    assert expanded(index_ranges(sorted(indices))) == sorted(indices)


def test_ranges_are_as_short_as_may_be() -> None:
    assert index_ranges([0, 1, 2, 3, 7, 9, 10]) == "0-3,7,9-10"


def test_parts_beyond_max_array_size_go_into_further_arrays() -> None:
    arrays = arrays_of([0, 5, 1000, 1001, 2500], 1001)
    assert [(array.first, array.indices) for array in arrays] == [(0, (0, 5, 1000)), (1001, (0,)), (2002, (498,))]


@pytest.mark.parametrize(
    ("told", "size"),
    [
        ("Foo = 1\nMaxArraySize            = 5001\nMaxDBDMsgs = 20", 5001),
        ("", 1001),
        ("MaxArraySize = many", 1001),
        ("MaxArraySize = 0", 1),
    ],
)
def test_max_array_size_is_read_from_scontrol(told: str, size: int) -> None:
    assert max_array_size(told) == size


PARTITIONS = """\
PartitionName=normal AllowGroups=ALL Default=YES DefaultTime=00:10:00 MaxNodes=UNLIMITED MaxTime=1-00:00:00 LLN=NO
PartitionName=short AllowGroups=ALL Default=NO QoS=N/A DefaultTime=NONE MaxNodes=UNLIMITED MaxTime=00:45:30 LLN=NO
PartitionName=long AllowGroups=ALL Default=NO QoS=N/A DefaultTime=NONE MaxNodes=1 MaxTime=UNLIMITED LLN=NO Nodes=n[1-2]
PartitionName=odd AllowGroups=ALL Default=NO MaxTime=some
No partitions in the system
"""


@pytest.mark.parametrize(
    ("partition", "minutes"),
    [
        (None, 1440),
        ("normal", 1440),
        ("short", 45),
        ("long", math.inf),
        ("short,normal", 1440),
        ("normal,long", math.inf),
        ("odd", math.inf),
        ("not there", math.inf),
    ],
)
def test_the_time_limit_of_a_partition_is_read_from_scontrol(partition: str | None, minutes: float) -> None:
    assert most_minutes(partition, time_limits(PARTITIONS)) == minutes
    assert most_minutes(partition, time_limits("")) == math.inf


def test_every_time_limit_that_is_known() -> None:
    lines = [
        "PartitionName=day MaxTime=1-12:30:00",
        "PartitionName=short MaxTime=02:30:59",
        "PartitionName=free Default=YES MaxTime=Infinite",
        "PartitionName=long MaxTime=UNLIMITED",
        "PartitionName=odd MaxTime=soon",
        "PartitionName=mute",
        "MaxTime=01:00:00",
    ]
    expected = {"day": 2190, "short": 150, "free": math.inf, "": math.inf, "long": math.inf}
    assert time_limits("\n".join(lines)) == expected


def test_nothing_asks_for_more_than_its_partition_allows() -> None:
    """SLURM takes such a job, and it pends for ever: PartitionTimeLimit."""
    request = request_of_cohort("train", cost_of(10), SlurmTable())
    assert request.minutes > 45
    assert within(request, 45.0).minutes == 45
    assert within(request, math.inf) == request


def test_what_srun_knows_of_mpi() -> None:
    new = "MPI plugin types are...\n\tpmix\n\tnone\n\tpmi2\nspecific pmix plugin versions available: pmix_v3,pmix_v4\n"
    assert mpi_types(new) == {"pmix", "none", "pmi2", "pmix_v3", "pmix_v4"}
    assert mpi_types("srun: MPI types are...\nsrun: none\nsrun: openmpi\n") >= {"none", "openmpi"}
    assert mpi_types("") == set()


def test_sbatch_takes_no_signal_further_before_the_end_than_16_bits() -> None:
    assert SlurmTable(stop_seconds=65_535).stop_seconds == 65_535
    with pytest.raises(ValidationError):
        SlurmTable(stop_seconds=65_536)

"""Scaling without running anything: sizes, slides of each, efficiency, where time goes, what is kept and printed."""

from __future__ import annotations

import json
from dataclasses import asdict, astuple, replace
from pathlib import Path

import pytest

from hypoxia_hpc.bench.environment import environment
from hypoxia_hpc.bench.page import history_page, part_of, percentages
from hypoxia_hpc.bench.records import append_records, read_history
from hypoxia_hpc.bench.scaling import (
    Load,
    Plan,
    SizeLap,
    curve,
    efficiencies,
    evenly,
    load_of,
    sizes_up_to,
    slides_of_sizes,
    split_of,
    within_slides,
)
from hypoxia_hpc.bench.scaling_records import ScalingRecord, Split, parts_of
from hypoxia_hpc.cli.text.scaling_curve import curve_text
from hypoxia_hpc.errors import InputError, MachineError
from hypoxia_hpc.records import Slide, ThreadSeconds


def slides(*costs: int) -> list[Slide]:
    return [Slide(f"S{number}", Path("/slides"), "P", cost) for number, cost in enumerate(costs)]


# Seconds of the threads of one lap.
THREADS = ThreadSeconds(read=1, decode=5, kernel=2, encode=1, write=0.6, wait=4, other=0.4)


def lap(clock: float) -> SizeLap:
    return SizeLap(clock, clock * 0.95, clock * 0.8, clock * 0.1, clock * 0.7, THREADS)


def a_curve(folder: Path, rounds: int = 6, two_cores: float = 6.25) -> ScalingRecord:
    """Ten seconds on a core, 6.25 on two: 80 % efficient."""
    own = slides(5, 5)
    plan = Plan("strong", "workers", "generated", rounds, {1: own, 2: own})
    laps = {1: [lap(10.0)] * rounds, 2: [lap(two_cores)] * rounds}
    return curve(plan, {1: Load(2, 10, 1000), 2: Load(2, 10, 1000)}, laps, environment(folder))


@pytest.mark.parametrize(("cores", "sizes"), [(2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8]), (3, [1, 2, 3])])
def test_sizes_double_and_end_with_all_cores(cores: int, sizes: list[int]) -> None:
    assert sizes_up_to(cores) == sizes


def test_one_core_cannot_show_scaling() -> None:
    with pytest.raises(MachineError, match="needs two cores"):
        sizes_up_to(1)


def test_strong_scaling_has_the_same_slides_and_weak_as_many_and_as_costly_ones_a_worker() -> None:
    given = slides(1, 9, 2, 8, 3, 7, 4, 6, 5)
    assert slides_of_sizes("strong", given, [1, 2, 4]) == dict.fromkeys((1, 2, 4), given)
    weak = slides_of_sizes("weak", given, [1, 2, 4])
    assert {size: [one.cost for one in own] for size, own in weak.items()} == {
        1: [7, 3],
        2: [8, 6, 4, 2],
        4: [9, 8, 7, 6, 5, 4, 3, 2],
    }
    assert [one.cost for one in evenly(slides(*range(10)), 5)] == [1, 3, 5, 7, 9]
    with pytest.raises(InputError, match="2 slides cannot occupy 4 workers"):
        slides_of_sizes("strong", slides(1, 1), [1, 2, 4])


def test_efficiency_is_work_a_second_and_core_against_the_base_case_of_the_same_round() -> None:
    laps = {1: [lap(10.0), lap(20.0)], 4: [lap(2.5), lap(10.0)]}
    same = Load(8, 100, 1)
    assert efficiencies(4, 1, {1: same, 4: same}, laps) == [1.0, 0.5]  # T(1) / (4 T(4))
    weak = {1: [lap(10.0)], 4: [lap(12.5)]}
    assert efficiencies(4, 1, {1: Load(2, 25, 1), 4: Load(8, 100, 1)}, weak) == [0.8]  # T(1) / T(4)
    assert efficiencies(4, 2, {2: same, 4: same}, {2: [lap(10.0)], 4: [lap(5.0)]}) == [1.0]


def test_slides_without_a_cost_count_as_equal() -> None:
    assert load_of(slides(0, 0), {"S0": 3, "S1": 4}) == Load(2, 2, 7)
    assert load_of(slides(5, 0), {"S0": 3, "S1": 4}) == Load(2, 6, 7)


def test_the_parts_of_the_time_are_the_whole_time_of_the_cores() -> None:
    laps = [SizeLap(10.0, 0, busy=15.0, idle=2.0, slides=12.0), SizeLap(12.0, 0, busy=17.0, idle=4.0, slides=14.0)]
    split = split_of(2, laps)
    assert astuple(split) == (3.0, 3.0, 13.0, 3.0)
    assert sum(astuple(split)) == 2 * (10 + 12) / 2


def test_the_seconds_of_slides_are_dealt_by_what_their_threads_did_without_waits_for_each_other() -> None:
    laps = [SizeLap(10, 0, 8, 1, 4, THREADS), SizeLap(10, 0, 8, 1, 6, THREADS + ThreadSeconds(decode=10))]
    within = within_slides(laps, 6.0)
    parts = {"read": 0.4, "decode": 4.0, "kernel": 0.8, "encode": 0.4, "write": 0.24, "other": 0.16}
    assert within is not None
    assert asdict(within) == pytest.approx(parts)
    assert sum(asdict(within).values()) == pytest.approx(6.0)
    assert within_slides([SizeLap(10, 0, 8, 1, 4)], 4.0) is None


def test_a_curve_is_kept_as_a_line_beside_figures_and_strange_lines_are_left_out(tmp_path: Path) -> None:
    path, found = tmp_path / "h.jsonl", a_curve(tmp_path)
    assert found.sizes[1].efficiency.value == pytest.approx(0.8)
    assert found.busy == pytest.approx(0.95)
    append_records(path, [found])
    assert read_history(path).records == [found]
    whole = json.loads(path.read_text())
    assert str(tmp_path) not in path.read_text()
    assert "/" not in json.dumps({name: value for name, value in whole.items() if name != "environment"})
    bad = [{**whole, "more": 1}, {**whole, "mode": "other"}, {**whole, "busy": "1"}, {**whole, "kind": "unknown"}]
    with path.open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in bad))
    kept = read_history(path)
    assert kept.records == [found]
    assert kept.left_out == [
        (2, "written by a newer hypoxia_hpc"),
        (3, "mode is not what bench writes there"),
        (4, "busy is not what bench writes there"),
        (5, "written by a newer hypoxia_hpc"),
    ]


def test_a_curve_is_printed_with_its_base_case_and_with_what_is_not_measured(tmp_path: Path) -> None:
    text = "\n".join(curve_text(a_curve(tmp_path)))
    assert "base case: 1 worker\n" in text
    assert " 80 % (80 - 80)" in text
    assert "95 % confidence" in text
    shares = next(line for line in text.splitlines() if line.startswith("1 ") and "(" not in line)
    assert " ".join(shares.split()) == "1 10 % 10 % 7 % 35 % 14 % 7 % 4 % 3 % 10 %"
    found = a_curve(tmp_path)
    before = replace(found, sizes=[replace(one, within=None) for one in found.sizes])
    assert "1        10 %        10 %           70 %    10 %" in "\n".join(curve_text(before))
    few = "\n".join(curve_text(replace(a_curve(tmp_path, rounds=3), busy=0.5)))
    assert "an interval of 95 % needs 6 rounds" in few
    assert "had 50 % of its core's time" in few


def test_the_page_draws_the_newest_curve_against_the_ideal(tmp_path: Path) -> None:
    older, newer = a_curve(tmp_path, two_cores=10.0), a_curve(tmp_path)
    [chart] = part_of(0, [older, newer]).charts
    assert chart.title == "Scaling of tile"
    assert chart.alt == ("speed-up against the base case: strong, workers, generated, 2 slides: 1.00 at 1, 1.60 at 2")
    page = history_page([older, newer])
    assert "ideal" in page
    assert "The newest figure of each case" not in page
    assert "/" not in asdict(newer)["environment"]["file_system"]


def test_the_page_draws_where_the_time_of_each_size_went_one_part_behind_the_other(tmp_path: Path) -> None:
    found = a_curve(tmp_path)
    [spent] = part_of(0, [found]).spent
    assert [name for name, _ in spent.parts] == [
        *("start, end", "around slides", "read", "decode", "kernel", "encode", "write", "other", "waiting")
    ]
    assert len({colour for _, colour in spent.parts}) == len(spent.parts)
    assert [size for size, _ in spent.sizes] == [1, 2]
    assert spent.sizes[0][1] == pytest.approx((10, 10, 7, 35, 14, 7, 4.2, 2.8, 10))
    page = history_page([found])
    assert '<rect class="part-1" x="27.00%" width="35.00%" height="100%"/>' in page
    assert "<td>35&nbsp;%</td>" in page
    negative = replace(found.sizes[0], split=Split(-1.0, 1.0, 2.0, 1.0))
    assert percentages(parts_of([negative])[0])[0] == 0


def test_a_line_of_before_seconds_were_dealt_is_read_and_shown_with_slides_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    append_records(path, [a_curve(tmp_path)])
    line = json.loads(path.read_text())
    for one in line["sizes"]:
        del one["within"]
    path.write_text(json.dumps(line) + "\n")
    [old] = read_history(path).records
    [spent] = part_of(0, [old]).spent
    assert [name for name, _ in spent.parts] == ["start, end", "around slides", "slides", "waiting"]
    assert spent.sizes[0][1] == pytest.approx((10, 10, 70, 10))

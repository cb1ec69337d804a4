"""The page of all figures: machines apart, the newest figure of each case, commits in order, nothing that is run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hypoxia_hpc.bench.environment import environment
from hypoxia_hpc.bench.measuring import Spread
from hypoxia_hpc.bench.page import commit_of, history_page, part_of
from hypoxia_hpc.bench.records import Record

HOSTILE = "<script>alert(1)</script>"


def a_record(case: str, rate: float, share: float, commit: str, **peers: float) -> Record:
    where = replace(environment(Path.cwd()), processor="Zen", gpus=[], commit=commit, file_system="ext4")
    times = {peer: Spread(value, value / 2, value * 2) for peer, value in peers.items()}
    spread = Spread(share, share * 0.9, share * 1.1)
    rates = Spread(rate, rate * 0.9, rate * 1.1)
    return Record(1, case, "readers", "tiles", rates, spread, "decoding", 1.0, times, 7, "warm", 1.0, where)


def test_the_newest_figure_of_each_case_and_the_commits_in_their_order() -> None:
    records = [
        *(a_record("jpeg", 100, 0.5, "first"), a_record("png", 10, 0.4, "first")),
        *(a_record("jpeg", 150, 0.8, "second"), a_record("jpeg", 160, 0.9, "second", DeepZoom=12.0)),
    ]
    part = part_of(0, records)
    assert [(one.case, one.rate.value) for one in part.newest] == [("jpeg", 160), ("png", 10)]
    assert part.commits == ("first", "second")
    assert [chart.title for chart in part.charts] == [
        *("Share of the bound", "Beside other packages", "Over commits: readers")
    ]
    assert part.charts[0].alt == "share of the bound: jpeg 90 % (81 to 99); png 40 % (36 to 44)"
    assert part.charts[1].alt == "times as fast as others: DeepZoom: jpeg 12.0 times"
    assert part.charts[2].alt == "rates over commits, readers: jpeg: 1.00, 1.60; png: 1.00"


def test_no_line_ends_between_a_share_and_its_sign() -> None:
    page = history_page([replace(a_record("jpeg", 100, 1.07, "a"), busy=0.98)])
    assert "107&nbsp;% <small>" in page
    assert "<td>98&nbsp;%</td>" in page
    assert "107 % <" not in page


def test_machines_stand_apart_the_one_measured_last_first() -> None:
    laptop = a_record("jpeg", 100, 0.5, "a")
    node = replace(laptop, environment=replace(laptop.environment, processor="Node", gpus=["NVIDIA H200"]))
    page = history_page([laptop, node, laptop, node])
    assert page.index("<h2>Node</h2>") < page.index("<h2>Zen</h2>")
    assert "NVIDIA H200" in page
    assert "4 figures of 2 machines" in page
    assert "Over commits" not in page
    first, cores = '<section id="machine-1">\n  <h2>Node</h2>', laptop.environment.cores
    assert first in page and f'<a href="#machine-1">Node, {cores} cores</a>' in page
    assert "<nav" not in history_page([laptop])


def test_what_a_run_takes_is_shown_of_what_it_does_to_tiles_where_lines_say_it() -> None:
    """0.036 s a tile are 100 h of 10 million."""
    old = replace(a_record("old", 100, 0.5, "a"), topic="stages")
    tile = replace(old, case="tile", core_seconds=0.036, joules={"RAPL": 0.36})
    vgg16 = replace(old, case="vgg16", topic="networks", core_seconds=0.0036, gpu_seconds=0.00036, joules={})
    kernel = replace(tile, case="kernel", topic="kernels")
    part = part_of(0, [old, tile, vgg16, kernel])
    assert part.costs == (("tile", "100", "", "1 (RAPL)"), ("vgg16", "10", "1", ""))
    page = history_page([old, tile, vgg16, kernel])
    assert "1,000 slides of 10,000 tiles" in page
    assert "1 (RAPL)" in page
    assert "What a run takes" not in history_page([old, kernel])
    assert part.gpu_missing == ""
    missing = "Figures of a GPU are missing: none is seen here; where there is one: hypoxia-hpc bench --only networks"
    assert missing in history_page([old, kernel])
    assert "Figures of a GPU" not in page


def test_other_packages_stand_with_their_answer_or_why_they_were_not_timed() -> None:
    timed = replace(a_record("jpeg", 100, 0.5, "a", tiffslide=4.0), answers={"tiffslide": "identical"})
    record = replace(timed, left_out={"cuCIM": f"its answer differs: {HOSTILE}"})
    [row, left_out] = part_of(0, [record]).peers
    assert row == ("jpeg", "tiffslide", "4.0", "2.0 to 8.0", "identical")
    assert left_out == ("jpeg", "cuCIM", "", "", f"its answer differs: {HOSTILE}")
    page = history_page([record])
    assert "why it was not timed" in page
    assert "<script" not in page
    assert "Other packages" not in history_page([a_record("jpeg", 100, 0.5, "a")])


def test_a_package_without_a_checkout_goes_by_its_version() -> None:
    record = a_record("jpeg", 1, 1, "")
    assert commit_of(record) == f"version {record.environment.package}"


@pytest.mark.parametrize("field", ["case", "unit", "bound"])
def test_what_a_history_file_holds_is_text_and_the_page_asks_for_nothing(field: str) -> None:
    page = history_page([replace(a_record("jpeg", 1, 1, HOSTILE), **{field: HOSTILE})])
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)

"""``hypoxia-hpc run`` killed many times between its first slide and its report, and started again each time."""

from __future__ import annotations

import os
import random
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fault_runs import (
    LIMIT_SECONDS,
    change_setting,
    committed,
    copy_parts,
    copy_run,
    digests,
    finish,
    is_finished,
    kill_group,
    leftovers_in,
    names,
    of,
    start,
    start_fresh,
)
from forks import Process
from waiting import wait_until

from hypoxia_hpc.errors import some

STAGES = ("tile", "extract", "train", "evaluate", "report")
BEGUN = re.compile(r"(?m)^(tile|extract|train|evaluate|report)\b.*: [0-9]+ (?:slides?|epochs?)$")
MADE = {"tile": "tiles/*.zarr", "extract": "features/*/*.zarr"}
Plan = Sequence[tuple[str, float]]
# For each kill the stage that is to be hit, and the most seconds that pass before, from when it has made a store or,
# where it makes everything at its end, from its beginning.
FIVE: Plan = (
    ("tile", 0.0),
    ("extract", 0.1),
    ("train", 1.0),
    ("evaluate", 0.1),
    ("report", 0.2),
)
TWENTY: Plan = (
    *[("tile", 0.0)] * 5,
    *[("extract", 0.1)] * 6,
    *[("train", 1.0)] * 4,
    *[("evaluate", 0.3)] * 2,
    *[("report", 0.3)] * 3,
)
DAY_SECONDS = 24 * 60 * 60
MANY, PARTS = 1000, 2  # kills
MADE_BEFORE = ("tiles", "features", "receipts/tile", "receipts/extract")
FINETUNE = (
    ("train", "heads", '["finetune"]'),
    ("train", "clusterings", "[]"),
    ("train.finetune", "backbone", '"vgg16"'),
    ("train.finetune", "weights", '"random"'),
    ("train.finetune", "input_px", "32"),
    ("train.finetune", "frozen_epochs", "2"),
    ("train.finetune", "unfrozen_epochs", "2"),
    ("train.finetune", "batch_size", "16"),
)


@pytest.mark.parametrize(
    ("plan", "begin"),
    [pytest.param(FIVE, start, id="five"), pytest.param(TWENTY, start_fresh, id="twenty", marks=pytest.mark.long)],
)
def test_kills_change_no_byte_and_nothing_is_done_twice(
    untouched: Path, whole: Path, tmp_path: Path, plan: Plan, begin: Callable[..., Process]
) -> None:
    run = copy_run(untouched, tmp_path / "run")
    delays = random.Random(20)
    hits = []
    for number, (stage, most_seconds) in enumerate(plan):
        before = committed(run)
        log = tmp_path / f"log-{number}"
        process = begin("run", run, log=log)
        wait_for_work(process, log, run, stage, len(list(run.glob(MADE.get(stage, "-")))))
        time.sleep(delays.uniform(0, most_seconds))
        kill_group(process)
        hits.append(latest_stage(log))
        assert before.items() <= committed(run).items()
    assert {*hits} == {*STAGES}, hits
    before = committed(run)
    finish(begin("run", run))
    assert before.items() <= committed(run).items()
    check_run(run, whole)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_nor_do_kills_at_any_time(untouched: Path, whole: Path, tmp_path: Path, seed: int) -> None:
    run = copy_run(untouched, tmp_path / "run")
    delays = random.Random(seed)
    n_kills = 0
    while not is_finished(start_fresh("run", run), delays.uniform(0, 4 + n_kills / 2)):
        n_kills += 1
    assert n_kills > 3
    check_run(run, whole)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(PARTS))
def test_a_thousand_kills_change_no_byte(untouched: Path, whole: Path, tmp_path: Path, seed: int) -> None:
    """Runs one after another, until a part of the kills has hit them, most of them early in what is left to do. Two
    parts may run beside each other."""
    delays, n_kills, n_runs = random.Random(seed), 0, 0
    while n_kills < MANY // PARTS:
        run, patience = copy_run(untouched, tmp_path / "run"), 1.0
        while not is_finished(start("run", run), delays.uniform(0, patience)):
            n_kills, patience = n_kills + 1, patience + 0.1
        check_run(run, whole)
        shutil.rmtree(run)
        n_runs += 1
        print(f"{n_kills:,} kills over {some(n_runs, 'run')}", flush=True)  # noqa: T201 - for the log that is kept


@pytest.mark.long
def test_a_demo_that_is_killed_goes_on(tmp_path: Path) -> None:
    """While it writes slides, before it has a run, and while the run is at work."""
    undisturbed, killed = (tmp_path / name / "demo" for name in ("undisturbed", "killed"))
    for folder in (undisturbed, killed):
        folder.parent.mkdir()
    finish(start("demo", undisturbed, "--patients", "12"))
    delays, n_kills = random.Random(12), 0
    while not is_finished(start("demo", killed, "--patients", "12"), delays.uniform(0, 1 + 2 * n_kills)):
        n_kills += 1
    assert n_kills > 3
    assert digests(killed / "run") == digests(undisturbed / "run")
    found, expected = (
        {file.name: file.read_bytes() for file in (one / "slides").iterdir()} for one in (killed, undisturbed)
    )
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.long
def test_fine_tuning_that_is_killed_goes_on(whole: Path, tmp_path: Path) -> None:
    runs = [copy_run(whole, tmp_path / name / "run", MADE_BEFORE) for name in ("undisturbed", "killed")]
    for run in runs:
        for table, entry, value in FINETUNE:
            change_setting(run, table, entry, value)
    finish(start("train", runs[0]))
    delays, n_kills = random.Random(7), 0
    while not is_finished(start("train", runs[1]), delays.uniform(1, 4 + n_kills)):
        n_kills += 1
    assert n_kills > 2
    assert of(digests(runs[1]), "models/") == of(digests(runs[0]), "models/")


def check_run(run: Path, whole: Path) -> None:
    """Nothing is missing, but the receipts of what was killed after it had been made."""
    assert digests(run) == digests(whole)
    missing = names(whole) - names(run)
    assert names(run) <= names(whole)
    assert all(name.startswith(("receipts/train", "receipts/evaluate")) for name in missing), missing


def wait_for_work(process: Process, log: Path, run: Path, stage: str, n_made: int) -> None:
    """Until the stage has made something more or, where it makes nothing before its end, begun; or is over."""

    def is_at_work() -> bool:
        assert process.poll() is None, log.read_text()
        latest = latest_stage(log)
        if latest == stage:
            return stage not in MADE or len(list(run.glob(MADE[stage]))) > n_made
        return bool(latest) and STAGES.index(latest) > STAGES.index(stage)

    wait_until(is_at_work, LIMIT_SECONDS, log.read_text, pause=0.001)


def latest_stage(log: Path) -> str:
    begun: list[str] = BEGUN.findall(log.read_text())
    return begun[-1] if begun else ""


def test_leftovers_harm_no_run_and_are_cleaned_up_when_a_day_old(
    untouched: Path, whole: Path, other: Path, tmp_path: Path
) -> None:
    run = copy_run(untouched, tmp_path / "run")
    copy_parts(other, run, ["tiles"])
    # Before a file of a store, between the two renames of a store that makes another one's way, before a receipt's.
    for n in (3, 14, 16):
        assert start("tile", run, kill_before=n).wait(LIMIT_SECONDS) < 0
    litter = leftovers_in(run)
    assert {(path.parent.name, path.name[:5]) for path in litter} == {
        ("tiles", ".tmp-"),
        ("tiles", ".old-"),
        ("tile", ".tmp-"),
    }
    finish(start("tile", run))
    assert digests(run) == of(digests(whole), "tiles/")
    finish(start("verify", run, "--clean"))
    assert leftovers_in(run) == litter
    for path in litter[1:]:
        make_old(path)
    finish(start("verify", run, "--clean"))
    assert leftovers_in(run) == litter[:1]
    make_old(litter[0])
    finish(start("verify", run, "--clean"))
    assert leftovers_in(run) == []
    assert digests(run) == of(digests(whole), "tiles/")


def make_old(leftover: Path) -> None:
    then = time.time() - DAY_SECONDS - 60
    for path in (leftover, *leftover.rglob("*")):
        os.utime(path, (then, then))

"""SIGKILL to a stage and its workers before every fsync, rename and replace it makes, and then the stage once more."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fault_runs import LIMIT_SECONDS, change_setting, copy_parts, copy_run, digests, names, of, start, start_fresh

KILLED = -signal.SIGKILL
WITHOUT_RECEIPT = ("receipts/train", "receipts/evaluate")
ONE = "TCGA-ZZ-0003-01Z-00-DX1"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: its options, what it reads, the folders and files it commits, the heads where they are not all, and
    entries of run.toml that it needs and that the undisturbed run has not."""

    name: str
    options: tuple[str, ...]
    reads: tuple[str, ...]
    folders: tuple[str, ...]
    files: tuple[str, ...]
    heads: tuple[str, ...] = ()
    asked: tuple[tuple[str, str, str], ...] = ()

    @property
    def makes(self) -> tuple[str, ...]:
        return self.folders + self.files

    def __str__(self) -> str:
        return "-".join([self.name, *self.heads])

    def arguments(self, run: Path) -> list[str]:
        return [self.name, str(run), *self.options]


Run = Callable[[Path, Sequence[str], int], int]  # a run, a verb and its options, a call; the exit code


def forked(run: Path, arguments: Sequence[str], n: int) -> int:
    """The command, killed before call ``n`` (0: never); its exit code."""
    verb, _, *options = arguments
    return start(verb, run, *options, kill_before=n).wait(LIMIT_SECONDS)


def fresh(run: Path, arguments: Sequence[str], n: int) -> int:
    """The same as users have it, with workers that are spawned."""
    verb, _, *options = arguments
    return start_fresh(verb, run, *options, kill_before=n).wait(LIMIT_SECONDS)


MODELS = ("tanh", "logistic", "attention", "deep_kmeans")
TILE = Stage("tile", ("--slide", ONE, "--workers", "1"), (), (f"tiles/{ONE}.zarr",), (f"receipts/tile/{ONE}.json",))
EXTRACT = Stage(
    "extract", TILE.options, TILE.makes, (f"features/small/{ONE}.zarr",), (f"receipts/extract/small/{ONE}.json",)
)
TRAIN = Stage(
    "train",
    (),
    ("tiles", "features", "receipts/tile", "receipts/extract"),
    tuple(f"models/{model}" for model in MODELS),
    ("split.csv", "split.json", *(f"receipts/train/{model}.json" for model in MODELS)),
)
TRAIN_ONE = replace(
    TRAIN,
    folders=("models/logistic",),
    files=("split.csv", "split.json", "receipts/train/logistic.json"),
    heads=("logistic",),
)
TRAIN_TWO = replace(
    TRAIN,
    folders=("models/logistic", "models/attention"),
    files=("split.csv", "split.json", "receipts/train/logistic.json", "receipts/train/attention.json"),
    heads=("logistic", "attention"),
)
EVALUATE = Stage(
    "evaluate",
    (),
    TRAIN.reads + TRAIN.makes,
    ("predictions",),
    ("reference.npy", "metrics.json", "receipts/evaluate/cohort.json"),
)
EVALUATE_ONE = replace(EVALUATE, heads=("logistic",))  # the same calls, in a third of the time
PHENOTYPES = Stage(
    "phenotypes",
    (),
    TRAIN.reads + TRAIN.makes,
    ("phenotypes",),
    ("receipts/phenotypes/cohort.json",),
    asked=(("phenotypes", "seeds", "2"),),
)
# A signature of twelve patients is none that anybody would believe; its bytes are what counts here.
SURVIVAL = Stage(
    "survival",
    (),
    (),
    ("survival",),
    ("receipts/survival/cohort.json",),
    asked=(
        ("survival", "of", '"columns"'),
        ("survival", "columns", '["age"]'),
        ("survival", "screen_p", "1.0"),
        ("survival", "least_carriers", "2.0"),
        ("survival", "events_per_column", "2.0"),
        ("survival", "bootstrap", "20"),
        ("survival", "folds", "2"),
    ),
)
REPORT = Stage("report", (), EVALUATE.reads + EVALUATE.makes, ("report",), ())


@pytest.mark.parametrize(
    "stage",
    [
        TILE,
        pytest.param(EXTRACT, marks=pytest.mark.long),  # its store is committed as that of tile is
        TRAIN_ONE,
        pytest.param(TRAIN_TWO, marks=pytest.mark.long),  # of attention: networks/heads/test_attention.py
        pytest.param(TRAIN, marks=pytest.mark.long),
        EVALUATE_ONE,
        pytest.param(EVALUATE, marks=pytest.mark.long),
        SURVIVAL,
        pytest.param(PHENOTYPES, marks=pytest.mark.long),  # of its receipt and seeds: stages/test_phenotypes.py
        pytest.param(REPORT, marks=pytest.mark.long),  # a folder, committed as that of tile is
    ],
    ids=str,
)
def test_a_kill_before_any_call_changes_no_byte(
    tmp_path: Path, whole: Path, pool: ThreadPoolExecutor, stage: Stage
) -> None:
    kill_everywhere(stage, whole, None, tmp_path, forked, pool)


@pytest.mark.parametrize(
    "stage",
    [
        TILE,
        pytest.param(EXTRACT, marks=pytest.mark.long),  # its store is committed as that of tile is
        TRAIN_ONE,
        pytest.param(TRAIN, marks=pytest.mark.long),
        pytest.param(EVALUATE_ONE, marks=pytest.mark.long),  # its files make way as those of train do
        pytest.param(EVALUATE, marks=pytest.mark.long),
        pytest.param(REPORT, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_nor_where_the_work_of_other_settings_makes_way(
    tmp_path: Path, whole: Path, other: Path, pool: ThreadPoolExecutor, stage: Stage
) -> None:
    kill_everywhere(stage, whole, other, tmp_path, forked, pool)


@pytest.mark.long
@pytest.mark.parametrize("stage", [TILE, EXTRACT], ids=lambda stage: stage.name)
def test_nor_where_workers_are_spawned(tmp_path: Path, whole: Path, pool: ThreadPoolExecutor, stage: Stage) -> None:
    """As users start them. Elsewhere here workers are forks, which have imported everything already."""
    kill_everywhere(stage, whole, None, tmp_path, fresh, pool)


def kill_everywhere(
    stage: Stage, whole: Path, other: Path | None, folder: Path, run_killed: Run, pool: ThreadPoolExecutor
) -> None:
    undisturbed = ready_for(stage, whole, other, folder / "0")
    assert run_killed(undisturbed, stage.arguments(undisturbed), 0) == 0
    if stage != EVALUATE_ONE and not stage.asked:  # metrics of fewer heads are others
        assert digests(undisturbed) == of(digests(whole), *stage.reads, *stage.makes)
    calls = (undisturbed.parent / "calls-0").read_text().splitlines()
    check_calls(stage, undisturbed, calls, other is not None)

    def kill_and_go_on(n: int) -> None:
        run = ready_for(stage, whole, other, folder / str(n))
        assert run_killed(run, stage.arguments(run), n) == KILLED
        assert (run.parent / f"calls-{n}").read_text().splitlines() == calls[:n]
        check_all_or_nothing(stage, run, undisturbed, other)
        assert run_killed(run, stage.arguments(run), 0) == 0
        check_finished(run, undisturbed)
        shutil.rmtree(run.parent)

    list(pool.map(kill_and_go_on, worth_a_kill(stage, calls)))


def worth_a_kill(stage: Stage, calls: list[str]) -> list[int]:
    """All calls; of files that lie in one temporary folder until all are there, the first and the last."""
    passed: set[int] = set()
    for name in stage.folders:
        parent, _, last = name.rpartition("/")
        inside = f"fsync {parent}/.tmp-{last}/".replace(" /", " ")
        passed |= {*[number for number, call in enumerate(calls, start=1) if call.startswith(inside)][1:-1]}
    return [number for number in range(1, len(calls) + 1) if number not in passed]


def ready_for(stage: Stage, whole: Path, other: Path | None, folder: Path) -> Path:
    run = copy_run(whole, folder / "run", stage.reads)
    if other is not None:
        copy_parts(other, run, stage.makes)
    if stage.asked:
        add_follow_up(run / "patients.csv")
    for table, entry, value in stage.asked:
        change_setting(run, table, entry, value)
    if stage.heads:
        change_setting(run, "train", "heads", json.dumps(stage.heads))
        change_setting(run, "train", "clusterings", "[]")
    return run


def add_follow_up(patients: Path) -> None:
    """Columns that no key of what is made before goes by."""
    header, *rows = patients.read_text().splitlines()
    made = [f"{row},{40 - 2 * number},{int(number != 3)},{50 + number}" for number, row in enumerate(rows)]
    patients.write_text("\n".join([f"{header},time,event,age", *made]) + "\n")


def check_calls(stage: Stage, run: Path, calls: list[str], is_there: bool) -> None:
    """Every folder and file of the stage was renamed to its name, all in it fsynced before, its own folder after."""
    for part in stage.makes:
        parent, _, name = part.rpartition("/")
        temporary = f"{parent}/.tmp-{name}".removeprefix("/")
        moves = [f"rename {temporary} {part}", f"replace {temporary} {part}"]
        found = [number for number, call in enumerate(calls) if call in moves]
        away = f"rename {part} {parent}/.old-{name}".replace(" /", " ")
        assert len(found) == 1 + (is_there and part in stage.folders), part
        assert calls.count(away) == (is_there and part in stage.folders), part
        inside = [path.relative_to(run / part).as_posix() for path in (run / part).rglob("*")]
        assert {f"fsync {temporary}", *(f"fsync {temporary}/{name}" for name in inside)} <= {*calls[: found[0]]}, part
        assert f"fsync {parent or '.'}" in calls[found[-1] :], part


def check_all_or_nothing(stage: Stage, run: Path, undisturbed: Path, other: Path | None) -> None:
    """What has its final name is as an undisturbed run makes it, or as it was before."""
    found = digests(run)
    allowed = [{}, digests(undisturbed), *([digests(other)] if other is not None else [])]
    for part in stage.makes:
        assert of(found, part) in [of(one, part) for one in allowed], part
    check_page(run)


def check_finished(run: Path, undisturbed: Path) -> None:
    """The bytes of an undisturbed run and nothing beside it, but for leftovers; of train and evaluate the receipt
    may be missing: how long a killed process took is not known."""
    assert digests(run) == digests(undisturbed)
    missing = names(undisturbed) - names(run)
    more = names(run) - names(undisturbed)
    assert all(name.startswith("checkpoints/phenotypes.") for name in more), more  # with leftovers alone in it
    assert all(name.startswith(WITHOUT_RECEIPT) for name in missing), missing
    check_page(run)


def check_page(run: Path) -> None:
    page = run / "report" / "index.html"
    assert not page.exists() or page.read_text().rstrip().endswith("</html>")


def test_predictions_of_other_settings_are_not_taken_for_these(tmp_path: Path, whole: Path) -> None:
    """Killed between predictions and metrics of other settings, and then run.toml is as it was before."""
    run = copy_run(whole, tmp_path / "run", EVALUATE.reads + EVALUATE.makes)
    settings = (run / "run.toml").read_bytes()
    change_setting(run, "train", "heads", '["logistic"]')
    # reference.npy's three; six files, their folder, three renames, the run; metrics.json's fsync, and its replace.
    between = 16
    assert forked(run, EVALUATE.arguments(run), between) == KILLED
    assert (tmp_path / f"calls-{between}").read_text().endswith("replace .tmp-metrics.json metrics.json\n")
    assert of(digests(run), "predictions/") != of(digests(whole), "predictions/")
    (run / "run.toml").write_bytes(settings)
    assert forked(run, EVALUATE.arguments(run), 0) == 0
    assert digests(run) == digests(whole)

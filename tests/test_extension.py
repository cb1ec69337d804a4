"""What other packages add is found wherever the suite lists its own."""

from __future__ import annotations

import errno
import json
import shutil
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import own_package
import pytest
from fault_runs import finish, start
from run_digests import RECORDED

from hypoxia_hpc.cli.app import families
from hypoxia_hpc.cli.stages import _say_outcome
from hypoxia_hpc.cli.text.status import status_text
from hypoxia_hpc.errors import InputError, MachineError, NotReadyError
from hypoxia_hpc.monitoring.checks import plug_ins
from hypoxia_hpc.monitoring.remaining import remaining
from hypoxia_hpc.monitoring.status import run_status
from hypoxia_hpc.records import Receipt
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.receipts import COHORT, write_receipt
from hypoxia_hpc.runs.stages import (
    OTHER_VERBS,
    STAGES,
    Registry,
    Stage,
    place_of,
    registry,
    stage_named,
    way_to,
    why_unfit,
)
from hypoxia_hpc.workers.slide_stage import StageOutcome

STAGES_FILE = Path(__file__).parent / "runs" / "own" / "example_stages.py"
ENTRIES = (
    "census = example_stages:CENSUS\nsummary = example_stages:SUMMARY\n"
    "nonsense = example_stages:NOT_A_STAGE\nstatus = example_stages:CENSUS"
)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of an earlier version, with the split that it has (patients are dealt by another rule today) and
    evaluated again, as they are by another rule."""
    folder = tmp_path_factory.mktemp("whole")
    with tarfile.open(RECORDED / "small_run.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    run = folder / "run"
    config = run / "run.toml"
    config.write_text(config.read_text().replace("[train]", '[train]\nsplit_file = "split.csv"', 1))
    for verb in ("evaluate", "report"):
        finish(start(verb, run))
    return run


class Extended(own_package.CommandLine):
    """The command line where a package with stages is installed, and a whole run of twelve slides."""

    def __init__(self, folder: Path, whole_run: Path) -> None:
        self.run = folder / "run"
        super().__init__(
            own_package.install(folder, STAGES_FILE, ENTRIES, name="example-stages", group="hypoxia_hpc.stages")
        )
        shutil.copytree(whole_run, self.run)

    def stages(self, verb: str) -> dict[str, dict[str, object]]:
        return {one["stage"]: one for one in json.loads(self.says_forked(verb, self.run, "--json"))["stages"]}

    def sent(self) -> list[str]:
        """The stages that submit would send, in their order."""
        said = self.says_forked("submit", self.run, "--dry-run")
        lines = said.splitlines()
        assert "sbatch" not in said or "HYPOXIA_ON_CORES='tile census'" in lines
        return [line.partition("=$(sbatch")[0].rpartition("_")[0] for line in lines if "=$(sbatch" in line]


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory, whole_run: Path) -> Extended:
    return Extended(tmp_path_factory.mktemp("extended"), whole_run)


def test_stages_of_another_package_are_verbs(extended: Extended) -> None:
    said = extended.says("--help")
    places = [said.index(f"\n  {name} ") for name in ("tile", "census", "evaluate", "summary", "report")]
    assert places == sorted(places)
    assert "Number of tiles of each slide" in said
    assert "--share" in extended.says("census", "--help")
    assert "--share" not in extended.says("summary", "--help")


def test_a_stage_of_another_package_goes_from_to_do_to_done_everywhere(extended: Extended) -> None:
    before = extended.stages("status")
    assert (before["census"]["todo"], before["summary"]["todo"]) == (12, 1)
    assert extended.stages("estimate")["census"]["slides"] == 12
    assert extended.sent() == ["census", "summary", "report"]

    assert "census: 12 done now" in extended.says("census", extended.run)
    assert extended.sent() == ["summary", "report"]
    assert extended.says_forked("summary", extended.run) == f"summary: {extended.run}/summary.json\n"
    after = extended.stages("status")
    assert (after["census"]["done"], after["census"]["todo"], after["summary"]["done"]) == (12, 0, 1)
    assert extended.stages("estimate")["census"]["slides"] == 0
    assert extended.sent() == []

    extended.says_forked("report", extended.run)
    page = (extended.run / "report" / "index.html").read_text()
    assert all(f'<th scope="row">{name}</th>' in page for name in ("tile", "census", "evaluate", "summary"))


def test_what_is_no_stage_takes_nothing_along_and_is_told_where_it_is_named(extended: Extended) -> None:
    said = extended.says("nonsense", extended.run, code=2)
    assert "example-stages 1.0" in said and "not a Stage" in said
    assert "How far a run is" in extended.says("status", "--help")


FAILING = """
from hypoxia_hpc.runs.stages import Stage

def key(*_):
    raise RuntimeError("no\\nlicence")

def work(*_, **options):
    raise options["error"]

TALLY = Stage("tally", "slide", ("tile",), "cpu", "failing_stages:work", "Help.", key="failing_stages:key")
WEIGH = Stage("weigh", "slide", ("tally",), "cpu", "failing_stages:work", "Help.", key="failing_stages:key")
TOTAL = Stage("total", "cohort", ("evaluate",), "cpu", "no_such_module:work", "Help.", key="failing_stages:gone")
UNFIT = Stage("unfit", "slide", ("train",), "cpu", "failing_stages:work", "Help.", key="failing_stages:key")
"""


@pytest.fixture
def failing(tmp_path: Path, whole_run: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunDir]:
    """A whole run, where a package is installed whose stages fail."""
    module = tmp_path / "failing_stages.py"
    module.write_text(FAILING, encoding="utf-8")
    points = "\n".join(f"{name} = failing_stages:{name.upper()}" for name in ("tally", "weigh", "total", "unfit"))
    monkeypatch.syspath_prepend(
        own_package.install(tmp_path, module, points, name="failing-stages", group="hypoxia_hpc.stages")
    )
    shutil.copytree(whole_run, tmp_path / "run")
    registry.cache_clear()
    yield RunDir(tmp_path / "run")
    registry.cache_clear()
    sys.modules.pop("failing_stages", None)


def test_status_goes_on_where_the_key_of_a_stage_fails(failing: RunDir) -> None:
    write_receipt(failing.receipts("total"), Receipt(COHORT, "done", "of some key"))
    state = run_status(failing)
    rows = {one.stage.partition(" ")[0]: one for one in state.stages}
    assert (rows["tile"].done, rows["evaluate"].done, rows["report"].note) == (12, 1, "")
    for name, fails, counts in (
        ("tally", "failing_stages:key fails: RuntimeError: no licence", (12, 0)),
        ("total", "failing_stages:gone fails: AttributeError", (1, 1)),
    ):
        assert fails in rows[name].note
        assert f"{name!r} is not of hypoxia_hpc: failing-stages 1.0 (failing_stages:{name.upper()})" in rows[name].note
        assert (rows[name].todo, rows[name].said_done) == counts
    assert (rows["weigh"].todo, rows["weigh"].note) == (12, "")
    shown = "\n".join(status_text(state, "RUN"))
    assert shown.count("unknown here: the stage") == 2
    assert "total" in remaining(failing, retry=False).stages


def test_a_stage_that_fails_names_its_package(failing: RunDir) -> None:
    tally = stage_named("tally")
    with pytest.raises(InputError, match=r"failing-stages 1\.0 .* failing_stages:work fails: KeyError: 'x'") as caught:
        tally.do(error=KeyError("x"))
    (place,) = caught.value.offending
    assert "failing_stages.py:" in place and place.endswith("in work")
    with pytest.raises(InputError, match="no_such_module:work fails: ModuleNotFoundError"):
        stage_named("total").do(failing)
    # What a stage may well raise stays what it is.
    for error, kind in ((NotReadyError("wait"), NotReadyError), (OSError(errno.ENOSPC, "full"), MachineError)):
        with pytest.raises(kind):
            tally.do(error=error)
    # A stage of this package that fails is a bug of this package.
    with pytest.raises(TypeError):
        stage_named("tile").do(nothing=1)
    (unfit,) = [one for one in plug_ins() if one.name.startswith("stage ")]
    assert (unfit.name, unfit.verdict) == ("stage unfit", "note")
    assert "failing-stages 1.0 (failing_stages:UNFIT): it needs train" in unfit.detail


def test_a_slide_on_which_a_stage_fails_is_told_with_its_package(
    failing: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Receipt("S1", "quarantined", "key", reason="internal-error", detail="KeyError: 'x'")
    for name, told in (
        ("tally", "error of failing-stages 1.0 (failing_stages:TALLY), which is not of hypoxia_hpc, on S1:\nKeyError"),
        ("tile", "internal error on S1:\nKeyError"),
    ):
        outcome = StageOutcome(name, (broken,), (), (broken,), bugs=(broken,))
        assert _say_outcome(stage_named(name), outcome, failing.root) == 1
        assert told in capsys.readouterr().err


def stage(name: str, unit: str, *needs: str, key: str | None = "module:key") -> Stage:
    return Stage(name, unit, needs, "cpu", "module:work", "Help.", key=key)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "one", "why"),
    [
        ("own", stage("own", "slide", "tile"), ""),
        ("own", stage("own", "cohort", "tile", "train"), ""),
        ("own", stage("other", "slide"), "entry point"),
        ("own", stage("own", "slide", "train"), "needs train"),
        ("own", stage("own", "cohort", "nothing"), "needs nothing"),
        ("own", stage("own", "cohort", key=None), "no key"),
    ],
)
def test_a_stage_fits_among_the_others_or_is_told_why_not(name: str, one: Stage, why: str) -> None:
    found = why_unfit(name, one, STAGES)
    assert (why in found) if why else found == ""


def test_a_stage_stands_behind_what_it_needs() -> None:
    places = [place_of(one, STAGES) for one in (stage("a", "slide"), stage("b", "slide", "tile"))]
    assert places == [0, 1]
    places = [place_of(one, STAGES) for one in (stage("c", "cohort"), stage("d", "cohort", "evaluate", "tile"))]
    assert places == [2, 4]


def test_the_way_to_a_stage_leaves_out_what_it_does_not_need(monkeypatch: pytest.MonkeyPatch) -> None:
    aside, on_the_way = stage("aside", "slide", "tile"), stage("own", "slide", "tile")
    tile, extract, *others = STAGES
    needing = replace(extract, needs=("own",))
    found = Registry((tile, aside, on_the_way, needing, *others), {}, {})
    monkeypatch.setattr("hypoxia_hpc.runs.stages.registry", lambda: found)
    assert [one.name for one in way_to("extract")] == ["tile", "own", "extract"]
    assert [one.name for one in way_to("report")] == ["report"]
    with pytest.raises(KeyError):
        way_to("nothing")


def test_every_verb_that_is_no_stage_is_a_name_that_no_stage_can_have() -> None:
    verbs = {str(verb.name) for family in families().values() for verb in family}
    assert verbs - {one.name for one in STAGES} == set(OTHER_VERBS)

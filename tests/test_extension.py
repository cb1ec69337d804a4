"""What other packages add is found wherever the suite lists its own."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import own_package
import pytest
from run_digests import RECORDED

from hypoxia_hpc.cli.app import families
from hypoxia_hpc.runs.stages import OTHER_VERBS, STAGES, Stage, place_of, why_unfit

STAGES_FILE = Path(__file__).parent / "runs" / "own" / "example_stages.py"
ENTRIES = (
    "census = example_stages:CENSUS\nsummary = example_stages:SUMMARY\n"
    "nonsense = example_stages:NOT_A_STAGE\nstatus = example_stages:CENSUS"
)


class Extended(own_package.CommandLine):
    """The command line where a package with stages is installed, and a whole run of twelve slides."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "run"
        super().__init__(
            own_package.install(folder, STAGES_FILE, ENTRIES, name="example-stages", group="hypoxia_hpc.stages")
        )
        with tarfile.open(RECORDED / "small_run.tar.xz") as archive:
            archive.extractall(folder, filter="data")

    def stages(self, verb: str) -> dict[str, dict[str, object]]:
        return {one["stage"]: one for one in json.loads(self.says(verb, self.run, "--json"))["stages"]}

    def sent(self) -> list[str]:
        """The stages that submit would send, in their order."""
        said = self.says("submit", self.run, "--dry-run")
        lines = said.splitlines()
        assert "sbatch" not in said or "HYPOXIA_ON_CORES='tile census'" in lines
        return [line.partition("=$(sbatch")[0].rpartition("_")[0] for line in lines if "=$(sbatch" in line]


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Extended:
    return Extended(tmp_path_factory.mktemp("extended"))


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
    assert extended.says("summary", extended.run) == f"summary: {extended.run}/summary.json\n"
    after = extended.stages("status")
    assert (after["census"]["done"], after["census"]["todo"], after["summary"]["done"]) == (12, 0, 1)
    assert extended.stages("estimate")["census"]["slides"] == 0
    assert extended.sent() == []

    extended.says("report", extended.run)
    page = (extended.run / "report" / "index.html").read_text()
    assert all(f'<th scope="row">{name}</th>' in page for name in ("tile", "census", "evaluate", "summary"))


def test_what_is_no_stage_takes_nothing_along_and_is_told_where_it_is_named(extended: Extended) -> None:
    said = extended.says("nonsense", extended.run, code=2)
    assert "example-stages 1.0" in said and "not a Stage" in said
    assert "How far a run is" in extended.says("status", "--help")


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


def test_every_verb_that_is_no_stage_is_a_name_that_no_stage_can_have() -> None:
    verbs = {str(verb.name) for family in families().values() for verb in family}
    assert verbs - {one.name for one in STAGES} == set(OTHER_VERBS)

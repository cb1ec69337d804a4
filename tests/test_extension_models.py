"""A head and a study that another package adds are found wherever the suite lists its own."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path

import own_package
import pytest

from hypoxia_hpc.stages.demo import REAL_SLIDE

EXAMPLE = Path(__file__).parent / "networks" / "own" / "example_heads.py"
ENTRIES = """means = example_heads:MEANS
bare = example_heads:BARE
gone = example_heads:GONE
tanh = example_heads:MEANS
study = example_heads:PLAIN
no-name = example_heads:MEANS
[hypoxia_hpc.studies]
plain = example_heads:PLAIN
head = example_heads:MEANS"""
BARE = """
from hypoxia_hpc.config.heads.declared import DeclaredHead

BARE = DeclaredHead(table=MeansTable)
"""
MAKE_RUN = """
import sys
from pathlib import Path
from feature_runs import make_run
make_run(Path(sys.argv[1]), {"heads": ["logistic", "means"], "clusterings": []}, n_patients=24)
"""


class Extended(own_package.CommandLine):
    """The command line where a package with a head and a study is installed, and a run that has features."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "run"
        module = folder / EXAMPLE.name
        module.write_text(EXAMPLE.read_text(encoding="utf-8") + BARE, encoding="utf-8")
        super().__init__(own_package.install(folder, module, ENTRIES, name="example-heads", group="hypoxia_hpc.heads"))
        module.unlink()
        self.python("-c", MAKE_RUN, self.run)


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Extended:
    return Extended(tmp_path_factory.mktemp("extended"))


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 70


def test_a_study_of_another_package_makes_a_run_with_its_head(extended: Extended, tmp_path: Path) -> None:
    told = " ".join(extended.says("init", "--help").split())
    assert "hypoxia: is the tumour hypoxic?" in told and "plain: is the tumour plain?" in told
    run, slides = tmp_path / "run", tmp_path / "slides"
    slides.mkdir()
    shutil.copy(REAL_SLIDE, slides)
    for study, why in (
        ("nonsense", "study 'nonsense' is not one of the presets"),
        ("head", "example-heads 1.0 (example_heads:MEANS) is of type Head, not a Study"),
    ):
        said = extended.says("init", run, "--study", study, "--slides", slides, code=2)
        assert why in said
        assert "choose one of: hypoxia, mgmt, plain, sarcoma, sclc" in said
    extended.says("init", run, "--study", "plain", "--slides", slides)
    config = tomllib.loads((run / "run.toml").read_text())
    assert (config["study"], config["train"]["heads"], config["train"]["clusterings"]) == ("plain", ["means"], [])
    assert extended.says("status", run)


def test_run_toml_lists_the_head_and_its_settings(extended: Extended) -> None:
    text = (extended.run / "run.toml").read_text()
    assert "models to train: tanh, funnel, relu, logistic, linear, attention, finetune, means" in text
    assert "[train.means]  # along the difference of the means of both classes." in text
    assert "sharpness = 1.0" in text


def test_a_head_of_another_package_is_trained_judged_and_shown(extended: Extended) -> None:
    assert "logistic, means" in " ".join(extended.says("train", extended.run).split())
    extended.says("evaluate", extended.run)
    metrics = json.loads((extended.run / "metrics.json").read_text())
    assert metrics["models"]["means"]["test"]["patient"]["roc_auc"]["value"] > 0.8
    extended.says("report", extended.run)
    page = (extended.run / "report" / "index.html").read_text()
    assert re.search(r'swatch[^\n]*class="series-2"[^\n]*\n means<', page)
    assert '<th scope="row">means</th>' in page
    assert "figures/confusion-means.svg" in page


def test_estimate_counts_what_it_takes(extended: Extended) -> None:
    """By the cost that the head itself says."""
    estimate = json.loads(extended.says("estimate", extended.run, "--json"))
    for stage in estimate["cohort"]:
        assert {one["name"]: one["nbytes"]["value"] for one in stage["models"]}["means"] == 1e6
        assert stage["unknown"] == []


def test_submit_sends_what_trains_it(extended: Extended) -> None:
    """With another setting: that model is not trained, whatever tests before this one have trained."""
    text = (extended.run / "run.toml").read_text()
    (extended.run / "run.toml").write_text(text.replace("sharpness = 1.0", "sharpness = 2.0"))
    assert "train_0=$(sbatch" in extended.says("submit", extended.run, "--dry-run")
    (extended.run / "run.toml").write_text(text)


def test_search_and_keys_follow_its_table(extended: Extended) -> None:
    code = """
from hypoxia_hpc.config import parse_config
from hypoxia_hpc.runs.keys import train_key
def key(**means):
    return train_key(parse_config({"train": {"heads": ["means"], "means": means}}, source="x").train, "means", [])
assert key() == key(sharpness=1.0) != key(sharpness=2.0)
grid = {"train": {"heads": ["means"], "search": {"means": {"sharpness": [1.0, 2.0]}}}}
assert parse_config(grid, source="x").train.search.n_points("means") == 2
"""
    extended.python("-c", code)


def test_a_head_that_is_of_no_use_is_told_where_it_is_named(extended: Extended) -> None:
    told = {
        "gone": "example-heads 1.0 (example_heads:GONE) cannot be loaded: AttributeError",
        "study": "example-heads 1.0 (example_heads:PLAIN) is of type Study, not a Head of",
        "bare": "(example_heads:BARE) is of type DeclaredHead without train, predictor: name a Head of",
        "no-name": "adds 'no-name': use letters, digits, underscores",
        "nothing": "must be 'tanh', 'funnel', 'relu', 'logistic', 'linear', 'attention', 'finetune' or 'means'",
    }
    code = (
        "import sys; from hypoxia_hpc.config import parse_config\n"
        "parse_config({'train': {'heads': sys.argv[1:]}}, source='run.toml')"
    )
    said = extended.python("-c", code, *told, code=1)
    assert [why for why in told.values() if why not in said] == []


def test_doctor_notes_what_cannot_be_used(extended: Extended) -> None:
    said = extended.python(
        "-c",
        "from hypoxia_hpc.monitoring.checks import plug_ins\n"
        "for one in plug_ins(): print(one.name, one.verdict, one.detail, sep='|')",
    )
    lines = [line.split("|") for line in said.splitlines()]
    assert [name for name, _, _ in lines] == [
        "head bare",
        "head gone",
        "head no-name",
        "head study",
        "head tanh",
        "study head",
    ]
    assert {verdict for _, verdict, _ in lines} == {"note"}
    assert all("example-heads 1.0 (example_heads:" in why for _, _, why in lines)
    assert "a name that is taken" in {name: why for name, _, why in lines}["head tanh"]


def test_a_name_that_is_taken_stays_what_it_is(extended: Extended) -> None:
    code = "from hypoxia_hpc.config import HEADS, TanhTable; assert HEADS['tanh'].table is TanhTable"
    extended.python("-c", code)


def test_the_module_of_a_head_can_be_imported_first(extended: Extended) -> None:
    """Then it is not half imported when the lists of heads and studies are made."""
    imports = "import example_heads; from hypoxia_hpc.config import HEADS, STUDIES; "
    extended.python("-c", f"{imports}assert HEADS['means'] is example_heads.MEANS; assert 'plain' in STUDIES")

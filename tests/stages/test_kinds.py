"""Runs of every kind of outcome from init to the report: what is planted in their features is found, and nothing where
nothing is."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from feature_runs import make_planted_run
from markupsafe import escape
from planted import CLASSES, KINDS

from hypoxia_hpc.cli.text.metrics import metrics_table
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.models.criteria import CRITERIA
from hypoxia_hpc.networks.heads.saved import read_record
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Followed, Json, Label, Patient
from hypoxia_hpc.reports.kinds import registry as pages
from hypoxia_hpc.runs.cohort import lacking
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.evaluate import evaluate
from hypoxia_hpc.stages.predict import predict
from hypoxia_hpc.stages.report import report
from hypoxia_hpc.stages.train import require_splittable, train

SEEDS = (1, 2, 3, 4, 5)  # fixed in advance
# Heads that take no time; all of them with every kind: tests/networks/heads, and the exhaustive tests below.
QUICK: dict[str, list[str]] = {"classes": ["logistic"], "score": ["linear", "funnel"], "survival": ["linear"]}
CHANCE = {"binary": 0.5, "classes": 0.5, "score": 0.0, "survival": 0.5}


class Hears(NoProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def trained(run: RunDir, notes: Hears | None = None) -> Json:
    """metrics.json of the run, trained and measured. ``notes``: what is said while it is trained."""
    train(run, progress=notes or Hears(), stop=threading.Event())
    return evaluate(run, progress=NoProgress(), stop=threading.Event()).metrics


def figure_of(metrics: Json, kind: str, head: str) -> Json:
    """The figure that the kind is judged by, of test patients."""
    figure: Json = metrics["models"][head]["test"]["patient"][CRITERIA[KINDS[kind].kind].name]
    return figure


@pytest.fixture(scope="module", params=list(QUICK))
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, RunDir, Json, Hears]:
    """A run with a planted effect; of a score cross-validated."""
    kind, notes = request.param, Hears()
    settings: dict[str, Any] = {"heads": QUICK[kind], **({"folds": 3} if kind == "score" else {})}
    run = make_planted_run(tmp_path_factory.mktemp(kind) / "of", kind, 1.0, 2, settings, n_patients=48)
    require_splittable(run)
    return kind, run, trained(run, notes), notes


Found = tuple[str, RunDir, Json, Hears]


def test_what_is_planted_is_found(found: Found) -> None:
    kind, run, metrics, notes = found
    for head in run.config().train.heads:
        figure = figure_of(metrics, kind, head)
        assert figure["n"] == (48 if kind == "score" else 19)
        assert figure["low"] > CHANCE[kind], (head, figure)
        assert metrics["chance"][head]["verdict"] == "above"
        assert head in metrics_table(metrics)
    assert metrics["outcome"]["kind"] == kind
    assert not evaluate(run, progress=NoProgress(), stop=threading.Event()).fresh
    assert notes.notes == ["without label, left out of training, still predicted: 1 (PX)"]


def test_predictions_have_what_is_known_and_said(found: Found) -> None:
    kind, run, _, _ = found
    outcome = run.outcome()
    patients = pd.read_csv(run.predictions / "patients.csv", float_precision="round_trip")
    known = {each.patient_id: each.label for each in run.patients()}
    for row in patients.itertuples():
        label = known[row.id]
        values = [getattr(row, name) for name in outcome.label_types]
        assert np.isnan(values).all() if label is None else tuple(values) == outcome.known(label)
    heads = patients[patients["model"].isin(run.config().train.heads)]
    assert heads[list(outcome.outputs)].notna().all(axis=None)
    assert set(heads.loc[heads["set"] == "unlabelled", "id"]) == {"PX"}
    if kind == "classes":
        assert heads[[f"probability_{name}" for name in CLASSES]].sum(axis=1).to_numpy() == pytest.approx(1.0)


def test_the_report_is_of_the_kind(found: Found) -> None:
    kind, run, _, _ = found
    page = report(run, progress=NoProgress(), stop=threading.Event()).read_text()
    words = {"classes": CLASSES, "score": ("Spearman",), "survival": ("concordance", "event")}
    assert [word for word in words[kind] if word.casefold() not in page.casefold()] == []
    settings = str(escape(run.config_file.read_text().strip()))
    assert settings in page
    assert "hypoxic" not in page.replace(settings, ""), "a class that this run does not have"


def test_outside_patients_are_predicted_and_measured(found: Found, tmp_path: Path) -> None:
    kind, run, _, _ = found
    settings = {"heads": QUICK[kind]}
    outside = make_planted_run(tmp_path / "outside", kind, 1.0, 7, settings, n_patients=18, letter="Q")
    metrics = predict(outside, run, progress=NoProgress(), stop=threading.Event()).metrics
    figure = metrics["models"][QUICK[kind][0]]["external"]["patient"][CRITERIA[KINDS[kind].kind].name]
    assert figure["n"] == 18
    assert figure["value"] > CHANCE[kind] + 0.3


@pytest.mark.parametrize(
    "kind", ["score", *(pytest.param(one, marks=pytest.mark.long) for one in ("classes", "survival"))]
)
def test_nothing_is_found_where_nothing_is(tmp_path: Path, kind: str) -> None:
    heads = QUICK[kind][:1]
    run = make_planted_run(tmp_path / "none", kind, 0.0, 1, {"heads": heads}, n_patients=48)
    metrics = trained(run)
    figure = figure_of(metrics, kind, heads[0])
    assert figure["low"] < CHANCE[kind] < figure["high"], figure
    assert metrics["chance"][heads[0]]["verdict"] == "not told apart"


@pytest.mark.long
@pytest.mark.parametrize("kind", list(KINDS))
def test_every_head_finds_what_is_planted_and_nothing_else(tmp_path: Path, kind: str) -> None:
    """Over fixed seeds. Of what is said of nothing, 5 % would be wrong by chance, all heads of a run together."""
    verdicts = []
    for seed in SEEDS:
        for effect in (1.0, 0.0):
            metrics = trained(make_planted_run(tmp_path / f"{seed} {effect}", kind, effect, seed))
            verdicts += [(effect, head, one["verdict"]) for head, one in metrics["chance"].items()]
    assert {verdict for effect, _, verdict in verdicts if effect} == {"above"}, verdicts
    wrong = [verdict for effect, _, verdict in verdicts if not effect and verdict != "not told apart"]
    assert len(wrong) <= 1, verdicts


# --- searches -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "head", "grid"),
    [
        ("survival", "linear", {"penalty": [1e6, 0.1]}),
        pytest.param("score", "linear", {"penalty": [1e6, 0.1]}, marks=pytest.mark.long),
        pytest.param("classes", "logistic", {"c": [1e-6, 0.1]}, marks=pytest.mark.long),
        pytest.param("score", "funnel", {"learning_rate": [1e-7, 0.1]}, marks=pytest.mark.long),
    ],
)
def test_a_search_goes_by_the_figure_of_the_kind(tmp_path: Path, kind: str, head: str, grid: Json) -> None:
    settings = {"heads": [head], "search": {head: grid}, "split": [0.4, 0.4, 0.2]}
    run = make_planted_run(tmp_path / "searched", kind, 0.3, 2, settings, n_patients=48)
    train(run, progress=NoProgress(), stop=threading.Event())
    record = read_record(run.model(head))
    assert record.search is not None
    name = CRITERIA[KINDS[kind].kind].name
    points = record.search["points"]
    assert [sorted(one) for one in points] == [sorted(["settings", name, "valid_loss"])] * 2
    best = min(points, key=lambda one: (-one[name], one["valid_loss"]))
    assert record.search["chosen"] == best["settings"]
    [entry] = grid
    assert record.settings[entry] == best["settings"][entry]
    evaluate(run, progress=NoProgress(), stop=threading.Event())
    page = report(run, progress=NoProgress(), stop=threading.Event()).read_text()
    assert f"The largest {pages.KINDS[KINDS[kind].kind].headline_name} was chosen" in page
    assert pages.KINDS[KINDS[kind].kind].headline == name


# --- too little ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "labels", "sentences"),
    [
        ("classes", [0, 1, 2, 0, 1, 2, 0, 0, 2], ["the test patients lack a class: 2 low, 0 middle, 1 top; some"]),
        ("score", [1.0, 2.0, 3.0, 1.0, 1.0, 1.0, 2.0, 3.0, 4.0], ["the valid patients have 1 different score"]),
        (
            "survival",
            [Followed(1, 1), *[Followed(2, 0)] * 8],
            ["the valid patients have 0 events among 3", "the test patients have 0 events among 3"],
        ),
    ],
)
def test_sets_that_lack_something_are_said(kind: str, labels: list[Label], sentences: list[str]) -> None:
    patients = {f"p{number}": Patient(f"p{number}", label) for number, label in enumerate(labels)}
    sets = {name: ("train", "valid", "test")[number // 3] for number, name in enumerate(patients)}
    outcome = outcome_of(KINDS[kind])
    said = [sentence for _, sentence in lacking([sets], patients, outcome)]
    assert len(said) == len(sentences)
    assert all(one.startswith(start) for one, start in zip(said, sentences, strict=True)), said
    folds = lacking([sets, sets], patients, outcome)
    assert len(folds) == 2 * len(sentences)
    assert "of fold 1" in folds[-1][1]
    assert lacking([dict.fromkeys(patients, "unlabelled")], patients, outcome) == []


def test_a_cohort_without_events_is_told_before_any_work(tmp_path: Path) -> None:
    run = make_planted_run(tmp_path / "one", "survival", 1.0, 1, {"heads": ["linear"]}, n_patients=12)
    table = pd.read_csv(run.patients_file).assign(event=0)
    run.patients_file.write_text(table.to_csv(index=False))
    with pytest.raises(InputError, match="patients on whom no model can be trained") as caught:
        require_splittable(run)
    assert caught.value.offending[0].startswith("the train patients have 0 events among")
    assert not run.split_file.exists()
    assert json.loads(run.flow_file.read_text())["steps"][-1]["patients"] == 12

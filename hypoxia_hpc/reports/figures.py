"""The figures of the page, each with a sentence that describes it to readers who cannot see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.config.heads.registry import loss_over
from hypoxia_hpc.records import Float64Array
from hypoxia_hpc.reports.content import BASELINE_MODEL, lead_model, metric, model_order
from hypoxia_hpc.reports.data import Curves, PatientPrediction, ReportData
from hypoxia_hpc.reports.plots import probability_plot, roc_plot, series_of, training_plot
from hypoxia_hpc.reports.text import count_of, fixed, interval


@dataclass(frozen=True, slots=True)
class Plot:
    """``svg`` is markup made here, free of any table's text; ``alt`` is text and must be escaped."""

    svg: str
    alt: str


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A line of the ROC figure: its model, the number of its colour and dash, area and interval as text."""

    model: str
    series: int
    auc: str
    span: str


@dataclass(frozen=True, slots=True)
class RocFigure:
    plot: Plot
    legend: tuple[LegendEntry, ...]


@dataclass(frozen=True, slots=True)
class TrainingFigure:
    """``unit``: what accuracy and loss are the mean over."""

    head: str
    unit: str
    loss: Plot
    accuracy: Plot | None
    has_valid: bool


@dataclass(frozen=True, slots=True)
class CallsFigure:
    """Test patients of one model: ``confusion[true][called]`` counts, and a dot per patient at its probability."""

    model: str
    confusion: tuple[tuple[int, int], tuple[int, int]]
    plot: Plot


def roc_points(labels: Sequence[int], probabilities: Sequence[float]) -> tuple[Float64Array, Float64Array]:
    """False and true positive rate, float64 (m,) from (0, 0) to (1, 1), at every distinct threshold from high to low.

    ``labels`` 0 or 1 with both present; equal probabilities make one slanted step (Fawcett 2006, algorithm 2).
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true_positives = np.cumsum(np.asarray(labels)[order])[ends]
    false_positives = ends + 1 - true_positives
    rates = [np.concatenate([[0.0], counts / counts[-1]]) for counts in (false_positives, true_positives)]
    return rates[0], rates[1]


def labelled_test_rows(data: ReportData) -> dict[str, list[PatientPrediction]]:
    """Labelled test patients by model, models in the page's order."""
    rows = [row for row in data.predictions if row.set_name == "test" and row.label is not None]
    return {model: [row for row in rows if row.model == model] for model in model_order(row.model for row in rows)}


def roc_figure(data: ReportData) -> RocFigure | None:
    """One curve a model; None where no model has test patients of both classes."""
    by_model = {
        model: rows for model, rows in labelled_test_rows(data).items() if len({row.label for row in rows}) == 2
    }
    if not by_model:
        return None
    series = {model: 0 if model == BASELINE_MODEL else series_of(index) for index, model in enumerate(by_model)}
    curves = [(*_roc(rows), series[model]) for model, rows in by_model.items()]
    legend = tuple(_legend_entry(data, model, series[model]) for model in by_model)
    return RocFigure(Plot(roc_plot("roc", curves), _roc_alt(data, legend, by_model)), legend)


def _roc(rows: Sequence[PatientPrediction]) -> tuple[Float64Array, Float64Array]:
    return roc_points([int(row.label or 0) for row in rows], [row.probability for row in rows])


def _legend_entry(data: ReportData, model: str, series: int) -> LegendEntry:
    auc = metric(data, model, "test", "patient", "roc_auc")
    return LegendEntry(model, series, fixed(auc.get("value")), interval(auc.get("low"), auc.get("high")))


def _roc_alt(data: ReportData, legend: Sequence[LegendEntry], by_model: dict[str, list[PatientPrediction]]) -> str:
    lead = lead_model(data)[0]
    entry = next((entry for entry in legend if entry.model == lead), legend[0])
    span = f" (interval {entry.span})" if entry.span else ""
    patients = count_of(len(by_model[entry.model]), "test patient")
    return (
        f"ROC curves of {count_of(len(legend), 'model')} on {patients}: "
        f"the area under the curve of {entry.model} is {entry.auc}{span}; chance is the diagonal, 0.5."
    )


def training_figures(data: ReportData) -> list[TrainingFigure]:
    """Loss and, where there is one, accuracy by epoch for every model that was trained in epochs."""
    return [_training_figure(index, history) for index, history in enumerate(data.histories) if history.loss]


def _training_figure(index: int, history: Curves) -> TrainingFigure:
    loss = training_plot(f"loss-{index}", "loss", history.loss, history.valid_loss)
    accuracy = None
    if history.accuracy:
        svg = training_plot(f"accuracy-{index}", "accuracy", history.accuracy, history.valid_accuracy)
        accuracy = Plot(svg, _training_alt("Accuracy", history.head, history.accuracy, history.valid_accuracy))
    return TrainingFigure(
        history.head,
        loss_over(history.head.partition(".")[0]),
        Plot(loss, _training_alt("Loss", history.head, history.loss, history.valid_loss)),
        accuracy,
        bool(history.valid_loss or history.valid_accuracy),
    )


def _training_alt(what: str, head: str, train: Sequence[float], valid: Sequence[float]) -> str:
    sentence = f"{what} of {head} over {count_of(len(train), 'epoch')}"
    if train:
        sentence += f": training from {fixed(train[0])} to {fixed(train[-1])}"
    if valid:
        sentence += f", validation from {fixed(valid[0])} to {fixed(valid[-1])}"
    return sentence + "."


def calls_figures(data: ReportData) -> list[CallsFigure]:
    """Confusion matrix and probabilities of every model that has labelled test patients, the baseline left out."""
    by_model = {model: rows for model, rows in labelled_test_rows(data).items() if model != BASELINE_MODEL}
    return [_calls_figure(index, model, rows, data) for index, (model, rows) in enumerate(by_model.items())]


def _calls_figure(index: int, model: str, rows: Sequence[PatientPrediction], data: ReportData) -> CallsFigure:
    by_class = [np.array([row.probability for row in rows if row.label == label]) for label in (0, 1)]
    called = [int((values > data.threshold).sum()) for values in by_class]
    confusion = ((len(by_class[0]) - called[0], called[0]), (len(by_class[1]) - called[1], called[1]))
    svg = probability_plot(f"calls-{index}", (by_class[0], by_class[1]), data.threshold, data.class_names)
    negative, positive = data.class_names
    alt = (
        f"Predicted probability of every test patient, model {model}: {called[1]} of {len(by_class[1])} {positive} and "
        f"{called[0]} of {len(by_class[0])} {negative} patients lie above the threshold {data.threshold:g}."
    )
    return CallsFigure(model, confusion, Plot(svg, alt))

"""One of two classes: curves over all thresholds, calibration, what acting on calls is worth, and the calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hypoxia_hpc.analysis.calls import decision_curve
from hypoxia_hpc.analysis.reliability import calibration_curve
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Float64Array, Int64Array
from hypoxia_hpc.reports.data import PatientPrediction, ReportData
from hypoxia_hpc.reports.figures import Figure, legend_of, points, stem
from hypoxia_hpc.reports.kinds.confusion import confusion_figure
from hypoxia_hpc.reports.kinds.kind import Kind
from hypoxia_hpc.reports.lead import measured_set, metric, test_rows
from hypoxia_hpc.reports.plots import Frame, Line, Reference, dot_plot, line_plot, series_of
from hypoxia_hpc.reports.tables import Cell, Column, number
from hypoxia_hpc.reports.text import count_of, fixed, interval

BINS = 10
PATIENTS_PER_BIN = 10
THRESHOLDS = np.arange(1, 100) / 100
# How a threshold came to be, by its rule in metrics.json.
RULES = {
    "youden": "chosen on validation patients (largest sensitivity + specificity)",
    "sensitivity": "chosen on validation patients (for the wanted sensitivity)",
    "fixed": "the one of run.toml: validation patients are too few, or show no better",
}
Arrays = dict[str, tuple[Int64Array, Float64Array]]


class BinaryPage(Kind):
    """kind = "binary"."""

    headline = "roc_auc"
    headline_name = "ROC AUC"

    def question(self, outcome: Outcome) -> str:
        negative, positive = outcome.table.classes
        return f"Is the tumour of a patient {positive} or {negative}?"

    def metric_groups(self, data: ReportData) -> Mapping[str, Mapping[str, str]]:
        negative, positive = data.outcome.table.classes
        calls = {
            "accuracy": "Accuracy",
            "balanced_accuracy": "Balanced accuracy",
            "sensitivity": "Sensitivity",
            "specificity": "Specificity",
            "ppv": "PPV",
            "npv": "NPV",
            "f1_1": f"F1 {positive}",
            "f1_0": f"F1 {negative}",
            "f1_micro": "F1 micro",
            "f1_macro": "F1 macro",
            "mcc": "MCC",
        }
        chosen = f"Calls of {positive} above each model's own threshold"
        return {
            "Probabilities": {
                "roc_auc": "ROC AUC",
                "average_precision": "Average precision",
                "prevalence": f"Share {positive}",
                "brier": "Brier score",
                "calibration_intercept": "Calibration intercept",
                "calibration_slope": "Calibration slope",
            },
            f"Calls of {positive} above a probability of {data.threshold:g}": calls,
            chosen: {f"chosen_{name}": title for name, title in calls.items()},
        }

    def figures(self, data: ReportData, lead: str) -> list[Figure]:
        rows = test_rows(data)
        arrays = {model: _arrays(found) for model, found in rows.items()}
        series = {model: series_of(index) for index, model in enumerate(arrays)}
        both = {model: pair for model, pair in arrays.items() if len(set(pair[0].tolist())) == 2}
        drawn = []
        if both:
            drawn = [_roc(data, both, series, lead), _precision_recall(data, both, series)]
            drawn += [_calibration(data, both, series, lead), _decision(data, both, series)]
        for model, found in rows.items():
            drawn += [confusion_figure(model, found, data.outcome), _dots(model, found, data)]
        return drawn

    def columns(self, outcome: Outcome) -> tuple[Column, ...]:
        hint = f"probability of {outcome.table.classes[1]}, calibrated where the run did that"
        return (Column("probability", is_number=True, hint=hint), Column("call"))

    def cells(self, row: PatientPrediction, outcome: Outcome) -> tuple[Cell, ...]:
        look = f"call class-{int(row.call == outcome.table.classes[1])}"
        return (number(row.said[0]), Cell(row.call, look=look))

    def call_rule(self, data: ReportData, model: str) -> str:
        chosen = data.metrics.get("operating", {}).get(model, ())
        thresholds, positive = thresholds_of(data, model), data.outcome.table.classes[1]
        span = " to ".join(f"{end:.2f}" for end in sorted({min(thresholds), max(thresholds)}))
        rules = {one["rule"] for one in chosen}
        how = "; ".join(RULES[rule] for rule in sorted(rules)) or RULES["fixed"]
        return f"Called {positive}: a probability above {span}, {how}."

    def tags(self, row: PatientPrediction, outcome: Outcome) -> tuple[str, ...]:
        wrong = super().tags(row, outcome)
        return (*wrong, "missed" if row.label == 1 else "overcalled") if wrong else ()

    def group_columns(self, outcome: Outcome) -> tuple[Column, ...]:
        return (*super().group_columns(outcome), Column("ROC AUC", is_number=True))

    def group_cells(self, rows: Sequence[PatientPrediction], outcome: Outcome) -> tuple[Cell, ...]:
        from sklearn.metrics import roc_auc_score

        labels, probabilities = _arrays(rows)
        has_both = len(set(labels.tolist())) == 2
        area = float(roc_auc_score(labels, probabilities)) if has_both else None
        return (*super().group_cells(rows, outcome), number(area))


def _arrays(rows: Sequence[PatientPrediction]) -> tuple[Int64Array, Float64Array]:
    """Labels and probabilities of class 1."""
    return np.array([row.label for row in rows], dtype=np.int64), np.array([row.said[0] for row in rows])


def _two(curve: Sequence[Float64Array]) -> tuple[Float64Array, Float64Array]:
    """The two rates of a curve of scikit-learn, without its thresholds."""
    return curve[0], curve[1]


def _roc(data: ReportData, arrays: Arrays, series: Mapping[str, int], lead: str) -> Figure:
    from sklearn.metrics import roc_curve

    found = {model: _two(roc_curve(*pair, drop_intermediate=False)) for model, pair in arrays.items()}
    frame = Frame(
        "false positive rate (1 − specificity)",  # noqa: RUF001
        "true positive rate (sensitivity)",
        size=(4.4, 4.1),
        is_square=True,
        references=(Reference((0, 1), (0, 1), "chance", (0.62, 0.585), 45),),
    )
    lines = [Line(model, rates[0], rates[1], series[model]) for model, rates in found.items()]
    shown = lead if lead in arrays else next(iter(arrays))
    area = metric(data.metrics, shown, measured_set(data, shown), "patient", "roc_auc")
    span = interval(area.get("low"), area.get("high"))
    alt = (
        f"ROC curves of {count_of(len(arrays), 'model')} on {count_of(len(arrays[shown][0]), 'test patient')}: the "
        f"area under the curve of {shown} is {fixed(area.get('value'))}{f' (interval {span})' if span else ''}; chance "
        "is the diagonal, 0.5."
    )
    note = f"One point for every probability at which a patient could be called {data.outcome.table.classes[1]}. Up "
    rows = points(*found.items())
    columns = ("model", "false_positive_rate", "true_positive_rate")
    note += "and to the left is better."
    drawn = line_plot("roc", frame, lines)
    return Figure("roc", "ROC curve", drawn, alt, columns, rows, note, legend_of(lines))


def _precision_recall(data: ReportData, arrays: Arrays, series: Mapping[str, int]) -> Figure:
    from sklearn.metrics import precision_recall_curve

    found = {model: _two(precision_recall_curve(*pair))[::-1] for model, pair in arrays.items()}
    prevalence = float(next(iter(arrays.values()))[0].mean())
    reference = Reference((0, 1), (prevalence, prevalence), "prevalence", (0.12, min(prevalence + 0.02, 0.93)))
    frame = Frame("recall (sensitivity)", "precision (PPV)", size=(4.4, 4.1), references=(reference,))
    lines = [Line(model, pair[0], pair[1], series[model]) for model, pair in found.items()]
    name, positive = "precision-recall", data.outcome.table.classes[1]
    alt = f"Precision against recall of {count_of(len(arrays), 'model')}; {fixed(prevalence, 2)} are {positive}."
    note = f"Of those called {positive}, how many are; a model that guesses stays at the prevalence."
    drawn = line_plot(name, frame, lines)
    return Figure(
        name,
        "Precision and recall",
        drawn,
        alt,
        ("model", "recall", "precision"),
        points(*found.items()),
        note,
        legend_of(lines),
    )


def _calibration(data: ReportData, arrays: Arrays, series: Mapping[str, int], lead: str) -> Figure:
    curves = {}
    for model, (labels, probabilities) in arrays.items():
        bins = max(2, min(BINS, len(labels) // PATIENTS_PER_BIN))
        curves[model] = calibration_curve(labels, probabilities, bins, data.confidence)
    columns = ("predicted", "observed", "low", "high", "n")
    lines = [
        Line(
            model, one["predicted"].to_numpy(), one["observed"].to_numpy(), series[model],
            one[["low", "high"]].to_numpy() if model == lead else None, has_dots=True,
        )
        for model, one in curves.items()
    ]  # fmt: skip
    positive = data.outcome.table.classes[1]
    frame = Frame(
        f"predicted probability of {positive}",
        f"share that is {positive}",
        size=(4.4, 4.1),
        is_square=True,
        references=(Reference((0, 1), (0, 1), "calibrated", (0.62, 0.585), 45),),
    )
    rows = points(*((model, [one[name].to_numpy() for name in columns]) for model, one in curves.items()))
    groups = count_of(len(next(iter(curves.values()))), "group")
    alt = f"Share of {positive} patients against the predicted probability, in {groups} of test patients."
    note = (
        "Test patients in groups of rising probability. On the diagonal, of those with a probability of 0.7 seven in "
        f"ten are {positive}; above it probabilities are too low. Bars: Wilson intervals of {lead}."
    )
    drawn = line_plot("calibration", frame, lines)
    return Figure("calibration", "Calibration", drawn, alt, ("model", *columns), rows, note, legend_of(lines))


def _decision(data: ReportData, arrays: Arrays, series: Mapping[str, int]) -> Figure:
    curves = {model: decision_curve(*pair, THRESHOLDS) for model, pair in arrays.items()}
    first = next(iter(curves.values()))
    prevalence = float(next(iter(arrays.values()))[0].mean())
    lowest = -0.25 * prevalence
    everyone = first[first["treat_all"] >= lowest]
    references = (
        Reference((0, 1), (0, 0), "act on none", (0.85, 0.02 * prevalence)),
        Reference(tuple(everyone["threshold"]), tuple(everyone["treat_all"]), "act on all", (0.12, prevalence)),
    )
    frame = Frame(
        "threshold probability", "net benefit per patient", ylim=(lowest, prevalence * 1.1), size=(4.4, 4.1),
        references=references,
    )  # fmt: skip
    columns = ("threshold", "model", "treat_all", "treat_none")
    lines = [
        Line(model, one["threshold"].to_numpy(), one["model"].to_numpy(), series[model])
        for model, one in curves.items()
    ]
    rows = points(*((model, [one[name].to_numpy() for name in columns]) for model, one in curves.items()))
    name, positive = "decision", data.outcome.table.classes[1]
    alt = (
        f"Net benefit of acting on calls of {positive}, by the threshold probability, beside acting on all and on none."
    )
    note = (
        f"At a threshold of 0.2, one true {positive} call is worth four false ones. A model is of use where it lies "
        "above both dotted lines (Vickers and Elkin 2006)."
    )
    names = ("model", "threshold", "net_benefit", "act_on_all", "act_on_none")
    return Figure(name, "Decision curve", line_plot(name, frame, lines), alt, names, rows, note, legend_of(lines))


def _dots(model: str, rows: Sequence[PatientPrediction], data: ReportData) -> Figure:
    labels, probabilities = _arrays(rows)
    by_class = [(name, probabilities[labels == label]) for label, name in enumerate(data.outcome.table.classes)]
    thresholds = thresholds_of(data, model)
    threshold = thresholds[0] if len(set(thresholds)) == 1 else None
    frame = Frame("predicted probability", "", xlim=(-0.02, 1.02), ylim=None, size=(3.5, 2.0))
    name = f"probabilities-{stem(model)}"
    negative, positive = data.outcome.table.classes
    called = {label: sum(row.call == positive for row in rows if row.label == label) for label in (0, 1)}
    alt = (
        f"Predicted probability of every test patient, model {model}: {called[1]} of {(labels == 1).sum()} {positive} "
        f"and {called[0]} of {(labels == 0).sum()} {negative} patients are called {positive}."
    )
    found = tuple((row.patient_id, data.outcome.shown(row.label or 0), row.said[0]) for row in rows)
    drawn = dot_plot(name, frame, by_class, threshold)
    return Figure(name, "Probabilities", drawn, alt, ("patient", "truth", "probability"), found, group=model)


def thresholds_of(data: ReportData, model: str) -> list[float]:
    """The thresholds that calls of this model were made at, one a fold; that of [evaluate] where none was chosen."""
    chosen = data.metrics.get("operating", {}).get(model, ())
    return [float(one["threshold"]) for one in chosen] or [data.threshold]

"""What a reader has to know before believing the headline, in plain words; and which checks could not be made."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pandas as pd

from hypoxia_hpc.analysis.chance import least_p
from hypoxia_hpc.config.studies.study import Ceiling
from hypoxia_hpc.errors import some, some_names
from hypoxia_hpc.evaluation.baselines import BASELINES
from hypoxia_hpc.evaluation.claims import ALPHA
from hypoxia_hpc.evaluation.measures import Measures, says_nothing
from hypoxia_hpc.records import Json

CHANCE = 0.5
FEW_GROUPS = 6
GROUP_WORDS = {"tumour_type": "tumour type", "site": "site"}


@dataclass(frozen=True, slots=True)
class Warned:
    """``kind`` for programs, ``text`` for readers: one or two sentences."""

    kind: str
    text: str


def warnings_of(content: Json, measures: Measures, least: float) -> list[Warned]:
    """Of the content of metrics.json. ``least``: the smallest p that the numbers of test patients allow."""
    return [
        *_too_few(content, least),
        *_chance(content, measures),
        *_baselines(content, measures),
        *_within(content, "test"),
        *_site(content, measures),
        *calibration_warnings(content),
    ]


def outside_warnings(content: Json, measures: Measures, least: float, set_name: str) -> list[Warned]:
    """Of patients of another cohort; ``set_name``: the set of those with labels."""
    return [
        *_underpowered(content, least, "outside patients"),
        *_chance(content, measures),
        *_baselines(content, measures),
        *_within(content, set_name),
        *calibration_warnings(content, set_name, "outside patients"),
    ]


def group_warnings(groups: Collection[str]) -> list[Warned]:
    """``groups``: those that test patients are of, where groups are kept together; none where they are not."""
    remedy = "give more groups, a larger test share in [train] split, or folds"
    if len(groups) == 1:
        return [
            Warned(
                "one-group",
                f"All test patients are of one group that [train] keep_together keeps together ({', '.join(groups)}). "
                "Nothing says how much groups differ, so there are no intervals, no tests and no comparisons: do not "
                f"generalise these figures. Test on more groups: {remedy}.",
            )
        ]
    if 0 < len(groups) < FEW_GROUPS:
        return [
            Warned(
                "few-groups",
                f"Test patients are of {len(groups)} groups that [train] keep_together keeps together "
                f"({some_names(sorted(groups))}). Intervals go by how much groups differ, of which so few say little: "
                f"{remedy}.",
            )
        ]
    return []


def figure_warnings(rows: pd.DataFrame, headline: Json, measures: Measures, patients: str) -> list[Warned]:
    """What is wrong with the ``headline`` figure of the lead model on these ``rows`` of ``patients``: it says the same
    of all of them, or so few or such patients are there that the figure, or its interval, does not exist."""
    if not len(rows):
        return []
    figure = f"The {measures.headline_words} of these {some(headline['n'], patients)}"
    if len(rows) > 1 and says_nothing(rows, measures.said_of_patients):
        return [
            Warned("says-nothing", f"The model says the same of all {len(rows)} {patients}s: it tells nothing of any.")
        ]
    if headline["value"] is None:
        what = "a class is missing, or nothing about the patients differs that could be ranked"
        return [Warned("no-figure", f"{figure} cannot be computed: {what}. Nothing can be said of the model.")]
    if headline["low"] is None:
        return [
            Warned("no-interval", f"{figure} has no interval, for they are too few: nothing can be said of the model.")
        ]
    return []


def leak_warnings(content: Json, measures: Measures, ceiling: Ceiling | None, set_name: str = "test") -> list[Warned]:
    """Where the lead model does better than a question of this ``ceiling`` has ever been answered."""
    lead = content["lead"]["model"]
    figure = content["models"].get(lead, {}).get(set_name, {}).get("patient", {}).get(measures.headline, {})
    value = figure.get("value")
    if ceiling is None or value is None or value <= ceiling.leak_above:
        return []
    return [
        Warned(
            "probable-leak",
            f"A {measures.headline_words} of {value:.2f} is a probable leak, not a discovery: it is above "
            f"{ceiling.leak_above:g}. {ceiling.text} Look for patients under two ids, for scanners, series or numbers "
            "of images that differ between the classes, and for labels in images or in their names; then test on "
            "patients of other hospitals.",
        )
    ]


def _too_few(content: Json, least: float) -> Iterator[Warned]:
    if not content["chance"]:
        yield Warned("too-few", "There are no labelled test patients, so nothing can be said of any model.")
    yield from _underpowered(content, least, "test patients")


def _underpowered(content: Json, least: float, patients: str) -> Iterator[Warned]:
    n_heads = len(content["chance"])
    if n_heads and n_heads * least >= ALPHA:
        needed = next(n for n in range(2, 100) if n_heads * least_p(n, n) < ALPHA)
        models = "this model" if n_heads == 1 else f"{n_heads} models"
        yield Warned(
            "too-few",
            f"There are too few {patients} to say anything of {models}: even perfect ones could not be shown to be "
            f"better than chance (p = {least:.2g} at best). At least {needed} of either class are needed.",
        )


def _chance(content: Json, measures: Measures) -> Iterator[Warned]:
    lead = content["chance"].get(content["lead"]["model"])
    if lead is not None and lead["verdict"] == "below":
        yield Warned(
            "below-chance",
            f"The {measures.headline_words} is below {measures.no_relation:g}, p = {_p(lead['p_holm'])}: worse than "
            "chance. Look for swapped labels.",
        )


def _baselines(content: Json, measures: Measures) -> Iterator[Warned]:
    for name, compared in content["compared"].items():
        difference, low, high = compared["difference"], compared["low"], compared["high"]
        if name not in BASELINES or name == "majority-class" or difference is None:
            continue
        # Without bounds, as of two that never differ, the difference itself decides.
        if (difference if low is None else low) <= 0:
            span = f"{difference:+.2f}" + ("" if low is None else f" ({low:+.2f} to {high:+.2f})")
            worse = "is worse than" if high is not None and high < 0 else "cannot be distinguished from"
            yield Warned(
                f"not-above-{name}",
                f"The model {worse} a guess from {BASELINES[name].words} alone: difference of the "
                f"{measures.headline_words} {span}.",
            )


def _within(content: Json, set_name: str) -> Iterator[Warned]:
    """Of the lead model within groups: no signal where there is one over all of them, or too few patients to say."""
    lead = content["lead"]["model"]
    whole = content["models"].get(lead, {}).get(set_name, {}).get("patient", {}).get("roc_auc", {}).get("value")
    for column, heads in content["within"].items():
        found = heads.get(lead)
        if found is None or found["roc_auc"]["low"] is None:
            continue
        area, words = found["roc_auc"], GROUP_WORDS[column]
        if found["p"] < ALPHA and area["value"] > CHANCE:
            continue
        kind, span = column.replace("_", "-"), f"{area['value']:.2f} ({area['low']:.2f} to {area['high']:.2f})"
        if whole is not None and area["high"] < whole:
            yield Warned(
                f"chance-within-{kind}",
                f"Among patients of the same {words} the model is not above chance: ROC AUC within {words} {span}, "
                f"{whole:.2f} over all. It may recognise the {words}, not the outcome.",
            )
        else:
            yield Warned(
                f"too-few-within-{kind}",
                f"Whether the model is above chance among patients of the same {words} cannot be said: ROC AUC within "
                f"{words} {span}, of {some(area['n'], 'patient')} who can be compared, which are too few for it.",
            )


def _site(content: Json, measures: Measures) -> Iterator[Warned]:
    """The site can be read from the features and predicts the label by itself."""
    probed = content["probe"].get("site")
    site = content["models"].get("site", {}).get("test", {}).get("patient", {}).get(measures.headline, {})
    if probed is None or not probed["readable"] or site.get("low") is None or site["low"] <= measures.no_relation:
        return
    yield Warned(
        "site-readable",
        f"The site can be read from the features (right for {probed['accuracy']:.0%} of patients, the commonest site "
        f"for {probed['majority']:.0%}) and predicts the outcome by itself ({measures.headline_words} "
        f"{site['value']:.2f}). The model may have learnt the site.",
    )


def calibration_warnings(content: Json, set_name: str = "test", patients: str = "test patients") -> Iterator[Warned]:
    """Probabilities of the lead model that are off on one set of patients; ``patients`` names them."""
    lead = content["lead"]["model"]
    measured = content["models"].get(lead, {}).get(set_name, {}).get("patient", {})
    intercept, slope = (measured.get(f"calibration_{name}", {}) for name in ("intercept", "slope"))
    if _leaves_out(intercept, 0.0):
        way = "too low" if intercept["value"] > 0 else "too high"
        yield Warned(
            "calibration",
            f"The probabilities are {way} on the {patients}: calibration intercept {_span(intercept)}, 0 is right.",
        )
    if _leaves_out(slope, 1.0):
        way = "too extreme" if slope["value"] < 1 else "too close to each other"
        yield Warned(
            "calibration-slope",
            f"The probabilities are {way} on the {patients}: calibration slope {_span(slope)}, 1 is right.",
        )


def _leaves_out(interval: Json, value: float) -> bool:
    low, high = interval.get("low"), interval.get("high")
    return low is not None and high is not None and not low <= value <= high


def _span(interval: Json) -> str:
    return f"{interval['value']:.2f} ({interval['low']:.2f} to {interval['high']:.2f})"


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-4 or math.isnan(p) else "below 0.0001"

"""How often intervals hold the truth: python benchmarks/interval_coverage.py [--json FILE] [--only PART] [--quick]

Cohorts with a known truth are drawn again and again, by seeds fixed here; a figure is the share of those whose 95 %
interval holds it. A cell outside 93 to 98 % is named. The figures do not depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri
from scipy.stats import binom, rankdata

from hypoxia_hpc.analysis.auc_intervals import auc_interval
from hypoxia_hpc.analysis.comparison import compare_auc
from hypoxia_hpc.analysis.intervals import newcombe_interval, wilson_interval
from hypoxia_hpc.analysis.measures import binary_intervals
from hypoxia_hpc.analysis.metrics import binary_metrics
from hypoxia_hpc.analysis.placements import auc_covariance, auc_of

CONFIDENCE, LEAST, MOST = 0.95, 0.93, 0.98
SIZES = (12, 16, 24, 36, 50, 100, 200, 500)
BALANCES = (1, 2, 3, 5, 9)
AREAS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
COHORTS, FEWER, BOOTSTRAP = 10_000, 1_000, 400


@dataclass(frozen=True, slots=True)
class Cell:
    """``covered``: share of the cohorts whose interval holds the truth; ``below``, ``above``: whose interval lies below
    it, above it; ``width``: mean width of the intervals."""

    part: str
    metric: str
    cohort: str
    n_positive: int
    n_negative: int
    truth: float
    covered: float
    below: float
    above: float
    width: float
    cohorts: int

    @property
    def named(self) -> bool:
        return not LEAST <= round(self.covered, 3) <= MOST

    def __str__(self) -> str:
        sizes = f"{self.n_positive}+{self.n_negative}"
        return f"{self.part:12}{self.metric:22}{self.cohort:28}{sizes:>9}{self.truth:8.3f}{self.covered:9.1%}"


def classes_of(n: int, balance: int) -> tuple[int, int]:
    """Positive and negative patients of ``n`` at one to ``balance``."""
    n_positive = max(1, round(n / (balance + 1)))
    return n_positive, n - n_positive


def cell_of(
    part: str, metric: str, cohort: str, classes: tuple[int, int], truth: float, bounds: NDArray[np.float64]
) -> Cell:
    """The cell of intervals (cohorts, 2); one that is not defined counts as holding the truth."""
    low, high = np.where(np.isnan(bounds), [-np.inf, np.inf], bounds).T
    below, above = float(np.mean(high < truth - 1e-12)), float(np.mean(low > truth + 1e-12))
    width = float(np.nanmean(bounds[:, 1] - bounds[:, 0]))
    return Cell(part, metric, cohort, *classes, truth, 1 - below - above, below, above, width, len(bounds))


# --- areas of patients ------------------------------------------------------------------------------------------------


def areas_of_patients(cohorts: int, _: int) -> Iterator[Cell]:
    """Newcombe's interval of the area, binormal scores of equal spread."""
    for n in SIZES:
        for balance in BALANCES:
            for truth in AREAS:
                yield area_cell(n, balance, truth, cohorts)


def area_cell(n: int, balance: int, truth: float, cohorts: int) -> Cell:
    classes = classes_of(n, balance)
    found = drawn_areas(np.random.default_rng([1, n, balance, round(100 * truth)]), classes, truth, cohorts)
    bounds = {area: newcombe_interval(area, *classes, CONFIDENCE) for area in np.unique(found).tolist()}
    pairs = np.array([bounds[area] for area in found.tolist()])
    return cell_of("areas", "roc_auc", f"n {n}, 1:{balance}", classes, truth, pairs)


def drawn_areas(
    generator: np.random.Generator, classes: tuple[int, int], truth: float, cohorts: int
) -> NDArray[np.float64]:
    """(cohorts,): the areas of patients whose scores are N(0, 1) and N(shift, 1)."""
    n_positive, n_negative = classes
    scores = generator.normal(size=(cohorts, n_positive + n_negative))
    scores[:, :n_positive] += np.sqrt(2) * ndtri(truth)
    ranks = rankdata(scores, axis=1)[:, :n_positive].sum(axis=1)
    return np.asarray((ranks - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def percentile_bootstrap(_: int, cohorts: int) -> Iterator[Cell]:
    """The interval that there was before, to set beside it."""
    for truth in (0.8, 0.95, 0.99):
        generator, bounds = np.random.default_rng([2, round(100 * truth)]), []
        for seed in range(cohorts):
            labels = np.arange(24) % 2
            scores = rankdata(generator.normal(size=24) + np.sqrt(2) * ndtri(truth) * labels) / 24
            ids = np.arange(24).astype(str)
            found = binary_metrics(
                labels, scores, ids, threshold=0.5, bootstrap=BOOTSTRAP, confidence=CONFIDENCE, seed=seed
            )
            bounds.append((found["roc_auc"].low, found["roc_auc"].high))
        yield cell_of("percentile", "roc_auc", "n 24, 1:1", (12, 12), truth, np.array(bounds, dtype=float))


# --- shares ---------------------------------------------------------------------------------------------------------


def shares(_: int, __: int) -> Iterator[Cell]:
    """Wilson's interval of a share: no cohort is drawn, every number of hits counts with its probability."""
    for n in SIZES:
        intervals = np.array([wilson_interval(hits / n, n, CONFIDENCE) for hits in range(n + 1)])
        for truth in (0.5, 0.7, 0.8, 0.9, 0.95, 0.98):
            chances = binom.pmf(np.arange(n + 1), n, truth)
            below, above = chances[intervals[:, 1] < truth].sum(), chances[intervals[:, 0] > truth].sum()
            width = float((chances * (intervals[:, 1] - intervals[:, 0])).sum())
            outside = float(below + above)
            yield Cell("shares", "share", f"n {n}", n, 0, truth, 1 - outside, float(below), float(above), width, 0)


# --- calls, average precision, Brier score --------------------------------------------------------------------------


def calibrated(
    generator: np.random.Generator, n: int, prevalence: float, area: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and calibrated probabilities of a binormal model; both classes are there."""
    shift = np.sqrt(2) * ndtri(area)
    while True:
        labels = (generator.random(n) < prevalence).astype(np.int64)
        if 0 < labels.sum() < n:
            break
    scores = generator.normal(size=n) + shift * labels
    return labels, expit(shift * scores - shift**2 / 2 + np.log(prevalence / (1 - prevalence)))


def true_metrics(prevalence: float, area: float) -> dict[str, float]:
    """Of a million patients, and what they are drawn with. In a hundred units: so many jackknife values take long."""
    labels, probabilities = calibrated(np.random.default_rng(3), 10**6, prevalence, area)
    units = (np.arange(10**6) % 100).astype(str)
    found = binary_intervals(labels, probabilities, threshold=0.5, confidence=CONFIDENCE, units=units)
    truth = {name: each.value for name, each in found.items() if name != "roc_auc" and each.value is not None}
    return truth | {"calibration_intercept": 0.0, "calibration_slope": 1.0}


def metrics_of_patients(_: int, cohorts: int) -> Iterator[Cell]:
    """All metrics of patients but the area, at the threshold 1/2; classes vary from cohort to cohort."""
    for prevalence in (0.5, 0.25):
        for area in (0.7, 0.9):
            truth = true_metrics(prevalence, area)
            for n in (12, 24, 60, 200):
                generator, bounds = np.random.default_rng([4, n, round(100 * area)]), {name: [] for name in truth}
                for _cohort in range(cohorts):
                    drawn = calibrated(generator, n, prevalence, area)
                    found = binary_intervals(*drawn, threshold=0.5, confidence=CONFIDENCE)
                    for name in truth:
                        bounds[name].append((found[name].low, found[name].high))
                classes, cohort = (round(n * prevalence), n - round(n * prevalence)), f"n {n}, area {area}"
                for name, value in truth.items():
                    yield cell_of("metrics", name, cohort, classes, value, np.array(bounds[name], dtype=float))


# --- tiles and sites ------------------------------------------------------------------------------------------------


def areas_of_tiles(_: int, cohorts: int) -> Iterator[Cell]:
    """Areas of 5 to 60 tiles a patient; the patient's part of a score varies ``spread`` times as much as a tile's."""
    for classes in ((3, 9), (12, 12), (6, 18), (30, 30), (10, 50)):
        for truth in (0.6, 0.8, 0.95, 0.99):
            for spread in (0.3, 1.0, 3.0):
                generator, bounds = np.random.default_rng([5, *classes, round(100 * truth)]), []
                for _cohort in range(cohorts):
                    n = sum(classes)
                    patients = np.repeat(np.arange(n), generator.integers(5, 61, n))
                    labels = (patients < classes[0]).astype(np.int64)
                    scores = spread * generator.normal(size=n)[patients] + generator.normal(size=len(patients))
                    scores += np.sqrt(2 * (1 + spread**2)) * ndtri(truth) * labels
                    bounds.append(auc_interval(labels, scores, confidence=CONFIDENCE, units=patients.astype(str))[1:])
                yield cell_of("tiles", "roc_auc", f"spread {spread}", classes, truth, np.array(bounds))


def areas_by_site(_: int, cohorts: int) -> Iterator[Cell]:
    """Sites of 85 or 15 % positive patients, scores that know the site alone; sites are the units, the truth is 1/2."""
    for n_sites in (5, 8, 16, 40):
        for size in (6, 25):
            generator, bounds = np.random.default_rng([6, n_sites, size]), []
            for _cohort in range(cohorts):
                sites = np.repeat(np.arange(n_sites), size)
                labels = (generator.random(len(sites)) < np.where(sites % 2 == 0, 0.85, 0.15)).astype(np.int64)
                scores = generator.normal(size=n_sites)[sites] + 0.5 * generator.normal(size=len(sites))
                bounds.append(auc_interval(labels, scores, confidence=CONFIDENCE, units=sites.astype(str))[1:])
            half = n_sites * size // 2
            cohort = f"{n_sites} sites of {size}"
            yield cell_of("sites", "roc_auc", cohort, (half, n_sites * size - half), 0.5, np.array(bounds))


# --- differences ----------------------------------------------------------------------------------------------------


def differences(_: int, cohorts: int) -> Iterator[Cell]:
    """Two models on the same patients, correlated by 0.6 within a class: ours, and DeLong's to set beside it."""
    for classes in ((6, 6), (12, 12), (6, 18), (30, 30), (20, 180)):
        for areas in ((0.5, 0.5), (0.8, 0.8), (0.95, 0.8), (0.99, 0.9), (0.9, 0.5)):
            generator = np.random.default_rng([7, *classes, *(round(100 * area) for area in areas)])
            bounds: dict[str, list[tuple[float, float]]] = {"differences": [], "delong": []}
            for _cohort in range(cohorts):
                labels = (np.arange(sum(classes)) < classes[0]).astype(np.int64)
                noise = generator.normal(size=(len(labels), 2)) @ np.linalg.cholesky([[1, 0.6], [0.6, 1]]).T
                one, other = (noise + np.sqrt(2) * ndtri(np.array(areas)) * labels[:, None]).T
                found = compare_auc(labels, one, other, confidence=CONFIDENCE)
                bounds["differences"].append((found.low, found.high))
                bounds["delong"].append(delong(labels, one, other))
            for part, pairs in bounds.items():
                truth, cohort = areas[0] - areas[1], f"areas {areas[0]}, {areas[1]}"
                yield cell_of(part, "difference of roc_auc", cohort, classes, truth, np.array(pairs))


def delong(labels: NDArray[np.int64], one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    covariance = auc_covariance(labels, np.column_stack([one, other]), np.arange(len(labels)), len(labels)).matrix
    found = auc_of(labels, one) - auc_of(labels, other)
    reach = float(
        ndtri((1 + CONFIDENCE) / 2) * np.sqrt(max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], 0))
    )
    return found - reach, found + reach


# --------------------------------------------------------------------------------------------------------------------

PARTS: Mapping[str, Callable[[int, int], Iterator[Cell]]] = {
    "areas": areas_of_patients,
    "percentile": percentile_bootstrap,
    "shares": shares,
    "metrics": metrics_of_patients,
    "tiles": areas_of_tiles,
    "sites": areas_by_site,
    "differences": differences,
}


def summary(cells: Sequence[Cell]) -> Iterator[str]:
    """One line a part and metric: least, median and most covered, and how many cells are named."""
    head = ("cells", "least", "median", "most", "below 93 %", "above 98 %")
    yield f"{'part':14}{'metric':24}" + "{:>6}{:>9}{:>9}{:>9}{:>12}{:>12}".format(*head)
    for part, metric in dict.fromkeys((each.part, each.metric) for each in cells):
        found = np.array([each.covered for each in cells if (each.part, each.metric) == (part, metric)])
        few, many = (sum(side) for side in (np.round(found, 3) < LEAST, np.round(found, 3) > MOST))
        shown = f"{found.min():9.1%}{np.median(found):9.1%}{found.max():9.1%}{few:12}{many:12}"
        yield f"{part:14}{metric:24}{len(found):6}{shown}"


def as_json(cells: Sequence[Cell]) -> str:
    """One line a cell, so that a change of a figure is one line."""
    rows = ({name: round(v, 4) if isinstance(v, float) else v for name, v in asdict(each).items()} for each in cells)
    lines = ",\n".join(json.dumps(row) for row in rows)
    return f'{{"confidence": {CONFIDENCE}, "cells": [\n{lines}\n]}}\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART")
    parser.add_argument("--quick", action="store_true", help="a tenth of the cohorts")
    chosen = parser.parse_args()
    cohorts, fewer = (COHORTS // 10, FEWER // 10) if chosen.quick else (COHORTS, FEWER)
    cells: list[Cell] = []
    for part in chosen.only or PARTS:
        started = time.process_time()
        cells += PARTS[part](cohorts, fewer)
        print(f"{part}: {time.process_time() - started:.0f} s of one core", flush=True)
    print(*summary(cells), sep="\n")
    print("\nnamed:", *(each for each in cells if each.named), sep="\n")
    if chosen.json:
        chosen.json.write_text(as_json(cells), encoding="utf-8")


if __name__ == "__main__":
    main()

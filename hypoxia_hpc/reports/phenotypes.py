"""Phenotypes on the page: a row for each cluster, patients' composition as a picture, training tiles on a plane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.records import Float64Array
from hypoxia_hpc.reports.composition import composition_figure
from hypoxia_hpc.reports.data import PhenotypesShown, ReportData
from hypoxia_hpc.reports.figures import Figure
from hypoxia_hpc.reports.plots import Frame, cloud_plot
from hypoxia_hpc.reports.slide_maps import map_figures
from hypoxia_hpc.reports.text import count_of

# By [phenotypes] picture: title, how it is made, and what its axes are called.
PLANES = {
    "pca": (
        "Training tiles on their first two principal components",
        "on the two directions in which features differ most",
        "component",
    ),
    "umap": ("Training tiles by UMAP", "by UMAP: those with like features lie near each other", "UMAP"),
}
ENRICHED = 0.05  # a corrected p-value below this is shown


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """What the page says of one cluster. ``overlap``: with those that other clusterings have in its place, 0..1."""

    number: int
    n_tiles: int
    share: float
    overlap: float | None
    remarks: tuple[str, ...]
    picture: str  # path of its typical tiles; empty where there are none


def cluster_rows(shown: PhenotypesShown) -> list[ClusterRow]:
    """All clusters, in their order."""
    facts = shown.facts
    total = sum(facts["sizes"]) or 1
    return [
        ClusterRow(
            number,
            n_tiles,
            n_tiles / total,
            facts["stability"]["overlaps"][number] if facts["stability"]["rand"] else None,
            tuple(_remarks(shown, number)),
            picture_path(number) if shown.pictures[number] is not None else "",
        )
        for number, n_tiles in enumerate(facts["sizes"])
    ]


def picture_path(number: int) -> str:
    """Of the typical tiles of a cluster, beside the page."""
    return f"phenotypes/{number:04d}.jpg"


def typical_pictures(shown: PhenotypesShown) -> Iterator[tuple[str, bytes]]:
    """The pictures of clusters by their paths."""
    for number, picture in enumerate(shown.pictures):
        if picture is not None:
            yield picture_path(number), picture


def _remarks(shown: PhenotypesShown, number: int) -> Iterator[str]:
    facts = shown.facts
    if number in facts["near_empty"]:
        yield "near-empty"
    if str(number) in facts["one_hospital"]:
        yield f"one hospital: {facts['one_hospital'][str(number)]}"
    for one in facts["enrichment"]:
        if one["cluster"] == number and one["corrected"] < ENRICHED:
            yield f"more in {one['column']} {one['highest']} (corrected p {one['corrected']:.2g})"


def phenotype_figures(data: ReportData) -> Iterator[Figure]:
    """Composition of patients, the picture of training tiles, clusters on slides; none without phenotypes."""
    shown = data.phenotypes
    if shown is None:
        return
    yield composition_figure(shown, data.patients, data.outcome)
    yield _plane(shown)
    yield from map_figures(shown.maps)


def _plane(shown: PhenotypesShown) -> Figure:
    """Training tiles in the colours of the largest clusters."""
    title, how, axis = PLANES[shown.picture]
    drawn = cloud_plot("components", Frame(f"{axis} 1", f"{axis} 2", None, None), shown.places, shown.clusters)
    return Figure(
        "components",
        title,
        drawn,
        f"{count_of(len(shown.places), 'training tile')} {how}",
        ("cluster", f"{axis.lower()}_1", f"{axis.lower()}_2"),
        tuple((int(one), *place) for one, place in zip(shown.clusters, shown.places.tolist(), strict=True)),
        note="The first eight clusters in colours, the others in gray.",
    )


def rand_range(shown: PhenotypesShown) -> Float64Array:
    """Smallest and largest adjusted Rand index with other clusterings, (2,); empty without any."""
    values = list(shown.facts["stability"]["rand"].values())
    return np.array([min(values), max(values)]) if values else np.zeros(0)

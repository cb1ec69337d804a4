"""From the records of stores and models to what the report shows. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hypoxia_hpc.records import Json
from hypoxia_hpc.reports.data import FeatureCompute, Point, Search

# Of a feature store's ``compute``: what changes more than the last bits of features, or is changed by [site].
SHOWN_COMPUTE = ("backend", "engine", "compiler", "precision", "batch_size", "device")


def feature_compute(records: Iterable[Json]) -> tuple[FeatureCompute, ...]:
    """The distinct ways of computing in ``compute`` of feature stores, most slides first; stores without
    such a record count as one way without properties."""
    counts = Counter(_shown(record) for record in records)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(FeatureCompute(n_slides, dict(compute)) for compute, n_slides in ordered)


def _shown(compute: Json) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(compute[name])) for name in SHOWN_COMPUTE if name in compute)


def search_of(model: str, found: Json, figure: str) -> Search:
    """``search`` of a model.json, which goes by the ``figure`` of this name. Raises KeyError, TypeError or
    AttributeError where it is damaged."""
    points = [
        Point(
            {name: str(value) for name, value in one["settings"].items()},
            one[figure],
            one["valid_loss"],
            one["settings"] == found["chosen"],
        )
        for one in found["points"]
    ]
    return Search(model, tuple(points))

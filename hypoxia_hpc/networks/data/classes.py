"""How much a class counts in a loss. Pure."""

from __future__ import annotations

from hypoxia_hpc.records import Float64Array, Int64Array


def class_weights(counts: Int64Array) -> Float64Array:
    """What one of each class counts, float64 (k,): every class the same in all, 1 on average.

    counts: int64 (k,), how many there are of each, above 0.
    """
    weights: Float64Array = counts.sum() / (len(counts) * counts)
    return weights

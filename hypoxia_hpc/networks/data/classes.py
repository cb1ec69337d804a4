"""How much a class counts in a loss. Pure."""

from __future__ import annotations

from hypoxia_hpc.records import Float64Array, Int64Array


def class_weights(counts: Int64Array) -> Float64Array:
    """What one of class 0 and one of class 1 counts, float64 (2,): both classes the same in all, 1 on average.

    counts: int64 (2,), how many there are of each, above 0.
    """
    weights: Float64Array = counts.sum() / (2 * counts)
    return weights

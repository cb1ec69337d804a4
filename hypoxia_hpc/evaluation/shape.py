"""The shape of metrics.json that its readers rely on. Its seal does not promise it: anyone can compute one."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType

from hypoxia_hpc.records import Json


@dataclass(frozen=True, slots=True)
class Each:
    """An object with any names, whose values all have this shape."""

    of: Shape


# Types of a value; a list of values of one shape; an object with at least these entries.
Shape = tuple[type, ...] | list["Shape"] | dict[str, "Shape"] | Each

NUMBER: Shape = (int, float, NoneType)
TEXT: Shape = (str,)
INTERVAL: Shape = {"value": NUMBER, "low": NUMBER, "high": NUMBER, "n": (int,)}
BY_METRIC = Each(INTERVAL)
MODELS = Each(Each(Each(BY_METRIC)))  # by model, set and level
OPTIONAL: dict[str, Shape] = {
    "folds": Each(MODELS),
    "within_folds": Each(BY_METRIC),
    "compared": Each(Each((int, float, str, NoneType))),
    "unchecked": [{"check": TEXT, "why": TEXT}],
    "operating": Each([(dict,)]),
    "trained": Each(TEXT),
    "reference": (dict,),
    "within": Each(Each((dict,))),
    "probe": Each((dict,)),
    "groups": Each([(dict,)]),
    "used": {"models": Each(TEXT), "content": TEXT},
}
REQUIRED: dict[int, dict[str, Shape]] = {
    1: {"models": MODELS},
    2: {
        "key": TEXT,
        "predictions": TEXT,
        "models": MODELS,
        "lead": {"model": (str, NoneType), "metric": TEXT},
        "chance": Each({"p": NUMBER, "p_holm": NUMBER, "method": TEXT, "verdict": TEXT}),
        "warnings": [{"kind": TEXT, "text": TEXT}],
    },
}


def has_shape(metrics: Json) -> bool:
    """Whether the content of metrics.json has the shape of its schema."""
    schema = metrics.get("schema")
    required = REQUIRED.get(schema) if type(schema) is int else None
    there = {name: shape for name, shape in OPTIONAL.items() if name in metrics}
    return required is not None and _fits(metrics, {**required, **there})


def _fits(value: object, shape: Shape) -> bool:
    if isinstance(shape, Each):
        return isinstance(value, dict) and all(_fits(inner, shape.of) for inner in value.values())
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(inner, shape[0]) for inner in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(name in value and _fits(value[name], shape[name]) for name in shape)
    return isinstance(value, shape) and not (isinstance(value, bool) and bool not in shape)

"""What ``init`` is asked to predict, as [outcome] of run.toml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hypoxia_hpc.errors import InputError

if TYPE_CHECKING:
    from hypoxia_hpc.records import Json

SCORE = "score"  # the column of hypoxia scores that --scores gives
OPTIONS_OF: Mapping[str, tuple[str, ...]] = {
    "binary": ("--class", "--positive"),
    "classes": ("--class",),
    "score": (),
    "survival": ("--time-column", "--event-column"),
}


def asked_outcome(
    *,
    kind: str | None,
    classes: Sequence[str],
    positive: str | None,
    time: str | None,
    event: str | None,
    scores: Path | None,
) -> Json:
    """Of run.toml what these options change; nothing where none is given. Raises InputError where they contradict each
    other, or the kind is none. Names are checked with run.toml."""
    if kind is not None and kind not in OPTIONS_OF:
        raise InputError(f"--outcome {kind!r} is not known", remedy=f"choose one of: {', '.join(OPTIONS_OF)}")
    given = {"--class": classes, "--positive": positive, "--time-column": time, "--event-column": event}
    _refuse_at_odds(kind or "binary", given)
    table: Json = {} if kind is None else {"kind": kind}
    if kind == "score" and scores is not None:
        table["column"] = SCORE
    if names := _in_order(classes, positive):
        table["classes"] = list(names)
    table |= {name: column for name, column in (("time", time), ("event", event)) if column is not None}
    return {"outcome": table} if table else {}


def _refuse_at_odds(kind: str, given: Mapping[str, object]) -> None:
    """``given``: what each option of an outcome says, empty where it is not given."""
    wrong = [name for name, value in given.items() if value and name not in OPTIONS_OF[kind]]
    if wrong:
        raise InputError(
            f"{', '.join(wrong)}: not for --outcome {kind}",
            remedy="; ".join(f"{name} has {', '.join(options)}" for name, options in OPTIONS_OF.items() if options),
        )
    if kind == "classes" and not given["--class"]:
        raise InputError("--outcome classes needs names of classes", remedy="give --class NAME once for each class")


def _in_order(classes: Sequence[str], positive: str | None) -> Sequence[str]:
    """The classes with the positive one last."""
    if positive is None:
        return classes
    from hypoxia_hpc.config import OutcomeTable

    names = list(classes or OutcomeTable().classes)
    if positive not in names:
        raise InputError(
            f"--positive {positive!r} is none of the classes {', '.join(names)}", remedy="name one of them"
        )
    names.remove(positive)
    return [*names, positive]

"""What ``survival`` shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.words import table
from hypoxia_hpc.errors import some, some_names

if TYPE_CHECKING:
    from hypoxia_hpc.records import Json


def survival_text(content: Json) -> str:
    """Of each endpoint: what was left out, the signature, and a row for each set of patients."""
    return "\n\n".join("\n".join(_endpoint(name, one, content)) for name, one in content["endpoints"].items())


def _endpoint(name: str, found: Json, content: Json) -> Iterator[str]:
    settings = content["settings"]
    event = settings["events"][settings["times"].index(name)]
    yield f"{name} ({content['time_unit']}; {event} says whether the event came)"
    for why, ids in found["left_out"].items():
        yield f"note: left out, {why}: {some(len(ids), 'patient')} ({some_names(ids)})"
    for note in found["notes"]:
        yield f"note: {note}"
    for why, columns in _dropped(found).items():
        yield f"left out of the signature, {why}: {some_names(columns)}"
    if found["signature"] is None:
        yield f"no signature: {found['why']}"
        return
    yield f"signature: {some_names(found['signature']['columns'])}"
    yield table(
        ["set", "patients", "events", "concordance", "high / low hazard", "log-rank p"],
        [_row(name, one) for name, one in found["sets"].items()],
    )
    if "optimism" in found:
        yield from _corrected(found)


def _dropped(found: Json) -> dict[str, list[str]]:
    by_reason: dict[str, list[str]] = {}
    for row in found.get("screen", ()):
        if row["why"]:
            # Of p above the screen there are as many sentences as columns.
            why = "p by itself above the screen" if row["why"].startswith("p = ") else row["why"]
            by_reason.setdefault(why, []).append(row["name"])
    return by_reason


def _row(name: str, found: Json) -> list[str]:
    shown = "discovery, uncorrected" if name == "discovery" else name
    harrell, ratio = found["figures"]["harrell"], found["ratio"]
    hazard = _interval(ratio["value"], ratio["low"], ratio["high"]) if "value" in ratio else "none"
    concordance = _interval(harrell["value"], harrell.get("low"), harrell.get("high"))
    return [shown, str(found["patients"]), str(found["events"]), concordance, hazard, _p(found["log_rank"]["p"])]


def _corrected(found: Json) -> Iterator[str]:
    optimism, folds = found["optimism"], found["cross_fitted"]
    harrell = optimism["figures"]["harrell"]
    yield (
        f"discovery, corrected: concordance {_number(harrell['corrected'])} (optimism {_number(harrell['optimism'])}, "
        f"{optimism['resamples']} of {optimism['asked']} resamples); groups by signatures of other folds: "
        + (f"none, {folds['why']}" if "why" in folds else f"log-rank p = {_p(folds['log_rank']['p'])}")
    )


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    bounds = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
    return f"{_number(value)}{bounds}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _p(value: float | None) -> str:
    return "none" if value is None else f"{value:.2g}"

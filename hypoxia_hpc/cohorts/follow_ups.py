"""Times of follow-up and events in a user's table, as text: what can be used, what is left out and why, what is wrong.
Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hypoxia_hpc.cohorts.numbers import plain_numbers, readings
from hypoxia_hpc.errors import InputError, some
from hypoxia_hpc.records import Float64Array, Int64Array

# Of a year, by the name of the unit.
UNITS: Mapping[str, float] = {"days": 365.25, "weeks": 365.25 / 7, "months": 12.0, "years": 1.0}
MOST_YEARS = 100
# A follow-up this many times as long as the median is probably in another unit than the others.
MOST_MEDIANS = 20
# As tables write a whole number beside cells that are empty.
_WHOLE = re.compile(r"(\d+)[.,]0+")
_EVENT = (
    "dead",
    "deceased",
    "died",
    "death",
    "event",
    "yes",
    "true",
    "recurred",
    "progressed",
    "progression",
    "relapse",
)
_NONE = ("alive", "living", "censored", "no", "false", "disease free", "diseasefree", "none")


class FollowUps(NamedTuple):
    """``time`` (n,), NaN where it cannot be used; ``event`` (n,) 1 or 0. ``left_out``: by reason, the ids of patients
    that cannot be used. ``notes``: what the user should look at."""

    time: Float64Array
    event: Int64Array
    left_out: dict[str, list[str]]
    notes: tuple[str, ...]

    @property
    def usable(self) -> np.ndarray:
        return ~np.isnan(self.time)


class Words(NamedTuple):
    """How the columns are read: their names, their unit, and what stands for an event and for none."""

    time: str
    event: str
    unit: str
    events: Sequence[str]
    censored: Sequence[str]

    def plain(self) -> Words:
        """With 1 for 1.0."""
        return self._replace(events=[*map(_plain, self.events)], censored=[*map(_plain, self.censored)])


def follow_ups(patient_ids: Sequence[str], times: Sequence[str], events: Sequence[str], words: Words) -> FollowUps:
    """The follow-up of each patient, from cells of text without blanks around them.

    Patients without time or event, and those with a time of 0 (who were not watched at all), are left out. Raises
    InputError with every time that is no number, is negative, or longer than a century; and with every word of the
    events that [survival] does not name. An event of 1.0 is one of 1.
    """
    events, words = [_plain(cell) for cell in events], words.plain()
    _refuse_unknown_words(events, words)
    numbers = [_number(cell) for cell in plain_numbers(times, ",")]
    _refuse_wrong_times(patient_ids, times, numbers, words)
    time = np.array([np.nan if one is None else one for one in numbers])
    known = np.array([cell != "" for cell in events], dtype=bool)
    without = {
        f"no {words.time}": np.isnan(time),
        f"no {words.event}": ~np.isnan(time) & ~known,
        f"{words.time} of 0: not watched at all": known & (time == 0),
    }
    left_out = {
        why: [name for name, one in zip(patient_ids, which, strict=True) if one]
        for why, which in without.items()
        if which.any()
    }
    usable = ~np.any(list(without.values()), axis=0)
    event = np.array([int(cell in words.events) for cell in events], dtype=np.int64)
    return FollowUps(np.where(usable, time, np.nan), event, left_out, tuple(_notes(time[usable], words)))


def _plain(word: str) -> str:
    whole = _WHOLE.fullmatch(word)
    return whole[1] if whole else word


def _number(cell: str | None) -> float | None:
    """None where there is nothing, infinite where it is no number."""
    return float(readings(cell).get(".", "inf")) if cell else None


def _refuse_unknown_words(events: Sequence[str], words: Words) -> None:
    counts = Counter(cell for cell in events if cell)
    unknown = {word: n for word, n in counts.items() if word not in (*words.events, *words.censored)}
    if not unknown:
        return
    found = sorted(counts, key=lambda word: (-counts[word], word))
    raise InputError(
        f"the column {words.event} has words that [survival] does not explain: event_words are "
        f"{', '.join(words.events)}, censored_words {', '.join(words.censored)}",
        offending=[f"{word!r}: {some(counts[word], 'patient')}" for word in found],
        remedy=_suggestion(found),
    )


def _suggestion(found: Sequence[str]) -> str:
    if set(found) <= {"1", "2"}:
        return (
            "1 and 2 often stand for censored and for the event (as in R's lung data): if so here, in [survival] of "
            'run.toml set event_words = ["2"] and censored_words = ["1"]; the other way round, exchange them'
        )
    guessed = {
        kind: [word for word in found if word.split(":")[-1].strip().casefold() in known]
        for kind, known in (("event_words", _EVENT), ("censored_words", _NONE))
    }
    shown = " and ".join(
        f"{kind} = [{', '.join(_quoted(one) for one in words)}]" for kind, words in guessed.items() if words
    )
    example = shown or 'event_words = ["DECEASED"] and censored_words = ["LIVING"]'
    return f"say in [survival] of run.toml what each of them means, as {example}; empty cells are not known"


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _refuse_wrong_times(
    patient_ids: Sequence[str], cells: Sequence[str], numbers: Sequence[float | None], words: Words
) -> None:
    longest = MOST_YEARS * UNITS[words.unit]
    rows = list(zip(patient_ids, cells, numbers, strict=True))
    wrong = [f"{name}: {words.time} {cell!r}" for name, cell, one in rows if one is not None and not 0 <= one < np.inf]
    if wrong:
        raise InputError(
            f"the column {words.time} has {some(len(wrong), 'cell')} that {'is' if len(wrong) == 1 else 'are'} no time "
            "of 0 or more",
            offending=wrong,
            remedy="mend these cells, or empty them where the time is not known",
        )
    long = [f"{name}: {words.time} {cell!r}" for name, cell, one in rows if one is not None and one > longest]
    if long:
        there = sum(one is not None for _, _, one in rows)
        mixed = "" if len(long) == there else f"; the other {there - len(long):,} are shorter: perhaps units are mixed"
        raise InputError(
            f"follow-ups of more than {MOST_YEARS} years, the times being {words.unit}{mixed}",
            offending=long,
            remedy='say the unit in [survival], as time_unit = "days", and give all times in one unit',
        )


def _notes(time: Float64Array, words: Words) -> list[str]:
    if len(time) < 5 or time.max() <= MOST_MEDIANS * np.median(time):
        return []
    return [
        f"the longest {words.time} is {time.max():g} {words.unit}, {time.max() / np.median(time):.0f} times the "
        "median: look whether units are mixed"
    ]

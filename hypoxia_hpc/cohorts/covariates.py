"""Columns of a user's table as numbers for a model: numbers as they are, words as a column for each but the commonest.
What a column means is learnt on some patients and holds for all. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.cohorts.numbers import plain_numbers, readings
from hypoxia_hpc.errors import InputError, some
from hypoxia_hpc.records import AnyArray, Float64Array

MOST_WORDS = 20


@dataclass(frozen=True, slots=True)
class Covariate:
    """A column: of numbers where ``words`` is empty, else of these words, of which the first is the one that others are
    held against."""

    name: str
    words: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of a model that it becomes."""
        return tuple(f"{self.name}: {word}" for word in self.words[1:]) if self.words else (self.name,)

    def values(self, cells: Sequence[str]) -> Float64Array:
        """(n, number of columns); NaN where a patient has no value, or a word that was not there when this was
        learnt."""
        if not self.words:
            return np.array([_number(cell) for cell in _plain(cells)], dtype=np.float64).reshape(-1, 1)
        table = np.array([[float(cell == word) for word in self.words[1:]] for cell in cells])
        known = np.array([cell in self.words for cell in cells], dtype=bool)
        return np.where(known[:, None], table.reshape(len(cells), -1), np.nan)


def learnt(name: str, cells: Sequence[str], among: AnyArray) -> Covariate:
    """A covariate of the cells of the patients where ``among`` (n,) is true. Two numbers alone, as 0 and 1, stay a
    number. Raises InputError for a column without a value among them, or of too many words."""
    there = [cell for cell, one in zip(cells, among, strict=True) if one and cell]
    if not there:
        raise InputError(
            f"the column {name} has no value among {some(int(np.sum(among)), 'patient')} of discovery",
            remedy="fill it in, or take it out of [survival]",
        )
    if all(np.isfinite(_number(cell)) for cell in _plain(there)):
        return Covariate(name)
    counts = Counter(there)
    if len(counts) > MOST_WORDS:
        raise InputError(
            f"the column {name} is of words, {len(counts):,} different ones; {MOST_WORDS} are the most",
            offending=[f"{word!r}: {some(n, 'patient')}" for word, n in counts.most_common()],
            remedy="give numbers, or fewer words; a word beside numbers makes them all words",
        )
    commonest = min(counts, key=lambda word: (-counts[word], word))
    return Covariate(name, (commonest, *sorted(set(counts) - {commonest})))


def _plain(cells: Sequence[str]) -> list[str]:
    return [cell or "" for cell in plain_numbers(cells, ",")]


def _number(cell: str) -> float:
    found = float(readings(cell).get(".", "nan"))
    return found if np.isfinite(found) else float("nan")

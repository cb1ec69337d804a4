"""The one table of cases, topic by topic."""

from __future__ import annotations

from collections.abc import Sequence

from hypoxia_hpc.bench.case import Case
from hypoxia_hpc.bench.cases import (
    decoding,
    feeding,
    heads,
    kernels,
    native_tiles,
    networks,
    readers,
    stages,
    stain,
    statistics,
    stores,
)
from hypoxia_hpc.errors import InputError, some_names

CASES: tuple[Case, ...] = (
    *kernels.CASES,
    *stain.CASES,
    *readers.CASES,
    *native_tiles.CASES,
    *decoding.CASES,
    *stores.CASES,
    *feeding.CASES,
    *networks.CASES,
    *heads.CASES,
    *statistics.CASES,
    *stages.CASES,
)


def chosen(names: Sequence[str]) -> tuple[Case, ...]:
    """The cases of these names or topics, in the order of the table; without any the quick ones. Raises InputError."""
    known = {case.name for case in CASES} | {case.topic for case in CASES}
    unknown = sorted(set(names) - known)
    if unknown:
        raise InputError(
            f"no case or topic is called {some_names(unknown)}",
            remedy="hypoxia-hpc bench --list shows them all",
        )
    return tuple(case for case in CASES if (case.is_quick if not names else {case.name, case.topic} & set(names)))

"""What other installed packages add by entry points: heads, clusterings, studies."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Added(Generic[T]):
    """By name: what is of use, and of the rest, why it is not."""

    found: dict[str, T]
    useless: dict[str, str]


def added(group: str, kind: type[T], taken: Collection[str]) -> Added[T]:
    """What installed packages add to a group of entry points. ``kind`` is what each has to be, ``taken`` the names that
    are in use.

    A package that cannot be used raises nothing: runs that do not name what it adds go on without it.
    """
    result: Added[T] = Added({}, {})
    for entry in sorted(entry_points(group=group), key=lambda one: (one.name, one.value)):
        if entry.name in (*taken, *result.found):
            result.useless[entry.name] = f"{_origin(entry)} adds {entry.name!r}, a name that is taken"
        elif not entry.name.isidentifier():
            result.useless[entry.name] = f"{_origin(entry)} adds {entry.name!r}: use letters, digits, underscores"
        else:
            _load(entry, kind, result)
    return result


def _load(entry: EntryPoint, kind: type[T], result: Added[T]) -> None:
    try:
        loaded = entry.load()
    except Exception as error:  # noqa: BLE001 - a package of other people can fail in any way
        result.useless[entry.name] = f"{_origin(entry)} cannot be loaded: {type(error).__name__}: {error}"
        return
    if isinstance(loaded, kind):
        result.found[entry.name] = loaded
    else:
        result.useless[entry.name] = f"{_origin(entry)} is of type {type(loaded).__name__}, not a {kind.__name__}"


def _origin(entry: EntryPoint) -> str:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown package"
    return f"{package} ({entry.value})"

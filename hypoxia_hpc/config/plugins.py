"""What other installed packages add by entry points: heads, clusterings, studies, stages."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Added(Generic[T]):
    """By name: what can be used, the package that adds it, and of the rest, why it is not."""

    found: dict[str, T] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    useless: dict[str, str] = field(default_factory=dict)


def _fits(_: object) -> str:
    return ""


def added(
    group: str, kind: type[T], taken: Collection[str], *, unfit: Callable[[T], str] = _fits, called: str = ""
) -> Added[T]:
    """What installed packages add to a group of entry points. ``kind`` is what each has to be, ``taken`` the names that
    are in use. ``unfit``: why one of that kind cannot be used, empty where it can. ``called``: what messages call the
    kind, by default its name.

    A package that cannot be used raises nothing: runs that do not name what it adds go on without it.
    """
    result: Added[T] = Added()
    for entry in sorted(entry_points(group=group), key=lambda one: (one.name, one.value)):
        if entry.name in (*taken, *result.found):
            result.useless[entry.name] = f"{_origin(entry)} adds {entry.name!r}, a name that is taken"
        elif not entry.name.isidentifier():
            result.useless[entry.name] = f"{_origin(entry)} adds {entry.name!r}: use letters, digits, underscores"
        else:
            _load(entry, kind, result, unfit, called or kind.__name__)
    return result


def _load(entry: EntryPoint, kind: type[T], result: Added[T], unfit: Callable[[T], str], called: str) -> None:
    try:
        loaded = entry.load()
    except Exception as error:  # noqa: BLE001 - a package of other people can fail in any way
        result.useless[entry.name] = f"{_origin(entry)} cannot be loaded: {type(error).__name__}: {error}"
        return
    if not isinstance(loaded, kind):
        result.useless[entry.name] = f"{_origin(entry)} is of type {type(loaded).__name__}, not a {called}"
    elif why := unfit(loaded):
        result.useless[entry.name] = f"{_origin(entry)} {why}"
    else:
        result.found[entry.name], result.origins[entry.name] = loaded, _origin(entry)


def _origin(entry: EntryPoint) -> str:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown package"
    return f"{package} ({entry.value})"

"""Entries of run.toml that name a file or a folder: one type, resolved in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import Field
from pydantic.fields import FieldInfo

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.errors import InputError


@dataclass(frozen=True, slots=True)
class IsPath:
    """Marks an entry that names a file or folder; ``words`` are values of it that name none. ``on_node``: a $NAME in it
    is filled in by the node that uses it."""

    words: tuple[str, ...] = ()
    on_node: bool = False


LocalPath = Annotated[str, Field(min_length=1), IsPath()]
NodePath = Annotated[str, Field(min_length=1), IsPath(on_node=True)]
WeightsPath = Annotated[str, Field(min_length=1), IsPath(words=("imagenet", "random"))]

AnyTable = TypeVar("AnyTable", bound=Table)


def with_paths(table: AnyTable, root: Path) -> AnyTable:
    """The same table, every path in it and in its tables absolute, as text: ``~`` filled in, a relative one relative to
    ``root``, the folder of run.toml. One that begins with a $NAME that a node fills in stays. Raises InputError for a
    ``~name`` that is no user's."""
    changes: dict[str, Any] = {}
    for name, info in type(table).model_fields.items():
        value = getattr(table, name)
        if isinstance(value, Table):
            changes[name] = with_paths(value, root)
        elif isinstance(value, str) and (mark := path_mark(info)) and not _stays(value, mark):
            changes[name] = _absolute(value, root)
    return table.model_copy(update=changes)


def _stays(value: str, mark: IsPath) -> bool:
    return value in mark.words or (mark.on_node and value.startswith("$"))


def _absolute(path: str, root: Path) -> str:
    try:
        return str(root.absolute() / Path(path).expanduser())
    except RuntimeError:
        raise InputError(
            f"run.toml names {path!r}, and {path.partition('/')[0]} is no user's home here",
            remedy="write the whole path, or ./ before a name that begins with ~",
        ) from None


def path_mark(info: FieldInfo) -> IsPath | None:
    """The mark of an entry that is a path, or a path or nothing: ``LocalPath | None``."""
    inner = [one for argument in get_args(info.annotation) for one in getattr(argument, "__metadata__", ())]
    return next((one for one in (*info.metadata, *inner) if isinstance(one, IsPath)), None)

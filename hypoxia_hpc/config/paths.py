"""Entries of run.toml that name a file or a folder: one type, resolved in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import Field
from pydantic.fields import FieldInfo

from hypoxia_hpc.config.base import Table


class IsPath:
    """Marks an entry that names a file or folder; ``words`` are values of it that name none."""

    def __init__(self, *words: str) -> None:
        self.words = words


LocalPath = Annotated[str, Field(min_length=1), IsPath()]
# The one that may be a word as well as a file.
WeightsPath = Annotated[str, Field(min_length=1), IsPath("imagenet", "random")]

AnyTable = TypeVar("AnyTable", bound=Table)


def with_paths(table: AnyTable, root: Path) -> AnyTable:
    """The same table, every path in it and in its tables absolute, as text: ``~`` filled in, a relative one relative to
    ``root``, the folder of run.toml. One that begins with a $NAME stays: the node that uses it fills that in."""
    changes: dict[str, Any] = {}
    for name, info in type(table).model_fields.items():
        value = getattr(table, name)
        if isinstance(value, Table):
            changes[name] = with_paths(value, root)
        elif isinstance(value, str) and (mark := _mark(info)) and value not in mark.words:
            changes[name] = absolute(value, root)
    return table.model_copy(update=changes)


def absolute(path: str, root: Path) -> str:
    """A path of run.toml as ``with_paths`` makes it."""
    return path if path.startswith("$") else str(root.absolute() / Path(path).expanduser())


def _mark(info: FieldInfo) -> IsPath | None:
    """Of an entry, or of what it is where it is there at all: ``LocalPath | None``."""
    inner = [one for argument in get_args(info.annotation) for one in getattr(argument, "__metadata__", ())]
    return next((one for one in (*info.metadata, *inner) if isinstance(one, IsPath)), None)

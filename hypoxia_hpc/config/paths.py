"""Paths that a user gives, above all entries of run.toml: one type, resolved in one place."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import Field
from pydantic.fields import FieldInfo

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.config.text_paths import as_named, path_of_text
from hypoxia_hpc.errors import InputError


@dataclass(frozen=True, slots=True)
class IsPath:
    """Marks an entry that names a file or folder; ``words`` are values of it that name none. ``on_node``: a $NAME in it
    is filled in by the node that uses it."""

    words: tuple[str, ...] = ()
    on_node: bool = False


LocalPath = Annotated[str, Field(min_length=1), IsPath()]
NodePath = Annotated[str, Field(min_length=1), IsPath(on_node=True)]
WEIGHTS_WORDS = ("imagenet", "random")
COHORT = "cohort"  # of [tile.stain] reference
ReferencePath = Annotated[str, Field(min_length=1), IsPath(words=(COHORT,))]
WeightsPath = Annotated[str, Field(min_length=1), IsPath(words=WEIGHTS_WORDS)]

AnyTable = TypeVar("AnyTable", bound=Table)


def with_paths(table: AnyTable, root: Path, source: str = "run.toml") -> AnyTable:
    """The same table, every path in it and in its tables absolute, as text: ``~`` filled in, a relative one relative to
    ``root``, the folder of run.toml. One that begins with a $NAME that a node fills in stays. Raises InputError for a
    ``~name`` that is no user's; ``source`` says there where the path stands."""
    changes: dict[str, Any] = {}
    for name, info in type(table).model_fields.items():
        value = getattr(table, name)
        if isinstance(value, Table):
            changes[name] = with_paths(value, root, source)
        elif isinstance(value, str) and (mark := path_mark(info)) and not _stays(value, mark):
            changes[name] = str(_without_up(root.absolute() / expanded(path_of_text(value), source)))
    return table.model_copy(update=changes)


def _without_up(path: Path) -> Path:
    """Without ``..``, for who reads it, where that is the same place: behind a symbolic link it is not."""
    if ".." not in path.parts or "\0" in str(path):  # the system takes no such name, and says so where it is used
        return path
    short = Path(os.path.normpath(path))
    return short if os.path.realpath(short) == os.path.realpath(path) else path


def _stays(value: str, mark: IsPath) -> bool:
    return value in mark.words or (mark.on_node and value.startswith("$"))


def check_weights_hash(weights: str, sha256: str | None) -> None:
    """Raises ValueError where a file of weights has no hash, or one of the words for weights has one."""
    is_path = weights not in WEIGHTS_WORDS
    if is_path and sha256 is None:
        raise ValueError(
            f"weights = {json.dumps(weights, ensure_ascii=False)} names a file, so weights_sha256 must give its SHA-256"
            ' (run sha256sum FILE); "imagenet" and "random" are the words that are no path'
        )
    if not is_path and sha256 is not None:
        raise ValueError(f'weights_sha256 is for a file; with weights = "{weights}" remove it')


def expanded(path: str | PathLike[str], source: str) -> Path:
    """The path, ``~`` filled in, as this process names files. Raises InputError for a ``~name`` that is no user's."""
    try:
        return as_named(Path(path).expanduser())
    except RuntimeError:
        raise InputError(
            f"{source} names {str(path)!r}, and {Path(path).parts[0]} is no user's home here",
            remedy="write the whole path, or ./ before a name that begins with ~",
        ) from None


def path_mark(info: FieldInfo) -> IsPath | None:
    """The mark of an entry that is a path, or a path or nothing: ``LocalPath | None``."""
    inner = [one for argument in get_args(info.annotation) for one in getattr(argument, "__metadata__", ())]
    return next((one for one in (*info.metadata, *inner) if isinstance(one, IsPath)), None)

"""HDF5 files that others wrote, read within limits: nothing outside of the file, nothing larger than features are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.reading import MOST_ARRAYS_BYTES, UnfitFileError, open_plain

if TYPE_CHECKING:
    import h5py

    Hdf5File = h5py.File

UNFIT = "unfit-features-file"
MOST_ATTRIBUTES, MOST_NUMBERS, MOST_LETTERS = 64, 16, 4096
Said = dict[str, str | float]


def unfit(path: Path, why: str, remedy: str = "write it again, or leave it out") -> SlideError:
    """The error for a file whose features cannot be used."""
    return SlideError(UNFIT, f"{path}: {why}", remedy=remedy)


def begins_with(path: Path, n: int) -> bytes:
    """The first ``n`` bytes of a regular file. Raises SlideError."""
    try:
        with open_plain(path, MOST_ARRAYS_BYTES) as file:
            return file.read(n)
    except UnfitFileError as error:
        raise unfit(path, error.problem.removeprefix(f"{path}: ")) from None
    except OSError as error:
        raise unfit(path, f"it cannot be read ({error.strerror})", "mend its permissions") from None


@contextmanager
def opened_hdf5(path: Path) -> Iterator[h5py.File]:
    """A file of HDF5 to read. Raises SlideError where it is none, or what is read of it is damaged."""
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        first_line = str(error).partition("\n")[0][:200]
        raise unfit(path, f"HDF5 that cannot be read ({first_line})", "write it again, it may be cut short") from None


def own_item(group: h5py.Group, name: str, path: Path) -> h5py.Dataset | h5py.Group | None:
    """What has this name and lies in the file itself; None where nothing has it. Raises SlideError for links, and for
    data sets whose values lie in other files."""
    import h5py

    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise unfit(path, f"{name!r} is a link, which is not followed", "write the file with its values in it")
    item = group[name]
    if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
        raise unfit(path, f"the values of {name!r} lie in other files, which are not read")
    return item if isinstance(item, h5py.Dataset | h5py.Group) else None


def item_below(file: h5py.File, names: Sequence[str], path: Path) -> h5py.Dataset | h5py.Group | None:
    """What lies in groups within groups; None where there is none. Raises SlideError as :func:`own_item`."""
    import h5py

    found: h5py.Dataset | h5py.Group | None = file
    for name in names:
        found = own_item(found, name, path) if isinstance(found, h5py.Group) else None
    return found


def scalars_in(group: h5py.Group, path: Path) -> Said:
    """The short data sets of a group that are a text or a number, as :func:`said_by` has attributes. Raises SlideError
    as :func:`own_item`."""
    import h5py

    found: Said = {}
    for name in names_in(group):
        item = own_item(group, name, path)
        if isinstance(item, h5py.Dataset) and item.shape is not None and item.size in range(1, MOST_NUMBERS + 1):
            found |= _first_two(name, item[()])
    return found


def names_in(group: h5py.Group) -> list[str]:
    """At most `MOST_ATTRIBUTES` of what a group has, in order."""
    return sorted(islice(group, MOST_ATTRIBUTES))


def said_by(item: h5py.Dataset | h5py.Group) -> Said:
    """Short attributes that are a text or a number; of several numbers the first, the second as ``NAME[1]``."""
    found: Said = {}
    for name in islice(item.attrs, MOST_ATTRIBUTES):
        shape = item.attrs.get_id(name).shape
        if shape is None or math.prod(shape) not in range(1, MOST_NUMBERS + 1):
            continue
        found |= _first_two(name, item.attrs[name])
    return found


def _first_two(name: str, values: object) -> Said:
    several = values.flat[:2].tolist() if isinstance(values, np.ndarray) else [values]
    plain = {name: _plain(several[0]), f"{name}[1]": _plain(several[-1])}
    return {one: value for one, value in plain.items() if value is not None}


def _plain(first: object) -> str | float | None:
    if isinstance(first, bytes):
        first = first.decode("utf-8", "replace")
    if isinstance(first, str):
        return str(first)[:MOST_LETTERS]
    if isinstance(first, np.number | int | float) and not isinstance(first, np.complexfloating):
        number = float(first)
        return number if math.isfinite(number) else None
    return None

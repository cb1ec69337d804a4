"""The other files of a slide of many files: those that its index names, and no neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as IniError
from pathlib import Path

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.dicom import volumes_of

# OpenSlide 4 reads no larger Slidedat.ini. One of that size that is empty
# sections alone takes 200 MB here and two seconds.
MOST_INDEX_BYTES = 2**20
HAMAMATSU_SECTIONS = {
    ".vms": "Virtual Microscope Specimen",
    ".vmu": "Uncompressed Virtual Microscope Specimen",
}
HAMAMATSU_KEYS = ("imagefile", "mapfile", "macroimage")
# The format works without: it saves time.
HAMAMATSU_OPTIONAL = "optimisationfile"


def companions(path: Path) -> list[Path]:
    """The files that make a slide, by name: what a MIRAX folder's Slidedat.ini names, what a Hamamatsu VMS or VMU file
    names (and itself), the VOLUME instances of a DICOM series. Empty for a slide of one file.

    Raises:
        SlideError: ``missing-file`` with the names that are not there; ``not-a-slide`` for an index that is none.
        OSError: an index cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix == ".mrxs":
        return _there(path, _of_mirax(path))
    if suffix in HAMAMATSU_SECTIONS:
        return _there(path, _of_hamamatsu(path, HAMAMATSU_SECTIONS[suffix]))
    return [each.path for each in volumes_of(path)]


def _of_mirax(path: Path) -> list[Path]:
    folder = path.with_suffix("")
    index = folder / "Slidedat.ini"
    if not index.exists():
        return [index]
    ini = _read_ini(index)
    named = [ini.get("HIERARCHICAL", "INDEXFILE", fallback="")]
    if ini.has_section("DATAFILE"):
        named += [name for key, name in ini["DATAFILE"].items() if key.startswith("file_") and key != "file_count"]
    return [index, *(folder / _plain(index, name) for name in named)]


def _of_hamamatsu(path: Path, section: str) -> list[Path]:
    ini = _read_ini(path)
    entries: Mapping[str, str] = ini[section] if ini.has_section(section) else {}
    named = [name for key, name in entries.items() if key.startswith(HAMAMATSU_KEYS) and name]
    optional = entries.get(HAMAMATSU_OPTIONAL, "")
    if optional and (path.parent / _plain(path, optional)).exists():
        named.append(optional)
    return [path, *(path.parent / _plain(path, name) for name in named)]


def _read_ini(path: Path) -> ConfigParser:
    """Keys in lower case. As the vendors write it: with a byte-order mark or without, keys that occur twice, and ``%``
    and ``:`` that mean nothing."""
    if not path.is_file():  # opening a pipe would wait for ever
        raise SlideError("not-a-slide", f"{path} is no plain file", remedy="fetch the slide again")
    ini = ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    with path.open("rb") as file:
        text = file.read(MOST_INDEX_BYTES).decode("utf-8-sig", "replace")
    try:
        ini.read_string(text)
    except IniError as error:
        problem = str(error).replace("\n", " ")
        raise SlideError("not-a-slide", f"{path}: {problem[:300]}", remedy="fetch the slide again") from None
    return ini


def _plain(index: Path, name: str) -> str:
    """The name, which is one of a file beside the index: an index does not lead anywhere else."""
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise SlideError("not-a-slide", f"{index} names a file {name!r}, no plain name", remedy="fetch the slide again")
    return name


def _there(path: Path, files: list[Path]) -> list[Path]:
    missing = sorted(file.name for file in files if not file.is_file())
    if missing:
        names = ", ".join(missing[:5]) + (f" and {len(missing) - 5} others" if len(missing) > 5 else "")
        raise SlideError("missing-file", f"{path} needs files that do not exist: {names}", remedy="bring them back")
    return sorted(set(files))

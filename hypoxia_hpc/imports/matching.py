"""Whose each file is: by its name, which is that of a slide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.cohorts.naming import slide_id_from_name
from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.errors import InputError, SlideError
from hypoxia_hpc.imports.feature_files import FeatureFile
from hypoxia_hpc.records import Slide

SUFFIXES = (".h5", ".hdf5", ".h5ad", ".pt")
# TRIDENT's name of a file of coordinates alone is ID_patches.h5.
OF_PLACES = "_patches"


@dataclass(frozen=True, slots=True)
class ImportSource:
    """Of one slide: the file with its features, and the one that says where its tiles lie, where there is another.
    ``problem``: why they cannot be used."""

    features: FeatureFile | None = None
    places: FeatureFile | None = None
    problem: SlideError | None = None


def files_below(given: Sequence[Path]) -> list[Path]:
    """The files that are named, and those of folders that may have features, in order, each once. Raises
    InputError."""
    absent = [str(path) for path in given if not path.exists()]
    refuse("what features are imported from does not exist", absent, "name files, or folders with them")
    found = dict.fromkeys(file for path in given for file in (_below(path) if path.is_dir() else [path]))
    if not found:
        raise InputError(
            f"no file with features below {', '.join(map(str, given))}",
            remedy=f"name a folder with files of the suffix {', '.join(SUFFIXES)}",
        )
    return list(found)


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def slides_by_name(slides: Sequence[Slide]) -> dict[str, tuple[str, ...]]:
    """Ids of the slides that a file of this name, without its suffix, may be of."""
    names: dict[str, set[str]] = defaultdict(set)
    for slide in slides:
        for name in {slide.path.stem, slide.path.name, slide_id_from_name(slide.path.name)}:
            names[name].add(slide.slide_id)
    own = {slide.slide_id: (slide.slide_id,) for slide in slides}
    return {**{name: tuple(sorted(ids)) for name, ids in names.items()}, **own}


def files_by_slide(files: Sequence[Path], slides: Sequence[Slide]) -> tuple[dict[str, list[Path]], list[Path]]:
    """The files of each slide, by its id, and those of no slide. Raises InputError for a file that may be of
    several."""
    names = slides_by_name(slides)
    owners = {file: names.get(file.stem) or names.get(file.stem.removesuffix(OF_PLACES)) or () for file in files}
    refuse(
        "files with features that may be of several slides, since these have one file name",
        [f"{file}: {', '.join(ids)}" for file, ids in owners.items() if len(ids) > 1],
        "call each file as slides.csv calls the slide: SLIDE_ID.h5",
    )
    found: dict[str, list[Path]] = defaultdict(list)
    for file, ids in owners.items():
        for slide_id in ids:
            found[slide_id].append(file)
    return dict(found), [file for file, ids in owners.items() if not ids]


def sources_of(described: Mapping[str, Mapping[Path, FeatureFile | SlideError]]) -> dict[str, ImportSource]:
    """What the files of each slide are to it, by slide id. Raises InputError for slides of which it is not clear which
    features are meant."""
    sorted_out = {slide_id: _sorted_out(files.values()) for slide_id, files in described.items()}
    twice = {
        slide_id: features if len(features) > 1 else places
        for slide_id, (features, places, _) in sorted_out.items()
        if len(features) > 1 or len(places) > 1
    }
    refuse(
        "slides with several files of features or of coordinates",
        [f"{slide_id}: {' and '.join(str(one.path) for one in files)}" for slide_id, files in twice.items()],
        "import those of one kind alone: name their folder",
    )
    return {
        slide_id: ImportSource(features[0], next(iter(places), None)) if features else ImportSource(problem=problem)
        for slide_id, (features, places, problem) in sorted_out.items()
    }


def _sorted_out(
    files: Iterable[FeatureFile | SlideError],
) -> tuple[list[FeatureFile], list[FeatureFile], SlideError | None]:
    """Those with features, those with coordinates alone, and why another one cannot be used. The tensor of CLAM is left
    out where there are the same features as HDF5."""
    found = list(files)
    sound = [one for one in found if isinstance(one, FeatureFile)]
    features = [one for one in sound if one.features]
    as_hdf5 = [one for one in features if one.layout != "tensor"]
    problem = next((one for one in found if isinstance(one, SlideError)), None)
    return as_hdf5 or features, [one for one in sound if not one.features], problem

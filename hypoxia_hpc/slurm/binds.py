"""Which folders an image must see beside the run: where slides, weights and regions lie, and what links lead to."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from hypoxia_hpc.config import RunConfig, SlurmTable
from hypoxia_hpc.config.site_file import site_file
from hypoxia_hpc.networks.backbones.weights import default_folder
from hypoxia_hpc.records import Slide
from hypoxia_hpc.stores.commit import machine_errors

# Linux itself follows no more.
MOST_LINKS = 40


def needed_folders(config: RunConfig, slides: Sequence[Slide]) -> set[Path]:
    """The folders that exist of those that an image must see to open the site file and every slide, image of a patient,
    weight file, regions file and reference of a stain."""
    paths = [slide.path for slide in slides]
    paths += [slide.path / image for slide in slides for image in slide.images]
    paths += [file for file in [site_file()] if file is not None]
    for named in _named(config):
        paths += _entries(named)
    return {folder for folder in folders_on_the_way(paths) if folder.is_dir()}


def _named(config: RunConfig) -> Iterator[Path]:
    if config.extract.weights_sha256:
        yield Path(config.extract.weights)
    elif config.extract.weights == "imagenet":
        weights = Path(config.site.weights) if config.site.weights is not None else default_folder()
        if weights.is_absolute():  # a job looks for a relative one in the run
            yield weights
    if config.tile.regions is not None:
        yield Path(config.tile.regions)
    if config.tile.stain.reference is not None:
        yield Path(config.tile.stain.reference)


def _entries(path: Path) -> list[Path]:
    """What lies in a folder, for that may be links; a file itself."""
    with machine_errors(path):
        return list(path.iterdir()) if path.is_dir() else [path]


def folders_on_the_way(paths: Iterable[Path]) -> set[Path]:
    """The folder that really holds each of these absolute paths, and that of every symbolic link on the way there."""
    readlink = functools.cache(_readlink)
    return {folder for path in paths for folder in _way(path, readlink)}


def _way(path: Path, readlink: Callable[[Path], str | None]) -> Iterator[Path]:
    here, links = Path("/"), 0
    left = _reversed_parts(path)
    while left:
        step = here.parent if left[-1] == ".." else here / left[-1]
        left.pop()
        # A link in / or /data stands for a folder of its own: to show it as a link would hide these in the image.
        target = readlink(step) if not left or len(here.parts) > 2 else None
        if target is None or links == MOST_LINKS:
            here = step
            continue
        yield here
        here = Path("/") if target.startswith("/") else here
        left += _reversed_parts(Path(target))
        links += 1
    yield here.parent


def _reversed_parts(path: Path) -> list[str]:
    return [part for part in reversed(path.parts) if part != "/"]


def _readlink(path: Path) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115 - a Path would drop the dots
    except OSError:  # no link, or not there
        return None


def unseen_binds(root: Path, table: SlurmTable) -> Iterator[str]:
    """A sentence on each bind of [site.slurm] that is not here; nodes may have it."""
    for source in (bind.partition(":")[0] for bind in table.binds):
        if not (root / source).exists():
            yield f"[site.slurm] binds: {source} is not on this machine; a job ends at once where its node has none"

"""What the demos share: slides or folders of images that several processes write, a folder that keeps to one cohort,
and their network."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from hypoxia_hpc.config import canonical_json
from hypoxia_hpc.errors import InputError, MachineError
from hypoxia_hpc.networks.backbones.check import has_file
from hypoxia_hpc.networks.backbones.resolve import find_network
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.reading import MOST_RECEIPT_BYTES, read_plain
from hypoxia_hpc.records import Json
from hypoxia_hpc.stores.commit import committed_file, committing_directory, machine_errors
from hypoxia_hpc.workers.pool import FailedItem, deal

Job = tuple[Path, Callable[[Path], None]]
MOST_SHOWN = 200  # characters of what a folder was made from

# The study's own weights cannot be had offline. Those of this network come with a Python package; without it, the
# study's network has random ones.
TRAINED_NETWORK = "efficientnet_lite0"
TRAINED: Json = {"name": TRAINED_NETWORK, "backbone": TRAINED_NETWORK, "weights": "imagenet"}
RANDOM: Json = {"weights": "random"}


def has_trained_weights() -> bool:
    """Whether the trained weights of the demo are on this machine."""
    known = find_network(TRAINED_NETWORK).known
    return known is not None and has_file(TRAINED_NETWORK, known, None)


def write_slides(
    jobs: Mapping[Path, Callable[[Path], None]],
    workers: int,
    progress: Progress,
    stop: threading.Event,
    *,
    noun: str = "slide",
) -> None:
    """Write the slides that are not there yet, each by its function, which child processes can be given; ``noun``: what
    they are called. Raises MachineError, Stopped."""
    progress.begin(f"demo {noun}s", len(jobs), len(jobs), noun)
    _write(jobs, _write_slide, workers, progress, stop)


def write_folders(
    jobs: Mapping[Path, Callable[[Path], None]], workers: int, progress: Progress, stop: threading.Event
) -> None:
    """The same for folders of images, a patient's in each: its function fills an empty one."""
    progress.begin("demo patients", len(jobs), len(jobs), "patient")
    _write(jobs, _write_folder, workers, progress, stop)


def _write(
    jobs: Mapping[Path, Callable[[Path], None]],
    work: Callable[[Job, Callable[[int], None]], None],
    workers: int,
    progress: Progress,
    stop: threading.Event,
) -> None:
    try:
        todo = [(target, write) for target, write in jobs.items() if not target.exists()]
        for _ in range(len(jobs) - len(todo)):
            progress.item(1)
        for event in deal(todo, work, workers=workers, stop=stop):
            if isinstance(event, FailedItem):
                raise MachineError(f"{event.item[0]} could not be written: {event.detail}", remedy="run it again")
            progress.item(1)
    finally:
        progress.end()


def refuse_other_content(folder: Path, made_from: Json) -> None:
    """A folder is used if it is empty or a demo cohort made from the same numbers. Raises InputError, MachineError."""
    file, text = folder / "demo.json", canonical_json(made_from).encode()
    with machine_errors(folder):
        held = read_plain(file, MOST_RECEIPT_BYTES) if file.exists() else text
    if held != text:
        raise InputError(
            f"{folder} holds a demo cohort made from {held.decode('utf-8', 'replace')[:MOST_SHOWN]}, "
            f"asked for is {text.decode()}",
            remedy="give another folder: hypoxia-hpc demo DIR",
        )
    with machine_errors(folder):
        strange = [] if file.exists() or not folder.is_dir() else sorted(path.name for path in folder.iterdir())
    if strange:
        raise InputError(
            f"{folder} is not empty and holds no demo cohort",
            offending=strange[:10],
            remedy="give another folder: hypoxia-hpc demo DIR",
        )
    committed_file(file, text)


def _write_folder(job: Job, _: Callable[[int], None]) -> None:
    target, write = job
    with committing_directory(target, lambda _: False, sealed=False) as made:
        write(made)


def _write_slide(job: Job, _: Callable[[int], None]) -> None:
    target, write = job
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / target.name
        write(made)
        committed_file(target, made.read_bytes())

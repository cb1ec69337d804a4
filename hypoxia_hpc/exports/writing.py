"""The files of a slide, each whole or not there."""

from __future__ import annotations

from pathlib import Path

from hypoxia_hpc.exports.slide import Format, SlideExport
from hypoxia_hpc.stores.commit import committing_file


def write_slide(chosen: Format, slide: SlideExport, folder: Path) -> list[str]:
    """Write a slide in a format below ``folder``; the names of its files, below it. They are durable after
    `sync_folders`. Raises SlideError for a slide without a place in the format, or a damaged store; MachineError."""
    files = list(chosen.files(slide, folder.absolute()))
    for name, write in files:
        with committing_file(folder / name, entry_durable=False) as path:
            write(path)
    return [name for name, _ in files]

"""Slides that are given more than once: files of equal content."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.fingerprint import fingerprint

READERS = 32


def equal_files(files: Sequence[tuple[Path, int]], stop: threading.Event) -> list[tuple[int, ...]]:
    """Of (path, size in bytes) the places of those with the fingerprint of another one, each group together. Only files
    of equal size are read, so that it costs little where all differ. What is empty or cannot be read is equal to
    nothing; after ``stop`` nothing more is read."""
    by_size: dict[int, list[int]] = defaultdict(list)
    for place, (_, size) in enumerate(files):
        by_size[size].extend([place] if size else [])
    places = [place for same in by_size.values() if len(same) > 1 for place in same]

    def read(place: int) -> str:
        try:
            return "" if stop.is_set() else fingerprint(files[place][0])
        except SlideError:
            return ""

    groups: dict[str, list[int]] = defaultdict(list)
    with ThreadPoolExecutor(READERS) as readers:
        for place, digest in zip(places, readers.map(read, places), strict=True):
            groups[digest].append(place)
    groups.pop("", None)
    return [tuple(same) for same in groups.values() if len(same) > 1]

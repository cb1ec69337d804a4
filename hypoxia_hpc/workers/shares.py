"""Which slides a task works on: pure, and the same for tasks that start at different times."""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Share, Slide

_SHARE = re.compile(r"[0-9]{1,6}/[0-9]{1,6}", re.ASCII)


def parse_share(text: str) -> Share:
    """``I/N`` with 0 <= I < N. Raises InputError."""
    index, _, count = text.partition("/")
    if not _SHARE.fullmatch(text) or int(index) >= int(count):
        raise InputError(
            f"share {text!r} is not I/N with 0 <= I < N <= 999999",
            remedy="for the first of four parts write --share 0/4",
        )
    return Share(int(index), int(count))


def costliest_first(slides: Sequence[Slide]) -> list[Slide]:
    """Slides by falling cost, ties by slide_id."""
    return sorted(slides, key=lambda slide: (-slide.cost, slide.slide_id))


def slides_of_share(slides: Sequence[Slide], share: Share) -> list[Slide]:
    """One part of all slides of a run, costliest first. Depends on ``slides.csv`` alone, never on what is done."""
    return slides_of_shares(slides, share.count)[share.index]


def slides_of_shares(slides: Sequence[Slide], count: int) -> list[list[Slide]]:
    """Every part of all slides of a run, each costliest first.

    Every slide goes, costliest first, to the part that has least to do so far (longest processing time first: Graham
    1969, no part costs more than 4/3 of the best possible).
    """
    loads = [(0, 0, index) for index in range(count)]
    shares: list[list[Slide]] = [[] for _ in range(count)]
    for slide in costliest_first(slides):
        cost, n, index = heapq.heappop(loads)
        heapq.heappush(loads, (cost + slide.cost, n + 1, index))
        shares[index].append(slide)
    return shares


def choose_slides(slides: Sequence[Slide], share: Share, wanted: Sequence[str]) -> list[Slide]:
    """The slides of a share, of these only ``wanted`` where any are named. Raises InputError naming unknown ids."""
    known = {slide.slide_id for slide in slides}
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise InputError(
            f"slide ids that are not in slides.csv: {len(unknown)}", offending=unknown, remedy="see its slide_id column"
        )
    mine = slides_of_share(slides, share)
    return [slide for slide in mine if slide.slide_id in set(wanted)] if wanted else mine

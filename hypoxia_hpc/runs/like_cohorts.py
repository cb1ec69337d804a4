"""Cohorts that are not there: slides whose files are as large as those of a published cohort. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.records import Slide
from hypoxia_hpc.slides.costs import cost_of_bytes

MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """Megabytes of the slides of a cohort at 0, 5, ... 100 % of them, and where they are from, in words."""

    megabytes: Sequence[float]
    source: str

    def at(self, share: float) -> float:
        """Megabytes of the slide that ``share`` (0..1) of all are smaller than, between two of those that are known on
        a straight line."""
        place = share * (len(self.megabytes) - 1)
        below = min(int(place), len(self.megabytes) - 2)
        low, high = self.megabytes[below : below + 2]
        return low + (place - below) * (high - low)


TCGA_MEGABYTES = "7.61 48.3 99.9 191 246 343 450 528 566 645 686 729 786 855 907 955 1090 1250 1510 1640 2760"
SIZES: Mapping[str, Sizes] = {
    "TCGA": Sizes(
        tuple(map(float, TCGA_MEGABYTES.split())),
        "files of 258 diagnostic slides of colon cancer, mean 736 MB, by a download manifest of the Genomic Data "
        "Commons; other tumours may differ",
    )
}


def slides_like(name: str, n: int) -> list[Slide]:
    """``n`` slides with the sizes of a cohort of `SIZES`, evenly spread over them, the same at every call. Each costs
    what a slide costs whose header cannot be read: by the bytes of its file, as JPEG."""
    sizes = SIZES[name]
    return [
        Slide(f"like-{number:06d}", Path("/"), f"like-{number:06d}", cost_of_bytes(sizes.at((number + 0.5) / n) * MEGA))
        for number in range(n)
    ]

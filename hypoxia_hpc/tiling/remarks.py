"""What is odd about a slide that is read all the same: one word for each kind, as stores and receipts have it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hypoxia_hpc.records import Pyramid
from hypoxia_hpc.tiling.plan import MPP_AT_1X, sane_mpp

# Scanners round their power: 40x is 0.2265 µm/px on one and 0.2526 on another.
MOST_DOUBT = 0.15

CONTRADICTION, TWO_MPP, LARGEST = "mpp-contradicts-power", "mpp-said-twice", "largest-of-several-images"
UNTRUSTED_STAIN, SEVERAL_PATIENTS = "stain-not-trusted", "several-patient-ids"
OVERLAPPING = "imported-tiles-overlap"
NEAR_EMPTY, LEFT_OUT = "near-empty", "images left out"
FIRST_PLACE = "an OME-XML counts before the tags of resolution, and these before PerkinElmer's XML"
# In the order in which they are said.
SENTENCES = {
    CONTRADICTION: f"slides whose header has µm/px and objective power more than {100 * MOST_DOUBT:g} % apart: µm/px "
    "counts; where it is wrong, give the slide its mpp in slides.csv",
    TWO_MPP: f"slides whose file says µm/px in two places, more than {100 * MOST_DOUBT:g} % apart: {FIRST_PLACE}; "
    "where it is wrong, give the slide its mpp in slides.csv",
    LARGEST: "slides whose file has several images of full resolution: the largest counts",
    UNTRUSTED_STAIN: "slides whose stain cannot be right as it was fitted (one dye, ink, not haematoxylin and eosin): "
    "their tiles keep their colours",
    SEVERAL_PATIENTS: "patients whose DICOM files have more than one PatientID, and count as one patient's: make sure "
    "that they are one person's; else sort them into a folder for each patient, and make the run again",
    OVERLAPPING: "slides whose imported tiles overlap, by the size that their files give: where the tool was not asked "
    "for that, their coordinates are not pixels of level 0; write these, and import again",
}


def contradict(mpp: float | None, objective_power: float | None) -> bool:
    """Whether a header's µm per pixel and its objective power are more than 15 % apart; False where either is missing
    or is what no scanner has."""
    return differ(mpp, MPP_AT_1X / objective_power if objective_power else None)


def differ(mpp: float | None, other: float | None) -> bool:
    """Whether the first of two µm per pixel is more than 15 % off the second; False where either is missing or is what
    no scanner has."""
    known, expected = sane_mpp(mpp), sane_mpp(other)
    return known is not None and expected is not None and abs(known / expected - 1) > MOST_DOUBT


def remarks(
    mpp: float | None, mpp_source: str, objective_power: float | None, images: int, other_mpp: float | None = None
) -> tuple[str, ...]:
    """The kinds of what is odd about a slide, in the order of ``SENTENCES``. ``mpp`` in µm per level 0 pixel is what
    was taken and ``mpp_source`` where it comes from: what the manifest says is beyond doubt. ``images``: how many
    images of full resolution its file has. ``other_mpp``: what another place in the file says."""
    found = {
        CONTRADICTION: mpp_source == "slide" and contradict(mpp, objective_power),
        TWO_MPP: mpp_source == "slide" and differ(mpp, other_mpp),
        LARGEST: images > 1,
    }
    return tuple(kind for kind, is_so in found.items() if is_so)


def resolution_doubt(pyramid: Pyramid) -> str:
    """Where the header's µm per pixel and its objective power contradict each other: the sentence with the values; else
    empty."""
    mpp, power = pyramid.mpp_x, pyramid.objective_power
    if mpp is None or not power or not contradict(mpp, power):
        return ""
    return (
        f"the header says {mpp:g} µm/px, and an objective of {power:g}x, which is about {MPP_AT_1X / power:g}: "
        "if µm/px is wrong, give the slide its mpp in slides.csv"
    )


def places_doubt(pyramid: Pyramid) -> str:
    """Where two places in the file contradict each other about µm per pixel: the sentence with the values; else
    empty."""
    if pyramid.mpp_x is None or pyramid.other_mpp is None or not differ(pyramid.mpp_x, pyramid.other_mpp):
        return ""
    return (
        f"the file says {pyramid.mpp_x:g} µm/px, and in another place {pyramid.other_mpp:g} ({FIRST_PLACE}): "
        "if the first is wrong, give the slide its mpp in slides.csv"
    )


def size_doubt(pyramid: Pyramid) -> str:
    """Where the file has other images beside the slide: the sentence; else empty."""
    return f"the largest of {pyramid.images} images in the file" if pyramid.images > 1 else ""


def left_out_images(patients: Iterable[tuple[str, Mapping[str, int]]]) -> dict[str, tuple[str, ...]]:
    """From (slide id, images that are no tiles, by the reason) of each patient: those with some, as ``A 3``, by a
    sentence that has the number of images."""
    found: dict[str, dict[str, int]] = {}
    for slide_id, reasons in patients:
        for reason, n in reasons.items():
            found.setdefault(reason, {})[slide_id] = n
    return {
        f"{LEFT_OUT}, {reason}: {sum(those.values()):,}, of patients": tuple(
            f"{slide_id} {n:,}" for slide_id, n in those.items()
        )
        for reason, those in sorted(found.items())
    }


def by_kind(slides: Iterable[tuple[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
    """From (slide id, kinds) of each slide: the slides of each kind, by its sentence; kinds without any are left
    out."""
    found: dict[str, list[str]] = {kind: [] for kind in SENTENCES}
    for slide_id, kinds in slides:
        for kind in found.keys() & set(kinds):
            found[kind].append(slide_id)
    return {SENTENCES[kind]: tuple(ids) for kind, ids in found.items() if ids}

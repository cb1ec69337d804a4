"""The methods of stain normalisation by their names: how tissue is fitted, and how pixels get a reference's colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Float64Array, Paint, UInt8Array
from hypoxia_hpc.tiling.kernels.lab import move_lab
from hypoxia_hpc.tiling.kernels.stain import recolour
from hypoxia_hpc.tiling.stain.density import as_pixels, light_of_glass
from hypoxia_hpc.tiling.stain.macenko import fit_macenko
from hypoxia_hpc.tiling.stain.published import REFERENCE, fit_published, published
from hypoxia_hpc.tiling.stain.recolouring import colours
from hypoxia_hpc.tiling.stain.reinhard import LabMoments, fit_reinhard, median_moments, moving
from hypoxia_hpc.tiling.stain.stains import Fit, Found, Stains, median_stains
from hypoxia_hpc.tiling.stain.vahadane import fit_vahadane

PUBLISHED = "published"  # of whole images alone: it changes glass, too
OF_IMAGE = "the image cannot be normalised, it stays as it is"
OF_REFERENCE = "the reference has no stain that others could be given"


@dataclass(frozen=True, slots=True)
class Method(Generic[Found]):
    """``fit(rgb, white, glass)`` of the tissue in uint8 (..., 3), bare glass having the light ``white``, float64 (3,);
    ``paint(source, target, glass)`` makes what gives pixels fitted as ``source`` the colours of ``target``. What has
    gray ``glass`` (1 to 255) or more is glass and stays. ``usual``: the target where no reference is named.
    ``median`` of several fits; ``example`` of one."""

    fit: Callable[[UInt8Array, Float64Array, int], Fit[Found]]
    paint: Callable[[Found, Found, int], Paint]
    usual: Found | None
    median: Callable[[Sequence[Found]], Found]
    example: Found


def _paint_dyes(source: Stains, target: Stains, glass: int) -> Paint:
    new = colours(source, target)

    def paint(rgb: UInt8Array) -> None:
        pixels = as_pixels(rgb)
        recolour(pixels, new.fields, new.colours, glass, pixels)

    return paint


def _paint_moments(source: LabMoments, target: LabMoments, glass: int) -> Paint:
    factor, added = moving(source, target)

    def paint(rgb: UInt8Array) -> None:
        pixels = as_pixels(rgb)
        move_lab(pixels, factor, added, glass, pixels)

    return paint


METHODS: Mapping[str, Method[Any]] = {
    "macenko": Method(fit_macenko, _paint_dyes, REFERENCE, median_stains, REFERENCE),
    "vahadane": Method(fit_vahadane, _paint_dyes, REFERENCE, median_stains, REFERENCE),
    "reinhard": Method(fit_reinhard, _paint_moments, None, median_moments, LabMoments(np.zeros(3), np.ones(3))),
}


@dataclass(frozen=True, slots=True)
class Normalised:
    """An image, uint8 (..., 3), in the reference's colours; what was found in it, and what it was given."""

    image: UInt8Array
    source: Stains | LabMoments
    target: Stains | LabMoments


def normalised(rgb: UInt8Array, method: str, reference: UInt8Array | None, glass: int) -> Normalised:
    """uint8 (..., 3) in the colours of a reference, uint8 (..., 3), by a method of ``METHODS`` or ``PUBLISHED``.

    Without a reference, dyes and their strengths are the published ones (``tiling.stain.published``); Reinhard's
    method needs one. What has gray ``glass`` (1 to 255) or more is glass and stays, but for ``published``, which
    changes it too. Raises InputError where a fit is not trusted, naming what was fitted and why.
    """
    if method == PUBLISHED:
        return _published(rgb, reference)
    target = target_of(method, reference, glass)
    source = _require(OF_IMAGE, METHODS[method].fit(rgb, light_of_glass(rgb, glass), glass))
    image = rgb.copy()
    METHODS[method].paint(source, target, glass)(image)
    return Normalised(image, source, target)


def target_of(method: str, reference: UInt8Array | None, glass: int) -> Any:
    """What a method of ``METHODS`` gives to images: the fit of a reference, uint8 (..., 3), or its usual one. Raises
    InputError where it has none, and where the fit is not trusted."""
    chosen = METHODS[method]
    if reference is not None:
        return _require(OF_REFERENCE, chosen.fit(reference, light_of_glass(reference, glass), glass))
    if chosen.usual is None:
        raise InputError(
            f"{method.capitalize()}'s method takes its colours from an image",
            remedy="name one with --to, or another --method",
        )
    return chosen.usual


def _published(rgb: UInt8Array, reference: UInt8Array | None) -> Normalised:
    if reference is not None:
        raise InputError(
            "the published normalisation has a reference of its own", remedy="leave out --to, or name another --method"
        )
    source = _require(OF_IMAGE, fit_published(rgb))
    return Normalised(published(rgb, source), source, REFERENCE)


def _require(what: str, fit: Fit[Found]) -> Found:
    """What was found. Raises InputError where it is not trusted, with the reason."""
    if fit.found is None:
        raise InputError(
            f"{what}: {fit.why_not}",
            remedy="take a part with tissue stained by haematoxylin and eosin, without ink",
        )
    return fit.found

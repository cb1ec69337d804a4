"""The methods of stain normalisation by their names: fit an image and a reference, give the one the other's colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Float64Array, UInt8Array
from hypoxia_hpc.tiling.stain.density import light_of_glass
from hypoxia_hpc.tiling.stain.macenko import fit_macenko
from hypoxia_hpc.tiling.stain.published import REFERENCE, fit_published, published
from hypoxia_hpc.tiling.stain.recolouring import colours, recoloured
from hypoxia_hpc.tiling.stain.reinhard import LabFit, LabMoments, fit_reinhard, moved
from hypoxia_hpc.tiling.stain.stains import Fit, Stains
from hypoxia_hpc.tiling.stain.vahadane import fit_vahadane


@dataclass(frozen=True, slots=True)
class Normalised:
    """An image, uint8 (..., 3), in the reference's colours; what was found in it, and what it was given."""

    image: UInt8Array
    source: Stains | LabMoments
    target: Stains | LabMoments


def normalised(rgb: UInt8Array, method: str, reference: UInt8Array | None, glass: int) -> Normalised:
    """uint8 (..., 3) in the colours of a reference, uint8 (..., 3), by a method of ``METHODS``.

    Without a reference, dyes and their strengths are the published ones (``tiling.stain.published``); Reinhard's
    method needs one. What has gray ``glass`` (1 to 255) or more is glass and stays, but for ``published``, which
    changes it too. Raises InputError where a fit is not trusted, naming what was fitted and why.
    """
    return METHODS[method](rgb, reference, glass)


def _macenko(rgb: UInt8Array, reference: UInt8Array | None, glass: int) -> Normalised:
    return _by_dyes(fit_macenko, rgb, reference, glass)


def _vahadane(rgb: UInt8Array, reference: UInt8Array | None, glass: int) -> Normalised:
    return _by_dyes(fit_vahadane, rgb, reference, glass)


def _by_dyes(
    fit: Callable[[UInt8Array, Float64Array, int], Fit], rgb: UInt8Array, reference: UInt8Array | None, glass: int
) -> Normalised:
    source = _dyes("the image", fit(rgb, light_of_glass(rgb, glass), glass))
    target = REFERENCE
    if reference is not None:
        target = _dyes("the reference", fit(reference, light_of_glass(reference, glass), glass))
    return Normalised(recoloured(rgb, colours(source, target), glass), source, target)


def _reinhard(rgb: UInt8Array, reference: UInt8Array | None, glass: int) -> Normalised:
    if reference is None:
        raise InputError(
            "Reinhard's method takes its colours from an image", remedy="name one with --to, or another --method"
        )
    target = _moments("the reference", fit_reinhard(reference, light_of_glass(reference, glass), glass))
    source = _moments("the image", fit_reinhard(rgb, light_of_glass(rgb, glass), glass))
    return Normalised(moved(rgb, source, target, glass), source, target)


def _published(rgb: UInt8Array, reference: UInt8Array | None, glass: int) -> Normalised:
    if reference is not None:
        raise InputError(
            "the published normalisation has a reference of its own", remedy="leave out --to, or name another --method"
        )
    source = _dyes("the image", fit_published(rgb))
    return Normalised(published(rgb, source), source, REFERENCE)


METHODS: Mapping[str, Callable[[UInt8Array, UInt8Array | None, int], Normalised]] = {
    "macenko": _macenko,
    "vahadane": _vahadane,
    "reinhard": _reinhard,
    "published": _published,
}


def _dyes(what: str, fit: Fit) -> Stains:
    if fit.stains is None:
        raise _not_trusted(what, fit.why_not)
    return fit.stains


def _moments(what: str, fit: LabFit) -> LabMoments:
    if fit.moments is None:
        raise _not_trusted(what, fit.why_not)
    return fit.moments


def _not_trusted(what: str, why_not: str) -> InputError:
    return InputError(
        f"{what} cannot be normalised, it stays as it is: {why_not}",
        remedy="take a part with tissue stained by haematoxylin and eosin, without ink",
    )

"""All foundation models by name."""

from __future__ import annotations

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.backbones.pathology import (
    bioptimus,
    gigapath,
    histai,
    kaiko,
    lunit,
    mahmood,
    owkin,
    paige,
)
from hypoxia_hpc.networks.backbones.pathology.elsewhere import NOT_BUILT
from hypoxia_hpc.networks.backbones.pathology.record import FoundationModel

_FAMILIES = (mahmood, gigapath, paige, bioptimus, owkin, histai, kaiko, lunit)
MODELS: dict[str, FoundationModel] = {one.name: one for family in _FAMILIES for one in family.MODELS}


def refuse_not_built(name: str) -> None:
    """Raises InputError for a model that is known and not built here."""
    reason = NOT_BUILT.get(name.lower())
    if reason is not None:
        raise InputError(
            f"[extract] backbone = {name!r} is known, and not built here: {reason}",
            remedy="features that were made of it elsewhere can be imported (hypoxia-hpc import-features), "
            "or choose another backbone: hypoxia-hpc backbones",
        )

"""What demos show of what was planted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.words import table

if TYPE_CHECKING:
    from hypoxia_hpc.evaluation.recovery import Effect
    from hypoxia_hpc.stages.demo_sclc import Found

FROZEN_FEATURES = (
    "clusters are trained on frozen features, not on pixels: contrastive training of the whole network, as the study "
    "does it, is for a GPU"
)
PLANTED = (
    "the difference was planted, and is larger than any that was found in patients: on such a cohort the report's "
    "warning of a probable leak is to be expected"
)


def planted_text(found: Found) -> str:
    """Tables of tiles, of effects and of the split by risk."""
    tiles = table(
        ["clusters against planted textures", "adjusted Rand index", "error of a slide's shares, points"],
        [[cohort, f"{one.rand:.3f}", f"{one.points:.1f}"] for cohort, one in found.tiles.items()],
    )
    effects = table(
        ["hazard ratio of 10 points more", "in place of", "planted", "found", "planted is in the interval"],
        [_effect(one) for one in found.effects],
    )
    sets = table(
        ["log-rank of higher against lower risk", "p"], [[_set(name), _p(p)] for name, p in found.log_rank.items()]
    )
    risk = f"no signature: {found.why_not}" if found.why_not else sets
    return "\n\n".join(("What was planted, and what was found", tiles, effects, risk))


def _effect(one: Effect) -> list[str]:
    names = [one.texture, one.reference]
    if one.found is None:
        return [*names, f"{one.planted:.2f}", f"not in the signature: {one.why}", "-"]
    found = f"{one.found:.2f} ({one.low:.2f} to {one.high:.2f})"
    return [*names, f"{one.planted:.2f}", found, "yes" if one.is_within else "no"]


def _set(name: str) -> str:
    return {"discovery": "discovery, uncorrected", "external": "outside cohort"}.get(name, name)


def _p(p: float | None) -> str:
    return "none" if p is None else f"{p:.2g}"

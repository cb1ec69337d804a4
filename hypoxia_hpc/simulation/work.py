"""What is to do: the seconds, bytes and operations of each slide in each stage. Values alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SlideWork:
    """What a slide takes in a stage: ``seconds`` of one core (of one GPU, where the stage asks for some), bytes read
    and written together, operations on names."""

    slide_id: str
    seconds: float
    nbytes: float = 0.0
    operations: int = 0


# By stage and slide_id; a stage that sees the whole cohort has one entry, "".
Work = Mapping[str, Mapping[str, SlideWork]]

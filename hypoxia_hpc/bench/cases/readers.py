"""Slides decided and cut into tiles in memory, on one core, against decoding their native tiles and nothing else.

Every tile that is kept, and every pixel of it, is compared with OpenSlide's before anything is timed. Other packages do
the same work in the same rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.bench.agreement import Output, difference
from hypoxia_hpc.bench.bounds import NativeTiles
from hypoxia_hpc.bench.case import Case, Place, Prepared, require
from hypoxia_hpc.bench.comparison import Answer, Candidate, compared
from hypoxia_hpc.bench.delivery import Collected, NewTile, deliver, plan_of, ring
from hypoxia_hpc.bench.peers import DEEPZOOM, OPENSLIDE, PEERS, Peer
from hypoxia_hpc.bench.rounds import Work, median_seconds, paired
from hypoxia_hpc.bench.slides import REAL_SLIDE, made, recipes
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import TilePlan

DECODER_ROUNDS = 3
Deliver = Callable[[NewTile], NDArray[np.bool_]]


def fastest_decoder(path: Path) -> Work:
    """Decoding of every native tile by the library that is fastest here: the bound of whoever delivers pixels."""
    native = NativeTiles(path)
    return native.decoders()[fastest_name(native)]


def fastest_name(native: NativeTiles) -> str:
    """Which of their decoders that is."""
    laps = paired(native.decoders(), DECODER_ROUNDS)
    return min(laps, key=lambda name: median_seconds(laps[name]))


def collected(by: Deliver, tile_px: int) -> Output:
    """What was kept, and its pixels."""
    places = Collected(tile_px)
    kept = by(places)
    return Output(kept, places.tiles)


def kept_of(path: Path, table: TileTable, new_tile: NewTile) -> NDArray[np.bool_]:
    """Our own way."""
    return deliver(path, table, new_tile).kept


@contextmanager
def reading(place: Place, *, recipe: str, screen: str, peers: tuple[Peer, ...]) -> Iterator[Prepared]:
    """A slide of the recipe, or the real one of the package."""
    path = made(recipes(quick=True)[recipe], place.slides) if recipe else REAL_SLIDE
    table = TileTable.model_validate({"screen": screen})
    plan, places = plan_of(path, table), ring(table.tile_px)
    reference = collected(partial(OPENSLIDE.deliver, path, plan), table.tile_px)
    others = compared(candidate(peer, path, plan, reference) for peer in peers)
    yield Prepared(
        plan.n_tiles,
        partial(deliver, path, table, places),
        {"decoding alone": fastest_decoder(path)},
        partial(check_pixels, path, table, reference),
        *others,
    )


def check_pixels(path: Path, table: TileTable, reference: Output) -> str:
    """Raises WrongAnswerError unless the tiles that are kept, and their pixels, are those of OpenSlide."""
    found = difference(reference, collected(partial(kept_of, path, table), table.tile_px))
    require(found.same_picture, f"tiles differ from OpenSlide's: {found}")
    return f"against OpenSlide: {found}"


def candidate(peer: Peer, path: Path, plan: TilePlan, reference: Output) -> Candidate:
    """A peer on a slide, whose tiles are compared with OpenSlide's."""

    def answer() -> Answer:
        apart = difference(reference, collected(partial(peer.deliver, path, plan), plan.tile_px))
        return Answer(apart.same_picture, str(apart))

    return Candidate(peer.name, peer.missing, answer, partial(peer.deliver, path, plan, ring(plan.tile_px)))


def _case(name: str, summary: str, recipe: str, screen: str, peers: tuple[Peer, ...], *, is_quick: bool = True) -> Case:
    prepare = partial(reading, recipe=recipe, screen=screen, peers=peers)
    bound = "decoding the native tiles alone"
    return Case(name, "readers", summary, "tiles", bound, prepare, is_quick=is_quick, is_steady=True)


CASES = (
    _case("jpeg", "JPEG slide at 20x, every native tile decoded", "jpeg-20x", "off", ()),
    _case("jpeg-screened", "JPEG slide at 20x, as tile does it: background left out", "jpeg-20x", "exact", ()),
    _case("jpeg-real", "the real JPEG slide of the package", "", "exact", PEERS),
    _case("jpeg-40x", "JPEG slide at 40x, read at 20x", "jpeg-40x", "exact", (DEEPZOOM, OPENSLIDE), is_quick=False),
    _case("jpeg2000", "JPEG 2000 slide at 20x", "jpeg2000-20x", "exact", (OPENSLIDE,), is_quick=False),
)

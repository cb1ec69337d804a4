"""Packages that deliver the tiles of a slide: each that is installed is held to OpenSlide's tiles on the real slide."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest

from hypoxia_hpc.bench.agreement import Output
from hypoxia_hpc.bench.cases import readers
from hypoxia_hpc.bench.comparison import LeftOut, compared
from hypoxia_hpc.bench.peers import OPENSLIDE, PEERS, Peer, logging_as_before
from hypoxia_hpc.records import TilePlan


@pytest.fixture(scope="module")
def plan() -> TilePlan:
    return readers.plan_of(readers.REAL_SLIDE, readers.TileTable())


@pytest.fixture(scope="module")
def reference(plan: TilePlan) -> Output:
    return readers.collected(lambda new: OPENSLIDE.deliver(readers.REAL_SLIDE, plan, new), plan.tile_px)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_delivers_the_tiles_of_openslide(peer: Peer, plan: TilePlan, reference: Output) -> None:
    if peer.missing:
        pytest.skip(peer.missing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of its own libraries
        found = readers.candidate(peer, readers.REAL_SLIDE, plan, reference).answer()
    assert found.is_same, found.how


def test_a_peer_that_gives_other_tiles_fails_or_is_not_installed_is_named_and_not_timed(
    plan: TilePlan, reference: Output
) -> None:
    def none_kept(path: Path, plan: TilePlan, new: object) -> np.ndarray:
        return np.zeros(plan.n_tiles, dtype=bool)

    def crash(path: Path, plan: TilePlan, new: object) -> np.ndarray:
        raise ValueError("bad slide")

    others = (
        Peer("none", "numpy", "numpy", none_kept),
        Peer("crash", "numpy", "numpy", crash),
        Peer("absent", "no_such_package", "no-such-package", OPENSLIDE.deliver),
    )
    candidates = (readers.candidate(peer, readers.REAL_SLIDE, plan, reference) for peer in (OPENSLIDE, *others))
    found = compared(candidates)
    assert list(found.works) == list(found.how) == [OPENSLIDE.name]
    assert found.left_out["none"].why.startswith("its answer differs: ")
    assert found.left_out["crash"] == LeftOut("failed with ValueError", "bad slide")
    assert found.left_out["absent"] == LeftOut("not installed: pip install no-such-package")


def test_logging_is_afterwards_as_before() -> None:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    with logging_as_before():
        root.setLevel(1)
        root.addHandler(logging.NullHandler())
    assert (root.level, root.handlers) == (level, handlers)

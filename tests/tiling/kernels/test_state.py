"""Every field of the kernels' state has a place of its own, and what Python writes there is what kernels read."""

from __future__ import annotations

import numpy as np
import pytest

from hypoxia_hpc.tiling.kernels import state
from hypoxia_hpc.tiling.kernels.assembly import PIECE_AT
from hypoxia_hpc.tiling.kernels.planes import luma_rule
from hypoxia_hpc.tiling.kernels.state import CutRule, Layout, arrays_of, by_name, room_for_blocks

LAYOUT = Layout(
    side=299,
    columns=7,
    rows=5,
    left=-13,
    top=-11,
    block_width=240,
    block_height=256,
    block_columns=9,
    block_rows=6,
    reserve=4,
)
RULE = CutRule(white=220, most_background=22350, screen=True)


def test_no_two_fields_of_an_array_share_a_position() -> None:
    plan = [*state.LAYOUT_AT, *state.RULE_AT, state.COUNTING_AT, *state.LUMA_AT]
    for positions in (plan, state.BLOCK_AT, state.TILE_AT, state.NUMBER_AT, PIECE_AT):
        assert sorted(positions) == list(range(len(positions)))
    assert len(state.NUMBER_AT) == state.FREE_AT


@pytest.mark.parametrize("counting", [False, True])
def test_what_is_put_into_the_arrays_is_read_by_name(counting: bool) -> None:
    pool = room_for_blocks((3, LAYOUT.block_height, LAYOUT.block_width, 4))
    arrays = arrays_of(LAYOUT, RULE, pool, counting=counting)
    layout, rule, luma, band = by_name(*arrays)
    assert (layout, rule, luma) == (LAYOUT, RULE, luma_rule(RULE.white))
    assert len(arrays.plan) == len([*LAYOUT, *RULE, *luma]) + 1
    assert arrays.plan[state.COUNTING_AT] == counting
    assert band.free.tolist() == [2, 1, 0]
    assert np.flatnonzero(arrays.numbers[: state.FREE_AT]).tolist() == [state.NUMBER_AT.n_free]
    assert arrays.numbers[state.NUMBER_AT.n_free] == 3
    assert [(band.slots == -1).all(), (band.counted == -1).all()] == [True, True]
    assert not any(each.any() for each in (band.bad, band.carried, band.forms, band.counts, band.states))


@pytest.mark.parametrize("name", state.BlockState._fields + state.TileState._fields)
def test_a_field_of_the_band_is_a_view_of_its_own_place(name: str) -> None:
    arrays = arrays_of(LAYOUT, RULE, room_for_blocks((2, 256, 240, 4)), counting=True)
    band = by_name(*arrays)[3]
    getattr(band, name)[1, 1] = 77
    of, at = (
        (arrays.of_blocks, state.BLOCK_AT) if name in state.BlockState._fields else (arrays.of_tiles, state.TILE_AT)
    )
    assert np.argwhere(of == 77).tolist() == [[getattr(at, name), 1, 1]]
    assert band.pool.shape == (2, 256, 240)


def test_rows_of_blocks_do_not_begin_at_multiples_of_32_bytes() -> None:
    blocks = room_for_blocks((2, 256, 240, 4))
    assert (blocks.shape, blocks.flags.c_contiguous, blocks.ctypes.data % 32) == ((2, 256, 240, 4), True, 8)

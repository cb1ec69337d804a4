"""Slices are turned by whole turns and mirrors so that all are seen alike."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hypoxia_hpc.tiling.slice_views import View, nearest_axes, through_plane, turn_between, view_of


def test_each_of_the_48_ways_has_its_axes() -> None:
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            directions = np.eye(3)[:, order] * signs
            assert nearest_axes(directions) == list(zip(order, signs, strict=True))
            tilted = np.array([[1, 0.3, 0.1], [-0.3, 1, 0.2], [0.1, -0.2, 1]]) @ directions
            assert nearest_axes(tilted) == list(zip(order, signs, strict=True))


@pytest.mark.parametrize("broken", [np.zeros((3, 3)), np.full((3, 3), np.nan), np.ones((3, 3)), np.eye(3) * 1e200])
def test_what_is_no_direction_is_refused(broken: np.ndarray) -> None:
    with pytest.raises(ValueError, match="direction"):
        nearest_axes(broken)


def test_a_view_turns_what_does_not_lie_as_it_is_seen() -> None:
    pixels = np.arange(6).reshape(2, 3)
    assert view_of((1, 1), (0, 1), 2) == View("axial")
    assert view_of((2, -1), (1, -1), 0) == View("sagittal", flip_columns=True)
    turned = view_of((0, -1), (2, -1), 1)
    assert turned == View("coronal", transposed=True, flip_columns=True)
    assert turned.seen(pixels).tolist() == [[3, 0], [4, 1], [5, 2]]
    assert View("axial", flip_rows=True).seen(pixels).tolist() == [[3, 4, 5], [0, 1, 2]]


def test_slices_that_are_seen_alike_have_the_same_directions() -> None:
    """However they lie in their file: the rows and columns of an axial slice in each of the eight ways."""
    for (down, right), signs in itertools.product([(0, 1), (1, 0)], itertools.product((1, -1), repeat=2)):
        view = view_of((down, signs[0]), (right, signs[1]), 2)
        seen = view.directions_seen(np.eye(3)[down] * signs[0], np.eye(3)[right] * signs[1])
        assert seen == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def test_how_far_slices_are_turned() -> None:
    straight, half = (1.0, 0.0, 0.0, 0.0, 2.0, 0.0), np.sqrt(0.5)
    assert turn_between(straight, (3.0, 0.0, 0.0, 0.0, half, half)) == pytest.approx(45.0), "out of their plane"
    assert turn_between(straight, (0.0, 1.0, 0.0, 1.0, 0.0, 0.0)) == pytest.approx(90.0), "within it"
    assert turn_between(straight, straight) == turn_between(straight, ()) == turn_between((), straight) == 0.0


def test_slices_lie_across_the_largest_spacing_else_as_declared() -> None:
    axes = [(1, 1), (2, -1), (0, 1)]
    assert through_plane((1.0, 1.0, 5.0), axes, "axial") == 2
    assert through_plane((1.0, 1.005, 1.0), axes, "axial") == 1
    assert [through_plane((1.0, 1.0, 1.0), axes, plane) for plane in ("axial", "coronal", "sagittal")] == [1, 0, 2]

import itertools

import numpy as np
import pytest
from scipy.ndimage import label

from rasgan.voxels import (
    is_occupied,
    largest_piece,
    max_pool,
    repairs,
    straight_line,
    surface_mask,
    surface_points,
)


def slow_surface_mask(scores, threshold):
    sizes = scores.shape
    mask = np.zeros(sizes, bool)
    for place in np.ndindex(sizes):
        around = [np.add(place, step) for step in itertools.product((-1, 0, 1), repeat=3)]
        full = all(
            all(0 <= a < size for a, size in zip(near, sizes, strict=True))
            and scores[tuple(near)] > threshold
            for near in around
        )
        mask[place] = scores[place] > threshold and not full
    return mask


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 3, 3), (4, 5, 6), (7, 7, 7)])
@pytest.mark.parametrize("threshold", [-9, -1.5, 0.3])  # all, most and some voxels are occupied
def test_surface_mask_equals_a_triple_loop(shape, threshold, rng):
    scores = rng.standard_normal(shape)
    expected = slow_surface_mask(scores, threshold)
    assert np.array_equal(surface_mask(scores, threshold), expected)
    assert surface_points(scores, threshold).tolist() == np.argwhere(expected).tolist()


@pytest.mark.parametrize("function", [surface_mask, surface_points, largest_piece])
def test_arrays_without_three_axes_are_refused(function):
    with pytest.raises(ValueError, match=r"\(1, 4, 4, 4\)"):
        function(np.zeros((1, 4, 4, 4)))


def test_nan_is_empty_and_bools_are_unchanged():
    assert is_occupied(np.array([np.nan, 0.3, 0.31, np.inf])).tolist() == [False, False, True, True]
    bools = np.array([True, False])
    assert is_occupied(bools, 5.0) is bools


def test_the_largest_piece_is_connected_by_faces():
    occupied = np.zeros((6, 6, 6), bool)
    occupied[0, 0, :3] = True  # first in array order, but smaller
    occupied[2:4, 2:4, 2] = True
    kept = occupied.copy()
    kept[0] = False
    occupied[4, 4, 2] = occupied[1, 1, 3] = True  # at an edge and at a corner of it only
    assert np.array_equal(largest_piece(occupied), kept)


def test_a_single_piece_is_unchanged_and_of_equal_ones_the_first_is_kept():
    for whole in (np.zeros((3, 3, 3), bool), np.ones((3, 3, 3), bool)):
        assert np.array_equal(largest_piece(whole), whole)
    assert np.argwhere(largest_piece(np.eye(3)[None] > 0)).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_max_pool_marks_blocks_with_any_occupied_voxel(factor, rng):
    grid = rng.random((4, 8, 12)) < 0.1
    pooled = max_pool(grid, factor)
    assert pooled.shape == (4 // factor, 8 // factor, 12 // factor)
    for block in np.ndindex(pooled.shape):
        corner = np.multiply(block, factor)
        assert pooled[block] == grid[tuple(slice(low, low + factor) for low in corner)].any()


def test_max_pool_refuses_a_factor_that_does_not_divide_every_side():
    with pytest.raises(ValueError, match="3 does not divide"):
        max_pool(np.ones((6, 6, 4), bool), 3)


def chair(gap=0):
    """Make a seat of 11 x 11 voxels with a back that starts `gap` voxels above it."""
    shape = np.zeros((16, 16, 16), bool)
    shape[2:13, 4, 2:13] = True
    shape[2:13, 5 + gap : 12, 2] = True
    return shape


def test_a_connected_shape_needs_no_repairs():
    assert all(not wrong.any() for wrong in repairs(chair()))
    assert all(not wrong.any() for wrong in repairs(np.zeros((8, 8, 8), bool)))


@pytest.mark.parametrize("gap", [1, 3])
def test_a_large_component_is_joined_by_the_shortest_line(gap):
    missing, loose = repairs(chair(gap))
    assert not loose.any()
    assert missing.sum() == gap
    assert missing[:, 5 : 5 + gap, 2].sum() == gap


def test_small_components_are_loose_and_weigh_the_same_at_any_size():
    shape = chair()
    shape[14, 4, 14] = shape[0, 14, :2] = True
    missing, loose = repairs(shape)
    assert not missing.any()
    assert loose[14, 4, 14] == 1
    assert loose[0, 14, :2].tolist() == [0.5, 0.5]
    assert loose.sum() == 2


@pytest.mark.parametrize(("start", "count"), [((0, 3, 3), 1), ((3, 3, 3), 2)])
def test_components_touching_at_edges_or_corners_are_joined_by_faces(start, count):
    shape = np.zeros((8, 8, 8), bool)
    shape[:3, :3, :3] = True
    shape[tuple(slice(low, low + 3) for low in start)] = True
    missing, _ = repairs(shape)
    assert missing.sum() == count
    assert label(shape | (missing > 0))[1] == 1


@pytest.mark.parametrize("edge", [4, 9, 20])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.6])
def test_repaired_noise_is_a_single_component(edge, share):
    for seed in range(5):
        shape = np.random.default_rng(seed).random((edge,) * 3) < share
        missing, loose = repairs(shape)
        assert not shape[missing > 0].any()
        assert shape[loose > 0].all()
        assert label(shape & (loose == 0) | (missing > 0))[1] == min(1, shape.sum())


@pytest.mark.parametrize("end", [(5, 0, 0), (3, 3, 3), (-2, 7, 1), (1, -1, 0), (0, 0, 1)])
def test_neighbors_on_a_straight_line_share_a_face(end):
    start, end = np.array((1, 2, 3)), np.array((1, 2, 3)) + end
    line = np.vstack([start, straight_line(start, end), end])
    assert (np.abs(np.diff(line, axis=0)).sum(axis=1) == 1).all()
    along = (line - start) @ (end - start) / np.square(end - start).sum()
    off = line - start - along[:, None] * (end - start)
    assert np.linalg.norm(off, axis=1).max() <= 1

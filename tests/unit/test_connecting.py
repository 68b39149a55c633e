"""What is wrong with a shape that is not one piece, and the penalty on it."""

import numpy as np
import pytest
import torch
from scipy.ndimage import label

from rasgan.connecting import connection_penalty, repairs, straight_way


def chair(gap=0, speck=False):
    """A seat of 11 x 11 voxels with a back that begins `gap` voxels above it."""
    shape = np.zeros((16, 16, 16), bool)
    shape[2:13, 4, 2:13] = True
    shape[2:13, 5 + gap : 12, 2] = True
    shape[14, 4, 14] = speck
    return shape


def test_a_shape_in_one_piece_needs_nothing():
    assert all(not wrong.any() for wrong in repairs(chair()))
    assert all(not wrong.any() for wrong in repairs(np.zeros((8, 8, 8), bool)))


@pytest.mark.parametrize("gap", [1, 3])
def test_a_larger_piece_is_joined_by_the_shortest_way(gap):
    missing, loose = repairs(chair(gap))
    assert not loose.any()
    assert missing.sum() == gap
    assert missing[:, 5 : 5 + gap, 2].sum() == gap


def test_specks_are_loose_and_count_the_same_whatever_their_size():
    shape = chair(speck=True)
    shape[0, 14, :2] = True
    missing, loose = repairs(shape)
    assert not missing.any()
    assert loose[14, 4, 14] == 1
    assert loose[0, 14, :2].tolist() == [0.5, 0.5]
    assert loose.sum() == 2


def test_what_touches_by_edges_or_corners_only_is_joined_by_faces():
    for step, count in (((0, 1, 1), 1), ((1, 1, 1), 2)):
        shape = np.zeros((8, 8, 8), bool)
        shape[:4, :4, :4] = True
        corner = tuple(slice(3 + s, 6 + s) for s in step)
        shape[corner] = False
        shape[tuple(slice(3 + s, 6 + s) if s else slice(0, 3) for s in step)] = True
        assert label(shape)[1] == 2
        missing, _ = repairs(shape)
        assert missing.sum() == count
        assert label(shape | (missing > 0))[1] == 1


@pytest.mark.parametrize("edge", [4, 9, 20])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.6])
def test_repaired_noise_is_one_piece_and_only_empty_voxels_are_missing(edge, share):
    for seed in range(5):
        shape = np.random.default_rng(seed).random((edge,) * 3) < share
        missing, loose = repairs(shape)
        assert not shape[missing > 0].any()
        assert shape[loose > 0].all()
        assert label(shape & (loose == 0) | (missing > 0))[1] == min(1, shape.sum())


@pytest.mark.parametrize("end", [(5, 0, 0), (3, 3, 3), (-2, 7, 1), (1, -1, 0), (0, 0, 1)])
def test_each_voxel_of_a_way_shares_a_face_with_the_next(end):
    start, end = np.array((1, 2, 3)), np.array((1, 2, 3)) + end
    way = np.vstack([start, straight_way(start, end), end])
    assert (np.abs(np.diff(way, axis=0)).sum(axis=1) == 1).all()
    along = (way - start) @ (end - start) / np.square(end - start).sum()
    off = way - start - along[:, None] * (end - start)
    assert np.linalg.norm(off, axis=1).max() <= 1  # none lies beside the line


def test_the_penalty_draws_wrong_voxels_over_the_edge_and_no_others():
    shape = chair(gap=2, speck=True)
    missing, loose = repairs(shape)
    sums = torch.where(torch.from_numpy(shape), 50.0, -50.0)[None, None].requires_grad_()
    penalty = connection_penalty(sums, shape[None])
    assert penalty.item() == 51 * (missing.sum() + loose.sum())
    penalty.backward()
    assert torch.equal(sums.grad[0, 0], torch.from_numpy(loose - missing))
    with torch.no_grad():
        sums -= 52 * sums.grad
    assert connection_penalty(sums, shape[None]).item() == 0
    assert label(sums[0, 0].detach().numpy() > 0)[1] == 1

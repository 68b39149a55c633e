import numpy as np
import pytest

from rasgan.metrics import diversity, iou_distances


def test_distances_equal_a_loop_over_pairs(rng):
    a, b = rng.random((4, 6, 6, 6)) > 0.6, rng.random((3, 6, 6, 6)) > 0.4
    expected = [[1 - (x & y).sum() / (x | y).sum() for y in b] for x in a]
    np.testing.assert_allclose(iou_distances(a, b), expected, rtol=0, atol=1e-15)


def test_equal_shapes_are_at_0_and_disjoint_ones_at_1():
    shapes = np.zeros((3, 2, 2, 2), dtype=bool)
    shapes[0, 0] = shapes[1, 1] = True  # the third is empty
    np.testing.assert_array_equal(iou_distances(shapes, shapes), 1 - np.eye(3))


def test_diversity_leaves_out_each_shape_itself():
    shapes = np.zeros((3, 2, 2, 2), dtype=bool)
    shapes[0, 0] = shapes[1, 0] = shapes[2, 1] = True
    assert diversity(shapes) == pytest.approx(2 / 3)
    assert diversity(shapes[:2]) == 0

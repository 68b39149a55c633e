"""Spherical interpolation."""

import numpy as np
import pytest

from rasgan.sampling import slerp


@pytest.fixture
def ends(rng):
    return rng.standard_normal((2, 200)).astype(np.float32)


def angles(points, to):
    lengths = np.linalg.norm(points, axis=1) * np.linalg.norm(to)
    return np.degrees(np.arccos(np.clip(points @ to / lengths, -1, 1)))


def test_the_ends_are_exact(ends):
    ends[0, 0], ends[1, 1] = 1e-30, -1e-30  # which sums would round away
    points = slerp(*ends, np.array([0, 0.5, 1]))
    assert points.dtype == np.float32
    assert np.array_equal(points[[0, 2]], ends)


def test_directions_and_lengths_change_evenly(ends):
    points = slerp(*ends, np.linspace(0, 1, 7)).astype(float)
    length_a, length_b = np.linalg.norm(ends, axis=1)
    assert np.linalg.norm(points, axis=1) == pytest.approx(np.linspace(length_a, length_b, 7), rel=1e-6)
    assert angles(points, ends[0].astype(float)) == pytest.approx(
        np.linspace(0, angles(ends[1:].astype(float), ends[0].astype(float))[0], 7), abs=0.05
    )


def test_the_middle_of_equal_lengths_is_as_long_and_between(ends):
    a, b = (end / np.linalg.norm(end) for end in ends.astype(float))
    (middle,) = slerp(a, b, np.array([0.5]))
    assert np.linalg.norm(middle) == pytest.approx(1)
    assert middle == pytest.approx((a + b) / np.linalg.norm(a + b))


@pytest.mark.parametrize("sign", [1, -1])
def test_parallel_and_opposite_vectors(sign):
    a = np.array([3.0, 0.0, 4.0])
    b = 2.0 * sign * a
    points = slerp(a, b, np.linspace(0, 1, 5))
    assert np.array_equal(points[[0, 4]], [a, b])
    assert np.linalg.norm(points, axis=1) == pytest.approx([5, 6.25, 7.5, 8.75, 10])
    expected = [0, 45, 90, 135, 180] if sign < 0 else [0] * 5
    assert angles(points, a) == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(points, slerp(a, b, np.linspace(0, 1, 5)))

"""Triangulated polygons cover their area and nothing outside, in any plane and with either winding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasgan.data.meshes import polygons
from rasgan.data.meshes.polygons import triangulate


def loop(text):
    """Read two-dimensional corners from pairs of digits."""
    return np.array([[int(x), int(y)] for x, y in text.split()], dtype=float)


U = loop("00 30 33 23 21 11 13 03")
SHAPES = {
    "U": (U, 7),
    "arrow": (loop("00 21 02 11"), 1),
    "L": (loop("00 20 21 11 12 02"), 3),
    "corners on a line": (loop("00 10 20 30 33 23 22 21 11 13 03 01"), 7),
    "repeated corners": (loop("00 00 30 33 23 21 21 21 11 13 03"), 7),
    "a spike": (loop("00 30 33 23 21 22 21 11 13 03"), 7),
    "a hole with a bridge": (loop("00 30 33 03 00 11 12 22 21 11"), 8),
    "two holes, one behind the other": (loop("00 60 66 06 00 11 12 22 44 45 55 54 44 22 21 11"), 34),
    "a corner that touches a side": (loop("00 40 44 20 04"), 8),
}


def placed(points, seed, factor=1.0):
    """Put a two-dimensional polygon anywhere in space; equal corners stay equal."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    points = np.column_stack([points, np.zeros(len(points))])
    return (points[:, :1] * turn[0] + points[:, 1:2] * turn[1] + turn[2] * 7) * factor


def areas(points, triangles):
    """Return the areas of triangles, negative for those wound against all others together."""
    crosses = np.cross(
        points[triangles[:, 1]] - points[triangles[:, 0]], points[triangles[:, 2]] - points[triangles[:, 0]]
    )
    total = crosses.sum(axis=0)
    return crosses @ total / np.linalg.norm(total) / 2


def enclosed(points):
    """Return the area of a two-dimensional polygon."""
    x, y = np.transpose(points)
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def check(flat, points, slack=1e-9):
    """Check that the triangles have the area of the polygon, and that none is wound the other way."""
    triangles = triangulate(points, np.arange(len(points)), np.array([len(points)]))
    found = areas(points, triangles)
    assert found.min() > -slack * np.ptp(flat, axis=0).max() ** 2
    np.testing.assert_allclose(found.sum(), enclosed(flat), rtol=1e-9)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("way", [1, -1])
def test_no_triangle_is_outside_for_any_first_corner(name, way):
    shape, area = SHAPES[name]
    assert enclosed(shape) == area
    for first in range(len(shape)):
        flat = np.roll(shape, first, axis=0)[::way]
        check(flat, np.column_stack([np.zeros(len(flat)), flat]), slack=1e-14)
        for seed, factor in enumerate([1, 1e-200, 1e200]):
            points = placed(flat, seed, factor)
            if factor == 1:
                check(flat, points)
            triangles = triangulate(points, np.arange(len(points)), np.array([len(points)]))
            assert areas(points / factor, triangles).min() > -1e-9


outlines = st.one_of(
    # stars: a radius at each angle
    st.lists(st.floats(0.1, 1), min_size=4, max_size=14).map(
        lambda radii: [
            (r * np.cos(t), r * np.sin(t))
            for r, t in zip(radii, np.arange(len(radii)) * 2 * np.pi / len(radii), strict=True)
        ]
    ),
    # a skyline and its mirror image of other heights: many corners on lines
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), min_size=2, max_size=9).map(
        lambda heights: (
            [(x, -low) for x, (_, low) in enumerate(heights)]
            + [(x, top) for x, (top, _) in reversed(list(enumerate(heights)))]
        )
    ),
)


@settings(max_examples=100, deadline=None)
@given(outlines, st.integers(0, 99), st.integers(0, 30), st.booleans())
def test_random_polygons_are_covered(flat, seed, first, turned):
    flat = np.roll(flat, first, axis=0)[:: -1 if turned else 1].astype(float)
    check(flat, placed(flat, seed))


def test_convex_polygons_become_fans_and_the_order_is_kept(rng):
    angles = np.arange(7) * 2 * np.pi / 7
    ring = placed(np.column_stack([np.cos(angles), np.sin(angles)]), 1)
    u = placed(U, 2)
    vertices = np.concatenate([ring, u])
    corners = [0, 1, 2, 3, 4, 5, 6, 1, 0, *range(7, 15), 0, 1, 2, 3, 9, *range(14, 6, -1)]
    sizes = [7, 2, 8, 0, 4, 1, 8]
    cut = triangulate(vertices, np.array(corners), np.array(sizes))
    np.testing.assert_array_equal(cut[:5], [[0, k, k + 1] for k in range(1, 6)])
    np.testing.assert_array_equal(cut[11:13], [[0, 1, 2], [0, 2, 3]])
    for found in (cut[5:11], cut[13:]):
        assert found.min() == 7
        assert areas(vertices, found).sum() == pytest.approx(7)
        assert areas(vertices, found).min() > -1e-12


def test_a_warped_polygon_is_triangulated_like_a_flat_one():
    flat = np.column_stack([U, np.zeros(8)])
    warped = flat + [0, 0, 1] * np.array([1, -1, 0, 1, -1, 0, 1, -1])[:, None] * 0.05
    for points in (flat, warped):
        cut = triangulate(points, np.arange(8), np.array([8]))
        assert areas(flat, cut).min() > 0


@pytest.mark.parametrize(
    "points",
    {
        "one place": np.ones((5, 3)),
        "a line": np.arange(5)[:, None] * [0.1, 0.2, 0.7],
        "an eight": np.array([[0, 0, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0]], float),
        "too far apart": np.array([[-1e308, 0, 0], [1e308, 0, 0], [1, 1, 0], [0, 1e308, 0]]),
        "no numbers": np.full((6, 3), np.nan),
        "the smallest number": np.eye(4, 3) * 5e-324,
    }.items(),
    ids=lambda item: item[0],
)
def test_polygons_without_area_give_triangles(points):
    count = len(points[1])
    cut = triangulate(points[1], np.arange(count), np.array([count]))
    assert 0 < len(cut) <= count - 2
    assert set(cut.ravel()) <= set(range(count))


def test_faults_are_reported_with_the_face(monkeypatch):
    vertices = np.column_stack([U, np.zeros(8)])
    with pytest.raises(ValueError, match=r"face 2 \(counted from 0\) refers to a missing vertex"):
        triangulate(vertices, np.array([0, 1, 2, 3, 4, 5, 6, 7, 8]), np.array([3, 4, 2]))
    monkeypatch.setattr(polygons, "MOST_WORK", 100)
    triangulate(vertices, np.array([0, 1, 2, *range(8)]), np.array([3, 8]))
    with pytest.raises(ValueError, match=r"face 1 \(counted from 0\) is concave and has 8 corners"):
        triangulate(vertices, np.array([0, 1, 2, *range(8), *range(8)]), np.array([3, 8, 8]))


def test_a_polygon_with_many_corners_is_triangulated(rng):
    angles = np.arange(20_000) * 2 * np.pi / 20_000
    radii = rng.random(20_000) + 0.05
    flat = np.column_stack([radii * np.cos(angles), radii * np.sin(angles)])
    check(flat, placed(flat, 3))

"""The smooth surface is closed and separates occupied from empty voxels, for every grid of scores."""

import gzip

import numpy as np
import pytest
import trimesh
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from rasgan.export.surface import smooth_mesh
from rasgan.voxels import is_occupied, largest_piece

pytest.importorskip("skimage", reason="scikit-image is not installed (the extra 'smooth')")

THRESHOLD = 0.3
shapes = array_shapes(min_dims=3, max_dims=3, max_side=4)
usual = st.floats(-1, 2, width=32)
odd = st.sampled_from([THRESHOLD, np.nextafter(THRESHOLD, 1), np.nan, np.inf, -np.inf, 1e30, -1e30])
any_scores = st.one_of(arrays(np.float32, shapes, elements=usual), arrays(np.float64, shapes, elements=odd))
CHECKERBOARD = (np.indices((4, 4, 4)).sum(axis=0) % 2).astype(np.float32)


def windings(vertices, faces, points):
    """Count how often a surface goes round each of the (p, 3) points: 1 inside, 0 outside of a solid.

    The sum of the signed solid angles of the triangles (van Oosterom and Strackee 1983).
    """
    total = np.zeros(len(points))
    for start in range(0, len(faces), 1000):
        a, b, c = np.moveaxis(vertices[faces[start : start + 1000]][:, :, None] - points, 1, 0)
        la, lb, lc = (np.linalg.norm(corner, axis=2) for corner in (a, b, c))
        ab, bc, ca = (np.einsum("fpi,fpi->fp", u, v) for u, v in ((a, b), (b, c), (c, a)))
        volume = np.einsum("fpi,fpi->fp", a, np.cross(b, c))
        total += 2 * np.arctan2(volume, la * lb * lc + ab * lc + bc * la + ca * lb).sum(axis=0)
    return total / (4 * np.pi)


def check(scores, keep=lambda occupied: occupied):
    occupied = keep(is_occupied(scores, THRESHOLD))
    vertices, faces = smooth_mesh(scores, occupied, THRESHOLD, edge=1.0)
    sides = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, count = np.unique(sides, axis=0, return_counts=True)
    assert (count == 2).all()
    assert np.array_equal(np.unique(faces), np.arange(len(vertices)))
    if not occupied.any():
        assert len(faces) == 0
        return None
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.area_faces.min() > 0
    assert (vertices >= 0).all()
    assert (vertices <= occupied.shape).all()
    centers = np.argwhere(np.ones(occupied.shape, bool)) + 0.5
    centers[:, 0] = occupied.shape[0] - centers[:, 0]
    some = slice(None, None, 1 + occupied.size // 500)
    inside = pytest.approx(occupied.ravel()[some].astype(float), abs=1e-5)
    assert windings(vertices, faces, centers[some]) == inside
    return mesh


@given(st.one_of(any_scores, arrays(bool, shapes)))
@example(CHECKERBOARD)
@example(np.array([[[0, 1], [1, 0], [0, 1]], [[0, 0], [0, 1], [0, 0]]], bool))  # touch along edges
@example(np.zeros((3, 3, 3), np.float32))
@example(np.full((1, 1, 1), 0.31, np.float32))
@settings(max_examples=200, deadline=None)
def test_the_surface_is_closed_round_exactly_the_occupied_voxels(scores):
    check(scores)
    check(scores, largest_piece)


@pytest.mark.parametrize("full", [np.ones((5, 5, 5), bool), np.full((5, 5, 5), 0.7, np.float32)])
def test_a_full_grid_fills_its_box(full):
    mesh = check(full)
    assert mesh.bounds.ravel() == pytest.approx([0, 0, 0, 5, 5, 5], abs=1e-6)
    assert 0.9 * 125 < mesh.volume < 125  # beveled


@pytest.mark.parametrize(("one", "reach"), [(1.0, 0.7), (True, 0.501)])
def test_one_voxel_is_an_octahedron(one, reach):
    """Scores fall from 1 to 0 within a voxel: 0.3 lies at 0.7, and plain voxels end halfway."""
    scores = np.zeros((3, 3, 3), type(one))
    scores[1, 1, 1] = one
    mesh = check(scores)
    assert mesh.bounds.ravel() == pytest.approx([1.5 - reach] * 3 + [1.5 + reach] * 3, abs=1e-6)
    assert mesh.volume == pytest.approx(4 / 3 * reach**3, rel=1e-5)


def test_a_ball_of_scores_is_as_large_and_as_smooth_as_a_ball():
    """Blocks have half as much surface again; a smooth surface has the ball's."""
    radius = 9.3
    distance = np.linalg.norm(np.indices((24, 24, 24)).T - 11.5, axis=-1).T
    scores = THRESHOLD + (radius - distance)
    mesh = check(scores)
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.01)
    assert mesh.area == pytest.approx(4 * np.pi * radius**2, rel=0.01)
    assert np.linalg.norm(mesh.vertices - 12, axis=1) == pytest.approx(radius, abs=0.05)


def test_every_real_shape_has_a_closed_smooth_mesh(shared_data):
    paths = sorted((shared_data / "golden").glob("*.default.raw.gz"))
    assert len(paths) >= 13
    for path in paths:
        occupied = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8).reshape(64, 64, 64) > 0
        mesh = trimesh.Trimesh(*smooth_mesh(occupied, occupied, THRESHOLD), process=False)
        assert mesh.is_watertight, path.name
        assert mesh.is_winding_consistent, path.name
        assert mesh.volume == pytest.approx(occupied.sum() * 1e-6, rel=0.35), path.name

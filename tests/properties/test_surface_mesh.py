"""Tests that the surface mesh of every voxel grid is closed, manifold and exact."""

import numpy as np
import pytest
import trimesh
from hypothesis import example, given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from rasgan.export.surface import surface_mesh

small_grids = arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=5))
CHECKERBOARD = np.indices((5, 4, 5)).sum(axis=0) % 2 == 0
TWO_AT_AN_EDGE = np.array([[[1, 0], [0, 1]]], bool)
TWO_AT_A_CORNER = np.array([[[1, 0], [0, 0]], [[0, 0], [0, 1]]], bool)
# Two voxels that touch only along an edge, between two plates. To keep them apart, two edges would have to
# join the same two vertices.
PINCHED_RING = np.zeros((2, 3, 2), bool)
PINCHED_RING[:, [0, 2], :] = True
PINCHED_RING[[0, 1], 1, [0, 1]] = True


def check(occupied: np.ndarray) -> trimesh.Trimesh:
    vertices, faces = surface_mesh(occupied, 1.0)
    mesh = trimesh.Trimesh(vertices, faces, process=False, validate=False)
    sides = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, count = np.unique(sides, axis=0, return_counts=True)
    assert (count == 2).all()
    assert fans(faces) == len(vertices) == len(np.unique(faces))
    assert len(faces) == 2 * exposed_squares(occupied)
    assert np.array_equal(vertices, vertices.round())
    if len(faces):
        assert mesh.is_watertight
        assert mesh.is_winding_consistent
        assert mesh.volume == pytest.approx(occupied.sum())
        assert mesh.area == pytest.approx(exposed_squares(occupied))
    check_sides(occupied, vertices[faces])
    return mesh


def check_sides(occupied: np.ndarray, triangles: np.ndarray) -> None:
    """Check that each of the (f, 3, 3) triangles faces away from an occupied voxel, towards an empty one."""
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    middles = (triangles.min(axis=1) + triangles.max(axis=1)) / 2  # of the square of each triangle
    padded = np.pad(occupied[::-1], 1)  # axis 0 is reversed in the mesh

    def voxel_at(points):
        return padded[tuple(np.floor(points + 1).astype(int).T)]

    assert voxel_at(middles - normals / 2).all()
    assert not voxel_at(middles + normals / 2).any()


def exposed_squares(occupied: np.ndarray) -> int:
    padded = np.pad(occupied, 1)
    return sum(int((padded != np.roll(padded, 1, axis)).sum()) for axis in range(3))


def fans(faces: np.ndarray) -> int:
    """Count the rings of triangles around vertices; a manifold has exactly one per vertex."""
    corner_of = {(face, vertex): (face, vertex) for face, row in enumerate(faces.tolist()) for vertex in row}

    def root(corner):
        while corner_of[corner] != corner:
            corner = corner_of[corner]
        return corner

    across = {}
    for face, row in enumerate(faces.tolist()):
        for a, b in zip(row, row[1:] + row[:1], strict=True):
            other = across.setdefault(frozenset((a, b)), face)
            for vertex in (a, b):
                corner_of[root((face, vertex))] = root((other, vertex))
    return sum(corner == parent for corner, parent in corner_of.items())


@given(small_grids)
@example(CHECKERBOARD)
@example(TWO_AT_AN_EDGE)
@example(TWO_AT_A_CORNER)
@example(PINCHED_RING)
@example(~PINCHED_RING)
@example(np.zeros((3, 3, 3), bool))
@example(np.ones((3, 3, 3), bool))
@settings(max_examples=150, deadline=None)
def test_mesh_is_closed_and_manifold_for_every_grid(occupied):
    check(occupied)


@pytest.mark.parametrize("density", np.linspace(0.05, 0.95, 10))
def test_mesh_is_closed_and_manifold_at_every_density(density, rng):
    check(rng.random((12, 12, 12)) < density)


def test_voxels_that_touch_only_at_an_edge_or_corner_are_separate():
    for grid in (TWO_AT_AN_EDGE, TWO_AT_A_CORNER):
        assert len(check(grid).split(only_watertight=False)) == 2


def test_a_pinched_ring_is_joined_at_its_edge():
    assert len(check(PINCHED_RING).split(only_watertight=False)) == 1


def test_edge_scales_the_mesh_about_the_corner_of_the_box(rng):
    grid = rng.random((4, 5, 6)) < 0.5
    assert np.allclose(surface_mesh(grid, 0.01)[0], surface_mesh(grid, 1.0)[0] * 0.01)

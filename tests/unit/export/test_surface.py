"""Tests of the meshes of single shapes; tests/properties has the properties for all grids."""

import numpy as np
import pytest
import trimesh

from rasgan.export.surface import cubes_mesh, surface_mesh


@pytest.mark.parametrize("function", [surface_mesh, cubes_mesh])
def test_arrays_without_three_axes_are_refused(function):
    with pytest.raises(ValueError, match=r"\(1, 4, 4, 4\)"):
        function(np.zeros((1, 4, 4, 4)))


def test_an_empty_grid_has_an_empty_mesh():
    for vertices, faces in (surface_mesh(np.zeros((3, 3, 3), bool)), cubes_mesh(np.zeros((3, 3, 3)))):
        assert vertices.shape == faces.shape == (0, 3)


def test_cubes_are_separate_closed_and_in_array_order():
    scores = np.zeros((4, 4, 4))
    scores[0, 1, 2] = scores[1, 1, 2] = 1
    vertices, faces = cubes_mesh(scores, edge=0.5)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert vertices.shape == (16, 3)
    assert faces.shape == (24, 3)
    assert vertices.min(axis=0) == pytest.approx([0, 0.5, 1.0])
    assert vertices.max(axis=0) == pytest.approx([1.0, 1.0, 1.5])
    assert len(mesh.split()) == 2
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(2 * 0.5**3)

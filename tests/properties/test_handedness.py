"""A shape that differs from its mirror image, from mesh to voxels and back: found again by turning alone."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

import convert_data
import convert_to_obj
from rasgan.data.meshes import write_off
from rasgan.voxel_io import read_raw

# A trunk and two arms of three lengths, at right angles: low and high corners in the mesh's x, y, z (z up).
BOXES = np.array([[[0, 0, 0], [1, 1, 8]], [[1, 0, 0], [6, 1, 1]], [[0, 1, 4], [1, 5, 5]]], float)
SIGNED_AXES = [
    np.eye(3, dtype=int)[list(order)] * signs
    for order in itertools.permutations(range(3))
    for signs in itertools.product((-1, 1), repeat=3)
]
ROTATIONS = [matrix for matrix in SIGNED_AXES if np.linalg.det(matrix) > 0]
REFLECTIONS = [matrix for matrix in SIGNED_AXES if np.linalg.det(matrix) < 0]
FITS, DIFFERS = 0.1, 0.25
"""Hausdorff distances, as shares of the longest side; a voxel is 1 / 32 of it."""


@pytest.fixture
def grid(tmp_path, monkeypatch):
    """Work in a folder where convert_data.py made chiral.raw of the boxes; return its path."""
    monkeypatch.chdir(tmp_path)
    boxes = [trimesh.creation.box(bounds=bounds) for bounds in BOXES]
    mesh = trimesh.util.concatenate(boxes)
    write_off(tmp_path / "meshes" / "chiral.off", mesh.vertices, mesh.faces)
    assert convert_data.main(["-m", "meshes", "--resolution", "32", "-j", "1"]) == 0
    return tmp_path / "meshes" / "chiral.raw"


def hausdorff(vertices):
    """Return how far the vertices are at most from the boxes, and points of the boxes from the vertices."""
    beside = [np.clip(np.maximum(low - vertices, vertices - high), 0, None) for low, high in BOXES]
    to_boxes = np.linalg.norm(beside, axis=2)
    points = np.concatenate([a + (b - a) * np.indices((9, 9, 9)).reshape(3, -1).T / 8 for a, b in BOXES])
    return max(to_boxes.min(axis=0).max(), cKDTree(vertices).query(points)[0].max()) / 8


def best_fit(path, matrices):
    """Return the smallest distance to the boxes after one of the turns (or mirrorings)."""
    vertices = np.asarray(trimesh.load(path, force="mesh", process=False).vertices)
    vertices = 8 * (vertices - vertices.min(axis=0)) / np.ptp(vertices, axis=0).max()
    distances = []
    for matrix in matrices:
        turned = vertices @ matrix.T
        distances.append(hausdorff(turned - turned.min(axis=0)))
    return min(distances)


@pytest.mark.parametrize(
    "options", [*(["--format", kind, "--size", "80"] for kind in ("obj", "stl", "ply", "glb")), ["--smooth"]]
)
def test_turning_alone_finds_the_shape_again(grid, options):
    if options == ["--smooth"]:
        pytest.importorskip("skimage", reason="scikit-image is not installed (the extra 'smooth')")
    assert convert_to_obj.main(["-f", str(grid), *options]) == 0
    (model,) = Path("models").iterdir()
    assert best_fit(model, ROTATIONS) < FITS
    assert best_fit(model, REFLECTIONS) > DIFFERS


def test_cubes_are_mirrored_as_the_originals_are(grid):
    assert convert_to_obj.main(["-f", str(grid), "--cubes"]) == 0
    assert best_fit("models/chiral.obj", ROTATIONS) > DIFFERS
    assert best_fit("models/chiral.obj", REFLECTIONS) < FITS


@pytest.mark.parametrize(
    ("file_format", "up", "turn"),
    [("stl", "z", 1), ("ply", "z", 1), ("glb", "y", 1), ("obj", "y", [-1, 1, -1])],
)
def test_the_model_converts_to_its_voxels_or_turned_by_half_a_turn(grid, file_format, up, turn):
    """An .obj comes back turned about the upward axis, the others as they were."""
    assert convert_to_obj.main(["-f", str(grid), "--format", file_format]) == 0
    assert convert_data.main(["-m", "models", "--resolution", "32", "--up", up, "-j", "1"]) == 0
    back, there = np.argwhere(read_raw("models/chiral.raw")), np.argwhere(read_raw(grid))
    assert len(there) == (8 + 5 + 4) * 4**3
    turned = there * turn
    turned -= np.minimum(turned.min(axis=0), 0)
    assert {tuple(voxel) for voxel in back} == {tuple(voxel) for voxel in turned}

"""A shape that differs from its mirror image is converted to voxels and back."""

import numpy as np
import pytest
import trimesh

import convert_data
import convert_to_obj
from rasgan.data.meshes import write_off
from rasgan.voxel_io import read_raw

# A trunk and two arms of three lengths, at right angles: low and high corners in the mesh's x, y, z (z up).
BOXES = np.array([[[0, 0, 0], [1, 1, 8]], [[1, 0, 0], [6, 1, 1]], [[0, 1, 4], [1, 5, 5]]], float)


@pytest.mark.parametrize(
    ("options", "up", "turn"),
    [
        ("--format stl", "z", [1, 1, 1]),
        ("--format ply", "z", [1, 1, 1]),
        ("--format glb --size 80", "y", [1, 1, 1]),
        ("--format obj", "y", [-1, 1, -1]),  # comes back rotated about the upward axis
        ("--cubes", "y", [1, 1, -1]),  # mirrored, as in the tutorial's code
    ],
)
def test_an_exported_model_is_converted_to_the_same_voxels(tmp_path, monkeypatch, options, up, turn):
    monkeypatch.chdir(tmp_path)
    mesh = trimesh.util.concatenate([trimesh.creation.box(bounds=bounds) for bounds in BOXES])
    write_off(tmp_path / "meshes" / "chiral.off", mesh.vertices, mesh.faces)
    convert = ["--resolution", "32", "-j", "1", "-m"]
    assert convert_data.main([*convert, "meshes"]) == 0
    assert convert_to_obj.main(["-f", "meshes/chiral.raw", *options.split()]) == 0
    assert convert_data.main([*convert, "models", "--up", up]) == 0
    back, there = np.argwhere(read_raw("models/chiral.raw")), np.argwhere(read_raw("meshes/chiral.raw"))
    assert len(there) == (8 + 5 + 4) * 4**3
    turned = there * turn
    turned -= np.minimum(turned.min(axis=0), 0)
    assert {tuple(voxel) for voxel in back} == {tuple(voxel) for voxel in turned}

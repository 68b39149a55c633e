"""The measurements of written meshes and of the scores."""

import numpy as np
import pytest

from benchmarks.speed import evaluate as bench_evaluate
from benchmarks.speed import obj as bench_obj
from rasgan.export.mesh_files import write_obj
from rasgan.export.surface import cubes_mesh
from rasgan.voxels import surface_points


@pytest.mark.parametrize("density", [0.02, 0.5, 0.95, 1.0])
def test_cubes_have_the_geometry_of_the_loop(density, tmp_path, rng):
    occupied = rng.random((7, 7, 7)) < density
    row = bench_obj.measure(occupied, tmp_path, repeats=1)  # raises if they differ
    assert row[0] == len(surface_points(occupied)) > 0
    assert len(bench_obj.squares_of(tmp_path / "loop.obj")) == 12 * row[0]


def test_a_mirrored_a_moved_and_an_inverted_cube_are_told_apart(tmp_path):
    scores = np.zeros((3, 3, 3))
    scores[0, 1, 2] = 1
    vertices, faces = cubes_mesh(scores)
    files = {
        "same": (vertices, np.roll(faces, 1, axis=1)),
        "mirrored": (vertices * [-1, 1, 1] + [0.03, 0, 0], faces[:, ::-1]),
        "moved": (vertices + np.array([0, 0.01, 0]), faces),
        "inverted": (vertices, faces[:, ::-1]),
    }
    for name, mesh in files.items():
        write_obj(tmp_path / f"{name}.obj", *mesh)
    write_obj(tmp_path / "cube.obj", vertices, faces)
    cube = bench_obj.squares_of(tmp_path / "cube.obj")
    equal = {name for name in files if np.array_equal(bench_obj.squares_of(tmp_path / f"{name}.obj"), cube)}
    assert equal == {"same"}


def test_prints_a_row_for_everything_measured(capsys):
    assert bench_evaluate.main(["--count", "3", "--resolution", "32"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == [
        "| quick scores, 3 x 3",
        "| scores, 3 x 3",
        "| everything, 3 x 3 x 3",
    ]
    assert all(float(row[1]) >= 0 for row in rows[2:])

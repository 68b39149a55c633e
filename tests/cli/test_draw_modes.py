"""The picture of the voxelizer's modes."""

import numpy as np

from benchmarks.draw import modes as draw_modes
from rasgan.data.meshes import write_off
from rasgan.data.voxelize import voxelize


def test_draws_a_row_for_each_mesh_with_a_picture_for_each_mode(tmp_path, monkeypatch, capsys):
    corners = np.array([[0, 0, 0], [4, 0, 1], [0, 4, 1], [1, 1, 4]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    write_off(tmp_path / "a.off", corners, faces)
    drawn = []
    monkeypatch.setattr(draw_modes, "contact_sheet", lambda *given: drawn.append(given))
    mesh = str(tmp_path / "a.off")
    assert draw_modes.main([mesh, mesh, "-o", "modes.png", "--resolution", "32"]) == 0
    ((path, grids, columns, labels),) = drawn
    assert (path.name, columns) == ("modes.png", 2)
    assert labels == ["--mode binvox (default)", "--mode solid"] * 2
    for grid, mode in zip(grids, ["binvox", "solid"] * 2, strict=True):
        np.testing.assert_array_equal(grid, voxelize(corners.astype(float), faces, 32, mode))
    assert "modes.png" in capsys.readouterr().out

"""The commands that draw pictures of the README and the docs."""

import numpy as np
import pytest

from benchmarks.draw import modes, network, sheet
from rasgan.data.meshes import write_off
from rasgan.data.voxelize import voxelize
from rasgan.voxel_io import write_raw


@pytest.fixture
def drawn(monkeypatch):
    """List what would be drawn."""
    drawn = []
    for module, function in ((modes, "contact_sheet"), (sheet, "contact_sheet"), (network, "save_figure")):
        monkeypatch.setattr(module, function, lambda *given, **options: drawn.append(given))
    return drawn


def test_modes_has_a_row_for_each_mesh_with_a_picture_for_each_mode(tmp_path, drawn, capsys):
    corners = np.array([[0, 0, 0], [4, 0, 1], [0, 4, 1], [1, 1, 4]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    mesh = str(tmp_path / "a.off")
    write_off(tmp_path / "a.off", corners, faces)
    assert modes.main([mesh, mesh, "-o", "modes.png", "--resolution", "32"]) == 0
    ((path, grids, columns, labels),) = drawn
    assert (path.name, columns) == ("modes.png", 2)
    assert labels == ["--mode binvox (default)", "--mode solid"] * 2
    for grid, mode in zip(grids, ["binvox", "solid"] * 2, strict=True):
        np.testing.assert_array_equal(grid, voxelize(corners.astype(float), faces, 32, mode))
    assert "modes.png" in capsys.readouterr().out


def test_a_sheet_shows_the_files_in_order(tmp_path, drawn):
    write_raw(tmp_path / "a.raw", np.ones((8, 8, 8), dtype=bool))
    np.save(tmp_path / "b.npy", np.eye(8, dtype=np.float32)[None].repeat(8, 0))
    files = [str(tmp_path / "a.raw"), str(tmp_path / "b.npy")]
    assert sheet.main([*files, "-o", "sheet.png", "--columns", "2"]) == 0
    ((path, grids, columns),) = drawn
    assert (path.name, columns) == ("sheet.png", 2)
    assert [grid.mean() for grid in grids] == [1, pytest.approx(1 / 8)]


def test_the_figure_of_the_networks_names_every_layer(tmp_path, drawn):
    assert network.main([str(tmp_path / "network.png")]) == 0
    ((figure, path),) = drawn
    assert path == tmp_path / "network.png"
    texts = [text.get_text() for text in figure.axes[0].texts]
    for channels, edge in [(512, 4), (256, 8), (128, 16), (64, 32), (1, 64)]:  # the tutorial's
        caption = f"{channels} channel{'s' * (channels > 1)}\n{edge} × {edge} × {edge}"
        assert texts.count(caption) == 2  # once in each network
    assert {"z\n200", "Generator", "Discriminator"} <= {*texts}

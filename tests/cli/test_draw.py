"""The commands that draw pictures of the README and the docs."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.draw import modes, network, sheet
from rasgan.data.meshes import write_off
from rasgan.voxel_io import write_raw


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (modes, ["a.off", "a.off", "--resolution", "32", "-o", "a.png"]),
        (sheet, ["a.raw", "a.raw", "--columns", "2", "-o", "a.png"]),
        (network, ["a.png"]),
    ],
)
def test_a_picture_is_drawn(tmp_path, monkeypatch, command, options):
    monkeypatch.chdir(tmp_path)
    corners = np.array([[0, 0, 0], [4, 0, 1], [0, 4, 1], [1, 1, 4]])
    write_off(tmp_path / "a.off", corners, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
    write_raw(tmp_path / "a.raw", np.ones((8, 8, 8), dtype=bool))
    assert command.main(options) == 0
    with Image.open("a.png") as picture:
        assert len(picture.convert("RGB").getcolors(10**6)) > 10

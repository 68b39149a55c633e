"""The picture of the voxelizer's modes."""

import numpy as np

from benchmarks.draw import modes as draw_modes
from rasgan.data.meshes import write_off


def test_draws_one_picture(tmp_path, capsys):
    corners = np.array([[0, 0, 0], [4, 0, 1], [0, 4, 1], [1, 1, 4]])
    write_off(tmp_path / "a.off", corners, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
    picture = tmp_path / "modes.png"
    assert draw_modes.main([str(tmp_path / "a.off"), "-o", str(picture), "--resolution", "32"]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in capsys.readouterr().out

"""The picture of voxel files side by side."""

import numpy as np

from benchmarks.draw import sheet as draw_sheet
from rasgan.voxel_io import write_raw


def test_draws_one_picture_and_names_a_file_that_is_not_there(tmp_path, capsys):
    write_raw(tmp_path / "a.raw", np.ones((8, 8, 8), dtype=bool))
    np.save(tmp_path / "b.npy", np.eye(8, dtype=np.float32)[None].repeat(8, 0))
    picture = tmp_path / "sheet.png"
    files = [str(tmp_path / "a.raw"), str(tmp_path / "b.npy")]
    assert draw_sheet.main([*files, "-o", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert draw_sheet.main([str(tmp_path / "c.raw"), "-o", str(picture)]) == 1
    assert "c.raw" in capsys.readouterr().err

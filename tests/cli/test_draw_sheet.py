"""The picture of voxel files side by side."""

import numpy as np
import pytest

from benchmarks.draw import sheet as draw_sheet
from rasgan.voxel_io import write_raw


def test_draws_the_files_in_order_and_names_one_that_is_not_there(tmp_path, monkeypatch, capsys):
    write_raw(tmp_path / "a.raw", np.ones((8, 8, 8), dtype=bool))
    np.save(tmp_path / "b.npy", np.eye(8, dtype=np.float32)[None].repeat(8, 0))
    drawn = []
    monkeypatch.setattr(draw_sheet, "contact_sheet", lambda *given: drawn.append(given))
    files = [str(tmp_path / "a.raw"), str(tmp_path / "b.npy")]
    assert draw_sheet.main([*files, "-o", "sheet.png", "--columns", "2"]) == 0
    ((path, grids, columns),) = drawn
    assert (path.name, columns) == ("sheet.png", 2)
    assert [grid.mean() for grid in grids] == [1, pytest.approx(1 / 8)]
    assert draw_sheet.main([str(tmp_path / "c.raw"), "-o", "sheet.png"]) == 1
    assert "c.raw" in capsys.readouterr().err
    assert len(drawn) == 1

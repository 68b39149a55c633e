"""The measurement of the start of a training."""

from benchmarks.speed import start


def test_start_prints_a_row_for_every_number_of_grids(capsys):
    assert start.main(["--counts", "5", "--resolution", "32"]) == 0
    count, *figures = capsys.readouterr().out.splitlines()[-1].strip("| ").split(" | ")
    assert count == "5"
    assert all(float(figure) > 0 for figure in figures[:4])

"""The measurement of the scatter plots."""

from matplotlib import pyplot as plt  # noqa: TID251 - to see that no figure is left open

from benchmarks.speed import graph as bench_graph


def test_prints_a_row_for_every_way(capsys):
    assert bench_graph.main(["--count", "1", "--rounds", "1"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0].removeprefix("| ") for row in rows[1:]] == ["one figure", "new figures", "original"]
    assert rows[3][3] == "1.0 |"
    assert all(0 < float(row[1]) <= float(row[2]) for row in rows[1:])
    assert plt.get_fignums() == []

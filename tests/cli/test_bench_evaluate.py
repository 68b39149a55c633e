"""The measurement of the scores."""

from benchmarks.speed import evaluate as bench_evaluate


def test_prints_a_row_for_everything_measured(capsys):
    assert bench_evaluate.main(["--count", "3", "--resolution", "32"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == [
        "| quick scores, 3 x 3",
        "| scores, 3 x 3",
        "| everything, 3 x 3 x 3",
    ]
    assert all(float(row[1]) >= 0 for row in rows[2:])

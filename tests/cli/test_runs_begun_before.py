"""A run that an earlier version (commit 1cf36ae) started resumes with the current code.

The fixture is a run of 4 epochs of 3 steps that was stopped after step 5, and the history of the same run
without the stop, both made by that commit::

    python train_rasgan.py -n old -d data --resolution 32 --width 4 -b 4 -e 4 --seed 3 --schedule rates.csv
        --ema 0.9 --penalty 1 --penalty-every 2 --stop-ratio 90 -save 1 -sample 1 -graph 1 -graph3d 9
"""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

import train_rasgan
from rasgan import generate

BEFORE = Path(__file__).parents[1] / "fixtures" / "run_begun_before"


@pytest.fixture
def old_run(tmp_path, monkeypatch):
    """Work in a folder with the stopped run and its data."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    Path("data").mkdir()
    for number in range(12):
        a, b, c = rng.integers(4, 28, 3)
        grid = np.zeros((32, 32, 32), np.uint8)
        grid[:a, :b, :c] = 255
        Path(f"data/{number:02d}.raw").write_bytes(grid.tobytes())
    shutil.copytree(BEFORE, "checkpoint/old", ignore=shutil.ignore_patterns("*.csv"))


def read(path):
    with path.open(encoding="ascii", newline="") as file:
        header, *rows = csv.reader(file)
    return header, np.array(rows, dtype=float)


def test_it_ends_like_a_run_that_was_never_stopped(old_run):
    assert train_rasgan.main(["-n", "old", "-d", "data", "-l", "-graph", "1"]) == 0
    header, rows = read(Path("savepoint/old/history.csv"))
    known_header, known = read(BEFORE / "history.csv")
    assert header == known_header
    np.testing.assert_allclose(rows, known, rtol=1e-3)  # the order of sums depends on the processor
    assert {path.name for path in Path("checkpoint/old").glob("4*")} == {"4.pt", "4.optim.pt"}


def test_it_generates_shapes(old_run):
    assert generate.main(["-n", "old", "--count", "2"]) == 0
    assert np.load("savepoint/old/generated/1+2/seed0-01.npy").shape == (32, 32, 32)

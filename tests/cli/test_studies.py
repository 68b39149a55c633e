"""Cells of the studies, trained: equal compute, results to go on from."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed import training as bench_training
from benchmarks.studies import cells as studies
from benchmarks.studies.cells import Cell, FlopCounter
from rasgan.errors import UserError
from rasgan.runs import RunFolder
from rasgan.training import run as training_run
from rasgan.training.config import new_config
from rasgan.training.dataset import Shapes
from rasgan.voxel_io import write_raw

pytestmark = pytest.mark.slow

TINY = {"width": 8, "resolution": 32, "batchsize": 8}


def a_cell(recipe="stable", **settings):
    return Cell("boxes", recipe, recipe, 0, 0.003, {**TINY, **settings})


@pytest.fixture
def boxes(rng):
    shapes = np.zeros((168, 32, 32, 32), dtype=bool)
    for shape in shapes:
        low, high = rng.integers(0, 14, 3), rng.integers(18, 33, 3)
        shape[tuple(slice(*ends) for ends in zip(low, high, strict=True))] = True
    return shapes


@pytest.fixture
def pool(tmp_path, boxes):
    path = tmp_path / "boxes.npz"
    np.savez(path, packed=np.packbits(boxes.reshape(len(boxes), -1), axis=1), shape=boxes.shape[1:])
    return path


def test_a_counted_step_is_the_step_that_the_speed_is_measured_by(boxes):
    settings = new_config("tutorial", {**TINY, "width": 64, "seed": 0})
    training = training_run.begin(RunFolder("x"), settings, Shapes(boxes[:8]), None)
    with FlopCounter() as counter:
        training.step()
    assert counter.total == pytest.approx(2 * 8 * bench_training.multiply_adds(64, 32), rel=0.02)


def test_every_cell_spends_the_same_and_dearer_steps_are_fewer(boxes):
    train, kept = studies.split(boxes)
    rows = [studies.run_cell(a_cell(**given), train, kept) for given in ({}, {"penalty_every": 1})]
    cheap, dear = (row["steps"] for row in rows)
    assert cheap > 1.2 * dear
    for row in rows:
        assert row["spent"] == pytest.approx(0.003, rel=0.1)
        assert row["curve"][-1][0] == pytest.approx(row["spent"], rel=0.1)
        assert set(row["scores"]) >= {"coverage_iou", "diversity", "distinct_nearest_share"}
        assert row["oracle"]["diversity"] == pytest.approx(row["real"]["diversity"], abs=0.1)
    again = studies.run_cell(a_cell(), train, kept)
    assert {**again, "seconds": 0} == {**rows[0], "seconds": 0}


def test_a_run_whose_loss_is_no_number_has_diverged(boxes, monkeypatch):
    def step(self):
        raise UserError("a loss is not a number any more")

    monkeypatch.setattr(training_run.TrainingRun, "step", step)
    row = studies.run_cell(a_cell(), *studies.split(boxes))
    assert (row["diverged"], row["steps"]) == (True, 0)


def test_a_study_trains_what_its_results_lack_at_the_resolution_of_each_cell(pool, boxes, tmp_path, capsys):
    results, pools = tmp_path / "results.jsonl", {"boxes": pool, "fine": tmp_path / "fine"}
    for number, shape in enumerate(boxes[:160]):
        write_raw(tmp_path / "fine" / f"{number}.raw", shape.repeat(2, 0).repeat(2, 1).repeat(2, 2))
    first, second = a_cell(), a_cell("tutorial")
    fine = Cell("fine", "fine", "stable", 0, 0.003, {**TINY, "width": 16, "resolution": 64})
    elsewhere = Cell("absent", "x", "stable", 0, 0.003, TINY)
    assert len(studies.run_study([first, elsewhere], pools, results, 1)) == 1
    before = results.read_text(encoding="utf-8")
    rows = studies.run_study([first, second, fine, elsewhere], pools, results, 2)
    assert [row["method"] for row in rows] == ["stable", "tutorial", "fine"]
    assert [row["settings"]["resolution"] for row in rows] == [32, 32, 64]
    assert results.read_text(encoding="utf-8").startswith(before)
    capsys.readouterr()
    assert studies.run_study([first, second, fine], {}, results, 1) == rows
    assert capsys.readouterr().out == ""  # nothing is trained again


def children(pid):
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def command_of(pid):
    """Return the command of a process; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in Linux's /proc")
def test_a_killed_study_leaves_no_worker_behind(pool, tmp_path):
    code = (
        "import pathlib, sys\n"
        "from benchmarks.studies import cells as studies\n"
        "def main():\n"
        "    cells = [studies.Cell('boxes', 'long', 'stable', 0, 1e3, {'width': 8, 'resolution': 32})]\n"
        f"    studies.run_study(cells, {{'boxes': pathlib.Path({str(pool)!r})}}, pathlib.Path('r'), 1)\n"
        "if __name__ == '__main__':\n"
        "    main()\n"
    )
    script = tmp_path / "study.py"
    script.write_text(code, encoding="utf-8")
    root = Path(studies.__file__).parents[2]
    out = tmp_path / "out"
    with out.open("w") as file:
        study = subprocess.Popen(
            [sys.executable, str(script)],
            env={**os.environ, "PYTHONPATH": str(root)},
            stdout=file,
            stderr=file,
        )
    workers = []
    while not workers and study.poll() is None:
        time.sleep(0.2)
        workers = [p for p in children(study.pid) if "spawn_main" in command_of(p)]
    assert workers, out.read_text()
    time.sleep(3)  # until it trains
    study.kill()
    study.wait()
    deadline = time.monotonic() + 20
    while any(command_of(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(command_of(worker) for worker in workers)

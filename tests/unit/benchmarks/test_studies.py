"""Cells of the studies: equal compute, results to go on from, what counts as sound."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.speed import training as bench_training
from benchmarks.studies import cells as studies
from benchmarks.studies import rates as study_rates
from benchmarks.studies import recipes as study_recipes
from benchmarks.studies.cells import Cell, FlopCounter
from rasgan.errors import UserError
from rasgan.runs import RunFolder
from rasgan.training import run as training_run
from rasgan.training.config import RECIPES, new_config
from rasgan.training.dataset import Shapes
from rasgan.voxel_io import write_raw


def children(pid):
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def command_of(pid):
    """Give the command of a process; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


TINY = {"width": 8, "resolution": 32, "batchsize": 8}


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


def test_a_multiply_add_counts_as_two_operations():
    with FlopCounter() as counter:
        torch.nn.functional.conv3d(torch.ones(2, 3, 8, 8, 8), torch.ones(5, 3, 4, 4, 4), stride=2, padding=1)
        torch.ones(2, 7) @ torch.ones(7, 3)
        torch.ones(99) + 1
    assert counter.total == 2 * (2 * 5 * 4**3 * 3 * 4**3 + 2 * 7 * 3)


def test_a_counted_step_is_the_step_that_the_speed_is_measured_by(boxes):
    settings = new_config("tutorial", {**TINY, "width": 64, "seed": 0})
    training = training_run.begin(RunFolder("x"), settings, Shapes(boxes[:8]), None)
    with FlopCounter() as counter:
        training.step()
    assert counter.total == pytest.approx(2 * 8 * bench_training.multiply_adds(64, 32), rel=0.02)


def test_pools_are_read_and_split_the_same_way_every_time(pool, boxes, tmp_path):
    loaded = studies.load_pool(pool, 32)
    np.testing.assert_array_equal(loaded, boxes)
    for number, shape in enumerate(boxes[:3]):
        write_raw(tmp_path / "raw" / f"{number}.raw", shape)
    np.testing.assert_array_equal(studies.load_pool(tmp_path / "raw", 32), boxes[:3])
    coarse = studies.load_pool(pool, 16)
    assert coarse.shape == (len(boxes), 16, 16, 16)
    assert coarse[0, 8, 8, 8] == boxes[0, 16:18, 16:18, 16:18].any()
    with pytest.raises(UserError, match="64³"):
        studies.load_pool(pool, 64)
    train, kept = studies.split(boxes)
    assert len(kept) == studies.KEPT_BACK
    rows = {shape.tobytes() for shape in kept}
    assert len(rows & {shape.tobytes() for shape in train}) <= len(boxes) - len({b.tobytes() for b in boxes})
    np.testing.assert_array_equal(studies.split(boxes)[1], kept)
    with pytest.raises(UserError, match="too few"):
        studies.split(boxes[:100])


def cell(recipe="stable", seed=0, **settings):
    return Cell("boxes", recipe, recipe, seed, 0.003, {**TINY, **settings})


def test_every_cell_spends_the_same_and_dearer_steps_are_fewer(boxes):
    train, kept = studies.split(boxes)
    rows = [studies.run_cell(cell(**given), train, kept) for given in ({}, {"penalty_every": 1})]
    cheap, dear = (row["steps"] for row in rows)
    assert cheap > 1.2 * dear
    for row in rows:
        assert row["spent"] == pytest.approx(0.003, rel=0.1)
        assert row["curve"][-1][0] == pytest.approx(row["spent"], rel=0.1)
        assert set(row["scores"]) >= {"coverage_iou", "diversity", "distinct_nearest_share"}
        assert row["oracle"]["diversity"] == pytest.approx(row["real"]["diversity"], abs=0.1)


def test_a_cell_is_the_same_whenever_it_is_run(boxes):
    train, kept = studies.split(boxes)
    one, other = (studies.run_cell(cell(), train, kept) for _ in range(2))
    assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_a_run_whose_loss_is_no_number_has_diverged(boxes, monkeypatch):
    def step(self):
        raise UserError("a loss is not a number any more")

    monkeypatch.setattr(training_run.TrainingRun, "step", step)
    row = studies.run_cell(cell(), *studies.split(boxes))
    assert row["diverged"]
    assert row["steps"] == 0
    assert not studies.is_sound(row)


@pytest.mark.parametrize(
    ("diversity", "distinct", "sound"), [(0.4, 0.5, True), (0.39, 0.9, False), (0.8, 0.49, False)]
)
def test_sound_means_half_as_various_as_real_shapes(diversity, distinct, sound):
    scores = {"diversity": diversity, "distinct_nearest_share": distinct}
    real = {"diversity": 0.8, "distinct_nearest_share": 1.0}
    assert studies.is_sound({"diverged": False, "scores": scores, "real": real}) == sound


def test_each_set_is_read_at_the_resolutions_that_its_own_cells_want(pool, boxes, tmp_path):
    fine = np.repeat(boxes.repeat(2, axis=1), 2, axis=2).repeat(2, axis=3)
    for number, shape in enumerate(fine[:160]):
        write_raw(tmp_path / "fine" / f"{number}.raw", shape)
    cells = [cell(), Cell("fine", "fine", "stable", 0, 0.003, {**TINY, "width": 16, "resolution": 64})]
    rows = studies.run_study(cells, {"boxes": pool, "fine": tmp_path / "fine"}, tmp_path / "r.jsonl", 1)
    assert [row["settings"]["resolution"] for row in rows] == [32, 64]


def test_a_study_goes_on_from_its_results(pool, tmp_path, capsys):
    results, pools = tmp_path / "results.jsonl", {"boxes": pool}
    first, second = cell(), cell("tutorial")
    elsewhere = Cell("absent", "x", "stable", 0, 0.003, TINY)
    assert len(studies.run_study([first, elsewhere], pools, results, 1)) == 1
    before = results.read_text(encoding="utf-8")
    rows = studies.run_study([first, second, elsewhere], pools, results, 2)
    assert [row["method"] for row in rows] == ["stable", "tutorial"]
    assert results.read_text(encoding="utf-8").startswith(before)
    capsys.readouterr()
    assert studies.run_study([first, second], {}, results, 1) == rows  # nothing is trained again
    assert capsys.readouterr().out == ""
    assert studies.run_study([cell(penalty=3.0)], {}, results, 1) == []  # another cell of the same name
    renamed = Cell("boxes", "by another name", "tutorial", 0, 0.003, {**TINY, **RECIPES["stable"]})
    (row,) = studies.run_study([renamed], {}, results, 1)  # the same run
    assert row == {**rows[0], "method": "by another name", "recipe": "tutorial"}


def test_a_changed_preset_makes_another_cell(monkeypatch):
    before = cell().key
    monkeypatch.setitem(RECIPES, "stable", {**RECIPES["stable"], "ema": 0.9})
    assert cell().key != before
    assert cell(ema=0.995).key == before


def test_results_of_other_shapes_under_the_same_name_are_refused(pool, boxes, tmp_path):
    results = tmp_path / "results.jsonl"
    studies.run_study([cell()], {"boxes": pool}, results, 1)
    before = results.read_bytes()
    other = tmp_path / "other.npz"
    np.savez(other, packed=np.packbits(~boxes.reshape(len(boxes), -1), axis=1), shape=boxes.shape[1:])
    with pytest.raises(UserError, match=r"other shapes .* --results"):
        studies.run_study([cell(seed=1)], {"boxes": other}, results, 1)
    assert results.read_bytes() == before


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


@pytest.mark.parametrize("study", [study_recipes, study_rates])
def test_tables_and_figures_show_every_method_of_the_results(study, boxes, tmp_path, monkeypatch, capsys):
    cells = study.cells(1)
    assert len({cell.key for cell in cells}) == len(cells)
    train, kept = studies.split(boxes)
    made = {recipe: studies.run_cell(cell(recipe), train, kept) for recipe in ("tutorial", "stable")}
    rows = []
    for number, planned in enumerate(cells):
        row = {**made[planned.recipe], **planned.__dict__, "settings": planned.resolved().state_dict()}
        if number == 1:
            row = {**row, "diverged": True, "curve": []}
            del row["scores"]
        rows.append(json.dumps(row))
    results, picture = tmp_path / "results.jsonl", tmp_path / "picture.png"
    results.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert study.main(["--results", str(results), "-o", str(picture), "--seeds", "1"]) == 0
    out = capsys.readouterr().out
    assert all(f"| {planned.method} |" in out for planned in cells)
    assert picture.stat().st_size > 10_000


def test_data_are_named():
    assert list(studies.parse_pools(["a=b/c", "d=e=f"])) == ["a", "d"]
    with pytest.raises(UserError, match="NAME=PATH"):
        studies.parse_pools(["folder"])

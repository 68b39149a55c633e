"""Cells of the studies: keys, shapes, results to resume from; slow: cells that are trained."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.speed import training as bench_training
from benchmarks.studies import cells as studies
from benchmarks.studies import pieces, rates, recipes
from benchmarks.studies.cells import Cell, FlopCounter
from rasgan.errors import UserError
from rasgan.runs import RunFolder
from rasgan.training import resuming
from rasgan.training import run as training_run
from rasgan.training.config import RECIPES, new_config
from rasgan.training.dataset import Shapes
from tests.pages import ROOT

FOLDER = ROOT / "benchmarks" / "studies"
STUDIES = [recipes, rates, pieces]
TINY = {"width": 8, "resolution": 32, "batchsize": 8}


def a_cell(recipe="stable", seed=0, **settings):
    return Cell("boxes", recipe, recipe, seed, 0.003, {**TINY, **settings})


def pack(path, shapes):
    np.savez(path, packed=np.packbits(shapes.reshape(len(shapes), -1), axis=1), shape=shapes.shape[1:])
    return path


@pytest.fixture
def boxes():
    return bench_training.random_shapes(168, 32)


def test_a_multiply_add_counts_as_two_operations():
    with FlopCounter() as counter:
        torch.nn.functional.conv3d(torch.ones(2, 3, 8, 8, 8), torch.ones(5, 3, 4, 4, 4), stride=2, padding=1)
        torch.ones(2, 7) @ torch.ones(7, 3)
        torch.ones(99) + 1
    assert counter.total == 2 * (2 * 5 * 4**3 * 3 * 4**3 + 2 * 7 * 3)


def test_pools_are_read_and_split_the_same_way_every_time(boxes, tmp_path):
    pool = pack(tmp_path / "boxes.npz", boxes)
    np.testing.assert_array_equal(studies.load_pool(pool, 32), boxes)
    with pytest.raises(UserError, match="resolution 64"):
        studies.load_pool(pool, 64)
    train, kept = studies.split(boxes)
    assert len(kept) == studies.KEPT_BACK
    assert {shape.tobytes() for shape in [*train, *kept]} == {shape.tobytes() for shape in boxes}
    np.testing.assert_array_equal(studies.split(boxes)[1], kept)
    with pytest.raises(UserError, match="too few"):
        studies.split(boxes[:100])


def test_a_changed_preset_makes_another_cell(monkeypatch):
    before = a_cell().key
    monkeypatch.setitem(RECIPES, "stable", {**RECIPES["stable"], "ema": 0.9})
    assert a_cell().key != before
    assert a_cell(ema=0.999).key == before


@pytest.mark.parametrize("study", STUDIES)
def test_the_committed_results_are_complete_and_make_the_committed_tables(study, tmp_path, capsys):
    name = study.__name__.rpartition(".")[2]
    results = shutil.copy(FOLDER / f"{name}.jsonl", tmp_path)
    cells = study.cells(3)
    assert len({cell.key for cell in cells}) == len(cells)
    assert study.main(["--results", str(results), "-o", str(tmp_path / "picture.png")]) == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if line]
    assert all(any(f"| {cell.method} |" in line for line in printed) for cell in cells)
    assert set(printed) <= set((FOLDER / f"{name}.md").read_text(encoding="utf-8").splitlines())
    with Image.open(tmp_path / "picture.png") as image:
        assert len(image.convert("RGB").getcolors(10**6)) > 100  # there are curves, or a map


@pytest.mark.parametrize("study", STUDIES)
def test_a_diverged_run_has_its_place_in_the_table(study):
    row = next(iter(studies.read_results(FOLDER / f"{study.__name__.rpartition('.')[2]}.jsonl").values()))
    shown = study.table([{**row, "diverged": True, "curve": [], "scores": {}}])
    assert "–" in shown
    assert "nan" not in shown


def test_a_study_goes_on_from_its_results_under_any_name(tmp_path, capsys):
    results = Path(shutil.copy(FOLDER / "rates.jsonl", tmp_path))
    first, second, *_ = rates.cells(1)
    rows = studies.run_study([second, first], {}, results, 1)
    assert [row["method"] for row in rows] == [second.method, first.method]
    renamed = Cell(first.data, "by another name", "tutorial", 0, first.tflop, first.settings)
    assert studies.run_study([renamed], {}, results, 1) == [{**rows[1], "method": "by another name"}]
    other = Cell(first.data, first.method, first.recipe, 0, first.tflop, {**first.settings, "penalty": 3.0})
    assert studies.run_study([other], {}, results, 1) == []  # another cell of the same name
    assert capsys.readouterr().out == ""  # nothing was trained


def test_results_of_other_shapes_under_the_same_name_are_refused(boxes, tmp_path):
    results = Path(shutil.copy(FOLDER / "rates.jsonl", tmp_path))
    pools = {"chairs": pack(tmp_path / "other.npz", boxes)}
    with pytest.raises(UserError, match=r"other shapes .* --results"):
        studies.run_study(rates.cells(4), pools, results, 1)
    assert results.read_bytes() == (FOLDER / "rates.jsonl").read_bytes()


def test_a_counted_step_is_the_step_that_the_speed_is_measured_by(boxes):
    config = new_config("tutorial", {**TINY, "width": 64, "seed": 0})
    training = resuming.begin(RunFolder("x"), config, Shapes(boxes[:8]), None)
    with FlopCounter() as counter:
        training.step()
    assert counter.total == pytest.approx(2 * 8 * bench_training.multiply_adds(64, 32), rel=0.02)


@pytest.mark.slow
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
    row = studies.run_cell(a_cell(cooldown=0.0), *studies.split(boxes))
    assert (row["diverged"], row["steps"]) == (True, 0)


@pytest.mark.slow
def test_a_study_trains_what_its_results_lack(boxes, tmp_path, capsys):
    results, pools = tmp_path / "results.jsonl", {"boxes": pack(tmp_path / "boxes.npz", boxes)}
    elsewhere = Cell("absent", "x", "stable", 0, 0.003, TINY)
    assert len(studies.run_study([a_cell(), elsewhere], pools, results, 1)) == 1
    before = results.read_text(encoding="utf-8")
    rows = studies.run_study([a_cell(), a_cell("tutorial"), elsewhere], pools, results, 2)
    assert [row["method"] for row in rows] == ["stable", "tutorial"]
    assert results.read_text(encoding="utf-8").startswith(before)
    capsys.readouterr()
    assert studies.run_study([a_cell(), a_cell("tutorial")], {}, results, 1) == rows
    assert capsys.readouterr().out == ""  # nothing is trained again

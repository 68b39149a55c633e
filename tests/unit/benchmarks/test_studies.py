"""Cells of the studies: their keys, their shapes, results to go on from, which runs are stable."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.studies import cells as studies
from benchmarks.studies import rates, recipes
from benchmarks.studies.cells import Cell, FlopCounter
from rasgan.errors import UserError
from rasgan.training.config import RECIPES
from rasgan.voxel_io import write_raw

FOLDER = Path(studies.__file__).parent
TINY = {"width": 8, "resolution": 32, "batchsize": 8}


def a_cell(recipe="stable", seed=0, **settings):
    return Cell("boxes", recipe, recipe, seed, 0.003, {**TINY, **settings})


def pack(path, shapes):
    np.savez(path, packed=np.packbits(shapes.reshape(len(shapes), -1), axis=1), shape=shapes.shape[1:])
    return path


@pytest.fixture
def blobs(rng):
    return rng.random((168, 32, 32, 32)) > 0.9


def test_a_multiply_add_counts_as_two_operations():
    with FlopCounter() as counter:
        torch.nn.functional.conv3d(torch.ones(2, 3, 8, 8, 8), torch.ones(5, 3, 4, 4, 4), stride=2, padding=1)
        torch.ones(2, 7) @ torch.ones(7, 3)
        torch.ones(99) + 1
    assert counter.total == 2 * (2 * 5 * 4**3 * 3 * 4**3 + 2 * 7 * 3)


def test_pools_are_read_and_split_the_same_way_every_time(blobs, tmp_path):
    pool = pack(tmp_path / "blobs.npz", blobs)
    np.testing.assert_array_equal(studies.load_pool(pool, 32), blobs)
    for number, shape in enumerate(blobs[:3]):
        write_raw(tmp_path / "raw" / f"{number}.raw", shape)
    np.testing.assert_array_equal(studies.load_pool(tmp_path / "raw", 32), blobs[:3])
    coarse = studies.load_pool(pool, 16)
    assert coarse.shape == (len(blobs), 16, 16, 16)
    assert coarse[0, 8, 8, 8] == blobs[0, 16:18, 16:18, 16:18].any()
    with pytest.raises(UserError, match="64³"):
        studies.load_pool(pool, 64)
    train, kept = studies.split(blobs)
    assert len(kept) == studies.KEPT_BACK
    assert {shape.tobytes() for shape in [*train, *kept]} == {shape.tobytes() for shape in blobs}
    np.testing.assert_array_equal(studies.split(blobs)[1], kept)
    with pytest.raises(UserError, match="too few"):
        studies.split(blobs[:100])


@pytest.mark.parametrize(
    ("diversity", "distinct", "stable"), [(0.4, 0.5, True), (0.39, 0.9, False), (0.8, 0.49, False)]
)
def test_stable_means_half_as_various_as_real_shapes(diversity, distinct, stable):
    scores = {"diversity": diversity, "distinct_nearest_share": distinct}
    real = {"diversity": 0.8, "distinct_nearest_share": 1.0}
    assert studies.is_stable({"diverged": False, "scores": scores, "real": real}) == stable
    assert not studies.is_stable({"diverged": True})


def test_a_changed_preset_makes_another_cell(monkeypatch):
    before = a_cell().key
    monkeypatch.setitem(RECIPES, "stable", {**RECIPES["stable"], "ema": 0.9})
    assert a_cell().key != before
    assert a_cell(ema=0.995).key == before


@pytest.mark.parametrize(("study", "seeds"), [(recipes, 3), (rates, 1)])
def test_the_committed_results_are_complete_and_make_the_committed_tables(study, seeds, tmp_path, capsys):
    name = study.__name__.rpartition(".")[2]
    results = shutil.copy(FOLDER / f"{name}.jsonl", tmp_path)
    picture = tmp_path / "picture.png"
    cells = study.cells(seeds)
    assert len({cell.key for cell in cells}) == len(cells)
    assert study.main(["--results", str(results), "-o", str(picture), "--seeds", str(seeds)]) == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if line]
    assert all(any(f"| {cell.method} |" in line for line in printed) for cell in cells)
    written = (FOLDER / f"{name}.md").read_text(encoding="utf-8").splitlines()
    assert set(printed) <= set(written)
    with Image.open(picture) as image:
        assert len(image.convert("RGB").getcolors(10**6)) > 100  # there are curves, or a map


@pytest.mark.parametrize("study", [recipes, rates])
def test_a_diverged_run_has_its_place_in_the_table(study):
    name = study.__name__.rpartition(".")[2]
    row = next(iter(studies.read_results(FOLDER / f"{name}.jsonl").values()))
    without = {key: value for key, value in row.items() if key not in ("scores", "oracle", "real")}
    shown = study.table([{**without, "diverged": True, "curve": []}])
    (line,) = [line for line in shown.splitlines() if row["method"] in line and str(row["steps"]) in line]
    assert line.count("–") >= 3
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


def test_results_of_other_shapes_under_the_same_name_are_refused(blobs, tmp_path):
    results = Path(shutil.copy(FOLDER / "rates.jsonl", tmp_path))
    pools = {"chairs": pack(tmp_path / "other.npz", blobs)}
    with pytest.raises(UserError, match=r"other shapes .* --results"):
        studies.run_study(rates.cells(2), pools, results, 1)
    assert results.read_bytes() == (FOLDER / "rates.jsonl").read_bytes()


def test_data_are_named():
    assert list(studies.parse_pools(["a=b/c", "d=e=f"])) == ["a", "d"]
    with pytest.raises(UserError, match="NAME=PATH"):
        studies.parse_pools(["folder"])

"""Tests of lists of shapes and of their export; tests/cli/test_convert_to_graph.py tests epochs."""

from pathlib import Path

import numpy as np
import pytest

from rasgan.errors import UserError
from rasgan.export.batch import (
    Shape,
    choose,
    distinct_name,
    export_all,
    folder_grids,
    results_of,
    shapes_in,
    shapes_of,
    source_name,
    spread,
)


def test_shapes_of_a_batch_have_different_names(tmp_path):
    batch = np.arange(6 * 8).reshape(2, 3, 2, 2, 2).astype(np.float32)
    np.save(tmp_path / "seed5.npy", batch)
    np.save(tmp_path / "1000.npy", batch[0, 0])
    (tmp_path / "junk.npy").write_bytes(b"junk")
    single, *shapes, junk = shapes_in([tmp_path / name for name in ("1000.npy", "seed5.npy", "junk.npy")])
    assert (single.stem, single.label, single.epoch) == ("1000", "epoch 1000", 1000)
    assert [shape.stem for shape in shapes] == [f"seed5-0{i}" for i in range(6)]
    assert (shapes[4].label, shapes[4].epoch) == ("seed5, 4", None)
    assert np.array_equal([shape.read() for shape in shapes], batch.reshape(6, 2, 2, 2))
    with pytest.raises(UserError, match=r"junk\.npy"):
        junk.read()


def test_names_that_differ_only_in_case_are_refused(tmp_path):
    with pytest.raises(UserError, match="name 'A'"):
        shapes_in([tmp_path / "A.raw", tmp_path / "a.binvox"])


def test_a_folder_is_listed_by_epoch_then_by_name(tmp_path):
    for name in ("b.raw", "10.npy", "9.NPY", "a.binvox", ".hidden.npy", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in folder_grids(tmp_path)] == ["a.binvox", "b.raw", "9.NPY", "10.npy"]


def test_choose_and_spread_select_from_all_shapes(tmp_path):
    run = [Shape(tmp_path / f"{epoch}.npy") for epoch in range(100)]
    assert choose(run[:4], 10, seed=3) == run[:4]
    counts = np.zeros(100)
    for seed in range(300):
        counts[[shape.epoch for shape in choose(run, 10, seed)]] += 1
    assert counts.min() > 5  # 30 on average: no epoch is left out
    assert spread(run, 100) == run
    assert len({shape.epoch for shape in spread(run, 99)}) == 99


def test_only_names_of_generated_shapes_contain_run_and_epoch(tmp_path):
    folder = tmp_path / "savepoint" / "chair-1" / "generated" / "1+2"
    folder.mkdir(parents=True)
    assert distinct_name(Shape(folder / "a.npy", index=3, is_alone=False)) == "chair-1-1+2-a-03"
    assert results_of(folder, Path("models")) == Path("models", "chair-1-1+2")
    assert distinct_name(Shape(Path("savepoint/chair-1/1000.npy"))) == "1000"  # the tutorial's name
    assert source_name(tmp_path / "savepoint" / "chair-1") == "chair-1"


def test_existing_results_are_skipped_or_replaced_and_errors_do_not_stop_the_export(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3.0 * 8).reshape(3, 2, 2, 2))
    shapes = shapes_of(tmp_path / "a.npy")
    assert [str(shape) for shape in shapes] == [f"{tmp_path / 'a.npy'}, shape 0{i}" for i in range(3)]

    def export(shape, target):
        if shape.index == 1:
            raise UserError("bad")
        target.write_text(str(shape.read().sum()), encoding="utf-8")

    (tmp_path / "a-00.txt").write_text("mine", encoding="utf-8")
    first, last = tmp_path / "a-00.txt", tmp_path / "a-02.txt"
    done = export_all(shapes, tmp_path, ".txt", export)
    assert (done.written, done.replaced, done.already_there, len(done.failed)) == ([last], [], 1, 1)
    assert first.read_text(encoding="utf-8") == "mine"
    done = export_all(shapes, tmp_path, ".txt", export, replace=True)
    assert (done.written, done.replaced, done.already_there, len(done.failed)) == ([], [first, last], 0, 1)
    assert first.read_text(encoding="utf-8") == "28.0"

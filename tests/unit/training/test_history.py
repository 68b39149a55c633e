import csv

import numpy as np
import pytest

from rasgan.training import history as history_module
from rasgan.training.history import COLUMNS, History, Measurement, add_scores, cut_scores


@pytest.fixture
def saved(tmp_path, rng):
    """Return a history saved after 5 steps, its file, and its state in a checkpoint."""
    history = History(rng.normal(size=(5, 8)))
    history.write(tmp_path / "history.csv")
    return history, tmp_path / "history.csv", history.state_dict()


def test_history_file_is_exact_and_can_be_read(saved):
    history, path, state = saved
    header, *lines = csv.reader(path.read_text(encoding="ascii").splitlines())
    assert tuple(header) == COLUMNS
    np.testing.assert_array_equal(np.array(lines, dtype=float), history.rows())
    again = History.read(path, state)
    for one in (history, again):
        one.append(Measurement(9, 9, 9, 9, True, 9, 9, 9))
    np.testing.assert_array_equal(again.rows(), history.rows())
    assert len(again) == 6
    assert again.last() == (9, 9, 9, 9, 1, 9, 9, 9)


def test_rows_are_appended_without_rewriting_the_file(tmp_path, rng, monkeypatch):
    rows, path = rng.normal(size=(17, 8)), tmp_path / "history.csv"
    History(rows).write(path)
    at_once = path.read_bytes()
    path.unlink()
    history = History(rows[:2])
    history.write(path)
    monkeypatch.setattr(history_module, "atomic_path", None)  # replacing the file would fail
    for row in rows[2:]:
        history.append(Measurement(*row))
        if row[0] > 0:
            history.write(path)
    history.write(path)
    assert path.read_bytes() == at_once
    assert History.read(path, history.state_dict()).state_dict() == history.state_dict()


@pytest.mark.parametrize("tail", [b"9.0,1", b"9.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0\r\n", b"\0" * 9])
def test_rows_after_the_checkpoint_are_ignored_and_then_removed(saved, tail):
    history, path, state = saved
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    again = History.read(path, state)
    np.testing.assert_array_equal(again.rows(), history.rows())
    again.write(path)
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "damage",
    [
        lambda path, text: path.unlink(),
        lambda path, text: path.write_bytes(text[:-1]),
        lambda path, text: path.write_bytes(text[:100] + bytes([text[100] ^ 1]) + text[101:]),
        lambda path, text: (path.unlink(), path.mkdir()),
    ],
    ids=["missing", "cut", "one bit", "a folder"],
)
def test_changed_file_is_not_used(saved, damage):
    _, path, state = saved
    damage(path, path.read_bytes())
    history = History.read(path, state)
    assert len(history) == 0


def test_file_that_was_removed_or_changed_is_rewritten(saved):
    history, path, _ = saved
    whole = path.read_bytes()
    for change in (path.unlink, lambda: path.write_bytes(b"mine")):
        change()
        history.write(path)
        assert path.read_bytes() == whole
    history.cut(-9)
    history.write(path)
    assert History.read(path, history.state_dict()).rows().shape == (0, 8)


def test_scores_of_later_epochs_are_replaced(tmp_path):
    path = tmp_path / "scores.csv"
    cut_scores(path, 2)
    assert not path.exists()
    path.write_bytes(b"epoch,voxels\r\n2,9\r\n10,8\r\n12,7\r\nx,1\r\n\xff\r\n")
    cut_scores(path, 10)
    assert path.read_bytes() == b"epoch,voxels\r\n2,9\r\n10,8\r\n"
    add_scores(path, 3, {"voxels": 5, "stands": 1})
    assert path.read_bytes() == b"epoch,voxels,stands\r\n2,9,\r\n3,5,1\r\n"
    cut_scores(path, 1)
    add_scores(path, 2, {"voxels": 5})
    assert path.read_bytes() == b"epoch,voxels\r\n2,5\r\n"

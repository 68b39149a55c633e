import csv

import numpy as np

from rasgan.training.history import COLUMNS, FILES, History, Measurement, save_csv, save_history


def recorded(steps):
    history = History()
    for step in range(steps):
        measured = Measurement(step / 4, 1.0 + step, 2.0 + step, float("nan"), step % 2 == 0, 7, 2e-3, 5e-5)
        history.append(measured)
    return history


def test_columns_have_their_names_and_values():
    columns = recorded(3).columns()
    assert columns["epoch"].tolist() == [0, 0.25, 0.5]
    assert columns["loss_d"].tolist() == [1, 2, 3]
    assert columns["loss_g"].tolist() == [2, 3, 4]
    assert np.isnan(columns["loss_validation"]).all()
    assert columns["trained_d"].tolist() == [1, 0, 1]
    assert columns["ratio"].tolist() == [7, 7, 7]
    assert columns["discriminator_learning_rate"].tolist() == [5e-5] * 3


def test_rows_rebuild_the_history():
    history = recorded(5)
    again = History(history.rows())
    history.append(Measurement(9, 9, 9, 9, True, 9, 9, 9))
    again.append(Measurement(9, 9, 9, 9, True, 9, 9, 9))
    np.testing.assert_array_equal(again.rows(), history.rows())
    assert len(again) == 6
    assert again.last() == (9, 9, 9, 9, 1, 9, 9, 9)


def test_the_csv_file_holds_every_number_exactly(tmp_path, rng):
    history = History(rng.normal(size=(4, 8)))
    save_csv(tmp_path / "history.csv", history)
    lines = list(csv.reader((tmp_path / "history.csv").read_text(encoding="ascii").splitlines()))
    assert tuple(lines[0]) == COLUMNS
    np.testing.assert_array_equal(np.array(lines[1:], dtype=float), history.rows())


def test_rows_that_are_added_later_make_the_text_of_all_rows_at_once(rng):
    rows = rng.normal(size=(7, 8))
    history = History(rows[:2])
    history.csv()
    for row in rows[2:]:
        history.append(Measurement(*row))
    assert history.csv() == history.csv() == History(rows).csv()
    history.cut(0)
    assert history.csv() == History(rows[rows[:, 0] < 0]).csv()


def test_an_empty_history_has_empty_columns():
    assert {len(values) for values in History().columns().values()} == {0}


def test_saved_values_are_the_originals_files(tmp_path):
    save_history(tmp_path, recorded(3))
    assert {path.name for path in tmp_path.iterdir()} == set(FILES.values())
    assert np.load(tmp_path / "track_g_loss.npy").tolist() == [2, 3, 4]

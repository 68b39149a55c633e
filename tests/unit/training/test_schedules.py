"""Schedules: the tutorial's tables, tables in files, and when rows end."""

import pytest

from rasgan.errors import UserError
from rasgan.training.schedules import SCHEDULES, Row, ScheduleState, choose_schedule

ROWS = (Row(2, 0.1, 0.01), Row(5, 0.2, 0.02), Row(6, 0.3, 0.03))
GOOD = "epochs,generator,discriminator\n0-2,0.1,0.01\n2-5,0.2,0.02\n5-6,0.3,0.03\n"


def test_tables_are_those_of_the_tutorial():
    assert SCHEDULES["chair"] == (
        (300, 0.002, 0.00005), (1200, 0.005, 0.00005), (1600, 0.007, 0.00003), (3000, 0.008, 0.00001),
    )  # fmt: skip
    assert SCHEDULES["airplane"] == ((400, 0.0025, 0.00002), (2000, 0.0075, 0.00001))
    assert choose_schedule("chair") is SCHEDULES["chair"]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.replace("-", " – "),
        GOOD.replace(",", " , ").upper(),
        GOOD + "\n,,\n",
    ],
)
def test_table_is_read_from_a_file(tmp_path, text):
    path = tmp_path / "mine.csv"
    path.write_bytes(text.encode())
    assert choose_schedule(str(path)) == ROWS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "first line must be epochs,generator,discriminator"),
        (b"\xff\xfe\x00epochs", "first line"),
        (GOOD.replace(".", ",").replace(",", ";", 2).encode(), "Use commas, not semicolons"),
        (b"epochs,generator,discriminator\n", "no rows"),
        (GOOD.replace("2-5", "3-5").encode(), "line 3: expected epochs that continue from 2"),
        (GOOD.replace("2-5", "2-2").encode(), "line 3"),
        (GOOD.replace("2-5", "2").encode(), "line 3"),
        (GOOD.replace("0.2,", "fast,").encode(), "line 3"),
        (GOOD.replace("0.2,", "0.2,1,").encode(), "line 3"),
        (GOOD.replace(",0.02", "").encode(), "line 3"),
        (GOOD.replace("0.2,", "nan,").encode(), "line 3"),
        (GOOD.replace("0.02", "0").encode(), "line 3"),
        (GOOD.encode() + bytes(200_000), "too large for a schedule"),
    ],
)
def test_invalid_table_is_refused_with_its_line(tmp_path, text, words):
    path = tmp_path / "mine.csv"
    path.write_bytes(text)
    with pytest.raises(UserError, match=words):
        choose_schedule(str(path))


def test_unknown_name_is_refused(tmp_path):
    for name in ("sofa", str(tmp_path)):
        with pytest.raises(UserError, match=r"no such file.* airplane, chair"):
            choose_schedule(name)


def rows_of_epochs(schedule_state, epochs, ratios=None):
    """Return the row of each of the next epochs."""
    rows = []
    for epoch in range(1, epochs + 1):
        rows.append(schedule_state.row)
        schedule_state.watch((ratios or {}).get(epoch, 1))
        assert schedule_state.end_epoch(epoch) == (schedule_state.row != rows[-1])
    return rows


def test_rows_last_as_long_as_in_the_table():
    schedule_state = ScheduleState(ROWS)
    assert schedule_state.rates == (0.1, 0.01)
    assert rows_of_epochs(schedule_state, 9) == [0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert schedule_state.rates == (0.3, 0.03)
    assert not schedule_state.is_over


def test_stop_ratio_ends_a_row_early_and_keeps_the_length_of_the_next():
    schedule_state = ScheduleState(ROWS, stop_ratio=150)
    assert rows_of_epochs(schedule_state, 6, {1: 150, 2: 149}) == [0, 1, 1, 1, 2, 2]
    assert not schedule_state.is_over
    schedule_state.watch(151)
    assert schedule_state.is_over


def test_new_schedule_starts_in_the_row_of_the_epoch():
    for epoch, row, since in ((0, 0, 0), (1, 0, 0), (2, 1, 2), (4, 1, 2), (5, 2, 5), (99, 2, 5)):
        schedule_state = ScheduleState(ROWS, stop_ratio=1, reached=True)
        schedule_state.go_to(epoch)
        assert (schedule_state.row, schedule_state.since, schedule_state.reached) == (row, since, False)

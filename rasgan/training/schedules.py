"""Schedules: tables of learning rates by epoch, and the tutorial's rule that ends a row early."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rasgan.errors import UserError

HEADER = ("epochs", "generator", "discriminator")
LARGEST_FILE = 100_000  # bytes: about 3,000 rows


class Row(NamedTuple):
    """Both learning rates until an epoch."""

    until: int  # number of completed epochs at which the row ends
    generator: float
    discriminator: float


Rows = tuple[Row, ...]

SCHEDULES: dict[str, Rows] = {  # the two tables of the tutorial's README
    "chair": (
        Row(300, 0.002, 0.00005),
        Row(1200, 0.005, 0.00005),
        Row(1600, 0.007, 0.00003),
        Row(3000, 0.008, 0.00001),
    ),
    "airplane": (Row(400, 0.0025, 0.00002), Row(2000, 0.0075, 0.00001)),
}


def choose_schedule(name: str) -> Rows:
    """Return the schedule of that name, or read it from the CSV file of that name.

    Such a file has the header ``epochs,generator,discriminator`` and rows like ``0-300,0.002,0.00005``.
    Raises UserError, which names the line, if the file is missing or is not such a table.
    """
    if name in SCHEDULES:
        return SCHEDULES[name]
    path = Path(name)
    if not path.is_file():
        raise UserError(f"{path}: no such file. Schedules with a name: {', '.join(sorted(SCHEDULES))}.")
    if path.stat().st_size > LARGEST_FILE:
        raise UserError(f"{path}: too large for a schedule; the limit is {LARGEST_FILE:,} bytes.")
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    header, *lines = text.splitlines() or [""]
    if tuple(header.lower().replace(" ", "").replace('"', "").split(",")) != HEADER:
        hint = " Use commas, not semicolons." if ";" in header else ""
        raise UserError(f"{path}: not a schedule; the first line must be {','.join(HEADER)}.{hint}")
    rows: list[Row] = []
    for number, line in enumerate(lines, start=2):
        cells = [cell.strip(' "') for cell in line.split(",")]
        if any(cells):
            start = rows[-1].until if rows else 0
            rows.append(_parse_row(cells, start, f"{path}, line {number}"))
    if not rows:
        raise UserError(f"{path}: no rows after the first line; add rows such as 0-300,0.002,0.00005.")
    return tuple(rows)


def _parse_row(cells: list[str], start: int, where: str) -> Row:
    match = re.fullmatch(r"(\d{1,9})\s*[-–]\s*(\d{1,9})", cells[0], re.ASCII)
    try:
        row = Row(int(match[2]), *map(float, cells[1:]))
        is_valid = int(match[1]) == start < row.until and all(0 < rate < math.inf for rate in row[1:])
    except (TypeError, ValueError):
        is_valid = False
    if not is_valid:
        expected = f"epochs that continue from {start} and two learning rates above 0"
        raise UserError(f"{where}: expected {expected}, such as {start}-{start + 300},0.002,0.00005.")
    return row


@dataclass
class ScheduleState:
    """The current row of a schedule, and whether the next one is due.

    A row ends after as many epochs as it has in the table, or at the end of the first epoch in which the
    gate's ratio reached `stop_ratio` (the tutorial's "until the discriminator is trained only every 150 or
    more cycles"; 0 is never). The rows after it then start earlier and keep their lengths. The last row ends
    with the run.
    """

    rows: Rows  # a run without a schedule has one
    stop_ratio: int = 0
    row: int = 0  # index of the current row
    since: int = 0  # number of completed epochs when it started
    reached: bool = False  # whether the ratio was reached in it

    @property
    def rates(self) -> tuple[float, float]:
        """Learning rates of the generator and the discriminator."""
        return self.rows[self.row][1:]

    @property
    def is_over(self) -> bool:
        """Whether the stopping rule has ended the run."""
        return self.reached and self.row + 1 == len(self.rows)

    def watch(self, ratio: int) -> None:
        """Record the gate's ratio after a step."""
        self.reached = self.reached or ratio >= self.stop_ratio > 0

    def end_epoch(self, epoch: int) -> bool:
        """Move to the next row if it is due after `epoch` epochs; return whether it was."""
        length = self.rows[self.row].until - (self.rows[self.row - 1].until if self.row else 0)
        if self.row + 1 == len(self.rows) or not (self.reached or epoch - self.since >= length):
            return False
        self.row, self.since, self.reached = self.row + 1, epoch, False
        return True

    def go_to(self, epoch: int) -> None:
        """Move to the table row that contains `epoch`."""
        ends = [row.until for row in self.rows[:-1]]
        self.row = sum(end <= epoch for end in ends)
        self.since, self.reached = ends[self.row - 1] if self.row else 0, False

    def state_dict(self) -> dict:
        """Return the current place in the schedule."""
        return {"row": self.row, "since": self.since, "reached": self.reached}

    def load_state_dict(self, state: dict) -> None:
        """Move to a place that `state_dict` returned."""
        self.row, self.since, self.reached = state["row"], state["since"], state["reached"]

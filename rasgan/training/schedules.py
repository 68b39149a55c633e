"""The tutorial's schedules: learning rates by epoch, and the rule that moves on before a row's end."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rasgan.errors import UserError

HEADER = ("epochs", "generator", "discriminator")
LARGEST_FILE = 100_000  # bytes; a row has about thirty


class Row(NamedTuple):
    """Both learning rates until so many epochs are done."""

    until: int
    generator: float
    discriminator: float


Rows = tuple[Row, ...]

SCHEDULES: dict[str, Rows] = {  # the two tables of the tutorial's page
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
        names = ", ".join(sorted(SCHEDULES))
        raise UserError(f"{path}: no such file, and none of the schedules {names}.")
    if path.stat().st_size > LARGEST_FILE:
        raise UserError(f"{path}: too large for a schedule; at most {LARGEST_FILE:,} bytes are read.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a CSV text file; write it as {','.join(HEADER)}.") from error
    lines = [[cell.strip(' "') for cell in line.split(",")] for line in text.splitlines()]
    if not lines or tuple(cell.lower() for cell in lines[0]) != HEADER:
        hint = " (use commas, not semicolons)" if lines and ";" in lines[0][0] else ""
        raise UserError(
            f"{path}: the first line must be {','.join(HEADER)}{hint}, and the others such as "
            "0-300,0.002,0.00005."
        )
    rows: list[Row] = []
    for number, line in enumerate(lines[1:], start=2):
        if any(line):
            start = rows[-1].until if rows else 0
            rows.append(_parse_row(line, start, f"{path}, line {number}"))
    if not rows:
        raise UserError(f"{path}: no rows below the header; write one such as 0-300,0.002,0.00005.")
    return tuple(rows)


def _parse_row(cells: list[str], start: int, where: str) -> Row:
    match = re.fullmatch(r"(\d{1,9})\s*[-–]\s*(\d{1,9})", cells[0], re.ASCII)
    try:
        generator, discriminator = (float(cell) for cell in cells[1:])
    except ValueError:
        match = None
    if match is None:
        raise UserError(f"{where}: expected epochs and two learning rates, such as 0-300,0.002,0.00005.")
    first, until = int(match[1]), int(match[2])
    if first != start or until <= first:
        raise UserError(f"{where}: the epochs must continue from {start} to a higher number.")
    if not (0 < generator < float("inf") and 0 < discriminator < float("inf")):
        raise UserError(f"{where}: learning rates must be above 0.")
    return Row(until, generator, discriminator)


@dataclass
class ScheduleState:
    """Which row of a schedule a run is in, and whether it is time for the next one.

    A row ends after as many epochs as it has in the table, or at the end of the first epoch in which the
    gate's ratio reached `stop_ratio` (the tutorial's "until the discriminator is trained only every 150 or
    more cycles"; 0 is never). The rows after it then begin earlier and keep their lengths. The last row ends
    with the run.
    """

    rows: Rows  # a run without a schedule has one
    stop_ratio: int = 0
    row: int = 0  # index of the current row
    since: int = 0  # epochs that were done when it began
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
        """Note the gate's ratio after a step."""
        self.reached = self.reached or (self.stop_ratio > 0 and ratio >= self.stop_ratio)

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
        self.since = ends[self.row - 1] if self.row else 0
        self.reached = False

    def state_dict(self) -> dict:
        """Return the place in the schedule."""
        return {"row": self.row, "since": self.since, "reached": self.reached}

    def load_state_dict(self, state: dict) -> None:
        """Move to a place that `state_dict` returned."""
        self.row, self.since, self.reached = state["row"], state["since"], state["reached"]

"""Measurements of every step and scores of epochs, in memory and on disk."""

import csv
import hashlib
import io
import os
from array import array
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from rasgan.export import plots
from rasgan.files import atomic_path, naming
from rasgan.voxel_io import write_npy


class Measurement(NamedTuple):
    """What one step measured: a row of ``history.csv``, whose columns are the fields."""

    epoch: float  # as a fraction
    loss_d: float
    loss_g: float
    loss_validation: float  # NaN without validation shapes
    trained_d: bool
    ratio: int  # `Gate.ratio`
    generator_learning_rate: float
    discriminator_learning_rate: float


COLUMNS = Measurement._fields
FILES = {  # the original's names
    "epoch": "epochs.npy",
    "loss_d": "track_d_loss.npy",
    "loss_g": "track_g_loss.npy",
    "loss_validation": "track_d_validation_loss.npy",
    "trained_d": "track_d_trained.npy",
}


class History:
    """One row of `COLUMNS` per step: 64 bytes each in memory, a line each in a CSV file that only grows."""

    def __init__(self, rows: np.ndarray | None = None) -> None:
        rows = np.empty((0, len(COLUMNS))) if rows is None else np.asarray(rows, np.float64)
        if rows.shape[1:] != (len(COLUMNS),):
            raise ValueError(f"rows must have {len(COLUMNS)} columns: {rows.shape}")
        self._values = array("d", rows.tobytes())
        self._written, self._size, self._digest = 0, 0, hashlib.sha256()  # of the file: rows, bytes

    def __len__(self) -> int:
        return len(self._values) // len(COLUMNS)

    def append(self, measured: Measurement) -> None:
        """Add the measurements of one step."""
        self._values.extend(measured)

    def cut(self, epoch: int) -> None:
        """Drop the steps from the start of an epoch on, counted from 0."""
        rows = self.rows()
        self.__init__(rows[rows[:, 0] < epoch])

    def last(self) -> Measurement:
        """Return the newest measurements."""
        return Measurement(*self._values[-len(COLUMNS) :])

    def rows(self) -> np.ndarray:
        """Return a copy of everything as (steps, columns) float64."""
        return np.array(self._values, dtype=np.float64).reshape(-1, len(COLUMNS))

    def columns(self) -> dict[str, np.ndarray]:
        """Return each measurement by name, (steps,) float64."""
        return dict(zip(COLUMNS, self.rows().T, strict=True))

    def write(self, path: Path) -> None:
        """Append the missing rows to a CSV file; replace it if its size differs from what was written."""
        if path.is_file() and path.stat().st_size == self._size:
            with naming(path), path.open("ab") as file:
                self._write_rows(file)
                file.flush()
                os.fsync(file.fileno())
        else:
            self._written, self._size, self._digest = 0, 0, hashlib.sha256()
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                self._write_rows(file)

    def _write_rows(self, file: BinaryIO) -> None:
        lines = [] if self._size else [",".join(COLUMNS)]
        lines += (",".join(map(repr, row)) for row in self.rows()[self._written :].tolist())
        text = "".join(f"{line}\r\n" for line in lines).encode("ascii")
        file.write(text)
        self._written, self._size = len(self), self._size + len(text)
        self._digest.update(text)

    def state_dict(self) -> dict:
        """Return the size in bytes and the digest of the file that `write` wrote."""
        return {"size": self._size, "sha256": self._digest.hexdigest()}

    @classmethod
    def read(cls, path: Path, state: dict) -> "History":
        """Read the start of a CSV file that `state_dict` described; return no rows if it is not the same.

        Lines after that start, which were written after the checkpoint, are ignored.
        """
        history, text = cls(), b""
        if path.is_file():
            with path.open("rb") as file:
                text = file.read(state["size"])
        digest = hashlib.sha256(text)
        if digest.hexdigest() == state["sha256"]:
            lines = io.BytesIO(text)
            lines.readline()  # the header
            for line in lines:
                history._values.extend(map(float, line.split(b",")))
            history._written, history._size, history._digest = len(history), len(text), digest
        return history


def draw_history(folder: Path, epoch: int, history: History) -> None:
    """Draw the losses up to `epoch` as ``EPOCH.png``, and write the values that the original tracks."""
    columns = history.columns()
    for name, file in FILES.items():
        write_npy(folder / file, columns[name])
    losses = [columns[name] for name in ("epoch", "loss_d", "loss_g", "loss_validation")]
    if np.isnan(columns["loss_validation"]).all():  # no validation folder
        losses.pop()
    rates = [columns["generator_learning_rate"], columns["discriminator_learning_rate"]]
    plots.draw_losses(folder / f"{epoch}.png", *losses, learning_rates=np.stack(rates, axis=1))


def cut_scores(path: Path, epoch: int) -> None:
    """Drop the rows of a CSV file of scores that are later than `epoch`."""
    if path.is_file():
        _write_scores(path, _read_scores(path, epoch))


def add_scores(path: Path, epoch: int, scores: dict[str, float]) -> None:
    """Add a row to a CSV file of scores by epoch; rows from `epoch` on, of an earlier start, are replaced."""
    _write_scores(path, [*_read_scores(path, epoch - 1), {"epoch": epoch, **scores}])


def _read_scores(path: Path, last: int) -> list[dict]:
    """Read the rows up to an epoch."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if (row.get("epoch") or "").isdecimal() and int(row["epoch"]) <= last]


def _write_scores(path: Path, rows: list[dict]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[-1] if rows else [], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)

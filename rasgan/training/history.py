"""Measurements of every step, in memory and on disk."""

import csv
import hashlib
import io
import os
from array import array
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from rasgan.files import atomic_path, naming
from rasgan.voxel_io import write_npy


class Measurement(NamedTuple):
    """What one step measured; the fields are the columns of ``history.csv``."""

    epoch: float  # as a fraction
    loss_d: float
    loss_g: float
    loss_validation: float  # NaN where no validation folder was given
    trained_d: bool
    ratio: int  # steps between the discriminator's updates, as the gate counts them
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
    """One row of `COLUMNS` a step: 64 bytes each in memory, a line each in a CSV file that only grows."""

    def __init__(self, rows: np.ndarray | None = None) -> None:
        rows = np.empty((0, len(COLUMNS))) if rows is None else rows
        if rows.ndim != 2 or rows.shape[1] != len(COLUMNS):
            raise ValueError(f"rows have {len(COLUMNS)} numbers: {rows.shape}")
        self._values = array("d", np.ascontiguousarray(rows, np.float64).tobytes())
        self._written, self._size, self._digest = 0, 0, hashlib.sha256()  # of the file

    def __len__(self) -> int:
        return len(self._values) // len(COLUMNS)

    def append(self, measured: Measurement) -> None:
        """Add the measurements of one step."""
        self._values.extend(measured)

    def cut(self, epoch: int) -> None:
        """Drop the steps from the start of an epoch on, counted from 0: it is trained again."""
        rows = self.rows()
        self.__init__(rows[rows[:, 0] < epoch])

    def last(self) -> Measurement:
        """Return the newest measurements."""
        return Measurement(*self._values[-len(COLUMNS) :])

    def rows(self) -> np.ndarray:
        """Return everything as (steps, columns) float64, a copy."""
        return np.array(self._values, dtype=np.float64).reshape(-1, len(COLUMNS))

    def columns(self) -> dict[str, np.ndarray]:
        """Return each measurement by name, (steps,) float64."""
        return dict(zip(COLUMNS, self.rows().T, strict=True))

    def write(self, path: Path) -> None:
        """Append to a CSV file the rows that it lacks; replace it if its size is not what `write` left."""
        if path.is_file() and path.stat().st_size == self._size:
            with naming(path), path.open("ab") as file:
                self._write_lines(file)
                file.flush()
                os.fsync(file.fileno())
        else:
            self._written, self._size, self._digest = 0, 0, hashlib.sha256()
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                self._write_lines(file)

    def _write_lines(self, file: BinaryIO) -> None:
        for step in range(self._written, len(self)):
            row = self._values[step * len(COLUMNS) : (step + 1) * len(COLUMNS)]
            text = ",".join(map(repr, row)) + "\r\n"
            if step == 0:
                text = ",".join(COLUMNS) + "\r\n" + text
            file.write(text.encode("ascii"))
            self._size += len(text)
            self._digest.update(text.encode("ascii"))
        self._written = len(self)

    def state_dict(self) -> dict:
        """Return the size in bytes and the digest of the file, as `write` left it."""
        return {"size": self._size, "sha256": self._digest.hexdigest()}

    @classmethod
    def read(cls, path: Path, state: dict) -> "History":
        """Read the start of a CSV file that `state_dict` described; return no rows if it is not the same.

        Lines after that start, which were written after the checkpoint, are ignored.
        """
        history = cls()
        if path.is_file() and path.stat().st_size >= state["size"]:
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


def save_history(folder: Path, history: History) -> None:
    """Write the original's tracked values to their .npy files in `folder`."""
    columns = history.columns()
    for name, file in FILES.items():
        write_npy(folder / file, columns[name])


def cut_scores(path: Path, epoch: int) -> None:
    """Drop the rows of a CSV file of scores that are later than `epoch`."""
    if not path.is_file():
        return
    header, *rows = path.read_bytes().splitlines(keepends=True) or [b""]
    kept = [row for row in rows if _is_before(row.decode("ascii", "replace").split(",")[0], epoch + 1)]
    if kept != rows:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"".join((header, *kept)))


def add_scores(path: Path, epoch: int, scores: dict[str, float]) -> None:
    """Add a row to a CSV file of scores by epoch; rows from `epoch` on, of an earlier start, go."""
    rows = []
    if path.is_file():
        with path.open(encoding="ascii", errors="replace", newline="") as file:
            rows = [row for row in csv.DictReader(file) if _is_before(row.get("epoch"), epoch)]
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", *scores], extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*rows, {"epoch": epoch, **scores}])


def _is_before(text: str | None, epoch: int) -> bool:
    return text is not None and text.isdecimal() and int(text) < epoch

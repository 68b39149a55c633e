"""What a run measured at every step: record and save."""

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


LINES_AT_ONCE = 4096
LONGEST_LINE = 1024  # bytes; the eight numbers of a step have about 130


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
        while self._written < len(self):
            text = io.StringIO(newline="")
            if not self._written:
                csv.writer(text).writerow(COLUMNS)
            end = min(self._written + LINES_AT_ONCE, len(self))
            values = np.array(self._values[self._written * len(COLUMNS) : end * len(COLUMNS)])
            csv.writer(text).writerows(values.reshape(-1, len(COLUMNS)).tolist())
            lines = text.getvalue().encode("ascii")
            file.write(lines)
            self._written, self._size = end, self._size + len(lines)
            self._digest.update(lines)

    def state_dict(self) -> dict:
        """Return the size in bytes and the digest of the file, as `write` left it."""
        return {"size": self._size, "sha256": self._digest.hexdigest()}

    @classmethod
    def read(cls, path: Path, state: dict) -> "History":
        """Read the start of a CSV file that `state_dict` described; return no rows if it is not the same.

        Lines after that start, which were written after the checkpoint, are ignored.
        """
        history, size = cls(), state["size"]
        if not path.is_file():
            return history
        try:
            with path.open("rb") as file:
                for line in iter(lambda: file.readline(LONGEST_LINE), b""):
                    if history._size >= size:
                        break
                    history._values.extend(map(float, line.split(b",")) if history._size else ())
                    history._size += len(line)
                    history._digest.update(line)
        except ValueError:
            return cls()
        history._written = len(history)
        return (
            history if history.state_dict() == state and len(history._values) % len(COLUMNS) == 0 else cls()
        )


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

"""What a run measured at every step: record, save and smooth."""

import csv
import io
from array import array
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rasgan.files import atomic_path
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
    """One row of `COLUMNS` a step, 64 bytes each."""

    def __init__(self, rows: np.ndarray | None = None) -> None:
        rows = np.empty((0, len(COLUMNS))) if rows is None else rows
        if rows.ndim != 2 or rows.shape[1] != len(COLUMNS):
            raise ValueError(f"rows have {len(COLUMNS)} numbers: {rows.shape}")
        self._values = array("d", np.ascontiguousarray(rows, np.float64).tobytes())
        self._text, self._written = io.StringIO(newline=""), 0
        csv.writer(self._text).writerow(COLUMNS)

    def __len__(self) -> int:
        return len(self._values) // len(COLUMNS)

    def append(self, measured: Measurement) -> None:
        """Add the measurements of one step."""
        self._values.extend(measured)

    def cut(self, epoch: int) -> None:
        """Forget the steps from the beginning of an epoch on, counted from 0: it is trained anew."""
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

    def csv(self) -> str:
        """Return everything as the text of a CSV file; rows of the last call are not written anew."""
        new = self._values[self._written * len(COLUMNS) :]
        csv.writer(self._text).writerows(np.array(new).reshape(-1, len(COLUMNS)).tolist())
        self._written = len(self)
        return self._text.getvalue()


def save_history(folder: Path, history: History) -> None:
    """Write the original's tracked values to their .npy files in `folder`."""
    columns = history.columns()
    for name, file in FILES.items():
        write_npy(folder / file, columns[name])


def save_csv(path: Path, history: History) -> None:
    """Write all columns to one CSV file."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(history.csv().encode("ascii"))


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

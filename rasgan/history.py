"""What a run measured at every step: record, save, load and smooth."""

from pathlib import Path

import numpy as np
from scipy.signal import savgol_filter

from rasgan.files import atomic_path

SMOOTHING_WINDOW = 51  # points, and the order of the polynomial: the tutorial's Savitzky-Golay filter
SMOOTHING_ORDER = 3
FILES = {  # the original's names
    "epochs": "epochs.npy",
    "losses_d": "track_d_loss.npy",
    "losses_g": "track_g_loss.npy",
    "losses_validation": "track_d_validation_loss.npy",
    "trained_d": "track_d_trained.npy",
}


class History:
    """One row a step: the epoch as a fraction, both losses, the validation loss, whether D trained.

    The validation loss is NaN on steps that had no validation folder.
    """

    def __init__(self, rows: np.ndarray | None = None) -> None:
        self._rows: list[tuple[float, ...]] = [] if rows is None else [tuple(row) for row in rows.tolist()]

    def __len__(self) -> int:
        return len(self._rows)

    def append(
        self, epoch: float, loss_d: float, loss_g: float, loss_validation: float, trained_d: bool
    ) -> None:
        """Add the measurements of one step."""
        self._rows.append((epoch, loss_d, loss_g, loss_validation, float(trained_d)))

    def rows(self) -> np.ndarray:
        """Give everything as (steps, 5) float64."""
        return np.array(self._rows, dtype=np.float64).reshape(-1, len(FILES))

    def columns(self) -> dict[str, np.ndarray]:
        """Give each measurement by name, (steps,) float64."""
        return dict(zip(FILES, self.rows().T, strict=True))


def save_history(folder: Path, history: History) -> None:
    """Write each measurement to its own .npy file in `folder`."""
    for name, values in history.columns().items():
        with atomic_path(folder / FILES[name]) as temporary:
            np.save(temporary, values)


def smooth(values: np.ndarray) -> np.ndarray:
    """Smooth (s,) losses with the tutorial's Savitzky-Golay filter; fewer than 51 come back as they are.

    At both ends the polynomial of the last full window is continued (scipy's mode "interp"); the original
    mirrors the curve around its end points instead.
    """
    values = np.array(values, dtype=np.float64)
    if len(values) < SMOOTHING_WINDOW:
        return values
    return savgol_filter(values, SMOOTHING_WINDOW, SMOOTHING_ORDER)

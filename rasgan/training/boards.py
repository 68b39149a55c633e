"""TensorBoard: the measurements of every step and pictures of the samples, where it is asked for."""

from pathlib import Path

import numpy as np

from rasgan.errors import UserError
from rasgan.export import shading
from rasgan.voxels import is_occupied


class Board:
    """Write what ``tensorboard --logdir FOLDER`` shows.

    Parameters
    ----------
    folder : Path
    first_step : int
        A run that goes on from an earlier checkpoint writes over what came after it.

    Raises
    ------
    UserError
        If the optional package is not installed.
    """

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError(
                '--tensorboard needs an optional package: python -m pip install -e ".[tensorboard]"'
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=first_step)

    def step(self, number: int, measured: dict[str, float]) -> None:
        """Add the measurements of step `number`; those that are NaN are left out."""
        for name, value in measured.items():
            if value == value:
                self._writer.add_scalar(name, value, number)

    def sample(self, number: int, grid: np.ndarray) -> None:
        """Add a picture of a generated grid of scores."""
        picture = shading.smooth_picture(is_occupied(grid), shrink=2, whole_box=True)
        self._writer.add_image("sample", picture, number, dataformats="HWC")

    def close(self) -> None:
        """Write what is still to be written."""
        self._writer.close()

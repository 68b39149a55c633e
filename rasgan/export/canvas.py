"""matplotlib, imported so that no setting of the machine can stop it; its figures as PNGs.

MPLBACKEND often names a backend that this Python lacks: a notebook hands its own to all that it starts.
Pictures need none, so such a name is ignored; a good one holds, as in any import of matplotlib.
"""

import contextlib
import logging
import os
import sys
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from rasgan.files import atomic_path

_backend = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns of folders for settings that are read-only

import matplotlib as mpl  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

if _backend is not None:
    os.environ["MPLBACKEND"] = _backend
    with contextlib.suppress(ValueError):
        mpl.rcParams["backend"] = _backend

__all__ = ["Axes", "Figure", "drawable", "mpl", "pixels_of", "save_figure", "save_pixels"]


def drawable(text: str) -> str:
    """Replace bytes of a name that are not text in the machine's encoding by question marks."""
    return text.encode(errors="replace").decode()


def pixels_of(figure: Figure) -> np.ndarray:
    """Draw a figure: (h, w, 3) uint8."""
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():  # about characters that the font lacks: they are drawn as boxes
        warnings.filterwarnings("ignore", r"Glyph \d|Matplotlib currently does not support")
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def save_figure(figure: Figure, path: Path, colors: int | None = None) -> None:
    """Write a figure as a PNG, as `save_pixels` does."""
    save_pixels(pixels_of(figure), path, colors)


def save_pixels(pixels: np.ndarray, path: Path, colors: int | None = None) -> None:
    """Write an (h, w, 3) uint8 picture as a PNG, which appears complete or not at all.

    Fewer `colors`, up to 256, make a far smaller file.
    """
    image = Image.fromarray(pixels)
    if colors is not None:
        image = image.quantize(colors, dither=Image.Dither.NONE)
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG", optimize=colors is not None)

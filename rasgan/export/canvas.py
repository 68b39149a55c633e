"""Import matplotlib safely, and write its figures as PNGs.

MPLBACKEND may name a backend that is not installed here, because notebooks pass theirs on to the processes
that they start. Files are written without a backend, so an invalid name is ignored and a valid one is kept.
"""

import contextlib
import logging
import os
import sys
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rasgan.files import atomic_path

_backend = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns of read-only folders for settings

import matplotlib as mpl  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

if _backend is not None:
    os.environ["MPLBACKEND"] = _backend
    with contextlib.suppress(ValueError):
        mpl.rcParams["backend"] = _backend

__all__ = ["Axes", "Figure", "drawable", "mpl", "pixels_of", "save_figure", "save_pixels", "write_text"]

FONT_SIZE = 15  # pixels


def drawable(text: str) -> str:
    """Replace undecodable bytes of a file name by question marks."""
    return text.encode(errors="replace").decode()


def pixels_of(figure: Figure) -> np.ndarray:
    """Draw a figure. Returns (h, w, 3) uint8."""
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():  # characters that the font lacks are drawn as boxes
        warnings.filterwarnings("ignore", r"Glyph \d|Matplotlib currently does not support")
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def write_text(image: Image.Image, center: tuple[float, float], text: str, color: str) -> None:
    """Write a line of text into an image, centered at (x, y) in pixels."""
    font = ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), FONT_SIZE)
    ImageDraw.Draw(image).text(center, drawable(text), fill=color, font=font, anchor="mm")


def save_figure(figure: Figure, path: Path, colors: int | None = None) -> None:
    """Write a figure as a PNG; see `save_pixels`."""
    save_pixels(pixels_of(figure), path, colors)


def save_pixels(pixels: np.ndarray, path: Path, colors: int | None = None) -> None:
    """Write an (h, w, 3) uint8 picture as a PNG, atomically.

    With `colors`, at most 256, the file has a palette and is much smaller.
    """
    image = Image.fromarray(pixels)
    if colors is not None:
        image = image.quantize(colors, dither=Image.Dither.NONE)
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG", optimize=colors is not None)

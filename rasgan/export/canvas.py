"""matplotlib as the pictures here need it: imported on any machine, its figures written as PNGs.

The package imports it here and nowhere else: what a machine says about windows and folders must not stop a
picture that needs neither.
"""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from rasgan.files import atomic_path


@contextlib.contextmanager
def _any_machine() -> Iterator[None]:
    """Let the block import matplotlib without an error or a word, and then give it the machine's backend.

    MPLBACKEND often names a backend that this Python lacks: a notebook hands its own to all that it starts.
    Pictures need none, so such a name is passed over; a good one holds, as in any import of matplotlib. A
    folder for its settings that cannot be written, or no home at all, is told by it at length; it goes on.
    """
    backend = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with contextlib.suppress(ValueError):
            mpl.rcParams["backend"] = backend


with _any_machine():
    import matplotlib as mpl
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

__all__ = ["Artist", "Axes", "Figure", "drawable", "mpl", "pixels_of", "save_figure", "save_pixels"]


def drawable(text: str) -> str:
    """Replace by ? what no font takes: bytes of a name that are no text in the machine's encoding."""
    return text.encode(errors="replace").decode()


def pixels_of(figure: Figure) -> np.ndarray:
    """Draw a figure: (h, w, 3) uint8.

    Characters that the font lacks, of a name in Chinese or an emoji, are drawn as boxes.
    """
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():  # a page of them for one name
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

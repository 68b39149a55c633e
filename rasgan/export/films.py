"""Films: animated GIFs of shaded shapes, the camera still, a caption below."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rasgan.errors import UserError
from rasgan.export import shading
from rasgan.export.gif import write_gif
from rasgan.export.plots import INK

MARGIN, CAPTION, FONT_SIZE = 16, 34, 15  # pixels
LAST_FRAME_MS = 2000  # the result is what one wants to look at


def draw_film(path: Path, grids: Iterable[np.ndarray], captions: Sequence[str], frame_ms: int) -> None:
    """Write a GIF with one frame for every shape; it plays again and again.

    Parameters
    ----------
    path : Path
        Written whole or not at all.
    grids : iterable of (n, n, n) bool arrays
        Two or more of the same size; one is held in memory at a time if the iterable makes them so.
    captions : sequence of str
        One for each frame.
    frame_ms : int
        How long each frame is shown, in milliseconds; the last stays for two seconds.

    Raises
    ------
    UserError
        If the grids differ in size, or there is only one.
    """
    frames: list[np.ndarray] = []
    sizes = set()
    for grid in grids:
        sizes.add(grid.shape)
        if len(sizes) > 1:
            raise UserError(f"{path}: grids of different sizes make no film; choose those of one size.")
        frames.append((255 * shading.smooth_picture(grid, shrink=2, whole_box=True)).round().astype(np.uint8))
    if len(frames) < 2:
        raise UserError(f"{path}: a film takes two shapes or more; there is {len(frames)}.")
    captioned = [_add_caption(*pair) for pair in zip(_crop_alike(frames), captions, strict=True)]
    write_gif(path, captioned, [frame_ms] * (len(frames) - 1) + [max(frame_ms, LAST_FRAME_MS)])


def _crop_alike(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Cut off the borders that are white in every frame, up to a margin."""
    drawn = np.any([(frame < 250).any(axis=2) for frame in frames], axis=0)
    if not drawn.any():
        return list(frames)
    (top, left), (bottom, right) = (edge(np.argwhere(drawn), axis=0) for edge in (np.min, np.max))
    rows = slice(max(top - MARGIN, 0), bottom + MARGIN + 1)
    columns = slice(max(left - MARGIN, 0), right + MARGIN + 1)
    return [frame[rows, columns] for frame in frames]


def _add_caption(frame: np.ndarray, caption: str) -> np.ndarray:
    """Write a line of text, centered, below a picture."""
    height, width, _ = frame.shape
    image = Image.new("RGB", (width, height + CAPTION), "white")
    image.paste(Image.fromarray(frame))
    font = ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), FONT_SIZE)
    middle = (width / 2, height + CAPTION / 2 - 4)
    ImageDraw.Draw(image).text(middle, caption, fill=INK, font=font, anchor="mm")
    return np.asarray(image)

"""Films: animated GIFs of shaded shapes, the camera still, a caption below."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rasgan import isometric
from rasgan.errors import UserError
from rasgan.figures import INK
from rasgan.files import atomic_path

COLOURS = 256
WHITE = 0
"""Place of pure white among the colours: averaged with what is nearly white, the background would be grey."""
SEEN_FOR_PALETTE = 8  # frames, evenly spaced, that the colours are chosen from
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
        frames.append(
            (255 * isometric.smooth_picture(grid, shrink=2, whole_box=True)).round().astype(np.uint8)
        )
    if len(frames) < 2:
        raise UserError(f"{path}: a film takes two shapes or more; there is {len(frames)}.")
    captioned = [_add_caption(*pair) for pair in zip(_crop_alike(frames), captions, strict=True)]
    write_gif(path, captioned, [frame_ms] * (len(frames) - 1) + [max(frame_ms, LAST_FRAME_MS)])


def write_gif(path: Path, frames: Sequence[np.ndarray], durations_ms: Sequence[int]) -> None:
    """Write an animated GIF that plays for ever, all frames in the same few colours.

    Parameters
    ----------
    path : Path
        Written whole or not at all.
    frames : sequence of (h, w, 3) uint8 arrays
    durations_ms : sequence of int
        One for each frame; the format counts hundredths of a second.
    """
    palette = _palette(np.stack(frames[:: -(-len(frames) // SEEN_FOR_PALETTE)]))
    images = [_with_palette(frame, palette) for frame in frames]
    with atomic_path(path) as temporary:
        images[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=list(durations_ms),
            loop=0,
            optimize=True,
        )


def _palette(frames: np.ndarray) -> Image.Image:
    """Choose the colours for (f, h, w, 3) uint8 frames; give them as the palette of an image of one pixel."""
    pixels = frames.reshape(1, -1, 3)
    coloured = pixels[(pixels < 255).any(axis=2)]
    palette = Image.new("P", (1, 1))
    colours = [255, 255, 255]  # at WHITE
    if len(coloured):
        colours += Image.fromarray(coloured[None]).quantize(COLOURS - 1).getpalette()
    palette.putpalette(colours[: 3 * COLOURS])  # before Pillow 9.1 getpalette pads with zeros
    return palette


def _with_palette(frame: np.ndarray, palette: Image.Image) -> Image.Image:
    """Replace each colour of a frame by the nearest of the palette, white by white."""
    image = Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
    # Pillow looks up six bits of a colour, which are the same for white and what is nearly white.
    is_white = Image.fromarray((frame == 255).all(axis=2))
    image.paste(WHITE, mask=is_white)
    return image


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
    """Write a line of text, centred, below a picture."""
    height, width, _ = frame.shape
    image = Image.new("RGB", (width, height + CAPTION), "white")
    image.paste(Image.fromarray(frame))
    font = ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), FONT_SIZE)
    middle = (width / 2, height + CAPTION / 2 - 4)
    ImageDraw.Draw(image).text(middle, caption, fill=INK, font=font, anchor="mm")
    return np.asarray(image)

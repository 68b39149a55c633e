"""Animated GIFs without flicker, and films of shaded shapes with captions."""

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rasgan.errors import UserError
from rasgan.export import shading
from rasgan.export.canvas import write_text
from rasgan.export.plots import INK
from rasgan.files import atomic_path

MARGIN, CAPTION = 16, 34  # pixels
LAST_FRAME_MS = 2000  # time to look at the result
WHITE = (255, 255, 255)
BACKGROUND = 0  # its index in the palette
PALETTE_SAMPLES = 200_000  # pixels that the colors are chosen from


def write_gif(
    path: Path,
    frames: Sequence[np.ndarray],
    durations_ms: Sequence[int],
    background: tuple[int, int, int] = WHITE,
) -> None:
    """Write an animated GIF that loops.

    Parameters
    ----------
    frames : sequence of (h, w, 3) uint8 arrays
    durations_ms : sequence of int
        One per frame; the format rounds to hundredths of a second.
    background : three ints, 0 to 255
        Pixels of this color are exact; other colors change slightly.
    """
    palette = _palette(frames, background)
    images = (_with_palette(frame, palette, background) for frame in frames)
    first = next(images)
    timing = {"duration": list(durations_ms), "loop": 0}
    with atomic_path(path) as temporary:
        first.save(temporary, format="GIF", save_all=True, append_images=images, optimize=True, **timing)


def _palette(frames: Sequence[np.ndarray], background: tuple[int, int, int]) -> Image.Image:
    """Return an image whose palette has the background and 255 colors for all frames."""
    samples = []
    for frame in frames:
        drawn = frame[(frame != background).any(axis=2)]
        samples.append(drawn[:: 1 + len(drawn) * len(frames) // PALETTE_SAMPLES])
    pixels = np.concatenate(samples)
    colors = list(background)  # at BACKGROUND
    if len(pixels):
        colors += Image.fromarray(pixels[None]).quantize(255).getpalette()[: 255 * 3]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors)
    return palette


def _with_palette(frame: np.ndarray, palette: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Replace each color of a frame by the nearest in the palette, without dithering, which would flicker."""
    image = Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
    # Pillow compares only some bits of a color, so it may replace the background by a similar color.
    image.paste(BACKGROUND, mask=Image.fromarray((frame == background).all(axis=2)))
    return image


def draw_film(path: Path, grids: Iterable[np.ndarray], captions: Sequence[str], frame_ms: int) -> None:
    """Write a GIF with one frame per shape and a fixed camera.

    Raises UserError if the grids differ in size or there is only one.

    Parameters
    ----------
    grids : iterable of (n, n, n) bool arrays
    captions : sequence of str
        One per frame.
    frame_ms : int
        Time per frame in milliseconds; the last frame is shown for two seconds.
    """
    frames: list[np.ndarray] = []
    for grid in grids:
        rgb = shading.smooth_picture(grid, shrink=2, whole_box=True)
        frames.append((255 * rgb).round().astype(np.uint8))
        if frames[0].shape != frames[-1].shape:
            raise UserError(f"{path}: a film cannot have grids of different sizes; choose grids of one size.")
    if len(frames) < 2:
        raise UserError(f"{path}: a film needs at least two shapes; there is only one.")
    kept = _drawn_part(frames)
    for number, caption in zip(range(len(frames)), captions, strict=True):
        frames[number] = _add_caption(frames[number][kept], caption)
    write_gif(path, frames, [frame_ms] * (len(frames) - 1) + [max(frame_ms, LAST_FRAME_MS)])


def _drawn_part(frames: Sequence[np.ndarray]) -> tuple[slice, slice]:
    """Return the rows and columns that are not white in all frames, with a margin."""
    drawn = functools.reduce(np.logical_or, ((frame < 250).any(axis=2) for frame in frames))
    if not drawn.any():
        return slice(None), slice(None)
    (top, left), (bottom, right) = (edge(np.argwhere(drawn), axis=0) for edge in (np.min, np.max))
    return slice(max(top - MARGIN, 0), bottom + MARGIN + 1), slice(max(left - MARGIN, 0), right + MARGIN + 1)


def _add_caption(frame: np.ndarray, caption: str) -> np.ndarray:
    """Add a centered line of text below a picture."""
    height, width, _ = frame.shape
    image = Image.new("RGB", (width, height + CAPTION), "white")
    image.paste(Image.fromarray(frame))
    write_text(image, (width / 2, height + CAPTION / 2 - 4), caption, INK)
    return np.asarray(image)

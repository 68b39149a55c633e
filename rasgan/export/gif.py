"""Animated GIFs without flicker: one palette for all frames, the background exactly as it was."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rasgan.files import atomic_path

WHITE = (255, 255, 255)
BACKGROUND = 0
"""Place of the background among the 256 colors: averaged with what is nearly the same, it would change."""
PALETTE_SAMPLES = 200_000  # pixels that the colors are chosen from


def write_gif(
    path: Path,
    frames: Sequence[np.ndarray],
    durations_ms: Sequence[int],
    background: tuple[int, int, int] = WHITE,
) -> None:
    """Write an animated GIF that plays for ever.

    Parameters
    ----------
    path : Path
        Written whole or not at all.
    frames : sequence of (h, w, 3) uint8 arrays
    durations_ms : sequence of int
        One for each frame; the format counts hundredths of a second.
    background : three ints, 0 to 255
        The color of which every pixel stays as it is.
    """
    palette = _palette(frames, background)
    images = [_with_palette(frame, palette, background) for frame in frames]
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


def _palette(frames: Sequence[np.ndarray], background: tuple[int, int, int]) -> Image.Image:
    """Choose the colors for all frames; give them as the palette of an image of one pixel."""
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
    """Replace each color of a frame by the nearest of the palette, the background by itself."""
    # dither would crawl from frame to frame
    image = Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
    # Pillow looks up only some bits of a color, so what is near to the background is mixed up with it.
    image.paste(BACKGROUND, mask=Image.fromarray((frame == background).all(axis=2)))
    return image

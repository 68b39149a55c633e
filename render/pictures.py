"""Check rendered pictures and write them: transparent, on a flat background, or as a turning GIF."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rasgan.export.gif import WHITE, write_gif
from rasgan.files import atomic_path
from scene import SHADOW_SUFFIX

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

SHADOW_OPACITY = 0.7
"""Of the rendered shadow, which is as dark as lamps make it."""
TURN_MS = 4000
"""Duration of one turn."""


def is_picture(path: Path, size: int) -> bool:
    """Return whether a file is a complete PNG of `size` x `size` pixels."""
    if not path.is_file():
        return False
    data = path.read_bytes()
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", size, size)
    return data.startswith(header) and b"IEND" in data[-12:]


def framing(pictures: Sequence[Path]) -> tuple[float, float, bool]:
    """Measure how a model lies in the rendered pictures of it.

    Returns the share of the picture that it covers and the longest side of the box round it, in picture
    edges, each where it is largest; and whether the model reaches an edge of any picture.
    """
    share, extent, is_cut = 0.0, 0.0, False
    for picture in pictures:
        with Image.open(picture) as opened:
            alpha = opened.convert("RGBA").getchannel("A")
        share = max(share, np.asarray(alpha).mean() / 255)
        if box := alpha.getbbox():
            left, top, right, bottom = box
            extent = max(extent, (right - left) / alpha.width, (bottom - top) / alpha.height)
            is_cut |= min(left, top) == 0 or right == alpha.width or bottom == alpha.height
    return share, extent, is_cut


def write_picture(picture: Path, target: Path, background: Color | None) -> None:
    """Write a rendered picture to `target` as a PNG: transparent, or on a flat background."""
    with atomic_path(target) as temporary:
        open_picture(picture, background).save(temporary)


def write_turntable(pictures: Sequence[Path], target: Path, background: Color | None) -> None:
    """Write the views of one turn to `target` as a GIF, on white by default: a GIF has no soft edges."""
    background = background or WHITE
    frames = [np.asarray(open_picture(picture, background)) for picture in pictures]
    write_gif(target, frames, [round(TURN_MS / len(frames), -1)] * len(frames), background)


def open_picture(picture: Path, background: Color | None) -> Image.Image:
    """Read a rendered picture, on the model's shadow where one was rendered, and on a flat background."""
    with Image.open(picture) as opened:
        image = opened.convert("RGBA")
    shadow = picture.with_suffix(SHADOW_SUFFIX)
    if shadow.exists():
        with Image.open(shadow) as opened:
            ground = opened.convert("RGBA")
        ground.putalpha(ground.getchannel("A").point(lambda alpha: SHADOW_OPACITY * alpha))
        image = Image.alpha_composite(ground, image)
    if background is None:
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), image).convert("RGB")

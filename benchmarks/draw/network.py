"""Draw a figure of the generator and the discriminator.

python -m benchmarks.draw.network docs/img/network.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rasgan import cli
from rasgan.export.canvas import Axes, Figure, mpl, save_figure
from rasgan.export.plots import DISCRIMINATOR, DPI, FAINT, GENERATOR, INK

LAYERS = ((512, 4), (256, 8), (128, 16), (64, 32), (1, 64))
"""Channels and edge of the generator's blocks. The discriminator has them in reverse order."""


def draw_network(path: Path) -> None:
    """Draw both networks as a PNG, with a block for the output of each layer, from left to right."""
    figure = Figure((12.8, 6.8), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 128), ylim=(0, 68))
    axes.axis("off")
    up = ["dense\nbatch norm\nReLU", *["batch norm\nReLU"] * (len(LAYERS) - 2), "linear"]
    down = ["LeakyReLU 0.2", *["batch norm\nLeakyReLU 0.2"] * (len(LAYERS) - 2), "dense\nlinear"]
    _draw_row(axes, 49, "Generator", GENERATOR, ["z\n200", *LAYERS], up)
    _draw_row(axes, 14.5, "Discriminator", DISCRIMINATOR, [*LAYERS[::-1], "score\n1"], down)
    note = "each gray arrow is a {}convolution with kernel 4 and stride 2"
    axes.text(18.5, 64, note.format("transposed "), fontsize=10.5, color=FAINT)
    axes.text(22.5, 29.5, note.format(""), fontsize=10.5, color=FAINT)
    save_figure(figure, path, colors=256)


def _draw_row(
    axes: Axes,
    middle: float,
    name: str,
    color: str,
    stages: Sequence[str | tuple[int, int]],
    steps: Sequence[str],
) -> None:
    """Draw one network: cubes for (channels, edge) stages, discs for vectors, and arrows for steps."""
    axes.text(4, middle + 15, name, fontsize=15, weight="bold", color=color)
    is_vector = [isinstance(stage, str) for stage in stages]
    largest = max(stage[1] for stage, flat in zip(stages, is_vector, strict=True) if not flat)
    sizes = [5.0 if isinstance(stage, str) else 16.0 * (stage[1] / largest) ** 0.6 for stage in stages]
    widths = [size if flat else 1.3 * size for size, flat in zip(sizes, is_vector, strict=True)]
    gap = (120 - sum(widths)) / (len(stages) - 1)
    left = 4.0
    for number, stage in enumerate(stages):
        size, end = sizes[number], left + widths[number]
        center = (left + end) / 2
        if isinstance(stage, str):
            axes.add_patch(mpl.patches.Ellipse((center, middle), size, size, color=color, alpha=0.25, lw=0))
            axes.text(center, middle, stage, ha="center", va="center", fontsize=10, color=INK)
        else:
            _draw_block(axes, left, middle - size / 2, size, color)
            channels, edge = stage
            caption = f"{channels} {'channels' if channels > 1 else 'channel'}\n{edge} × {edge} × {edge}"
            axes.text(center, middle - 9.4, caption, ha="center", va="top", fontsize=9.5, color=INK)
        if number < len(steps):
            look = {
                "color": color if is_vector[number] or is_vector[number + 1] else FAINT,
                "linewidth": 1.6,
            }
            ends = (end + 0.8, middle), (end + gap - 0.8, middle)
            axes.add_patch(mpl.patches.FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=13, **look))
            place = (end + gap / 2, middle + 1.2)
            axes.text(*place, steps[number], ha="center", va="bottom", fontsize=8.5, color=INK)
        left = end + gap


def _draw_block(axes: Axes, left: float, bottom: float, size: float, color: str) -> None:
    """Draw a cube in cabinet projection, 1.3 times as wide as its front."""
    right, top, depth = left + size, bottom + size, 0.3 * size
    front = [(left, bottom), (right, bottom), (right, top), (left, top)]
    roof = [(left, top), (right, top), (right + depth, top + depth), (left + depth, top + depth)]
    side = [(right, bottom), (right + depth, bottom + depth), (right + depth, top + depth), (right, top)]
    for outline, strength in ((front, 0.55), (roof, 0.3), (side, 0.8)):
        look = {"facecolor": color, "alpha": strength, "edgecolor": "white", "linewidth": 1.0}
        axes.add_patch(mpl.patches.Polygon(outline, **look))


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.Parser(__doc__)
    parser.add_argument("path", type=Path, help="the PNG to write, for example docs/img/network.png")
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Draw the networks."""
    draw_network(build_parser().parse_args(argv).path)
    return 0


if __name__ == "__main__":
    sys.exit(main())

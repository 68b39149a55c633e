"""Every picture of the project: loss curves, scatter plots, contact sheets and the figure of the networks.

Example: ``python -m rasgan.figures docs/network.png`` draws the networks for the README.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyArrowPatch, Polygon
from PIL import Image

from rasgan import cli, isometric
from rasgan.files import atomic_path
from rasgan.history import SMOOTHING_WINDOW, smooth
from rasgan.voxels import OCCUPIED_ABOVE, is_occupied, surface_points

INK = "#2b2b33"
FAINT = "#8a8a94"
DISCRIMINATOR, GENERATOR, VALIDATION = "#3b6fb6", "#d9772b", "#4c9a6a"
"""One colour for each player, here and in every figure."""

SCATTER_INCHES, LOSSES_INCHES, DPI = (6.4, 6.4), (9.6, 5.4), 100
MARKER_SIZE = 25
SHEET_BYTES = 30_000
"""What a shape may add to the file of a sheet."""
COARSEST = 8
CHARACTER_WIDTH = 9  # pixels, of a broad character of a label


def draw_losses(
    path: Path,
    epochs: np.ndarray,
    losses_d: np.ndarray,
    losses_g: np.ndarray,
    losses_validation: np.ndarray | None = None,
    learning_rates: tuple[float, float] | None = None,
) -> None:
    """Write the loss curves of a run as a PNG: each player raw and smoothed.

    Parameters
    ----------
    path : Path
        Written whole or not at all.
    epochs : (s,) array
        Fractional epoch of every step.
    losses_d, losses_g : (s,) array
        Loss of each player at every step. Values that are not finite leave a gap.
    losses_validation : (s,) array, optional
        The discriminator's loss on the validation set.
    learning_rates : (float, float), optional
        The generator's and the discriminator's, for the title.

    Notes
    -----
    As in jpjuvo/64-3D-RaSGAN: Savitzky-Golay filter over 51 steps, order 3; the loss axis ends at 1.6 times
    the 99th percentile. Below 51 steps there are raw curves only.
    """
    epochs = np.asarray(epochs, dtype=float)
    curves = [("discriminator", losses_d, DISCRIMINATOR), ("generator", losses_g, GENERATOR)]
    if losses_validation is not None:
        curves.append(("discriminator, validation", losses_validation, VALIDATION))
    figure = Figure(LOSSES_INCHES, dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    seen = []
    for name, losses, colour in curves:
        losses = np.asarray(losses, dtype=float)
        measured = np.isfinite(losses)
        is_long = measured.sum() >= SMOOTHING_WINDOW
        raw_look = {"linewidth": 0.6, "alpha": 0.3} if is_long else {"linewidth": 1.2, "label": name}
        axes.plot(epochs, np.where(measured, losses, np.nan), color=colour, **raw_look)
        if is_long:
            axes.plot(epochs[measured], smooth(losses[measured]), color=colour, linewidth=1.6, label=name)
        seen.append(losses[measured])
    seen = np.concatenate(seen)
    if seen.size:
        low, high = 1.6 * np.percentile(seen, [1, 99])  # some losses go below zero
        if max(high, 0) > min(low, 0):
            axes.set_ylim(min(low, 0), max(high, 0))
    if learning_rates is not None:
        axes.set_title("learning rates: generator {:g}, discriminator {:g}".format(*learning_rates))
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.margins(x=0.01)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", frameon=False)
    with mpl.rc_context({"agg.path.chunksize": 10_000}):  # long curves overflow the rasteriser otherwise
        _save(figure, path)


class ScatterPlots:
    """3-D scatter plots of surface voxels: x, y, z = axes 0, 2, 1, coloured by height.

    One figure serves them all, because making axes anew takes a sixth of a picture's time.

    Parameters
    ----------
    colormap : str
        A name that matplotlib knows.
    threshold : float
        Occupied means strictly above this score.
    elevation_deg, azimuth_deg : float
        Where the plots are seen from.
    """

    def __init__(
        self,
        colormap: str = "viridis",
        threshold: float = OCCUPIED_ABOVE,
        elevation_deg: float = 30.0,
        azimuth_deg: float = -60.0,
    ) -> None:
        self._colormap, self._threshold = colormap, threshold
        self._figure = Figure(SCATTER_INCHES, dpi=DPI)
        self._axes = self._figure.add_axes((0.02, 0.04, 0.95, 0.91), projection="3d")
        self._axes.view_init(elevation_deg, azimuth_deg)
        self._axes.set(xlabel="x", ylabel="y", zlabel="z")
        self._of_last_plot: list[Artist] = []

    def draw(self, path: Path, scores: np.ndarray, title: str | None = None) -> None:
        """Write the plot of one (n, n, n) float or bool array as a PNG, whole or not at all.

        The tutorial's `title` is the epoch.
        """
        for artist in self._of_last_plot:
            artist.remove()
        axes, points = self._axes, surface_points(scores, self._threshold)
        width, height, depth = scores.shape
        axes.set(xlim=(0, width), ylim=(0, depth), zlim=(0, height))
        axes.set_box_aspect((width, depth, height))
        x, z, y = points.T + 0.5
        look = {"marker": ".", "s": MARKER_SIZE, "cmap": self._colormap, "vmin": 0, "vmax": height}
        self._of_last_plot = [axes.scatter(x, y, z, c=z, **look)]
        if not len(points):
            look = {"transform": axes.transAxes, "ha": "center", "color": FAINT}
            self._of_last_plot.append(axes.text2D(0.5, 0.5, "no voxel is occupied", **look))
        if title:
            look = {"ha": "center", "fontsize": 13, "color": INK, "parse_math": False}
            self._of_last_plot.append(self._figure.text(0.5, 0.95, title, **look))
        _save(self._figure, path)


def draw_scatter(path: Path, scores: np.ndarray, title: str | None = None) -> None:
    """Write a single plot of the kind that `ScatterPlots` draws many of."""
    ScatterPlots().draw(path, scores, title)


def contact_sheet(
    path: Path,
    grids: Sequence[np.ndarray],
    columns: int = 5,
    labels: Sequence[str] | None = None,
    threshold: float = OCCUPIED_ABOVE,
) -> None:
    """Write one PNG with a shaded picture of every shape, all at one scale.

    Shapes that are mostly specks make large files; they are drawn smaller until the file is small enough.

    Parameters
    ----------
    path : Path
        Written whole or not at all.
    grids : sequence of (n, n, n) float or bool arrays
        At least one; sizes may differ.
    columns : int
        Pictures in a row.
    labels : sequence of str, optional
        One below each picture.
    threshold : float
        Occupied means strictly above this score.
    """
    shapes = [is_occupied(np.asarray(grid), threshold) for grid in grids]
    columns = min(columns, len(shapes))
    shrink = max(2, round(0.4 * columns))  # more than five in a row are drawn smaller
    while True:
        _save(_sheet(shapes, columns, labels, shrink), path, colours=256)
        excess = path.stat().st_size / (max(10, len(shapes)) * SHEET_BYTES)
        if excess <= 1 or shrink >= COARSEST:
            return
        shrink = min(math.ceil(shrink * math.sqrt(excess)), COARSEST)


def _sheet(shapes: Sequence[np.ndarray], columns: int, labels: Sequence[str] | None, shrink: int) -> Figure:
    """Lay out the pictures of a sheet, each shrunk by a whole factor."""
    pictures = [isometric.smooth_picture(shape, shrink) for shape in shapes]
    rows = -(-len(pictures) // columns)
    gap, caption = 24, 26 if labels is not None else 0
    cell_height = max(max(picture.shape[0] for picture in pictures), 80)
    cell_width = max(max(picture.shape[1] for picture in pictures), 160)
    width = columns * (cell_width + gap) + gap
    height = rows * (cell_height + caption + gap) + gap
    sheet = np.ones((height, width, 3))
    figure = Figure((width / DPI, height / DPI), dpi=DPI)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        left = gap + column * (cell_width + gap)
        bottom = gap + row * (cell_height + caption + gap) + cell_height
        high, wide, _ = picture.shape
        start = left + (cell_width - wide) // 2
        sheet[bottom - high : bottom, start : start + wide] = picture
        middle = (left + cell_width / 2) / width
        if not picture.size:
            figure.text(middle, 1 - (bottom - cell_height / 2) / height, "empty", ha="center", color=FAINT)
        if labels is not None:
            figure.text(
                middle,
                1 - (bottom + caption) / height,
                _shorten(labels[number], (cell_width + gap) // CHARACTER_WIDTH),
                ha="center",
                color=INK,
                parse_math=False,
            )
    figure.figimage(sheet)
    return figure


def _shorten(label: str, most: int) -> str:
    """Keep both ends of a label of more than `most` characters: names often differ at their end."""
    if len(label) <= most:
        return label
    return f"{label[: most // 2 - 1]}…{label[-(most - most // 2) :]}"


def draw_network(path: Path, resolution: int = 64, width: int = 512, latent: int = 200) -> None:
    """Write the figure of both networks as a PNG: a block for every layer's output, left to right.

    Parameters
    ----------
    path : Path
        Written whole or not at all.
    resolution : int
        Voxels along an edge of the generated grid, 4 times a power of two.
    width : int
        The generator's first channel count.
    latent : int
        Length of z.
    """
    shapes = layer_shapes(resolution, width)
    figure = Figure((12.8, 6.8), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 128), ylim=(0, 68))
    axes.axis("off")
    up = ["dense\nbatch norm\nReLU", *["batch norm\nReLU"] * (len(shapes) - 2), "linear"]
    down = ["LeakyReLU 0.2", *["batch norm\nLeakyReLU 0.2"] * (len(shapes) - 2), "dense\nlinear"]
    _draw_row(axes, 49, "Generator", GENERATOR, [f"z\n{latent}", *shapes], up)
    _draw_row(axes, 14.5, "Discriminator", DISCRIMINATOR, [*shapes[::-1], "score\n1"], down)
    note = "each grey arrow is a {}convolution with kernel 4 and stride 2"
    axes.text(18.5, 64, note.format("transposed "), fontsize=10.5, color=FAINT)
    axes.text(22.5, 29.5, note.format(""), fontsize=10.5, color=FAINT)
    _save(figure, path, colours=256)


def layer_shapes(resolution: int, width: int) -> list[tuple[int, int]]:
    """List (channels, edge) of the generator's blocks: from `width` at 4 cubed to 1 at `resolution` cubed."""
    doublings = int(resolution // 4).bit_length() - 1
    if doublings < 1 or resolution != 4 * 2**doublings:
        raise ValueError(f"the resolution must be 8, 16, 32, 64 and so on, not {resolution}")
    return [(width >> stage, 4 << stage) for stage in range(doublings)] + [(1, resolution)]


def _draw_row(
    axes: Axes,
    middle: float,
    name: str,
    colour: str,
    stages: Sequence[str | tuple[int, int]],
    steps: Sequence[str],
) -> None:
    """Draw one network: a cube for a (channels, edge) stage, a disc for a vector, an arrow for each step."""
    axes.text(4, middle + 15, name, fontsize=15, weight="bold", color=colour)
    is_vector = [isinstance(stage, str) for stage in stages]
    largest = max(stage[1] for stage, flat in zip(stages, is_vector, strict=True) if not flat)
    sizes = [5.0 if isinstance(stage, str) else 16.0 * (stage[1] / largest) ** 0.6 for stage in stages]
    widths = [size if flat else 1.3 * size for size, flat in zip(sizes, is_vector, strict=True)]
    gap = (120 - sum(widths)) / (len(stages) - 1)
    left = 4.0
    for number, stage in enumerate(stages):
        size, end = sizes[number], left + widths[number]
        centre = (left + end) / 2
        if isinstance(stage, str):
            axes.add_patch(Ellipse((centre, middle), size, size, color=colour, alpha=0.25, lw=0))
            axes.text(centre, middle, stage, ha="center", va="center", fontsize=10, color=INK)
        else:
            _draw_block(axes, left, middle - size / 2, size, colour)
            channels, edge = stage
            caption = f"{channels} channel{'s' * (channels > 1)}\n{edge} × {edge} × {edge}"
            axes.text(centre, middle - 9.4, caption, ha="center", va="top", fontsize=9.5, color=INK)
        if number < len(steps):
            look = {
                "color": colour if is_vector[number] or is_vector[number + 1] else FAINT,
                "linewidth": 1.6,
            }
            ends = (end + 0.8, middle), (end + gap - 0.8, middle)
            axes.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=13, **look))
            place = (end + gap / 2, middle + 1.2)
            axes.text(*place, steps[number], ha="center", va="bottom", fontsize=8.5, color=INK)
        left = end + gap


def _draw_block(axes: Axes, left: float, bottom: float, size: float, colour: str) -> None:
    """Draw a cube in cabinet projection, 1.3 times as wide as its front."""
    right, top, depth = left + size, bottom + size, 0.3 * size
    front = [(left, bottom), (right, bottom), (right, top), (left, top)]
    roof = [(left, top), (right, top), (right + depth, top + depth), (left + depth, top + depth)]
    side = [(right, bottom), (right + depth, bottom + depth), (right + depth, top + depth), (right, top)]
    for outline, strength in ((front, 0.55), (roof, 0.3), (side, 0.8)):
        axes.add_patch(Polygon(outline, facecolor=colour, alpha=strength, edgecolor="white", linewidth=1.0))


def _save(figure: Figure, path: Path, colours: int | None = None) -> None:
    """Write a figure as PNG; `colours` limits them, which makes pictures without photographs far smaller."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    if colours is not None:
        image = image.quantize(colours, dither=Image.Dither.NONE)
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG", optimize=colours is not None)


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m rasgan.figures", description="Draw the generator and the discriminator as a figure."
    )
    parser.add_argument("path", type=Path, help="the PNG to write, for example docs/network.png")
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Draw the networks."""
    draw_network(build_parser().parse_args(argv).path)
    return 0


if __name__ == "__main__":
    sys.exit(main())

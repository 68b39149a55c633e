"""Pictures of a run and its shapes: loss curves, 3-D scatter plots and contact sheets."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rasgan.export import shading
from rasgan.export.canvas import Axes, Figure, drawable, save_figure, save_pixels, write_text
from rasgan.voxels import OCCUPIED_ABOVE, is_occupied, surface_points

INK = "#2b2b33"
FAINT = "#8a8a94"
DISCRIMINATOR, GENERATOR, VALIDATION = "#3b6fb6", "#d9772b", "#4c9a6a"
"""The same colors in every figure."""

SMOOTHING_WINDOW, SMOOTHING_ORDER = 51, 3
"""Window length in steps and polynomial order of the tutorial's Savitzky-Golay filter."""
SCATTER_INCHES, LOSSES_INCHES, DPI = (6.4, 6.4), (9.6, 5.4), 100
COLUMNS = round(LOSSES_INCHES[0] * DPI)  # pixels; the axes are a little narrower
MARKER_SIZE = 25
CHARACTER_WIDTH = 9  # pixels, of a wide character of a label


def smooth(values: np.ndarray) -> np.ndarray:
    """Smooth (s,) losses with the tutorial's Savitzky-Golay filter; fewer than 51 are returned unchanged."""
    from scipy import signal  # slow to import

    values = np.array(values, dtype=np.float64)
    if len(values) < SMOOTHING_WINDOW:
        return values
    return signal.savgol_filter(values, SMOOTHING_WINDOW, SMOOTHING_ORDER)


def draw_losses(
    path: Path,
    epochs: np.ndarray,
    losses_d: np.ndarray,
    losses_g: np.ndarray,
    losses_validation: np.ndarray | None = None,
    learning_rates: np.ndarray | None = None,
) -> None:
    """Write the loss curves of a run as a PNG: each network's losses, raw and smoothed.

    Parameters
    ----------
    epochs : (s,) array
        Fractional epoch of every step.
    losses_d, losses_g, losses_validation : (s,) array
        Losses of each network, and of the discriminator on the validation set. Values that are not finite
        leave a gap.
    learning_rates : (s, 2) array, optional
        The generator's and the discriminator's at every step. The title shows the last ones; a dotted line
        marks each change and the start of a cooldown.

    Notes
    -----
    As in jpjuvo/64-3D-RaSGAN: Savitzky-Golay filter over 51 steps, order 3; the loss axis ends at 1.6 times
    the 99th percentile. A smoothed curve covers only steps whose complete window was measured.
    """
    epochs = np.asarray(epochs, dtype=float)
    figure = Figure(LOSSES_INCHES, dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    curves = [("discriminator", losses_d, DISCRIMINATOR), ("generator", losses_g, GENERATOR)]
    if losses_validation is not None:
        curves.append(("discriminator, validation", losses_validation, VALIDATION))
    seen = np.concatenate([_draw_curve(axes, epochs, *curve) for curve in curves])
    if seen.size:
        low, high = 1.6 * np.percentile(seen, [1, 99])  # some losses are negative
        if max(high, 0) > min(low, 0):
            axes.set_ylim(min(low, 0), max(high, 0))
    if learning_rates is not None and len(learning_rates):
        axes.set_title("learning rates: generator {:g}, discriminator {:g}".format(*learning_rates[-1]))
        changes = np.diff(learning_rates, axis=0).any(axis=1)
        for step in np.flatnonzero(changes & ~np.concatenate([[False], changes[:-1]])) + 1:
            axes.axvline(epochs[step], color=FAINT, linestyle=":", linewidth=1)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.margins(x=0.01)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", frameon=False)
    save_figure(figure, path)


def _draw_curve(axes: Axes, epochs: np.ndarray, name: str, losses: np.ndarray, color: str) -> np.ndarray:
    """Draw (s,) losses, raw and if there are enough also smoothed; return the finite ones."""
    losses = np.asarray(losses, dtype=float)
    measured = np.isfinite(losses)
    is_long = measured.sum() >= SMOOTHING_WINDOW
    look = {"linewidth": 0.6, "alpha": 0.3} if is_long else {"linewidth": 1.2}
    every_step = thin(epochs, np.where(measured, losses, np.nan))
    axes.plot(*every_step, color=color, label=f"{name}, every step", **look)
    if is_long:
        whole = slice(SMOOTHING_WINDOW // 2, -(SMOOTHING_WINDOW // 2))  # where the window is complete
        smoothed, label = smooth(losses[measured])[whole], f"{name}, smoothed over {SMOOTHING_WINDOW} steps"
        axes.plot(*thin(epochs[measured][whole], smoothed), color=color, linewidth=1.6, label=label)
    return losses[measured]


def thin(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep only the minimum and maximum per half pixel of a curve that is too long for matplotlib's Agg."""
    points = len(x) // (2 * COLUMNS)
    if points < 2:
        return x, y
    starts = np.arange(0, len(x), points)
    extremes = [extreme.reduceat(y, starts) for extreme in (np.fmin, np.fmax)]  # NaN only if all are
    return x[starts].repeat(2), np.stack(extremes, axis=1).ravel()


def draw_scatter(
    path: Path,
    scores: np.ndarray,
    title: str | None = None,
    colormap: str = "viridis",
    threshold: float = OCCUPIED_ABOVE,
) -> None:
    """Write a 3-D scatter plot of the surface voxels as a PNG: x, y, z = axes 0, 2, 1, colored by height.

    `scores` is an (a, b, c) float or bool array, occupied strictly above `threshold`; `colormap` is the name
    of a matplotlib colormap.
    """
    figure = Figure(SCATTER_INCHES, dpi=DPI)
    axes = figure.add_axes((0.02, 0.04, 0.95, 0.91), projection="3d")
    axes.view_init(elev=30, azim=-60)
    width, height, depth = scores.shape
    axes.set(xlabel="x", ylabel="y", zlabel="z", xlim=(0, width), ylim=(0, depth), zlim=(0, height))
    axes.set_box_aspect((width, depth, height))
    points = surface_points(scores, threshold)
    x, z, y = points.T + 0.5
    size = MARKER_SIZE * (64 / max(scores.shape)) ** 2  # about a voxel; the tutorial's size at 64³
    axes.scatter(x, y, z, c=z, marker=".", s=size, cmap=colormap, vmin=0, vmax=height)
    if not len(points):
        text = "no voxel is occupied"
        axes.text2D(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=FAINT)
    if title:
        look = {"ha": "center", "fontsize": 13, "color": INK, "parse_math": False}
        figure.text(0.5, 0.95, drawable(title), **look)
    save_figure(figure, path)


def contact_sheet(
    path: Path, grids: Sequence[np.ndarray], columns: int | None = None, labels: Sequence[str] | None = None
) -> None:
    """Write one PNG with a shaded picture of every shape, all at the same scale.

    Parameters
    ----------
    grids : sequence of (n, n, n) float or bool arrays
        At least one; sizes may differ.
    columns : int, optional
        Pictures per row. Default: see `columns_of`.
    labels : sequence of str, optional
        Captions of the pictures.
    """
    columns = min(columns or columns_of(len(grids)), len(grids))
    shrink = max(2, round(0.4 * columns))  # more than five per row are drawn smaller
    pictures = [(255 * shading.smooth_picture(is_occupied(grid), shrink)).astype(np.uint8) for grid in grids]
    save_pixels(_sheet(pictures, columns, labels), path, colors=256)


def columns_of(count: int) -> int:
    """Return the number of columns for `count` pictures: nearly a square, with a nearly full last row."""
    square = math.ceil(math.sqrt(count))
    return min(range(square, square + 3), key=lambda columns: -count % columns)


def _sheet(pictures: Sequence[np.ndarray], columns: int, labels: Sequence[str] | None) -> np.ndarray:
    """Arrange (h, w, 3) uint8 pictures, which may be empty, in rows with a label below each."""
    gap, caption = 24, 26 if labels is not None else 0
    high, wide, _ = np.max([(80, 160, 3), *(picture.shape for picture in pictures)], axis=0).tolist()
    pitch = high + caption + gap
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new("RGB", (columns * (wide + gap) + gap, rows * pitch + gap), "white")
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        left, bottom = gap + column * (wide + gap), gap + row * pitch + high
        middle = left + wide / 2
        if picture.size:
            corner = left + (wide - picture.shape[1]) // 2, bottom - len(picture)
            sheet.paste(Image.fromarray(picture), corner)
        else:
            write_text(sheet, (middle, bottom - high / 2), "empty", FAINT)
        if labels is not None:
            label = _shorten(labels[number], (wide + gap) // CHARACTER_WIDTH)
            write_text(sheet, (middle, bottom + caption - 6), label, INK)
    return np.asarray(sheet)


def _shorten(label: str, most: int) -> str:
    """Shorten a label to `most` characters in the middle, because file names often differ at the end."""
    if len(label) <= most:
        return label
    return f"{label[: most // 2 - 1]}…{label[-(most - most // 2) :]}"

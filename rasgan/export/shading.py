"""Shaded pictures of voxel grids, drawn with numpy and scipy.

The view is orthographic, from 34 degrees to the right of the front and 30 degrees above it; ModelNet's chairs
have their backs at high axis 2. The edges of a voxel are whole numbers of pixels, so each of its three sides
in view always covers the same pattern of pixels. A grid is drawn by copying these patterns from far to near.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

EDGES = np.array([[6, 2], [0, -6], [4, -3]])
"""Pixels to the right and down for one step along each axis.

(6 + 2i)**2 + (4 - 3i)**2 is real, so this is a true orthographic view (Gauss's theorem on axonometry) if the
vertical edge is 6.24 pixels long; 6 is near enough.
"""
SIDES = {0: +1, 1: +1, 2: -1}
"""The visible sides: axis and sign of the normal."""
TILT = {0: 0.55, 1: 1.0, 2: 0.82}
"""Brightness of each visible side, by axis, in full light, which comes from high up on the left."""
CLAY = np.array([240, 178, 112]) / 255
DARK = np.array([46, 38, 66]) / 255
"""Colors in full light and in the dark."""


def picture(occupied: np.ndarray, scale: int = 1, whole_box: bool = False) -> np.ndarray:
    """Draw a shape from the front, right and above, on white, with its shadow on the ground.

    Parameters
    ----------
    occupied : (a, b, c) bool array
        Axes as sketched in `rasgan.voxels`.
    scale : int
        Multiplies `EDGES`.
    whole_box : bool
        Draw the whole grid and the ground under it, so that grids of one size have pictures of one size.

    Returns
    -------
    rgb : (h, w, 3) float array, 0 to 1
        By default cropped to the shape and its shadow; (0, 0, 3) for an empty grid.
    """
    shape = occupied
    if not whole_box:
        index = np.argwhere(occupied)
        if not len(index):
            return np.ones((0, 0, 3))
        shape = occupied[tuple(map(slice, index.min(axis=0), index.max(axis=0) + 1))]
    size = max(occupied.shape)
    room = 3 + size // 10, 8 + size // 3  # for the shadow, which is cast towards high indices
    grid = np.pad(shape, [room, (3, 3), room])
    ground = np.zeros_like(grid)
    ground[1:-1, 2, 1:-1] = True
    light = light_in(grid, reach=size / 20)

    below, nearest = project(ground, light, scale, axes=[1]), project(grid, light, scale)
    image = np.ones((*nearest.shape, 3))
    is_ground, is_clay = ~np.isnan(below), ~np.isnan(nearest)
    image[is_ground] = np.clip(0.32 + 0.57 * below[is_ground, None], 0, 1)
    image[is_clay] = np.clip(DARK + (CLAY - DARK) * nearest[is_clay, None], 0, 1)
    return image if whole_box else _crop(image)


def smooth_picture(occupied: np.ndarray, shrink: int, whole_box: bool = False) -> np.ndarray:
    """Draw a shape at the same size for every resolution, downsampled by `shrink`: (h, w, 3) float."""
    size = max(occupied.shape)
    scale = max(1, 64 // size)
    shrink *= max(1, scale * size // 64)
    rgb = picture(occupied, scale, whole_box)
    high, wide, _ = rgb.shape
    padded = np.pad(rgb, [(0, -high % shrink), (0, -wide % shrink), (0, 0)], constant_values=1.0)
    high, wide = padded.shape[0] // shrink, padded.shape[1] // shrink
    return padded.reshape(high, shrink, wide, shrink, 3).mean(axis=(1, 3))


def project(
    grid: np.ndarray, light: np.ndarray, scale: int = 1, axes: Sequence[int] = tuple(SIDES)
) -> np.ndarray:
    """Return the brightness of the nearest visible side of a voxel at each pixel.

    Parameters
    ----------
    grid : (a, b, c) bool array
        The border must be empty.
    light : (a, b, c) float array
        Light at each voxel. The brightness of a side is that of the empty voxels in front, times `TILT`.
    scale : int
        Multiplies `EDGES`.
    axes : sequence of int
        Draw only the sides with these normals.

    Returns
    -------
    brightness : (h, w) float32 array
        The size depends only on the size of the grid; NaN where there is no side.
    """
    edges = EDGES * scale
    origin = -np.minimum(edges, 0).T @ grid.shape
    width, height = np.abs(edges).T @ grid.shape
    parts = []
    for axis in axes:
        index = np.argwhere(grid & ~np.roll(grid, -SIDES[axis], axis))
        first, offsets, brightness = _sides_across(axis, index, light, edges)
        pixel = ((first + origin) @ (1, width))[:, None] + offsets @ (1, width)
        nearness = np.repeat((index @ list(SIDES.values())).astype(np.int16), len(offsets))
        parts.append((pixel.astype(np.int32).ravel(), brightness.ravel(), nearness))
    pixel, brightness, nearness = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(nearness, kind="stable")
    nearest = np.full(height * width, np.nan, np.float32)
    nearest[pixel[order]] = brightness[order]  # the nearest is written last
    return nearest.reshape(height, width)


def _sides_across(
    axis: int, index: np.ndarray, light: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the (m, 2) first corners of a side of m voxels, its (k, 2) pixels and (m, k) brightness."""
    plane = [other for other in range(3) if other != axis]
    outside = index.copy()
    outside[:, axis] += SIDES[axis]
    offsets, weights = _pattern(edges[plane])
    corner = index + (np.arange(3) == axis) * (SIDES[axis] > 0)
    lit = np.zeros((len(index), 4))  # at the corners of each side: the mean of the four voxels around it
    for which, corner_of_side in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
        for step in np.ndindex(2, 2):
            near = outside.copy()
            near[:, plane] += np.array(corner_of_side) + step - 1
            lit[:, which] += light[tuple(near.T)] / 4
    return corner @ edges, offsets, (TILT[axis] * lit).astype(np.float32) @ weights.astype(np.float32)


def _pattern(sides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """List the k pixels of the parallelogram spanned by two integer vectors, whose copies tile the plane.

    Returns (k, 2) int offsets from its first corner and (4, k) bilinear weights of its corners.
    """
    reach = int(np.abs(sides).sum())
    pixels = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    middles = pixels + np.array([0.5001, 0.50003])  # just off center, so that none lies on an edge
    s, t = np.linalg.solve(sides.T.astype(float), middles.T)
    inside = (s >= 0) & (s < 1) & (t >= 0) & (t < 1)
    s, t = s[inside], t[inside]
    return pixels[inside], np.stack([(1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t])


def light_in(grid: np.ndarray, reach: float) -> np.ndarray:
    """Return the light of sun and sky at each voxel, 0 to 1; voxels within about `reach` occlude the sky."""
    sun = np.ones(grid.shape, np.float32)
    for layer in range(grid.shape[1] - 2, -1, -1):
        above = sun[:, layer + 1] * ~grid[:, layer + 1]
        # Sunlight moves a quarter voxel along axes 0 and 2 for each voxel down. Shifting by a weighted mean
        # makes long shadows softer.
        above[1:] = 0.75 * above[1:] + 0.25 * above[:-1]
        above[:, 1:] = 0.75 * above[:, 1:] + 0.25 * above[:, :-1]
        sun[:, layer] = above
    near = gaussian_filter(grid.astype(np.float32), 1.0)
    far = gaussian_filter(grid.astype(np.float32), reach)
    return (0.55 + 0.45 * sun) * (1.15 - 0.5 * near) * (1.1 - 0.6 * far)


def _crop(image: np.ndarray) -> np.ndarray:
    """Remove white rows and columns at the borders."""
    drawn = (image < 0.98).any(axis=2)
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]

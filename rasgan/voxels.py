"""Geometry of voxel grids, as functions of arrays.

Axes, here and everywhere in this project (those of a Binvox file)::

        axis 1 (up; mesh z)
          |
          |     grid[i, j, k] is the voxel at mesh x = i, mesh z = j, mesh y = k,
          |     for meshes that are z-up as ModelNet's are
          o------- axis 0 (mesh x)
         /
        /
      axis 2 (mesh y)

A scatter plot of a grid therefore shows x = axis 0, y = axis 2, z = axis 1. If (axis 0, axis 1, axis 2) are
used as right-handed x, y, z instead, the result is the mirror image of the mesh.
"""

import functools

import numpy as np
from scipy.ndimage import label
from scipy.spatial import KDTree

RESOLUTIONS = (32, 64, 128)
"""Edges, in voxels, of the grids to which meshes are converted and for which networks are built."""

OCCUPIED_ABOVE = 0.3
"""A generated score counts as occupied strictly above this, as in jpjuvo/64-3D-RaSGAN (`voxel2points`)."""

JOINED = 4
"""Number of voxels of a component for which `repairs` adds one voxel to join it. Tried with 1 and 4:
docs/study.md."""


def is_occupied(scores: np.ndarray, threshold: float = OCCUPIED_ABOVE) -> np.ndarray:
    """Convert scores of any shape and dtype to bools: True strictly above `threshold`; NaN is empty."""
    if scores.dtype == bool:
        return scores
    return scores > threshold


def surface_mask(scores: np.ndarray, threshold: float = OCCUPIED_ABOVE) -> np.ndarray:
    """Mark occupied voxels that touch empty space or the border of the grid: (a, b, c) to (a, b, c) bools.

    A voxel is marked if its score is above `threshold` and any of its 26 neighbors is empty or outside, as in
    `voxel2points` of jpjuvo/64-3D-RaSGAN.
    """
    occupied = is_occupied(three_axes(scores), threshold)
    inside = np.pad(occupied, 1)
    for axis in range(3):  # the 3 x 3 x 3 minimum, one axis at a time
        along = np.moveaxis(inside, axis, 0)
        inside = np.moveaxis(along[:-2] & along[1:-1] & along[2:], 0, axis)
    return occupied & ~inside


def surface_points(scores: np.ndarray, threshold: float = OCCUPIED_ABOVE) -> np.ndarray:
    """Return the indices of the voxels that `surface_mask` marks: (m, 3) int, in array order."""
    return np.argwhere(surface_mask(scores, threshold))


def three_axes(grid: np.ndarray) -> np.ndarray:
    """Return the grid itself. Raises ValueError if it does not have three axes."""
    if grid.ndim != 3:
        raise ValueError(f"a voxel grid has three axes, but this array has the shape {grid.shape}")
    return grid


def label_pieces(occupied: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label the connected components (by faces) of (a, b, c) bools with 1, 2, ...; 0 is empty space.

    Returns the label of each voxel, (a, b, c) ints, and the number of voxels of each label, 0 for label 0.
    """
    piece, _ = label(three_axes(occupied))  # scipy's default neighborhood: the six faces
    sizes = np.bincount(piece.ravel())
    sizes[0] = 0
    return piece, sizes


def largest_piece(occupied: np.ndarray) -> np.ndarray:
    """Keep the largest connected component of (a, b, c) bools; of equal ones, the first in array order.

    Voxels that touch only along an edge or at a corner are not connected: a 3D print would come apart there.
    """
    piece, sizes = label_pieces(occupied)
    return occupied & (piece == sizes.argmax())


def repairs(shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the voxels that keep a shape from being a single component connected by faces.

    Every component but the largest is joined to it by a straight line of voxels, or removed if it has fewer
    than `JOINED` voxels for each voxel of that line.

    Returns two (n, n, n) float32 arrays: missing is 1 at the empty voxels of the lines; loose is positive at
    the voxels of components to remove, each of which sums to 1. Adding the missing voxels and removing the
    loose ones leaves one component.
    """
    piece, sizes = label_pieces(shape)
    missing = np.zeros(shape.shape, np.float32)
    if len(sizes) < 3:  # empty space and one component
        return missing, missing
    largest = sizes.argmax()
    weights = np.divide(1, sizes, out=np.zeros(len(sizes), np.float32), where=sizes > 0)
    weights[largest] = 0
    may_be_joined = sizes >= JOINED
    may_be_joined[largest] = False
    others = np.argwhere(may_be_joined[piece])
    if len(others):
        main = np.argwhere(piece == largest)
        tree = KDTree(main, compact_nodes=False, balanced_tree=False)
        distances, nearest = tree.query(others, p=1)  # in steps through faces
        number = piece[tuple(others.T)]
        order = np.lexsort((distances, number))
        closest = order[np.unique(number[order], return_index=True)[1]]  # a voxel of each component
        for voxel in closest[sizes[number[closest]] >= JOINED * (distances[closest] - 1)]:
            weights[number[voxel]] = 0
            missing[tuple(straight_line(others[voxel], main[nearest[voxel]]).T)] = 1
    return np.where(shape, 0, missing), np.where(missing, 0, weights[piece])


def straight_line(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """List the voxels on the straight line between two others, (m, 3), each sharing a face with the next.

    Start and end are excluded. The line steps along an axis where it crosses the plane midway between two
    layers. Of several steps at the same place, the one along the first axis comes first.
    """
    lengths = np.abs(end - start)
    axes = np.repeat(np.arange(3), lengths)
    places = np.concatenate([(np.arange(length) + 0.5) / max(length, 1) for length in lengths])
    steps = np.eye(3, dtype=int)[axes[places.argsort(kind="stable")]] * np.sign(end - start)
    return start + steps.cumsum(axis=0)[:-1]


def max_pool(occupied: np.ndarray, factor: int) -> np.ndarray:
    """Reduce (n, n, n) bools to (n / factor,) * 3: True where any voxel of the `factor`³ block is.

    Raises ValueError if `factor` does not divide every side.
    """
    if any(side % factor for side in occupied.shape):
        raise ValueError(f"{factor} does not divide a grid of shape {occupied.shape}")
    for axis in range(3):  # one after another is 40 times as fast as all at once
        every = [(slice(None),) * axis + (slice(first, None, factor),) for first in range(factor)]
        occupied = functools.reduce(np.logical_or, (occupied[chosen] for chosen in every))
    return occupied

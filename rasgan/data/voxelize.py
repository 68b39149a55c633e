"""Convert meshes to voxel grids by the rule that Binvox follows.

A mesh is moved so that its lowest corner lies at the origin and scaled so that its longest side is exactly
`resolution` voxels. Voxel i of an axis then spans [i, i + 1), and its center is at i + 0.5::

    position   0       1       2       3
               |---o---|---o---|---o---|      o  center: all lines pass through these
    voxel          0       1       2

Whether a voxel is filled depends on where the three axis-parallel lines through its center cross the
triangles. The rule was found by measuring Binvox 1.22 and 1.27 (patrickmin.com/binvox).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

MODES = ("binvox", "exact", "solid")
GROWTH = 0.01  # voxels by which Binvox's surface mode grows each voxel on every side (measured)
THINNEST = 1e-10  # triangles of less height, in voxels, count as lines; positions are exact to about 1e-14
# Cells in the boxes of all faces together: 20 to 30 s of work. Real meshes have about 50 n² for n voxels per
# side; these limits are 3,000 n² or more for n = 128.
MOST_CROSSED, MOST_TOUCHED = 3 * 10**8, 6 * 10**7
CHUNK = 1 << 19  # cells or voxels processed at a time, which limits the memory for any number of faces


@dataclass(frozen=True)
class VoxelOptions:
    """How a mesh is voxelized; see `voxelize`."""

    resolution: int = 64
    mode: str = "binvox"
    center: bool = False


def voxelize(
    vertices: np.ndarray, faces: np.ndarray, resolution: int = 64, mode: str = "binvox", center: bool = False
) -> np.ndarray:
    """Convert a triangle mesh to a cubic grid of occupied voxels.

    Parameters
    ----------
    vertices : (v, 3) float array
        Mesh x, y, z with z up, in any unit; finite and not all equal. As in Binvox, the box of *all* of them
        is scaled to the grid, including those that no face uses.
    faces : (f, 3) int array
        Vertex indices; order, winding and faces without area do not matter.
    resolution : int
        Voxels per side.
    mode : {"binvox", "exact", "solid"}
        "binvox": what Binvox fills without options; parts too thin to contain a voxel center vanish.
        "exact": every voxel that a face touches, with an empty inside (Binvox's ``-e``).
        "solid": all voxels of both, so that no part is lost and the inside is filled.
    center : bool
        Center the shorter sides in the grid instead of starting them at index 0 (Binvox's ``-cb``).

    Returns
    -------
    occupied : (resolution, resolution, resolution) bool array
        Axes as sketched in `rasgan.voxels`.

    Raises
    ------
    ValueError
        If the mode is unknown, or the faces cover the grid so often that it would take over half a minute.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    points = place(vertices, resolution, center)
    if mode == "binvox":
        return fill(points, faces, resolution)
    if mode == "exact":
        return surface(points, faces, resolution)
    return fill(points, faces, resolution) | surface(points, faces, resolution)


def place(vertices: np.ndarray, resolution: int, center: bool = False) -> np.ndarray:
    """Scale (v, 3) mesh x, y, z into the grid: (v, 3) positions in voxels, in grid axis order."""
    points = np.asarray(vertices, dtype=np.float64)[:, [0, 2, 1]]
    low, high = points.min(axis=0), points.max(axis=0)
    longest = (high - low).max()
    margin = (1 - (high - low) / longest) / 2 if center else 0.0
    return ((points - low) / longest + margin) * resolution


def fill(points: np.ndarray, faces: np.ndarray, resolution: int) -> np.ndarray:
    """Fill the inside as Binvox does by default: by carving or voting.

    Carving: on all three lines through the center, there is a crossing before it and one behind it.
    Voting: of the six rays from the center to the border of the grid, at least three cross an odd number of
    triangles.
    A crossing exactly at a center counts as before it.

    Takes (v, 3) positions in voxels (`place`), (f, 3) vertex indices and the number n of voxels per side;
    returns (n, n, n) bools.
    """
    carved = np.ones((resolution,) * 3, dtype=bool)
    votes = np.zeros((resolution,) * 3, dtype=np.int8)
    for axis in range(3):
        crossings = count_crossings(points, faces, resolution, axis)
        crossed = np.cumsum(crossings, axis=2, dtype=np.int32)
        before = crossed[:, :, :-1]
        behind = crossed[:, :, -1:] - before
        carved &= np.moveaxis((before > 0) & (behind > 0), 2, axis)
        votes += np.moveaxis(((before & 1) + (behind & 1)).astype(np.int8), 2, axis)
    return carved | (votes >= 3)


def count_crossings(points: np.ndarray, faces: np.ndarray, resolution: int, axis: int) -> np.ndarray:
    """Count where the lines along `axis` through the voxel centers cross the triangles.

    A triangle is cut into rows (planes through centers across the first other axis), each row into cells
    (centers along the second). Both intervals are half open and computed from the edges alone, whose
    crossings are equal to the last bit for both adjacent triangles. A line through a shared edge therefore
    crosses only one of them, and a closed mesh is crossed an even number of times.

    Takes the arguments of `fill`, and `axis`: 0, 1 or 2. Returns (n, n, n + 1) ints for n voxels per side.
    Entry [r, c, k] counts the crossings of the line through row r and column c of the other two axes (in grid
    order) that are after center k - 1 and not after center k; k = n is behind the last center.
    """
    n = resolution
    row_axis, column_axis = (a for a in range(3) if a != axis)
    crossings = np.zeros(n * n * (n + 1), dtype=np.int64)
    first_rows = _first_center(points[:, row_axis])[faces]
    first_columns = _first_center(points[:, column_axis])[faces]
    cells = np.ptp(first_rows, axis=1) * np.ptp(first_columns, axis=1)
    _check_work(cells, MOST_CROSSED, n)
    crossed = np.flatnonzero(cells)
    for part in _chunks(cells[crossed]):
        corners = points[faces[crossed[part]]][:, :, [row_axis, column_axis, axis]].swapaxes(0, 1)
        order = np.argsort(corners[:, :, 0], axis=0)
        corners = np.take_along_axis(corners, order[:, :, None], axis=0)  # (3, faces, 3): row, column, depth

        face, row = _expand(_first_center(corners[0, :, 0]), _first_center(corners[2, :, 0]))
        at = row + 0.5
        low, middle, high = corners[:, face]
        is_low = (at < middle[:, 0])[:, None]  # the second edge is low-middle, otherwise middle-high
        long = _along_edge(low, high, at)
        short = _along_edge(np.where(is_low, low, middle), np.where(is_low, middle, high), at)
        swapped = long[0] > short[0]
        v_start, w_start = np.where(swapped, short, long)
        v_end, w_end = np.where(swapped, long, short)

        stretch, column = _expand(_first_center(v_start), _first_center(v_end))
        v_start, v_end, w_start, w_end = (x[stretch] for x in (v_start, v_end, w_start, w_end))
        depth = w_start + (column + 0.5 - v_start) / (v_end - v_start) * (w_end - w_start)
        line = row[stretch] * n + column
        crossings += np.bincount(line * (n + 1) + _first_center(depth), minlength=crossings.size)
    return crossings.reshape(n, n, n + 1)


def _first_center(position: np.ndarray) -> np.ndarray:
    """Return the index of the first voxel whose center is not before `position`."""
    return np.ceil(position - 0.5).astype(np.int64)


def _along_edge(start: np.ndarray, end: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Interpolate edges, (m, 3) `start` to `end`, at first coordinate `at`: the other two, (2, m)."""
    share = (at - start[:, 0]) / (end[:, 0] - start[:, 0])
    return start[:, 1:].T + share * (end - start)[:, 1:].T


def _expand(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """List the integers of many ranges at once: (which range, which integer), both (sum of lengths,)."""
    lengths = np.maximum(stop - start, 0)
    owner = np.repeat(np.arange(lengths.size), lengths)
    ends = np.cumsum(lengths)
    return owner, np.arange(owner.size) + (start - ends + lengths)[owner]


def _check_work(cells: np.ndarray, most: int, resolution: int) -> None:
    """Raise ValueError if the cells (f,) of all faces are more than `most`, not counting a few per face."""
    if cells.sum() > most + 10 * cells.size:
        times = cells.sum() // resolution**2
        raise ValueError(f"its faces cover the grid {times} times; remove duplicate and inner faces")


def _chunks(sizes: np.ndarray) -> Iterator[slice]:
    """Yield slices of at most `CHUNK` units of work each; a larger item is alone in its slice."""
    ends = np.cumsum(sizes + 1)
    start = 0
    while start < sizes.size:
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + CHUNK, side="right")))
        yield slice(start, stop)
        start = stop


def surface(points: np.ndarray, faces: np.ndarray, resolution: int) -> np.ndarray:
    """Mark every voxel, grown by `GROWTH`, that a triangle touches.

    This is the separating-axis test in the order of Schwarz and Seidel (2010). Projected along the main
    direction of its normal, a triangle touches a set of columns. In each, its plane leaves a short range of
    voxels, which must pass the test in the two other projections. Arguments and result are those of `fill`.
    """
    n = resolution
    half = 0.5 + GROWTH
    occupied = np.zeros(n**3, dtype=bool)
    first, last = (touch[faces] for touch in _touched(points, points, n))
    first, last = first.min(axis=1), last.max(axis=1)
    widths = last - first + 1
    columns = np.prod(widths, axis=1) // widths.min(axis=1)
    _check_work(columns, MOST_TOUCHED, n)
    for part in _chunks(columns):
        corners = points[faces[part]]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        main = np.abs(normal).argmax(axis=1)
        axes = (main[:, None] + np.array([1, 2, 0])) % 3  # the main direction is last; right-handed
        normal, low, high = (np.take_along_axis(x, axes, axis=1) for x in (normal, first[part], last[part]))
        corners = np.take_along_axis(corners, axes[:, None, :], axis=2)
        views = [
            _edge_functions(corners[:, :, [a, b]], normal[:, c], half)
            for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1))
        ]

        face, column = _expand(np.zeros(len(low), dtype=np.int64), (high - low + 1)[:, :2].prod(axis=1))
        i, j = np.divmod(column, (high - low + 1)[face, 1])
        i, j = i + low[face, 0], j + low[face, 1]
        kept = _touches(views[0], face, i, j)
        face, i, j = face[kept], i[kept], j[kept]

        # A triangle without area has no plane, only rounding errors: the three projections decide.
        flat = np.abs(normal[:, 2]) <= THINNEST * np.ptp(corners, axis=1).max(axis=1)
        slope = -normal[:, :2] / np.where(flat, np.inf, normal[:, 2])[:, None]
        level = corners[:, 0, 2] - (slope * corners[:, 0, :2]).sum(axis=1)
        reach = np.where(flat, np.inf, half * np.abs(slope).sum(axis=1))
        height = level[face] + slope[face, 0] * (i + 0.5) + slope[face, 1] * (j + 0.5)
        bottom, top = _touched(height - reach[face], height + reach[face], n)
        column, k = _expand(np.maximum(bottom, low[face, 2]), np.minimum(top, high[face, 2]) + 1)
        face, i, j = face[column], i[column], j[column]
        kept = _touches(views[1], face, j, k) & _touches(views[2], face, k, i)

        stride = n ** (2 - axes)
        voxel = i * stride[face, 0] + j * stride[face, 1] + k * stride[face, 2]
        occupied[voxel[kept]] = True
    return occupied.reshape(n, n, n)


def _touched(low: np.ndarray, high: np.ndarray, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and last voxel of an axis that, grown, overlap the interval `low` to `high`."""
    first = np.clip(np.ceil(low - 1 - GROWTH), 0, resolution - 1)
    last = np.clip(np.floor(high + GROWTH), 0, resolution - 1)
    return first.astype(np.int64), last.astype(np.int64)


def _edge_functions(corners: np.ndarray, facing: np.ndarray, half: float) -> np.ndarray:
    """Return three half-planes of each projected triangle, moved out by the half width of a voxel.

    Takes (f, 3, 2) corners and the component of the normal along the projection, (f,). Returns (3, 3, f): for
    each edge the a, b, c of ``a x + b y + c >= 0``. If the projection is a line, the half-planes are on both
    sides of it, whatever the sign.
    """
    edges = np.roll(corners, -1, axis=1) - corners
    inward = np.stack([-edges[:, :, 1], edges[:, :, 0]], axis=2)
    inward *= np.where(facing < 0, -1.0, 1.0)[:, None, None]
    offset = half * np.abs(inward).sum(axis=2) - (inward * corners).sum(axis=2)
    return np.concatenate([inward, offset[:, :, None]], axis=2).transpose(1, 2, 0)


def _touches(edge_functions: np.ndarray, face: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Test if the square of voxel (i, j) overlaps its projected face: one separating axis per edge."""
    x, y = i + 0.5, j + 0.5
    meets = np.ones(face.shape, dtype=bool)
    for a, b, c in edge_functions:
        meets &= a[face] * x + b[face] * y + c[face] >= 0
    return meets

"""Surfaces of voxel grids as triangle meshes: of squares, of separate cubes as the original's, or smooth."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from rasgan.voxels import surface_points, three_axes

NEAREST, FARTHEST = 0.01, 10.0
"""Bounds of a score's distance from the threshold: at 0, the smooth surface has triangles without area."""


def surface_mesh(occupied: np.ndarray, edge: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Wrap the occupied voxels in one closed triangle mesh: y up, not mirrored.

    Two triangles for every square between an occupied and an empty voxel (outside counts as empty), no
    inner walls. Every edge belongs to exactly two triangles and the triangles round a vertex form one fan,
    for every grid: where voxels touch only along an edge or at a corner, several vertices share one place.

    Parameters
    ----------
    occupied : (a, b, c) bool array
        Axes as sketched in `rasgan.voxels`.
    edge : float
        Length of a voxel's edge, in the unit of the mesh.

    Returns
    -------
    vertices : (v, 3) float array
        x = (a - axis 0) * edge, y = axis 1 * edge, z = axis 2 * edge: the original's box and its up and
        front, but with axis 0 reversed, because (0, 1, 2) read as right-handed x, y, z is a mirror image.
    faces : (f, 3) int array
        Counter-clockwise seen from outside, so that the volume is ``occupied.sum() * edge**3``.

    Notes
    -----
    Each square begins with four corners of its own; corners are then merged across every edge that two
    squares share. Where four squares meet at an edge (two occupied voxels, diagonally opposed), the two
    squares of the same voxel are paired, which keeps such voxels apart. If the pairs still have the same
    vertices at both ends of the edge, the pairing is exchanged there, which joins the voxels. Round either
    end the squares form closed rings on a sphere; exchanging a crossing of a ring with itself cuts that ring
    in two, and never merges any. So no exchange spoils another edge if exchanges made at the same time share
    no vertex: hence the six rounds, one for each direction and parity of an edge.
    """
    squares = _find_squares(three_axes(occupied).astype(bool))
    joined = np.zeros(squares.is_diagonal.shape, bool)
    vertex = _merge_corners(squares, joined)
    pinched = _is_pinched(squares, vertex, joined)
    for edge_class in range(6):
        exchanged = pinched & (squares.edge_class == edge_class)
        if exchanged.any():
            joined |= exchanged
            vertex = _merge_corners(squares, joined)
            pinched = _is_pinched(squares, vertex, joined)
    corners = squares.position[:, None, :] + _CORNER[squares.normal]
    vertices = np.empty((vertex.max(initial=-1) + 1, 3))
    vertices[vertex] = corners
    vertices[:, 0] = occupied.shape[0] - vertices[:, 0]  # a reflection: it turns every triangle over
    loops = np.take_along_axis(vertex, _LOOP[squares.normal], axis=1)
    return vertices * edge, loops[:, [0, 2, 1, 0, 3, 2]].reshape(-1, 3)


def cubes_mesh(scores: np.ndarray, edge: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Return the original's mesh: a separate closed cube for each of m surface voxels, axes in array order.

    Vertices are (8 m, 3), x, y, z = axes 0, 1, 2 times `edge`: y up and, read as right-handed, mirrored.
    Faces are (12 m, 3), counter-clockwise seen from outside.
    """
    points = surface_points(scores)
    corners = np.indices((2, 2, 2)).reshape(3, 8).T
    loops = np.take_along_axis(_CORNER @ (4, 2, 1), _LOOP, axis=1)  # (6, 4): which of the eight corners
    vertices = points[:, None, :] + corners
    faces = 8 * np.arange(len(points))[:, None, None] + loops[:, [0, 1, 2, 0, 2, 3]].reshape(12, 3)
    return vertices.reshape(-1, 3) * edge, faces.reshape(-1, 3)


# The surface as squares. A direction is 2 * axis + (1 if it points up the axis); a square is an occupied
# voxel and the direction to its empty neighbor. In the plane of the square, with axes p < q, its sides are
# the directions -p, +p, -q, +q and its corners (-p, -q), (+p, -q), (-p, +q), (+p, +q).
_IN_PLANE = np.array([[1, 2], [1, 2], [0, 2], [0, 2], [0, 1], [0, 1]])
_SIDE = np.stack([2 * _IN_PLANE, 2 * _IN_PLANE + 1], axis=2).reshape(6, 4)
_CORNER = np.zeros((6, 4, 3), int)  # of the unit voxel at the origin
"""Where the corners of a square lie, (direction, corner, axis)."""
_LOOP = np.array([[0, 1, 3, 2] if direction in (1, 2, 5) else [0, 2, 3, 1] for direction in range(6)])
"""Corners counter-clockwise seen from outside; axis 1 turns the other way because p x q = -axis 1."""
_ENDS = np.zeros((6, 6, 2), int)
"""The corners at the low and the high end of a square's side, (direction, side's direction, end)."""
for _normal in range(6):
    _p, _q = _IN_PLANE[_normal]
    _CORNER[_normal, :, _normal // 2] = _normal % 2
    _CORNER[_normal, :, _p] = [0, 1, 0, 1]
    _CORNER[_normal, :, _q] = [0, 0, 1, 1]
    _ENDS[_normal, _SIDE[_normal]] = [[0, 2], [1, 3], [0, 1], [2, 3]]
_ENDS_OF_SIDES = np.take_along_axis(_ENDS, _SIDE[:, :, None], axis=1)


@dataclass(frozen=True)
class _Squares:
    """The f squares between occupied and empty voxels, and what lies across their four sides."""

    position: np.ndarray  # (f, 3) int: the occupied voxel
    normal: np.ndarray  # (f,) direction
    convex: np.ndarray  # (f, 4) int: the square of the same voxel across that side
    flat: np.ndarray  # (f, 4) int: the square of the next voxel, where that is occupied; else arbitrary
    concave: np.ndarray  # (f, 4) int: the square of the voxel above that, where occupied; else arbitrary
    has_flat: np.ndarray  # (f, 4) bool: the next voxel is occupied
    has_concave: np.ndarray  # (f, 4) bool: the voxel above the next one is occupied
    edge_class: np.ndarray  # (f, 4) int: 2 * axis of the side's edge + parity of its place on that axis

    @property
    def is_diagonal(self) -> np.ndarray:
        """Four squares meet at the edge: the two voxels touch along it only, (f, 4) bool."""
        return self.has_concave & ~self.has_flat


def _find_squares(occupied: np.ndarray) -> _Squares:
    padded = np.pad(occupied, 1)
    solid = padded.ravel()
    row = padded.shape[2]
    step = np.array([-padded.shape[1] * row, padded.shape[1] * row, -row, row, -1, 1])
    everywhere = np.flatnonzero(solid)
    voxel = [everywhere[~solid[everywhere + step[direction]]] for direction in range(6)]
    normal = np.repeat(np.arange(6), [len(found) for found in voxel])
    voxel = np.concatenate(voxel)
    number = np.zeros(6 * solid.size, np.int32)  # of the square with this voxel and direction
    number[6 * voxel + normal] = np.arange(len(voxel))
    position = np.stack(np.unravel_index(voxel, padded.shape), axis=1) - 1

    side = _SIDE[normal]
    beside = voxel[:, None] + step[side]
    above = beside + step[normal][:, None]
    edge_axis = 3 - normal[:, None] // 2 - side // 2
    return _Squares(
        position=position,
        normal=normal,
        convex=number[6 * voxel[:, None] + side],
        flat=number[6 * beside + normal[:, None]],
        concave=number[6 * above + (side ^ 1)],
        has_flat=solid[beside],
        has_concave=solid[above],
        edge_class=2 * edge_axis + np.take_along_axis(position, edge_axis, axis=1) % 2,
    )


def _merge_corners(squares: _Squares, joined: np.ndarray) -> np.ndarray:
    """Pair the squares across every edge and number the vertices: (f, 4) int, equal where corners are one."""
    normal, side = squares.normal[:, None], _SIDE[squares.normal]
    to_concave = squares.has_concave & (squares.has_flat | joined)
    to_flat = squares.has_flat & ~squares.has_concave
    partner = np.select([to_concave, to_flat], [squares.concave, squares.flat], squares.convex)
    partner_side = np.select([to_concave, to_flat], [normal ^ 1, side ^ 1], normal)
    here = 4 * np.arange(len(normal))[:, None, None] + _ENDS_OF_SIDES[squares.normal]
    there = 4 * partner[:, :, None] + _ENDS[squares.normal[partner], partner_side]
    beside = np.empty((4 * len(normal), 2), np.int32)  # a corner has two sides, and across each one corner
    beside[here, [[0], [0], [1], [1]]] = there
    links = csr_array(
        (np.ones(beside.size), beside.ravel(), np.arange(0, beside.size + 1, 2)), shape=2 * (len(beside),)
    )
    _, vertex = connected_components(links, directed=False)
    return vertex.reshape(-1, 4)


def _is_pinched(squares: _Squares, vertex: np.ndarray, joined: np.ndarray) -> np.ndarray:
    """Mark the sides, (f, 4) bool, at whose edge four squares still share the same two vertices."""
    pinched = squares.is_diagonal & ~joined
    square, which = np.nonzero(pinched)
    normal = squares.normal[square]
    side = _SIDE[normal, which]
    opposite = squares.concave[square, which]  # a square of the diagonal voxel
    ends = vertex[square[:, None], _ENDS[normal, side]]
    opposite_ends = vertex[opposite[:, None], _ENDS[squares.normal[opposite], normal ^ 1]]
    pinched[square, which] = (ends == opposite_ends).all(axis=1)
    return pinched


def smooth_mesh(
    scores: np.ndarray, occupied: np.ndarray, threshold: float, edge: float = 0.01
) -> tuple[np.ndarray, np.ndarray]:
    """Wrap the occupied voxels in a surface through the places where the score passes the threshold.

    Parameters
    ----------
    scores : (a, b, c) float or bool array
        Axes as sketched in `rasgan.voxels`. The surface of bools lies halfway between voxels.
    occupied : (a, b, c) bool array
        True only where `scores` lies above `threshold`; pieces may be left out.
    threshold : float
        Occupied means strictly above this score (dimensionless); not used for bools.
    edge : float
        Length of a voxel's edge, in the unit of the mesh.

    Returns
    -------
    vertices : (v, 3) float array
        Axes and place as of `surface_mesh`.
    faces : (f, 3) int array
        Counter-clockwise seen from outside. The surface is closed and has exactly the centers of the occupied
        voxels inside.

    Notes
    -----
    Lewiner et al., Efficient implementation of marching cubes' cases with topological guarantees, 2003.
    """
    from skimage.measure import marching_cubes  # here: scikit-image is an extra

    if not occupied.any():
        return np.zeros((0, 3)), np.zeros((0, 3), int)
    if scores.dtype == bool:
        threshold = 0.499  # at 0.5, scores tie where voxels touch along an edge: the surface may pinch
    field = np.nan_to_num(scores.astype(np.float32) - np.float32(threshold), nan=-FARTHEST)
    field = np.where(occupied, np.clip(field, NEAREST, FARTHEST), np.clip(field, -FARTHEST, -NEAREST))
    # A layer of empty voxels, with the border's scores made negative, closes the surface at the box.
    outside = np.pad(np.zeros(field.shape, bool), 1, constant_values=True)
    field = np.pad(field, 1, mode="edge")
    field[outside] = -np.abs(field[outside])
    places, faces, _, _ = marching_cubes(field, 0.0)
    vertices = (places.astype(np.float64) - 0.5) * edge  # a voxel's center lies half an edge inside it
    vertices[:, 0] = occupied.shape[0] * edge - vertices[:, 0]  # a reflection: it turns every triangle over
    return vertices, faces

"""Triangle meshes of voxel grids: one closed surface, or the original's separate cubes."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from rasgan.voxels import surface_points, three_axes


def surface_mesh(occupied: np.ndarray, edge: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Return the surface of the occupied voxels as one closed triangle mesh: y up, not mirrored.

    The mesh has two triangles for every square between an occupied and an empty voxel (outside counts as
    empty) and no inner walls. It is a manifold for every grid: every edge belongs to exactly two triangles,
    and the triangles around a vertex form one fan. Where voxels touch only along an edge or at a corner,
    several vertices have the same position.

    Parameters
    ----------
    occupied : (a, b, c) bool array
        Axes as sketched in `rasgan.voxels`.
    edge : float
        Edge length of a voxel, in the unit of the mesh.

    Returns
    -------
    vertices : (v, 3) float array
        x = (a - axis 0) * edge, y = axis 1 * edge, z = axis 2 * edge: the original's box, up and front, but
        with axis 0 reversed, because (0, 1, 2) as right-handed x, y, z would be a mirror image.
    faces : (f, 3) int array
        Counter-clockwise seen from outside, so the volume is ``occupied.sum() * edge**3``.

    Notes
    -----
    Each square starts with four corners of its own; corners are then merged across every edge that two
    squares share. Where four squares meet at an edge (two diagonally opposed occupied voxels), the two
    squares of the same voxel are paired, which keeps the voxels apart. If both pairs still have the same
    vertices at both ends of the edge, the pairing is exchanged there, which joins the voxels. Around either
    end the squares form closed rings on a sphere; exchanging a crossing of a ring with itself cuts that ring
    in two and never merges rings. So no exchange affects another edge if simultaneous exchanges share no
    vertex: hence the six rounds, one for each direction and parity of an edge.
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
    vertices[:, 0] = occupied.shape[0] - vertices[:, 0]  # a reflection, which flips every triangle
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
"""Corners counter-clockwise seen from outside; axis 1 is reversed because p x q = -axis 1."""
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
    """The f squares between occupied and empty voxels, and their neighbors across the four sides."""

    position: np.ndarray  # (f, 3) int: the occupied voxel
    normal: np.ndarray  # (f,) direction
    convex: np.ndarray  # (f, 4) int: the square of the same voxel across that side
    flat: np.ndarray  # (f, 4) int: the square of the next voxel if that is occupied, else arbitrary
    concave: np.ndarray  # (f, 4) int: the square of the voxel above that if occupied, else arbitrary
    has_flat: np.ndarray  # (f, 4) bool: the next voxel is occupied
    has_concave: np.ndarray  # (f, 4) bool: the voxel above the next one is occupied
    edge_class: np.ndarray  # (f, 4) int: 2 * axis of the side's edge + parity of its position on that axis

    @property
    def is_diagonal(self) -> np.ndarray:
        """Whether four squares meet at the edge, so two voxels touch only along it: (f, 4) bool."""
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
    beside = np.empty((4 * len(normal), 2), np.int32)  # across either side of a corner lies one corner
    beside[here, [[0], [0], [1], [1]]] = there
    links = csr_array(
        (np.ones(beside.size), beside.ravel(), np.arange(0, beside.size + 1, 2)), shape=2 * (len(beside),)
    )
    _, vertex = connected_components(links, directed=False)
    return vertex.reshape(-1, 4)


def _is_pinched(squares: _Squares, vertex: np.ndarray, joined: np.ndarray) -> np.ndarray:
    """Mark the sides at whose edge four squares still share the same two vertices: (f, 4) bool."""
    pinched = squares.is_diagonal & ~joined
    square, which = np.nonzero(pinched)
    normal = squares.normal[square]
    side = _SIDE[normal, which]
    opposite = squares.concave[square, which]  # a square of the diagonal voxel
    ends = vertex[square[:, None], _ENDS[normal, side]]
    opposite_ends = vertex[opposite[:, None], _ENDS[squares.normal[opposite], normal ^ 1]]
    pinched[square, which] = (ends == opposite_ends).all(axis=1)
    return pinched

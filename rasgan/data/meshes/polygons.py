r"""Polygons to triangles: fans where they are right, ears clipped off one by one where they are not.

A fan from the first corner a of a, b, c, d, e covers a convex polygon, and any other in which a sees all
corners. In the rest it covers what is outside, as here the notch at e::

    d-------c        fan: (a, b, c), (a, c, d), (a, d, e)
     \      |        clipped: (b, c, e), (c, d, e), (a, b, e), say
       e    |
     /      |
    a-------b

Ears are clipped as in Eberly, Triangulation by Ear Clipping (geometrictools.com, 2002): a corner that turns
left, with no other corner in its triangle, is cut off. All polygons of as many corners are in work at once.
"""

import numpy as np

MOST_CORNERS = 20_000  # of a polygon that is no fan: the time grows with their square, to about half a minute
CHUNK = 1 << 17  # corners in work at a time
ROUNDING = 1e-9  # twice the area that a fan's triangle may lie on the wrong side, of a polygon of size 1
FLAT = 1e-15  # twice the area of a corner that is straight, a spike or repeated, in the same unit
SAME = 1e-12  # the distance of corners that are one place
# What blocks an ear, as twice the area that a corner spans with each of its sides: first corners inside and
# on the rim; if no ear is left (the polygon touches itself), those inside; at last (it crosses itself) none.
BLOCKING = np.array([-1e-12, 1e-12, np.inf, np.inf])


def triangulate(vertices: np.ndarray, corners: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Cut polygons into triangles: size - 2 for each, in the order of the polygons, wound as they are.

    A polygon is cut in the plane of its Newell normal. Any winding, any plane, corners that repeat or lie on
    a line, holes that are joined to the rim by a bridge, and slightly warped polygons are fine. The signed
    areas of the triangles always add up to the polygon's. One without area becomes a fan; one that crosses
    itself is covered as well as it can be.

    Parameters
    ----------
    vertices : (v, 3) float64 array
    corners : (c,) int64 array
        The vertex of each corner, polygon after polygon.
    sizes : (p,) int64 array
        The corners of each polygon, in sum c; those of two or fewer give no triangle.

    Returns
    -------
    triangles : (t, 3) int64 array

    Raises
    ------
    ValueError
        If a corner names a vertex that is not there, or a polygon that is no fan has over `MOST_CORNERS`.
    """
    starts = np.cumsum(sizes) - sizes
    if corners.size and (corners.min() < 0 or corners.max() >= len(vertices)):
        bad = int(np.argmax((corners < 0) | (corners >= len(vertices))))
        face = int(np.searchsorted(starts + sizes, bad, side="right"))
        raise ValueError(f"face {face} (counted from 0) names a vertex that is not there")
    if (sizes == 3).all():
        return corners.reshape(-1, 3)
    counts = np.maximum(sizes - 2, 0)
    places = np.cumsum(counts) - counts
    polygon = np.repeat(np.arange(len(sizes)), counts)
    step = np.arange(polygon.size) - places[polygon]
    first = starts[polygon]
    triangles = corners[np.stack([first, first + step + 1, first + step + 2], axis=1)]
    for size in np.unique(sizes[sizes > 3]):
        chosen = np.flatnonzero(sizes == size)
        for some in np.array_split(chosen, min(chosen.size, -(-chosen.size * size // CHUNK))):
            loops = corners[starts[some, None] + np.arange(size)]
            wrong, flat = _without_fan(vertices[loops])
            if wrong.size and size > MOST_CORNERS:
                raise ValueError(
                    f"face {some[wrong[0]]} (counted from 0) has {size} corners, more than {MOST_CORNERS}"
                )
            if wrong.size:
                ears = _clip(flat)
                cut = loops[wrong[:, None, None], ears]
                triangles[places[some[wrong], None] + np.arange(size - 2)] = cut
    return triangles


def _without_fan(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the polygons, of (p, n, 3) `points`, that a fan from the first corner does not cover.

    Returns their numbers (w,) and their corners in the plane (2, w, n), counter-clockwise and of size 1.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of points too far apart, which `read_mesh` refuses
        points = points - points[:, :1]
        size = np.abs(points).max(axis=(1, 2))
        points = np.ldexp(points, -np.frexp(size)[1][:, None, None])  # exact, so that straight stays straight
        fans = np.cross(points[:, 1:-1], points[:, 2:])
        normals = fans.sum(axis=1)  # Newell's
        lengths = np.linalg.norm(normals, axis=1)
        sides = np.einsum("pkc,pc->pk", fans, normals) < -ROUNDING * lengths[:, None]
        wrong = np.flatnonzero((lengths > FLAT) & sides.any(axis=1))
    points, normals = points[wrong], normals[wrong]
    # Along the normal onto the coordinate plane that is nearest: exact where the polygon lies in one.
    rows = np.arange(wrong.size)
    up = np.abs(normals).argmax(axis=1)
    heights = points[rows, :, up] / normals[rows, up, None]
    plane = np.stack(
        [points[rows, :, axis] - heights * normals[rows, axis, None] for axis in ((up + 1) % 3, (up + 2) % 3)]
    )
    return wrong, np.where((normals[rows, up] < 0)[:, None], plane[::-1], plane)


def _clip(plane: np.ndarray) -> np.ndarray:
    """Clip the ears of polygons (2, p, n) in the plane: the corners (p, n - 2, 3) of their triangles."""
    _, count, size = plane.shape
    rows = np.arange(count)
    names = np.broadcast_to(np.arange(size), (count, size))
    level = np.zeros(count, dtype=np.int64)
    turns = np.stack([_turn(plane, rows, np.full(count, at)) for at in range(size)], axis=1)
    ears = _all_ears(plane, turns, level)
    triangles = np.empty((count, size - 2, 3), dtype=np.int64)
    for step in range(size - 3):
        while (stuck := np.flatnonzero(~ears.any(axis=1))).size:
            level[stuck] += 1
            ears[stuck] = _all_ears(plane[:, stuck], turns[stuck], level[stuck])
        at = ears.argmax(axis=1)  # a flat corner or else the first ear
        left = size - step
        triangles[:, step] = names[rows[:, None], (at[:, None] + [-1, 0, 1]) % left]
        stays = np.arange(left) != at[:, None]
        names, turns, ears = (each[stays].reshape(count, left - 1) for each in (names, turns, ears))
        plane = np.stack([axis[stays].reshape(count, left - 1) for axis in plane])
        beside = (at - 1) % (left - 1), at % (left - 1)
        for corner in beside:
            turns[rows, corner] = _turn(plane, rows, corner)
        for corner in beside:
            ears[rows, corner] = _ears(plane, turns, level, corner)
    triangles[:, -1] = names
    return triangles


def _all_ears(plane: np.ndarray, turns: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Judge every corner as `_ears` does: (p, n) int8."""
    count, size = turns.shape
    return np.stack([_ears(plane, turns, level, np.full(count, at)) for at in range(size)], axis=1)


def _ears(plane: np.ndarray, turns: np.ndarray, level: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Judge corner `at` (p,) of each polygon: 2 flat, 1 an ear, 0 neither; int8.

    `level` (p,) says what blocks an ear (`BLOCKING`); in the last any corner is one.
    """
    rows = np.arange(at.size)
    turn = turns[rows, at]
    x, y = plane
    spans, same = [], []
    for one, other in ((-1, 0), (0, 1), (1, -1)):
        ax, ay, bx, by = (
            axis[rows, (at + end) % turns.shape[1], None] for end in (one, other) for axis in (x, y)
        )
        spans.append((bx - ax) * (y - ay) - (by - ay) * (x - ax))
        same.append(np.abs(x - ax) + np.abs(y - ay) < SAME)
    inside = np.minimum(np.minimum(*spans[:2]), spans[2]) >= BLOCKING[level, None]
    # If any corner lies in the triangle, one that does not turn left does.
    blocked = (inside & (turns <= 0) & ~(same[0] | same[1] | same[2])).any(axis=1)
    ear = ((turn > 0) & ~blocked) | (level == len(BLOCKING) - 1)
    return np.where(np.abs(turn) <= FLAT, 2, ear).astype(np.int8)


def _turn(plane: np.ndarray, rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return twice the signed area (p,) that each polygon's corner `at` spans with its neighbors."""
    left = plane.shape[2]
    before, here, after = (plane[:, rows, (at + way) % left] for way in (-1, 0, 1))
    (ax, ay), (bx, by) = here - before, after - here
    return ax * by - ay * bx

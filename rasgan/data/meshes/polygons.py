r"""Polygons to triangles: as fans where possible, otherwise by the package mapbox_earcut.

A fan from the first corner a of a, b, c, d, e covers a convex polygon, and any other in which all corners are
visible from a. In other polygons it covers an area outside, such as the notch at e::

    d-------c        fan: (a, b, c), (a, c, d), (a, d, e)
     \      |        ears: (b, c, e), (c, d, e), (a, b, e), for example
       e    |
     /      |
    a-------b
"""

import mapbox_earcut
import numpy as np

# Squared corners of all polygons that are not fans. Earcut takes up to 7e-8 s for each (measured on polygons
# that intersect themselves), so half a minute at most: one polygon of 20,000 corners, or a million of 20.
MOST_WORK = 4 * 10**8
CHUNK = 1 << 17  # corners in memory at a time
ROUNDING = 1e-9  # twice the area by which a triangle of a fan may be negative, in a polygon of size 1
THIN = 1e-7  # height of a triangle without area, for a longest side of 1: about the precision of float32
FLAT = 1e-15  # a polygon of less area, in the same unit, has no inside


def triangulate(vertices: np.ndarray, corners: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Cut polygons into triangles, in the order of the polygons and wound as they are.

    A polygon is cut in the plane of its Newell normal. Any winding, any plane, repeated and collinear
    corners, holes connected to the outline by a bridge, and slightly warped polygons are supported. A polygon
    without area becomes a fan; one that intersects itself is covered as well as possible.

    Parameters
    ----------
    vertices : (v, 3) float64 array
    corners : (c,) int64 array
        The vertex of each corner, polygon after polygon.
    sizes : (p,) int64 array
        The number of corners of each polygon, c in total; those of two or fewer give no triangle.

    Returns
    -------
    triangles : (t, 3) int64 array
        At most size - 2 for each polygon; fewer if corners are collinear.

    Raises
    ------
    ValueError
        If a corner refers to a missing vertex, or the polygons that are not fans exceed `MOST_WORK`.
    """
    starts = np.cumsum(sizes) - sizes
    if corners.size and (corners.min() < 0 or corners.max() >= len(vertices)):
        bad = int(np.argmax((corners < 0) | (corners >= len(vertices))))
        face = int(np.searchsorted(starts + sizes, bad, side="right"))
        raise ValueError(f"face {face} (counted from 0) refers to a missing vertex")
    if (sizes == 3).all():
        return corners.reshape(-1, 3)
    counts = np.maximum(sizes - 2, 0)
    places = np.cumsum(counts) - counts
    polygon = np.repeat(np.arange(len(sizes)), counts)
    step = np.arange(polygon.size) - places[polygon]
    first = starts[polygon]
    triangles = corners[np.stack([first, first + step + 1, first + step + 2], axis=1)]
    is_needed, work = np.ones(len(triangles), dtype=bool), 0
    for size in np.unique(sizes[sizes > 3]).tolist():
        chosen = np.flatnonzero(sizes == size)
        for some in np.array_split(chosen, min(chosen.size, -(-chosen.size * size // CHUNK))):
            loops = corners[starts[some, None] + np.arange(size)]
            wrong, outlines = _without_fan(vertices[loops])
            work += wrong.size * size**2
            if work > MOST_WORK:
                fault = f"face {some[wrong[0]]} (counted from 0) is concave and has {size} corners"
                raise ValueError(f"{fault}: too many in all concave faces together; triangulate it first")
            for loop, outline, place in zip(
                loops[wrong], outlines, places[some[wrong]].tolist(), strict=True
            ):
                ears = mapbox_earcut.triangulate_float64(outline, np.array([size], np.uint32))
                if ears.size:  # otherwise it intersects itself, and the fan stays
                    cut = loop[ears].reshape(-1, 3)
                    triangles[place : place + len(cut)] = cut
                    is_needed[place + len(cut) : place + size - 2] = False
    return triangles[is_needed]


def has_area(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return which of the (f, 3) `faces` are triangles rather than lines or points: (f,) bool."""
    result = np.empty(len(faces), dtype=bool)
    for start in range(0, len(faces), CHUNK):
        corners = vertices[faces[start : start + CHUNK]]
        sides = np.roll(corners, -1, axis=1) - corners
        longest = (sides**2).sum(axis=2).max(axis=1)
        area = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
        result[start : start + CHUNK] = area > THIN * longest
    return result


def _without_fan(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the polygons, of (p, n, 3) `points`, for which a fan from the first corner is wrong.

    Returns their indices (w,) and their outlines in the plane (w, n, 2), counter-clockwise and of size 1.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # `read_mesh` refuses points too far apart
        points = points - points[:, :1]
        size = np.abs(points).max(axis=(1, 2))
        points = np.ldexp(points, -np.frexp(size)[1][:, None, None])  # exact, so that lines stay straight
        fans = np.cross(points[:, 1:-1], points[:, 2:])
        normals = fans.sum(axis=1)  # Newell's
        lengths = np.linalg.norm(normals, axis=1)
        sides = np.einsum("pkc,pc->pk", fans, normals) < -ROUNDING * lengths[:, None]
        wrong = np.flatnonzero((lengths > FLAT) & sides.any(axis=1))
    points, normals = points[wrong], normals[wrong]
    # Project along the normal onto the nearest coordinate plane: exact if the polygon is parallel to it.
    rows = np.arange(wrong.size)
    up = np.abs(normals).argmax(axis=1)
    heights = points[rows, :, up] / normals[rows, up, None]
    plane = np.stack(
        [
            points[rows, :, axis] - heights * normals[rows, axis, None]
            for axis in ((up + 1) % 3, (up + 2) % 3)
        ],
        axis=2,
    )
    return wrong, np.where((normals[rows, up] < 0)[:, None, None], plane[:, :, ::-1], plane)

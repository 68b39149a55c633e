"""What lies inside a closed surface, found without the code under test."""

import numpy as np


def windings(vertices, faces, points):
    """Count how often a surface goes round each of the (p, 3) points: 1 inside, 0 outside of a solid.

    The sum of the signed solid angles of the triangles (van Oosterom and Strackee 1983).
    """
    total = np.zeros(len(points))
    for start in range(0, len(faces), 1000):
        a, b, c = np.moveaxis(vertices[faces[start : start + 1000]][:, :, None] - points, 1, 0)
        la, lb, lc = (np.linalg.norm(corner, axis=2) for corner in (a, b, c))
        ab, bc, ca = (np.einsum("fpi,fpi->fp", u, v) for u, v in ((a, b), (b, c), (c, a)))
        volume = np.einsum("fpi,fpi->fp", a, np.cross(b, c))
        total += 2 * np.arctan2(volume, la * lb * lc + ab * lc + bc * la + ca * lb).sum(axis=0)
    return total / (4 * np.pi)

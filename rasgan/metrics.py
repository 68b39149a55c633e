"""Distances between voxel shapes, and what they say of a set of them."""

import numpy as np


def iou_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Measure 1 - intersection / union between all pairs of shapes, by one matrix product.

    Parameters
    ----------
    a, b : (N, n, n, n) and (M, n, n, n) bool arrays

    Returns
    -------
    distances : (N, M) float64 array
        From 0, the same voxels, to 1, none in common. Two empty grids are the same.
    """
    a, b = (x.reshape(len(x), -1) for x in (a, b))
    shared = (a.astype(np.float32) @ b.astype(np.float32).T).astype(np.float64)  # exact below 2**24
    union = a.sum(1)[:, None] + b.sum(1)[None, :] - shared
    return 1 - np.divide(shared, union, out=np.ones_like(shared), where=union > 0)


def diversity(shapes: np.ndarray) -> float:
    """Average the distance over all pairs of different shapes of one set, (N, n, n, n) bool, N > 1."""
    distances = iou_distances(shapes, shapes)
    count = len(shapes)
    return float((distances.sum() - np.trace(distances)) / (count * (count - 1)))

"""A smooth surface through the scores, by scikit-image's marching cubes: an optional extra."""

import numpy as np

from rasgan.errors import UserError

FARTHEST = 10.0
"""No score counts as further than this from the threshold (they are trained towards 0 and 1)."""

NEAREST = 0.01
"""Nor as nearer than this: the surface keeps off voxel centers, where its triangles would have no area."""


def check_installed() -> None:
    """Raise `UserError`, with the command that helps, if scikit-image is missing."""
    try:
        import skimage.measure  # noqa: F401 - imported to see whether it can be
    except ImportError as error:
        raise UserError(
            f'--smooth needs scikit-image ({error}); type: python -m pip install -e ".[smooth]"'
        ) from error


def smooth_mesh(
    scores: np.ndarray, occupied: np.ndarray, threshold: float, edge: float = 0.01
) -> tuple[np.ndarray, np.ndarray]:
    """Wrap the occupied voxels in a surface through the places where the score passes the threshold.

    Parameters
    ----------
    scores : (a, b, c) float or bool array
        Axes as sketched in `rasgan.voxels`. Bools have no scores between: their surface lies half-way
        between voxels, with bevelled corners.
    occupied : (a, b, c) bool array
        True only where `scores` lies above `threshold`. A part of such voxels may be left out, as long as
        none of it touches the rest face to face.
    threshold : float
        Occupied means strictly above this score (dimensionless); for bools of no account.
    edge : float
        Length of a voxel's edge, in the unit of the mesh.

    Returns
    -------
    vertices : (v, 3) float array
        Axes, place and box as of `rasgan.voxels.surface_mesh`, whose box it fills where the grid is full.
    faces : (f, 3) int array
        Counter-clockwise seen from outside. The surface is closed; every occupied voxel's center lies
        inside, every other one outside.

    Notes
    -----
    Lewiner et al., Efficient implementation of marching cubes' cases with topological guarantees, 2003.
    """
    from skimage.measure import marching_cubes

    if not occupied.any():
        return np.zeros((0, 3)), np.zeros((0, 3), int)
    if scores.dtype == bool:
        threshold = 0.5
    field = np.nan_to_num(scores.astype(np.float32) - np.float32(threshold), nan=-FARTHEST)
    field = np.where(occupied, np.clip(field, NEAREST, FARTHEST), np.clip(field, -FARTHEST, -NEAREST))
    # One layer of empty voxels closes the surface; with the border's scores, negated where they are
    # positive, it does so on the very border of the box.
    outside = np.pad(np.zeros(field.shape, bool), 1, constant_values=True)
    field = np.pad(field, 1, mode="edge")
    field[outside] = -np.abs(field[outside])
    places, faces, _, _ = marching_cubes(field, 0.0)
    vertices = (places.astype(np.float64) - 0.5) * edge  # a voxel's center lies half an edge inside it
    vertices[:, 0] = occupied.shape[0] * edge - vertices[:, 0]  # a reflection: it turns every triangle over
    return vertices, faces

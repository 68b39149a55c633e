"""Array geometry of voxel grids: numpy and scipy only, arrays in, arrays out.

Axes, here and everywhere in this project (a Binvox file's order, facts in the README's table)::

        axis 1 (up; mesh z)
          |
          |     grid[i, j, k] is the voxel at mesh x = i, mesh z = j, mesh y = k,
          |     for meshes that are z-up as ModelNet's are
          o------- axis 0 (mesh x)
         /
        /
      axis 2 (mesh y)

A scatter plot of a grid therefore shows x = axis 0, y = axis 2, z = axis 1. Note that (axis 0, axis 1,
axis 2) taken as right-handed x, y, z is the mirror image of the mesh.
"""

import numpy as np

OCCUPIED_ABOVE = 0.3
"""A generated score counts as occupied strictly above this, as in jpjuvo/64-3D-RaSGAN (`voxel2points`)."""


def is_occupied(scores: np.ndarray, threshold: float = OCCUPIED_ABOVE) -> np.ndarray:
    """Turn scores of any shape and dtype into bools: True strictly above `threshold`; NaN is empty."""
    if scores.dtype == bool:
        return scores
    return scores > threshold

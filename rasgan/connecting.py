"""What keeps a generated shape from being one piece, and a penalty on it that the generator can learn from.

No score of the discriminator says which voxels hang loose. Counting pieces has no gradient, but telling which
voxels to take away, and which to add, has one. Brüel-Gabrielsson et al. 2020, A topology layer for machine
learning, put such a loss on what a generator makes. Its gradient goes through the two voxels at which a
component is born and dies; here it goes through all that are wrong.
"""

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from rasgan.voxels import label_pieces

SPECK = 0.01
"""A piece with less than this share of a shape's voxels is to go, a larger one to be joined."""

MARGIN = 1.0
"""How far beyond 0 the sum of a wrong voxel is drawn: behind a sigmoid, to 0.27 or 0.73."""


def repairs(shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tell what makes a shape one piece, as of `rasgan.voxels.largest_piece`: how much each voxel counts.

    Parameters
    ----------
    shape : (n, n, n) bool array
        Left unchanged.

    Returns
    -------
    missing : (n, n, n) float32 array
        1 at empty voxels on a straight way, face by face, from each larger piece to the largest.
    loose : (n, n, n) float32 array
        At voxels of specks, each of which counts 1 in all. With these gone and those there, the shape is one
        piece.
    """
    piece, sizes = label_pieces(shape)
    missing = np.zeros(shape.shape, np.float32)
    if len(sizes) < 3:  # empty space and one piece
        return missing, missing
    largest = sizes.argmax()
    is_speck = sizes < SPECK * sizes.sum()
    is_speck[[0, largest]] = False
    apart = set(np.flatnonzero(~is_speck)) - {0, largest}
    if apart:
        main = np.argwhere(piece == largest)
        to_main = KDTree(main)
    for number in apart:
        voxels = np.argwhere(piece == number)
        distances, nearest = to_main.query(voxels)
        at = distances.argmin()
        missing[tuple(straight_way(voxels[at], main[nearest[at]]).T)] = 1
    counts = np.divide(1, sizes, out=np.zeros(len(sizes), np.float32), where=is_speck)
    return np.where(shape, 0, missing), np.where(missing, 0, counts[piece])


def straight_way(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """List the voxels on the straight line between two others, (m, 3), each sharing a face with the next.

    Start and end are left out. A step along an axis is taken where the line crosses the middle between two
    layers; of steps at the same place, those of the first axis come first.
    """
    lengths = np.abs(end - start)
    axes = np.repeat(np.arange(3), lengths)
    places = np.concatenate([(np.arange(length) + 0.5) / max(length, 1) for length in lengths])
    steps = np.eye(3, dtype=int)[axes[places.argsort(kind="stable")]] * np.sign(end - start)
    return start + steps.cumsum(axis=0)[:-1]


def connection_penalty(sums: Tensor, shapes: np.ndarray) -> Tensor:
    """Measure how far the sums of wrong voxels are from right ones: a scalar, to be minimized.

    The sum over all voxels of max(0, 1 - s), as much as each is missing, and of max(0, 1 + s), as much as
    each is loose (`repairs`). s is the sum before the sigmoid, which itself leaves no gradient near 0 and 1.

    Parameters
    ----------
    sums : (N, 1, n, n, n) tensor
    shapes : (N, n, n, n) bool array
        Which voxels are occupied in the shapes that these sums become.
    """
    missing, loose = (
        torch.from_numpy(np.stack(wrong)).to(sums.device) for wrong in zip(*map(repairs, shapes), strict=True)
    )
    sums = sums.squeeze(1).float()
    return ((MARGIN - sums).relu() * missing + (MARGIN + sums).relu() * loose).sum()

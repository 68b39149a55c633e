import numpy as np
import pytest

from rasgan.packed_grids import PackedGrids, pack, unpack


def packed_slowly(grid):
    """Pack with `numpy.packbits`: the highest bit is the first voxel of a block."""
    m = len(grid) // 2 + 1
    blocks = np.pad(grid, 1).reshape(m, 2, m, 2, m, 2).transpose(0, 2, 4, 1, 3, 5)
    return np.packbits(blocks.reshape(m, m, m, 8), axis=3)[..., 0]


@pytest.mark.parametrize("edge", [2, 8, 32])
@pytest.mark.parametrize("density", [0, 0.3, 1])
def test_each_byte_contains_the_voxels_of_a_block(edge, density, rng):
    grid = rng.random((edge,) * 3) < density
    np.testing.assert_array_equal(pack(grid), packed_slowly(grid))
    np.testing.assert_array_equal(unpack(pack(grid)), grid)


def test_indexing_unpacks_grids(rng):
    occupied = rng.random((5, 6, 6, 6)) > 0.5
    grids = PackedGrids.of(occupied)
    for index in (3, slice(1, 4), slice(None), np.array([4, 0, 4])):
        np.testing.assert_array_equal(grids[index], occupied[index])


def test_the_digest_is_that_of_existing_checkpoints():
    i, j, k = np.indices((6, 6, 6))
    grids = PackedGrids.of(np.stack([(i * j + 2 * k) % 3 == 0, (i + 2 * j * k) % 5 == 1]))
    assert grids.digest == "12c549313eb04b4c7415ba76da28c3d2"

import numpy as np
import pytest
import torch
from torch.nn.functional import max_pool3d

from rasgan.blocks import blocks_of
from rasgan.training.dataset import Shapes, occupied_share


@pytest.fixture
def grids(rng):
    return rng.random((5, 32, 32, 32)) > 0.7


@pytest.mark.parametrize("value", [1.0, 255.0])
def test_blocks_are_those_of_the_chosen_shapes(grids, value):
    shapes = Shapes(grids, value=value)
    blocks = shapes.blocks(torch.tensor([3, 0, 3]))
    expected = torch.from_numpy(value * grids[[3, 0, 3], None]).float()
    assert torch.equal(blocks, blocks_of(expected))
    assert (blocks.dtype, blocks.is_contiguous(memory_format=torch.channels_last_3d)) == (torch.float32, True)
    assert torch.equal(shapes.blocks(torch.tensor([3, 0, 3]), 16), blocks_of(max_pool3d(expected, 2)))
    np.testing.assert_array_equal(shapes.occupied[:], grids)


def test_shapes_need_one_bit_per_voxel(grids):
    assert Shapes(grids).packed.nbytes == len(grids) * (34**3) / 8  # the grids are padded by 1


def test_mark_depends_on_voxels_order_and_number(grids):
    mark = Shapes(grids).mark
    assert mark == Shapes(grids.copy(), value=255.0).mark
    assert mark.count == 5
    changed = grids.copy()
    changed[4, 31, 31, 31] ^= True
    marks = {mark, *(Shapes(other).mark for other in (changed, grids[::-1], grids[:4]))}
    assert len({mark.digest for mark in marks}) == 4


def test_occupied_share_is_the_mean_of_the_voxels(grids):
    assert occupied_share(Shapes(grids, value=255.0)) == grids.mean()

import numpy as np
import pytest
import torch

from rasgan.blocks import blocks_of
from rasgan.training.dataset import Shapes, occupied_share


@pytest.fixture
def grids(rng):
    return rng.random((5, 32, 32, 32)) > 0.7


def test_a_batch_holds_the_shapes_asked_for_in_that_order(grids):
    batch = Shapes(grids).batch(torch.tensor([3, 0, 3]))
    assert batch.shape == (3, 1, 32, 32, 32)
    assert batch.dtype == torch.float32
    np.testing.assert_array_equal(batch[:, 0].numpy(), grids[[3, 0, 3]].astype(np.float32))


def test_occupied_voxels_can_have_another_value(grids):
    batch = Shapes(grids, value=255.0).batch(torch.tensor([1]))
    np.testing.assert_array_equal(batch[0, 0].numpy(), 255.0 * grids[1])


def test_blocks_are_those_of_the_voxels(grids):
    shapes = Shapes(grids)
    indices = torch.tensor([4, 0])
    blocks = shapes.blocks(indices)
    assert torch.equal(blocks, blocks_of(shapes.batch(indices)))
    assert blocks.is_contiguous(memory_format=torch.channels_last_3d)


def test_the_mark_tells_other_voxels_another_order_and_another_number(grids):
    mark = Shapes(grids).mark
    assert mark == Shapes(grids.copy(), value=255.0).mark
    assert mark.count == 5
    changed = grids.copy()
    changed[4, 31, 31, 31] ^= True
    marks = {mark, *(Shapes(other).mark for other in (changed, grids[::-1], grids[:4]))}
    assert len({mark.digest for mark in marks}) == 4


def test_the_occupied_share_is_that_of_the_voxels(grids):
    assert occupied_share(Shapes(grids, value=255.0)) == grids.mean()

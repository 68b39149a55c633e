import numpy as np
import pytest
import torch

from rasgan.blocks import blocks_of
from rasgan.errors import UserError
from rasgan.training.dataset import Shapes, load_shapes
from rasgan.voxel_io import write_raw


@pytest.fixture
def grids(rng):
    return rng.random((5, 32, 32, 32)) > 0.7


@pytest.fixture
def folder(tmp_path, grids):
    for number, grid in enumerate(grids):
        write_raw(tmp_path / f"chair_{number:04d}.raw", grid)
    return tmp_path


def test_a_batch_holds_the_shapes_asked_for_in_that_order(grids):
    batch = Shapes(grids).batch(np.array([3, 0, 3]))
    assert batch.shape == (3, 1, 32, 32, 32)
    assert batch.dtype == torch.float32
    np.testing.assert_array_equal(batch[:, 0].numpy(), grids[[3, 0, 3]].astype(np.float32))


def test_occupied_voxels_can_have_another_value(grids):
    batch = Shapes(grids, value=255.0).batch(np.array([1]))
    np.testing.assert_array_equal(batch[0, 0].numpy(), 255.0 * grids[1])


def test_shapes_take_a_bit_a_voxel(grids):
    assert Shapes(grids).packed.nbytes == len(grids) * (34**3) / 8  # the grids are padded by 1


def test_blocks_are_those_of_the_voxels(grids):
    shapes = Shapes(grids)
    indices = np.array([4, 0])
    blocks = shapes.blocks(indices)
    assert torch.equal(blocks, blocks_of(shapes.batch(indices)))
    assert blocks.is_contiguous(memory_format=torch.channels_last_3d)


def test_a_folder_is_read_in_the_order_of_its_names(folder, grids):
    shapes = load_shapes(folder, 32)
    assert len(shapes) == 5
    np.testing.assert_array_equal(shapes.batch(np.arange(5))[:, 0].numpy(), grids)


def test_one_is_as_occupied_as_255(tmp_path):
    values = np.arange(32**3).astype(np.uint8)
    (tmp_path / "a.raw").write_bytes((values % 2).tobytes())
    occupied = load_shapes(tmp_path, 32).batch(np.array([0]))
    np.testing.assert_array_equal(occupied.flatten().numpy(), values % 2)


def test_finer_grids_are_pooled_so_that_no_part_vanishes(folder, grids):
    pooled = load_shapes(folder, 16).batch(np.arange(5))[:, 0].numpy()
    blocks = grids.reshape(5, 16, 2, 16, 2, 16, 2)
    np.testing.assert_array_equal(pooled, blocks.any(axis=(2, 4, 6)))


def test_other_files_and_hidden_ones_are_passed_over(folder):
    (folder / "chair.off").write_text("OFF", encoding="ascii")
    (folder / ".half-written.raw").write_bytes(b"")
    assert len(load_shapes(folder, 32)) == 5


def test_coarser_grids_are_refused_with_a_way_out(folder):
    with pytest.raises(UserError, match=r"chair_0000\.raw: this grid is 32³.*resolution 64"):
        load_shapes(folder, 64)


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(UserError, match=r"no \.raw voxel files"):
        load_shapes(tmp_path, 64)


def test_shapes_come_back_as_the_bools_that_they_were(rng):
    occupied = rng.random((3, 6, 6, 6)) > 0.5
    np.testing.assert_array_equal(Shapes(occupied, value=255).occupied(), occupied)

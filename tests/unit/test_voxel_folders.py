"""Folders of voxel grids: which files are read in every layout, and what is reported."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from rasgan.errors import UserError
from rasgan.voxel_folders import find_grids, read_grids
from rasgan.voxel_io import read_voxels, write_raw
from tests.unit.test_voxel_io import write_voxels


def grid(number=0, edge=8):
    """Make a grid that can be recognized by its number of voxels."""
    occupied = np.zeros((edge,) * 3, bool)
    occupied.ravel()[: number + 1] = True
    return occupied


def put(path, number=0, edge=8):
    """Write the grid of that number in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    occupied = grid(number, edge)
    if path.suffix in (".raw", ".binvox"):
        write_voxels(path, occupied)
    elif path.suffix == ".npy":
        np.save(path, occupied.astype(np.float32))
    elif path.suffix == ".npz":
        np.savez_compressed(path, occupied)
    else:
        path.write_text("OFF", encoding="ascii")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*names, folder="data", **options):
    """Write files below a folder and return the names of those that are read."""
    for number, name in enumerate(names):
        put(Path(folder, name), number)
    paths = [*find_grids(Path(folder), **options).counts]
    assert paths == sorted(paths)
    return [path.relative_to(folder).as_posix() for path in paths]


@pytest.mark.parametrize(
    ("there", "read"),
    {
        "flat": (["b.raw", "a.raw", "10.raw", "9.raw"], [2, 3, 1, 0]),
        "every format": (["a.raw", "b.binvox", "c.npy", "d.npz"], None),
        "ModelNet": (["chair/test/c.raw", "chair/train/c.raw", "sofa/train/s.raw"], [1, 2]),
        "3D ShapeNets": (["30/test/a_1.npz", "30/train/b_1.npz", "30/train/b_2.npz"], [1, 2]),
        "3D-R2N2": (["0a1/model.binvox", "0b2/model.binvox"], None),
        "ShapeNet": (["0a/models/a.obj", "0a/models/a.solid.binvox", "0a/models/a.surface.binvox"], [1]),
        "ShapeNet, surfaces only": (["0a/models/a.surface.binvox"], None),
        "beside their meshes": (["train/a.raw", "train/a.off"], [0]),
        "one shape in two formats": (["a.npy", "a.binvox", "a.raw", "b.mat", "b.npz"], [2, 4]),
        "one name in two folders": (["x/a.raw", "y/a.npy"], None),
        "hidden": ([".x.raw", ".git/y.raw", "__MACOSX/._a.raw", "__MACOSX/a.raw", "a/a.raw"], [4]),
        "files before subfolders": (["a.raw", "old/b.raw", "train/c.raw"], [0]),
        "capital letters": (["Train/a.raw", "Test/b.raw"], [0]),
        "training, testing": (["training/0.binvox", "testing/0.binvox", "val/a.raw"], [0]),
        "named by their part": (["train_64/a.raw", "test_64/a.raw", "valid-64/a.raw"], [0]),
        "parts as files": (["X_train.npy", "X_test.npy", "names.npz"], [0, 2]),
        "training shapes alone": (["train_1.raw", "train_2.raw"], None),
        "Pix3D, converted": (["a/model.raw", "a/voxel.mat", "b/model.raw", "b/voxel.mat"], [0, 2]),
        "classes of numbered shapes": (["a/0.raw", "a/1.raw", "b/0.raw", "b/1.raw"], None),
    }.values(),
)
def test_layouts(here, there, read):
    assert found(*there) == (there if read is None else [there[number] for number in read])


def test_the_test_split_is_found(here):
    assert found("train/a.raw", "test/b.raw", "val/c.raw", split="test") == ["test/b.raw"]
    assert found("training/a.raw", "val/c.raw", folder="without", split="test") == ["val/c.raw"]
    assert found("a.raw", folder="flat", split="test") == ["a.raw"]


def described(folder="data", resolution=8, **options):
    return read_grids(Path(folder), resolution, **options)[1].replace("\\", "/")


def test_one_line_describes_what_was_read(here):
    train = Path("data/chair/train")
    put(train / "a.raw", edge=16)
    assert described(resolution=16) == "1 shape from data/chair/train (.raw)"
    for number in range(4):
        put(train / f"{number}.npz", number, edge=15 if number else 16)
        write_raw(train / f"e{number}.raw", np.zeros((32,) * 3, bool))
    put(train / "0.npy", edge=16)
    put(Path("data/chair/test/t.raw"), edge=16)
    put(Path("data/chair/train/t.mat"))
    np.savez(train / "batch.npz", x=np.stack([grid(0, 16), grid(1, 16)]), labels=np.arange(2))
    np.save(train / "scales.npy", np.ones((2, 3)))
    assert described(resolution=16) == (
        "11 shapes from data/chair/train (.raw, .npy, .npz, 15³ padded to 16³, 32³ pooled to 16³, floats are "
        "occupied above 0.3); 4 empty: e0.raw, e1.raw, e2.raw and 1 more; left out: scales.npy, labels of "
        "batch.npz (not voxel grids), chair/test/t.raw, chair/train/0.npz, chair/train/t.mat (other splits, "
        "folders or formats)"
    )
    held_out = described("data/chair", resolution=16, split="test")
    assert held_out.startswith("1 shape from data/chair/test (.raw); left out: train/0.npy")


def test_arrays_and_files_that_may_belong_to_one_shape_are_named(here):
    Path("data").mkdir()
    np.savez("data/a.npz", partial=grid(), complete=grid(1))
    assert "arrays partial, complete as separate shapes in a.npz" in described()
    for name in ("x/partial.npy", "x/complete.npy", "y/partial.npy", "y/complete.npy"):
        put(Path("pairs", name))
    assert "complete.npy, partial.npy as separate shapes in 2 folders" in described("pairs")


INSIDE = np.linalg.norm(np.indices((32,) * 3) - 15.5, axis=0) < 12
DISTANCE = (np.linalg.norm(np.indices((32,) * 3) - 15.5, axis=0) - 12) / 16
BOX, FRAME = np.zeros((32,) * 3, bool), np.zeros((32,) * 3, bool)
BOX[:, :28, :] = True  # a solid cabinet
for axis in range(3):  # a table whose width is its height
    np.moveaxis(FRAME, axis, 0)[:, ::31, ::31] = True


@pytest.mark.parametrize(
    ("scores", "is_reported"),
    [
        (~INSIDE, True),
        (INSIDE * 200 + 3, True),
        (DISTANCE, True),
        (abs(DISTANCE).astype(np.float32), True),
        (INSIDE, False),
        (BOX, False),
        (FRAME, False),
        (FRAME.astype(np.float32), False),
        (-DISTANCE, False),  # high inside, as scores are
    ],
)
def test_grids_that_are_full_to_their_corners_are_reported(here, scores, is_reported):
    Path("data").mkdir()
    np.save("data/a.npy", scores)
    np.save("data/b.npy", INSIDE)
    sentence = described(resolution=32)
    assert ("1 of 2 grids are full to the corners" in sentence) == is_reported
    assert ("(a.npy)" in sentence) == is_reported


def test_shapes_are_in_the_order_of_their_paths_and_numbers(here):
    for number, name in enumerate(("a/x.raw", "b/m.npz", "c/y.npy", "d/z.binvox")):
        put(Path("data", name), number)
    np.save("data/b/batch.npy", np.stack([grid(8), grid(9)]).astype(np.uint8))
    seen = []
    grids, _ = read_grids(Path("data"), 8, progress=lambda entries: seen.append(entries) or entries)
    assert grids[:].sum((1, 2, 3)).tolist() == [1, 9, 10, 2, 3, 4]
    assert len(seen[0]) == 6


def test_floats_are_occupied_above_the_threshold(here):
    Path("data").mkdir()
    np.save("data/a.npy", np.array([0.2, 0.31, np.nan, -1, 0, 1, 0.3, 2]).reshape(2, 2, 2))
    assert np.flatnonzero(read_grids(Path("data"), 2)[0][0]).tolist() == [1, 5, 7]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_linked_folders_are_read_once(here):
    put(Path("elsewhere/chair/a.raw"))
    put(Path("data/own/b.raw"))
    for link, target in (("linked", "../elsewhere/chair"), ("linked-too", "linked"), ("own/circle", "..")):
        Path("data", link).symlink_to(target)
    assert found() == ["linked/a.raw", "own/b.raw"]


def refused(folder, about, *words):
    with pytest.raises(UserError) as error:
        read_grids(Path(folder), 8)
    assert error.value.about == about
    message = str(error.value).replace("\\", "/")
    assert "\n" not in message
    for word in (folder, *words):
        assert word in message
    return error.value.value


def test_a_folder_without_grids_is_refused_with_its_contents(here):
    Path("void").mkdir()
    refused("void", "no data", "contains no .raw, .binvox, .npy, .npz file; its files: none.")
    put(Path("other/sub/b.h5"))
    refused("other", "no data", "its files: sub/b.h5.")
    put(Path("meshes/test/b.off"))
    put(Path("meshes/test/b.mat"))
    assert refused("meshes", "no grids", "its files: test/b.mat, test/b.off.") == Path("meshes")
    put(Path("chair/train/a.raw"))
    refused("chair/train/a.raw", None, "a file, not a folder; give the folder that contains it, chair/train.")


@pytest.mark.parametrize("use", [read_voxels, lambda path: find_grids(path.parent)])
def test_a_mat_file_is_refused_with_the_lines_that_convert_it(here, use):
    put(Path("data/a.mat"))
    with pytest.raises(UserError, match=r"a\.mat: \.mat files are not read") as error:
        use(Path("data/a.mat"))
    savemat("data/a.mat", {"instance": grid(4).astype(np.uint8), "label": "chair"})
    exec("\n".join(line.strip() for line in str(error.value).splitlines()[1:]))
    np.testing.assert_array_equal(read_grids(Path("data"), 8)[0][0], grid(4))


def test_the_test_set_is_not_trained_on_if_the_training_set_is_not_converted(here):
    put(Path("chair/test/a.raw"))
    put(Path("chair/train/b.off"))
    refused("chair", "no grids", "all grids are in chair/test; the meshes of train are not converted")


def test_files_without_a_grid_are_skipped_unless_there_are_no_others(here):
    put(Path("data/a.npz"))
    for number, array in enumerate([np.arange(9), np.array([{}], dtype=object), np.ones((20, 3))]):
        np.save(f"data/{number}.npy", array, allow_pickle=True)
    assert "1 shape from data (.npz); left out: 0.npy, 1.npy, 2.npy (not voxel grids)" in described()
    Path("data/a.npz").unlink()
    refused("data", None, "data/0.npy: contains no voxel grid but (9,) int64")
    put(Path("twins/a.npz"))
    np.save("twins/a.npy", np.ones((20, 3)))  # the first format, without a grid
    assert found(folder="twins") == ["a.npz"]
    Path("data/b.npy").write_bytes(b"junk")
    refused("data", None, "data/b.npy: not a complete .npy file")

"""Voxel grids as arrays: .npy, .npz and .mat."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from rasgan import voxel_arrays
from rasgan.errors import UserError
from rasgan.voxel_io import count_shapes, read_voxels


def read_all(path):
    return [read_voxels(path, index) for index in range(count_shapes(path))]


def save(path, arrays):
    """Write arrays by name as the suffix says; an .npy takes one."""
    if path.suffix == ".mat":
        savemat(path, arrays, do_compression=path.stem == "packed")
    elif path.suffix == ".npz":
        (np.savez_compressed if path.stem == "packed" else np.savez)(path, **arrays)
    else:
        np.save(path, *arrays.values())


FILES = ["a.npy", "a.npz", "packed.npz", "a.mat", "packed.mat"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("dtype", ["uint8", "bool", "float64", "float32"])
@pytest.mark.parametrize("axes", [(), (3,), (3, 1), (1, 3)])
def test_single_grids_and_batches_of_every_kind_of_file(tmp_path, rng, name, dtype, axes):
    grids = (rng.random((*axes, 5, 5, 5)) > 0.6).astype(dtype)
    save(tmp_path / name, {"instance": grids})
    read = read_all(tmp_path / name)
    assert len(read) == (3 if axes else 1)
    np.testing.assert_array_equal(np.array(read), grids.reshape(-1, 5, 5, 5))
    assert {grid.dtype.kind for grid in read} == {"f" if "float" in dtype else "b"}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("axes", [(), (1,), (2,)])
def test_a_last_axis_of_one_channel_is_no_axis_of_the_grid(tmp_path, rng, name, axes):
    grids = rng.random((*axes, 4, 4, 4, 1))
    save(tmp_path / name, {"x": np.asfortranarray(grids)})
    if name.endswith("mat") and not axes:  # MATLAB drops the last axis
        grids = grids[..., 0]
    np.testing.assert_array_equal(np.array(read_all(tmp_path / name)), grids.reshape(-1, 4, 4, 4))


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_several_arrays_are_read_in_their_order_and_labels_are_not(tmp_path, rng, suffix):
    arrays = {"b": rng.random((2, 3, 3, 3)), "labels": np.arange(2), "a": rng.random((4, 4, 4))}
    path = tmp_path / f"a{suffix}"
    save(path, {**arrays, "names": np.array(["x", "yy"])})
    for read, grid in zip(read_all(path), [*arrays["b"], arrays["a"]], strict=True):
        np.testing.assert_array_equal(read, grid)
    assert voxel_arrays.open_arrays(path).left_out == ["labels", "names"]


def refused(path, fault):
    for use in (read_voxels, count_shapes):
        with pytest.raises(UserError, match=fault) as error:
            use(path)
        assert str(error.value).startswith(f"{path}: ")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_training_shapes_beside_those_kept_back_are_not_guessed(tmp_path, suffix):
    grids = np.ones((2, 3, 3, 3))
    path = tmp_path / f"a{suffix}"
    save(path, {"X_train": grids, "X_test": grids, "y_train": np.arange(2)})
    refused(path, r"holds X_train, X_test; which of them is meant\? .*numpy\.save\('X_train\.npy'")
    save(path, {"X_train": grids, "y_train": np.arange(2)})
    assert count_shapes(path) == 2


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_files_without_a_grid_say_what_they_hold(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    save(path, {"packed": np.zeros((8, 9), np.uint8)})
    refused(path, r"holds no voxel grids.*packed \(8, 9\)")
    save(path, {"z": np.full((3, 3, 3), 1j)})
    refused(path, r"holds no voxel grids.* z \(3, 3, 3\)")
    save(path, {"packed": np.zeros((513, 1, 1))})
    refused(path, "holds no voxel grids")


def test_a_file_that_changes_is_read_anew(tmp_path):
    for value in (0.25, 0.5):
        np.savez(tmp_path / "a.npz", np.full((2 + int(4 * value),) * 3, value))
        assert read_voxels(tmp_path / "a.npz").max() == value


def test_headers_of_python_2_are_read_without_its_warnings(tmp_path, rng):
    file = io.BytesIO()
    np.save(file, rng.random((2, 3, 3, 3)))
    old = file.getvalue().replace(b"(2, 3, 3, 3), }    ", b"(2L, 3L, 3L, 3L), }")
    assert b"3L" in old
    (tmp_path / "a.npy").write_bytes(old)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", old)
    assert count_shapes(tmp_path / "a.npy") == count_shapes(tmp_path / "a.npz") == 2


def test_pickles_in_an_npz_are_left_out_and_do_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path / "mark").touch, ()

    trap = np.full((2, 2, 2), Trap(), dtype=object)
    np.savez(tmp_path / "a.npz", a=trap)
    refused(tmp_path / "a.npz", "holds no voxel grids")
    np.savez(tmp_path / "a.npz", a=trap, b=np.ones((2, 2, 2)))
    assert count_shapes(tmp_path / "a.npz") == 1
    assert not (tmp_path / "mark").exists()


def lying_npz(path, shape, method=zipfile.ZIP_DEFLATED, numbers=bytes(64)):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    header = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.npy", header + numbers)


@pytest.mark.parametrize("shape", [(5, 4, 4, 4), (3, 3, 3), (99_999, 4, 4, 4)])
def test_an_npz_that_lies_is_refused(tmp_path, shape):
    lying_npz(tmp_path / "a.npz", shape)
    refused(tmp_path / "a.npz", "not a whole .npz file of plain numbers; save or download it again")


def test_an_npz_is_cut_or_packed_otherwise(tmp_path):
    path = tmp_path / "a.npz"
    lying_npz(path, (4, 4, 4))
    assert count_shapes(path) == 1
    path.write_bytes(path.read_bytes()[:-30])
    refused(path, "not a whole .npz")
    lying_npz(path, (4, 4, 4), zipfile.ZIP_LZMA)
    refused(path, "not a whole .npz")
    lying_npz(path, (99_999, 512, 512, 512))
    refused(path, "too large to be read at once; save its grids as .npy")
    path.write_bytes(b"<html>")
    refused(path, "not a whole .npz")


def mat_variable(shape, numbers, announced=None):
    """Write a variable of a .mat, version 5, by hand: uint8 numbers that may be fewer than announced."""
    dims = struct.pack(f"<II{len(shape)}i", 5, 4 * len(shape), *shape) + bytes(len(shape) % 2 * 4)
    name = struct.pack("<II8s", 1, 8, b"instance")
    tag = struct.pack("<II", 2, announced or len(numbers))
    body = struct.pack("<IIII", 6, 8, 9, 0) + dims + name + tag + numbers
    return struct.pack("<II", 14, len(body)) + body


MAT_HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def packed(element):
    content = zlib.compress(element, 9)
    return MAT_HEADER + struct.pack("<II", 15, len(content)) + content


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "uint64", "int64", "float32", "float64"])
def test_a_mat_of_every_type_is_what_scipy_reads(tmp_path, rng, dtype):
    numbers = rng.integers(0, 99, (3, 4, 4, 4)).astype(dtype)
    savemat(tmp_path / "a.mat", {"x": numbers, "a_long_name_of_a_variable": numbers[0]}, do_compression=True)
    known = loadmat(tmp_path / "a.mat")
    grids = voxel_arrays.open_arrays(tmp_path / "a.mat").grids
    for array, name in zip(grids, ("x", "a_long_name_of_a_variable"), strict=True):
        assert array.dtype == known[name].dtype
        np.testing.assert_array_equal(array, known[name])


def test_a_mat_of_the_other_byte_order(tmp_path):
    body = struct.pack(">IIIIII3iI", 6, 8, 9, 0, 5, 12, 2, 2, 2, 0) + struct.pack(
        ">HHI", 1, 1, ord("x") << 24
    )
    body += struct.pack(">II4H4H", 4, 16, *range(8))
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    (tmp_path / "a.mat").write_bytes(header + struct.pack(">II", 14, len(body)) + body)
    (array,) = voxel_arrays.open_arrays(tmp_path / "a.mat").grids
    np.testing.assert_array_equal(array, np.arange(8).reshape(2, 2, 2, order="F"))


def test_a_mat_by_hand_is_what_the_format_says(tmp_path):
    numbers = bytes(range(64))  # the first index varies fastest
    for content in (MAT_HEADER + mat_variable((4, 4, 4), numbers), packed(mat_variable((4, 4, 4), numbers))):
        (tmp_path / "a.mat").write_bytes(content)
        (grid,) = voxel_arrays.open_arrays(tmp_path / "a.mat").grids
        assert (grid[1, 0, 0], grid[0, 1, 0], grid[0, 0, 1]) == (1, 4, 16)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 200,
        MAT_HEADER[:100],
        MAT_HEADER + mat_variable((4, 4, 4), bytes(64))[:-8],
        MAT_HEADER + mat_variable((4, 4, 4), bytes(56)),
        packed(mat_variable((4, 4, 4), bytes(64), announced=1 << 31)),
        packed(mat_variable((4, 4, 4), bytes(64)))[:-4],
        b"<html>" * 40,
    ],
)
def test_a_mat_that_is_cut_or_lies_is_refused(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    refused(tmp_path / "a.mat", "not a whole .mat file of MATLAB 5 to 7.2; save or download it again")


def test_a_mat_that_unpacks_to_very_much_is_unpacked_as_far_as_its_header_says(tmp_path):
    content = packed(mat_variable((4, 4, 4), bytes(1 << 24)))
    (tmp_path / "a.mat").write_bytes(content)
    refused(tmp_path / "a.mat", "not a whole .mat")
    assert len(voxel_arrays._inflate(content[128:], "<", 5000)) == 5000


@pytest.mark.parametrize("place", [0, 512])
def test_the_format_of_hdf5_is_refused_by_name(tmp_path, place):
    (tmp_path / "a.mat").write_bytes(bytes(place) + b"\x89HDF\r\n\x1a\n" + bytes(600))
    refused(tmp_path / "a.mat", r"7\.3, which is HDF5 .*save\('a\.mat', '-v7'\)")

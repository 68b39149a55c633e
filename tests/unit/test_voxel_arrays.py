"""Voxel grids as arrays: .npy, .npz and .mat."""

import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from scipy.io import savemat

from rasgan import voxel_arrays
from rasgan.errors import UserError
from rasgan.voxel_io import count_shapes, read_voxels

FILES = ["a.npy", "a.npz", "packed.npz", "a.mat", "packed.mat"]


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


def refused(path, fault):
    for use in (read_voxels, count_shapes):
        with pytest.raises(UserError, match=fault) as error:
            use(path)
        assert str(error.value).startswith(f"{path}: ")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("dtype", ["int8", "bool", "uint64", "float64", "float16", ">f4", ">i2"])
@pytest.mark.parametrize(("axes", "order"), [((), "C"), ((), "F"), ((3, 1), "C"), ((1, 3), "F")])
def test_single_grids_and_batches_of_every_kind_of_file(tmp_path, rng, name, dtype, axes, order):
    grids = np.array(rng.random((*axes, 5, 5, 5)) > 0.6, dtype, order=order)
    if name.endswith("mat"):  # which knows neither
        grids = grids.astype(np.float32 if dtype == "float16" else grids.dtype.newbyteorder("="))
    if grids.dtype.kind == "f":
        grids[..., 0, 0] = np.nan  # scores stay as they are
    save(tmp_path / name, {"instance": grids})
    read = read_all(tmp_path / name)
    assert len(read) == (3 if axes else 1)
    np.testing.assert_array_equal(np.array(read), grids.reshape(-1, 5, 5, 5))
    for grid in [*read, read_voxels(tmp_path / name)]:  # back to the first
        assert grid.dtype == (grids.dtype.newbyteorder("=") if grids.dtype.kind == "f" else bool)
        assert grid.flags.c_contiguous
        assert type(grid) is np.ndarray
    if axes:
        voxel_arrays.forget()
    (tmp_path / name).unlink()  # it is not open, which Windows would mind


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
    assert [array.name for array in voxel_arrays.open_arrays(path).others] == ["labels", "names"]


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_small_cubes_are_no_grids_beside_larger_ones(tmp_path, suffix):
    path, small = tmp_path / f"a{suffix}", {"R": np.ones((3, 3, 3)), "weights": np.ones((2, 5, 7, 7, 7))}
    save(path, {**small, "voxels": np.ones((8, 8, 8))})
    assert [array.name for array in voxel_arrays.open_arrays(path).grids] == ["voxels"]
    save(path, small)
    assert count_shapes(path) == 11


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"X_train": np.ones((2, 3, 3, 3)), "X_test": np.ones((3, 3, 3))}, "contains X_train, X_test; save"),
        (
            {"packed": np.zeros((8, 9), np.uint8), "z": np.full((3, 3, 3), 1j)},
            r"contains no voxel grid but packed \(8, 9\) uint8, z \(3, 3, 3\) complex",
        ),
    ],
)
def test_what_cannot_be_chosen_is_named(tmp_path, suffix, arrays, fault):
    save(tmp_path / f"a{suffix}", arrays)
    refused(tmp_path / f"a{suffix}", fault)


@pytest.mark.parametrize(("value", "kind"), [({"x": np.ones((8, 8, 8))}, "struct"), ([[1], "a"], "cell")])
def test_what_matlab_wraps_is_named_with_the_way_out(tmp_path, value, kind):
    value = np.array(value, dtype=object)[None] if kind == "cell" else value
    savemat(tmp_path / "a.mat", {"s": value})
    refused(tmp_path / "a.mat", rf"no voxel grid but s \(1, \d\) {kind}; in MATLAB, save the array in it")


def test_a_file_that_changes_is_read_again(tmp_path):
    for value in (0.25, 0.5):
        np.savez(tmp_path / "a.npz", np.full((2 + int(4 * value),) * 3, value))
        assert read_voxels(tmp_path / "a.npz").max() == value


def lying_npz(path, shape, method=zipfile.ZIP_DEFLATED):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    header = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.npy", header + bytes(64))


def test_an_npz_that_is_cut_or_lies_or_is_packed_otherwise(tmp_path):
    path = tmp_path / "a.npz"
    for shape in ((5, 4, 4, 4), (3, 3, 3), (99_999, 4, 4, 4)):
        lying_npz(path, shape)
        refused(path, "not a complete .npz file.*; save or download it again")
    lying_npz(path, (4, 4, 4))
    assert count_shapes(path) == 1
    path.write_bytes(path.read_bytes()[:-30])
    refused(path, "not a complete .npz")
    lying_npz(path, (4, 4, 4), zipfile.ZIP_LZMA)
    refused(path, "not packed by deflate; save it again with numpy.savez_compressed")


def test_more_grids_than_anybody_has_are_refused(tmp_path):
    grids = np.zeros((60_000, 2, 2, 2), bool)
    np.savez(tmp_path / "a.npz", a=grids, b=grids)
    refused(tmp_path / "a.npz", "more than 100000 arrays or grids; save them in several files")


def peak_of(use):
    """Return how many bytes were allocated at once."""
    use()  # what is allocated once and for all
    tracemalloc.start()
    use()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("shape", [(80, 80, 80), (20, 30, 30, 30)])
def test_more_than_can_be_read_at_once_is_refused_unread(tmp_path, monkeypatch, name, shape):
    monkeypatch.setattr(voxel_arrays, "LARGEST_READ", 10**6)  # bytes, whatever the type
    dtype = np.float64 if name.endswith("mat") else np.longdouble
    save(tmp_path / name, {"x": np.zeros(shape, dtype, order="F")})
    fault = r"GB at once; save it as bool, in C order or in several files"
    assert peak_of(lambda: refused(tmp_path / name, fault)) < 2 * 10**6  # of 4 or 8 MB


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "packed.npz"])
def test_batches_are_read_grid_by_grid(tmp_path, name):
    save(tmp_path / name, {"x": np.ones((100, 32, 32, 32), np.uint8)})
    assert peak_of(lambda: [read_voxels(tmp_path / name, n).all() for n in range(100)]) < 10**6  # of 3.3 MB


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_long_npy_header_is_not_read(tmp_path, version):
    length = (65_000).to_bytes(2, "little") if version == 1 else (9 * 10**6).to_bytes(4, "little")
    content = b"\x93NUMPY" + bytes([version, 0]) + length + bytes(10**7)
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", content)
    for name in ("a.npy", "a.npz"):
        assert peak_of(lambda name=name: refused(tmp_path / name, f"not a complete {name[1:]}")) < 10**6


def test_a_file_that_is_cut_after_its_header_was_read_is_refused(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.ones((8, 8, 8)))
    contents = voxel_arrays.open_arrays(tmp_path / "a.npy")
    monkeypatch.setattr(voxel_arrays, "open_arrays", lambda path: contents)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:999])
    with pytest.raises(UserError, match="not a complete"):
        read_voxels(tmp_path / "a.npy")


MAT_HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def mat_variable(shape, numbers, announced=None):
    """Write a variable of a .mat, version 5, by hand: uint8 numbers that may be fewer than announced."""
    dims = struct.pack(f"<II{len(shape)}i", 5, 4 * len(shape), *shape) + bytes(len(shape) % 2 * 4)
    name = struct.pack("<II8s", 1, 8, b"instance")
    tag = struct.pack("<II", 2, announced or len(numbers))
    body = struct.pack("<IIII", 6, 8, 9, 0) + dims + name + tag + numbers
    return struct.pack("<II", 14, len(body)) + body


def packed(element):
    content = zlib.compress(element, 9)
    return struct.pack("<II", 15, len(content)) + content


CUBE = mat_variable((4, 4, 4), bytes(64))


def test_matlabs_objects_are_passed_over(tmp_path):
    names = struct.pack("<II8s", 1, 5, b"label"), struct.pack("<II", 1 | 4 << 16, 0)
    body = struct.pack("<IIII", 6, 8, 17, 0) + b"".join(names)
    label = struct.pack("<II", 14, len(body)) + body
    (tmp_path / "a.mat").write_bytes(MAT_HEADER + label + CUBE)
    contents = voxel_arrays.open_arrays(tmp_path / "a.mat")
    assert [array.name for array in contents.grids] == ["instance"]
    assert [str(array) for array in contents.others] == ["label () object"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(200),
        MAT_HEADER[:100],
        MAT_HEADER + CUBE[:-8],
        MAT_HEADER + mat_variable((4, 4, 4), bytes(56)),
        MAT_HEADER + packed(mat_variable((4, 4, 4), bytes(64), announced=1 << 31)),
        MAT_HEADER + packed(CUBE)[:-4],
        MAT_HEADER + packed(mat_variable((4, 4, 4), bytes(1 << 24))),  # unpacks to much more
        MAT_HEADER[:-4] + b"\1\0MI" + CUBE,
    ],
)
def test_a_mat_that_is_cut_or_lies_is_refused(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    refused(tmp_path / "a.mat", "not a complete MATLAB .*; save or download it again")


def test_matlabs_format_of_hdf5_is_refused_by_name(tmp_path):
    (tmp_path / "a.mat").write_bytes(bytes(512) + b"\x89HDF\r\n\x1a\n" + bytes(600))
    refused(tmp_path / "a.mat", r"7\.3, which is HDF5 .*save\('a\.mat', '-v7'\)")

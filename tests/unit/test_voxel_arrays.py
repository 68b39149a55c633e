"""Voxel grids in .npy and .npz files."""

import tracemalloc
import zipfile

import numpy as np
import pytest

from rasgan import voxel_arrays
from rasgan.errors import UserError
from rasgan.voxel_io import count_shapes, read_voxels

FILES = ["a.npy", "a.npz", "packed.npz"]


def read_all(path):
    return [read_voxels(path, index) for index in range(count_shapes(path))]


def save(path, arrays):
    """Write arrays by name in the format of the suffix; an .npy contains one."""
    if path.suffix == ".npz":
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
@pytest.mark.parametrize(("axes", "order"), [((), "C"), ((), "F"), ((1,), "F"), ((3, 1), "C")])
def test_grids_and_batches_are_read_unchanged(tmp_path, rng, name, dtype, axes, order):
    grids = np.array(rng.random((*axes, 5, 5, 5)) > 0.6, dtype, order=order)
    if grids.dtype.kind == "f":
        grids[..., 0, 0] = np.nan
    save(tmp_path / name, {"instance": grids})
    read = read_all(tmp_path / name)
    np.testing.assert_array_equal(np.array(read), grids.reshape(-1, 5, 5, 5))
    for grid in [*read, read_voxels(tmp_path / name)]:  # back to the first
        assert grid.dtype == (grids.dtype.newbyteorder("=") if grids.dtype.kind == "f" else bool)
        assert grid.flags.c_contiguous
        assert type(grid) is np.ndarray
    if axes:
        voxel_arrays.forget()
    (tmp_path / name).unlink()  # fails on Windows if the file is open


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("axes", [(), (1,), (2,)])
def test_a_last_axis_of_one_channel_is_ignored(tmp_path, rng, name, axes):
    grids = rng.random((*axes, 4, 4, 4, 1))
    save(tmp_path / name, {"x": grids})
    np.testing.assert_array_equal(np.array(read_all(tmp_path / name)), grids.reshape(-1, 4, 4, 4))


def test_several_arrays_are_read_in_order_without_labels(tmp_path, rng):
    arrays = {"b": rng.random((2, 3, 3, 3)), "labels": np.arange(2), "a": rng.random((4, 4, 4))}
    np.savez(tmp_path / "a.npz", **arrays, names=np.array(["x", "yy"]))
    for read, grid in zip(read_all(tmp_path / "a.npz"), [*arrays["b"], arrays["a"]], strict=True):
        np.testing.assert_array_equal(read, grid)
    assert [array.name for array in voxel_arrays.open_arrays(tmp_path / "a.npz").others] == [
        "labels",
        "names",
    ]


def test_small_cubes_are_not_grids_beside_larger_ones(tmp_path):
    path, small = tmp_path / "a.npz", {"R": np.ones((3, 3, 3)), "weights": np.ones((2, 5, 7, 7, 7))}
    np.savez(path, **small, voxels=np.ones((8, 8, 8)))
    assert [array.name for array in voxel_arrays.open_arrays(path).grids] == ["voxels"]
    np.savez(path, **small)
    assert count_shapes(path) == 11


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"X_train": np.ones((2, 3, 3, 3)), "X_test": np.ones((3, 3, 3))}, "contains X_train, X_test; save"),
        (
            {"packed": np.zeros((8, 9), np.uint8), "z": np.full((3, 3, 3), 1j)},
            r"contains no voxel grid but packed \(8, 9\) uint8, z \(3, 3, 3\) complex",
        ),
        ({"x": np.zeros((2, 4, 4, 4), order="F")}, "is in Fortran order; save numpy.ascontiguousarray of it"),
        (dict.fromkeys("ab", np.zeros((60_000, 2, 2, 2), bool)), "more than 100000 arrays or grids; save"),
    ],
)
def test_ambiguous_and_unsupported_arrays_are_named(tmp_path, arrays, fault):
    np.savez(tmp_path / "a.npz", **arrays)
    refused(tmp_path / "a.npz", fault)


def test_a_changed_file_is_read_again(tmp_path):
    for value in (0.25, 0.5):
        np.savez(tmp_path / "a.npz", np.full((2 + int(4 * value),) * 3, value))
        assert read_voxels(tmp_path / "a.npz").max() == value


def lying_npz(path, shape, method=zipfile.ZIP_DEFLATED):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    header = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.npy", header + bytes(64))


def test_damaged_npz_files_and_other_compressions_are_refused(tmp_path):
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


def peak_of(use):
    """Return the peak of allocated memory in bytes."""
    use()  # allocates what is allocated only once
    tracemalloc.start()
    use()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("name", FILES)
def test_too_large_grids_are_refused_unread(tmp_path, monkeypatch, name):
    monkeypatch.setattr(voxel_arrays, "LARGEST_GRID", 10**6)
    save(tmp_path / name, {"x": np.zeros((80, 80, 80), np.longdouble)})
    assert peak_of(lambda: refused(tmp_path / name, "save it as bool")) < 2 * 10**6  # of 8 MB


@pytest.mark.parametrize("name", FILES)
def test_batches_are_read_one_grid_at_a_time(tmp_path, name):
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

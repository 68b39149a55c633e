"""Reading and writing voxel files."""

import errno
import gzip
import re
import signal
import tracemalloc

import numpy as np
import pytest
import trimesh

from rasgan.errors import UserError
from rasgan.voxel_io import LARGEST_SIDE, VOXEL_SUFFIXES, count_shapes, fit, read_voxels, write_npy, write_raw


@pytest.fixture
def occupied(rng):
    """Return a small grid without any symmetry."""
    return rng.random((6, 6, 6)) > 0.6


@pytest.fixture
def refused(tmp_path):
    """Return a function that expects a one-line error about a file."""

    def check(name, fault):
        with pytest.raises(UserError, match=fault) as error:
            read_voxels(tmp_path / name)
        assert str(error.value).startswith(f"{tmp_path / name}: ")
        assert "\n" not in str(error.value)

    return check


def write_voxels(path, grid):
    if path.suffix == ".raw":
        return write_raw(path, grid)
    voxels = trimesh.voxel.VoxelGrid(grid.transpose(0, 2, 1))  # mesh x, y, z
    return path.write_bytes(trimesh.exchange.binvox.export_binvox(voxels, axis_order="xzy"))


@pytest.mark.parametrize("suffix", [".raw", ".binvox"])
@pytest.mark.parametrize("fill", ["some", "none", "all", "long runs"])
def test_written_voxels_are_read_back(tmp_path, rng, fill, suffix):
    grid = {
        "some": rng.random((9, 9, 9)) > 0.5,
        "none": np.zeros((8, 8, 8), bool),
        "all": np.ones((8, 8, 8), bool),
        "long runs": np.arange(16**3).reshape(16, 16, 16) // 510 % 2 == 1,  # two bytes hold just 2 x 255
    }[fill]
    path = tmp_path / f"a{suffix}"
    write_voxels(path, grid)
    read = read_voxels(path)
    np.testing.assert_array_equal(read, grid)
    assert (read.dtype, count_shapes(path)) == (bool, 1)


def test_raw_files_are_those_of_binvox(tmp_path, occupied):
    write_raw(tmp_path / "a.raw", occupied)
    assert (tmp_path / "a.raw").read_bytes() == bytes(255 if voxel else 0 for voxel in occupied.ravel())


def test_raw_of_zeros_and_ones(tmp_path):
    (tmp_path / "a.RAW").write_bytes(bytes([0, 1, 1, 0, 1, 0, 0, 0]))
    assert np.flatnonzero(read_voxels(tmp_path / "a.RAW")).tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "0 bytes are not a grid"),
        (bytes(4 * 4 * 5), "80 bytes"),
        (bytes([0, 1, 255, 0, 0, 0, 0, 0]), "bytes other than 0 and 255"),
        (bytes([7] * 27), "bytes other"),
    ],
)
def test_damaged_raw_files_are_refused(tmp_path, refused, content, fault):
    (tmp_path / "a.raw").write_bytes(content)
    refused("a.raw", f"{fault}.*convert the mesh again")


@pytest.mark.parametrize(
    "array",
    [
        np.float32(1),
        np.zeros((3, 8, 8, 9)),
        np.zeros((2, 4, 4, 4, 2)),
        np.zeros((LARGEST_SIDE + 1,) * 2 + (1,)),
        np.zeros((2, 0, 8, 8, 8)),
        np.zeros((4, 4, 4), dtype=complex),
        np.zeros((4, 4, 4), dtype=[("a", "f4")]),
    ],
)
def test_an_npy_without_a_grid_is_refused_with_its_contents(tmp_path, refused, array):
    np.save(tmp_path / "a.npy", array)
    refused("a.npy", re.escape(f"contains no voxel grid but {array.shape} {array.dtype}; a voxel grid is"))


def test_npy_pickles_are_refused_and_do_not_run(tmp_path, refused):
    class Trap:
        def __reduce__(self):
            return (tmp_path / "mark").touch, ()

    array = np.full((2, 2, 2), Trap(), dtype=object)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    refused("a.npy", r"contains no voxel grid but \(2, 2, 2\) object")
    (tmp_path / "a.npy").write_bytes(array.dumps())
    refused("a.npy", "save or download it again")
    assert not (tmp_path / "mark").exists()


def npy_header(shape):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "content",
    {
        "empty": b"",
        "cut in the header": npy_header((4, 4, 4))[:50],
        "junk": b"junk" * 50,
        "one byte too few": npy_header((4, 4, 4)) + bytes(255),
        "two arrays": 2 * (npy_header((4, 4, 4)) + bytes(256)),
        "too many for any machine": npy_header((10**30, 4, 4)),
        "negative": npy_header((-4, 4, 4)) + bytes(256),
        "a program": npy_header("__import__('pathlib').Path('mark').touch()"),
        "nested too deeply": npy_header("(" * 5000),
    }.items(),
    ids=lambda item: item[0],
)
def test_damaged_npy_files_are_refused(tmp_path, refused, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.npy").write_bytes(content[1])
    refused("a.npy", "not a complete .npy file.*; save or download it again")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def binvox(occupied):
    """Encode with run lengths of one, which the format allows."""
    n = len(occupied)
    header = f"#binvox 1\ndim {n} {n} {n}\ntranslate 0 0 0\nscale 1\ndata\n".encode()
    return header + b"".join(bytes([int(voxel), 1]) for voxel in occupied.ravel())


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\n\n\n"])
def test_binvox_files_may_end_with_line_breaks(tmp_path, occupied, end):
    (tmp_path / "a.binvox").write_bytes(binvox(occupied) + end)
    np.testing.assert_array_equal(read_voxels(tmp_path / "a.binvox"), occupied)


NO_HEADER, DAMAGED = "no .binvox header", "cut or damaged"


@pytest.mark.parametrize(
    ("damage", "fault"),
    {
        "empty": (lambda content: b"", NO_HEADER),
        "a line break within": (lambda content: content[:-2] + b"\n\n" + content[-2:], DAMAGED),
        "cut data": (lambda content: content[:-2], DAMAGED),
        "half a run": (lambda content: content[:-1], DAMAGED),
        "too much data": (lambda content: content + b"\x00\x05", DAMAGED),
        "no data line": (lambda content: content.replace(b"data\n", b""), DAMAGED),
        "not cubic": (lambda content: content.replace(b"dim 6 6 6", b"dim 6 6 5"), NO_HEADER),
        "enormous": (lambda content: content.replace(b"dim 6 6 6", b"dim " + b"9" * 5000), NO_HEADER),
    }.values(),
)
def test_damaged_binvox_files_are_refused(tmp_path, refused, occupied, damage, fault):
    (tmp_path / "a.binvox").write_bytes(damage(binvox(occupied)))
    refused("a.binvox", fault)


@pytest.mark.parametrize("suffix", VOXEL_SUFFIXES)
@pytest.mark.parametrize(
    ("content", "kind"),
    [(gzip.compress(b"#binvox 1\ndim 4 4 4\n"), "a gzip archive"), (b"<!DOCTYPE html><html>", "a web page")],
)
def test_files_of_other_formats_are_refused_by_name(tmp_path, refused, suffix, content, kind):
    (tmp_path / f"a{suffix}").write_bytes(content)
    refused(f"a{suffix}", f"not a {suffix} file but {kind}")


def test_memory_is_bounded_by_the_grid_not_the_file(tmp_path, refused):
    (tmp_path / "a.binvox").write_bytes(b"#binvox 1\ndim 32 32 32\ndata\n" + b"\1\0" * 10**7)
    tracemalloc.start()
    refused("a.binvox", DAMAGED)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


@pytest.mark.parametrize("suffix", VOXEL_SUFFIXES)
def test_missing_files_and_folders_are_named(tmp_path, refused, suffix):
    with pytest.raises(FileNotFoundError) as error:
        read_voxels(tmp_path / f"a{suffix}")
    assert str(error.value.filename) == str(tmp_path / f"a{suffix}")
    (tmp_path / f"a{suffix}").mkdir()
    refused(f"a{suffix}", "not an ordinary file")


def test_a_failed_write_of_an_npy_names_the_file_and_the_reason(tmp_path):
    resource = pytest.importorskip("resource", reason="needs POSIX")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            write_npy(tmp_path / "a.npy", np.zeros((8, 8, 8)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(tmp_path / "a.npy"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("edge", "resolution", "first"), [(30, 32, 1), (31, 32, 0), (57, 64, 3), (32, 32, 0), (60, 32, 2)]
)
def test_grids_up_to_an_eighth_smaller_are_padded_evenly_then_pooled(rng, edge, resolution, first):
    occupied = rng.random((edge,) * 3) > 0.9
    padded = np.pad(occupied, (first, -(edge + first) % resolution))
    blocks = padded.reshape((resolution, len(padded) // resolution) * 3)
    np.testing.assert_array_equal(fit(occupied, resolution, "a.npy"), blocks.any(axis=(1, 3, 5)))


@pytest.mark.parametrize(
    ("edge", "resolution", "about", "value"),
    [(30, 64, "resolution", 32), (64, 128, "resolution", 64), (28, 32, "odd resolution", None)],
)
def test_other_sizes_are_refused_with_a_resolution_that_fits(edge, resolution, about, value):
    with pytest.raises(UserError, match=rf"^a\.npy: this grid is {edge}³.* {resolution}\.") as error:
        fit(np.zeros((edge,) * 3, bool), resolution, "a.npy")
    assert (error.value.about, error.value.value) == (about, value)

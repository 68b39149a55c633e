"""Voxel files in and out, and files that appear whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import filelock
import numpy as np
import pytest
import trimesh

from rasgan.errors import UserError
from rasgan.files import atomic_path, exclusive, remove_leftovers
from rasgan.voxel_io import LARGEST_SIDE, count_shapes, read_raw, read_voxels, write_raw

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")


@pytest.fixture
def occupied(rng):
    """Give a small grid without any symmetry."""
    return rng.random((6, 6, 6)) > 0.6


def test_atomic_path_writes_whole_files(tmp_path):
    target = tmp_path / "new" / "folder" / "file.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("whole", encoding="utf-8")
        assert temporary.suffix == ".txt"
        assert temporary.parent == target.parent
        assert not target.exists()
    assert target.read_text(encoding="utf-8") == "whole"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("problem", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_atomic_path_leaves_the_old_file_after_a_problem(tmp_path, problem):
    target = tmp_path / "file.txt"
    target.write_text("old", encoding="utf-8")

    def write_half():
        with atomic_path(target) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise problem

    with pytest.raises(problem):
        write_half()
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    "name",
    ["a" * 200 + ".raw", "é" * 120 + ".raw", "椅" * 80 + ".raw", ".raw", "no suffix"],
)
def test_atomic_path_takes_any_name_that_the_disk_takes(tmp_path, name):
    with atomic_path(tmp_path / name) as temporary:
        temporary.write_bytes(b"1")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@posix_only
def test_atomic_path_names_the_file_that_could_not_be_written(tmp_path):
    with pytest.raises(OSError, match="full") as failure, atomic_path(tmp_path / "a.pt"):
        raise OSError(errno.ENOSPC, "full")
    assert failure.value.filename == str(tmp_path / "a.pt")


def test_atomic_path_gives_ordinary_permissions(tmp_path):
    (tmp_path / "plain").touch()
    with atomic_path(tmp_path / "file"):
        pass
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "file")}
    assert len(modes) == 1


def test_raw_is_what_binvox_writes(tmp_path, occupied):
    path = tmp_path / "a.raw"
    write_raw(path, occupied)
    assert path.read_bytes() == bytes(255 if voxel else 0 for voxel in occupied.ravel())
    for read in (read_raw, read_voxels):
        grid = read(path)
        assert grid.dtype == bool
        np.testing.assert_array_equal(grid, occupied)


def test_raw_of_zeros_and_ones(tmp_path, occupied):
    path = tmp_path / "a.RAW"
    path.write_bytes(occupied.astype(np.uint8).tobytes())
    np.testing.assert_array_equal(read_voxels(path), occupied)


@pytest.mark.parametrize("fill", [0, 1, 255])
def test_raw_of_one_value(tmp_path, fill):
    path = tmp_path / "a.raw"
    path.write_bytes(bytes([fill]) * 8)
    assert (read_raw(path) == (fill > 0)).all()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "0 bytes"),
        (bytes(9), "9 bytes"),
        (bytes(64**3 - 1), "262143 bytes"),
        (bytes([0, 1, 255, 0, 0, 0, 0, 0]), "other bytes"),
        (bytes([0, 7] * 4), "other bytes"),
        (b"OFF\n8 6 ", "other bytes"),
    ],
)
def test_raw_faults(tmp_path, content, fault):
    path = tmp_path / "a.raw"
    path.write_bytes(content)
    with pytest.raises(UserError, match=fault) as error:
        read_raw(path)
    assert str(path) in str(error.value)


def test_a_huge_raw_is_refused_unread(tmp_path):
    path = tmp_path / "a.raw"
    with path.open("wb") as file:
        file.truncate((LARGEST_SIDE + 1) ** 3)
    with pytest.raises(UserError, match="135005697 bytes"):
        read_raw(path)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64", ">f4", ">i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_every_plain_type(tmp_path, occupied, dtype, order):
    values = np.array(occupied, dtype=dtype, order=order)
    np.save(tmp_path / "a.npy", values)
    grid = read_voxels(tmp_path / "a.npy")
    np.testing.assert_array_equal(grid, values)
    assert grid.dtype == (values.dtype.newbyteorder("=") if values.dtype.kind == "f" else bool)
    assert grid.flags.c_contiguous
    assert type(grid) is np.ndarray
    (tmp_path / "a.npy").unlink()  # nothing holds the file, on Windows too


def test_npy_scores_stay_as_they_are(tmp_path, rng):
    scores = rng.normal(size=(5, 5, 5)).astype(np.float32)
    scores[0, 0, 0] = np.nan
    np.save(tmp_path / "a.npy", scores)
    np.testing.assert_array_equal(read_voxels(tmp_path / "a.npy"), scores)


@pytest.mark.parametrize("shape", [(3, 4, 4, 4), (2, 1, 4, 4, 4), (1, 4, 4, 4)])
def test_npy_batch_gives_its_first_shape(tmp_path, rng, shape):
    batch = rng.normal(size=shape)
    np.save(tmp_path / "a.npy", batch)
    np.testing.assert_array_equal(read_voxels(tmp_path / "a.npy"), batch.reshape(-1, 4, 4, 4)[0])


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.float32(1), r"shape \(\)"),
        (np.zeros((4, 4)), r"shape \(4, 4\)"),
        (np.zeros((4, 4, 5)), r"shape \(4, 4, 5\)"),
        (np.zeros((2, 4, 4, 4, 1)), r"shape \(2, 4, 4, 4, 1\)"),
        (np.zeros((LARGEST_SIDE + 1, 1, 1)), "n at most"),
        (np.zeros((0, 4, 4, 4)), "shape|plain numbers"),
        (np.zeros((0, 0, 0)), "shape|plain numbers"),
        (np.zeros((4, 4, 4), dtype=complex), "complex128 values"),
        (np.full((4, 4, 4), "1"), "U1 values"),
        (np.zeros((4, 4, 4), dtype=[("a", "f4")]), "values"),
        (np.zeros((4, 4, 4), dtype="m8[s]"), "values"),
    ],
)
def test_npy_faults(tmp_path, array, fault):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UserError, match=fault) as error:
        read_voxels(tmp_path / "a.npy")
    assert str(tmp_path / "a.npy") in str(error.value)


class Trap:
    """Unpickling this would leave a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return self.mark.touch, ()


def test_npy_pickles_are_refused_and_do_not_run(tmp_path):
    mark = tmp_path / "mark"
    array = np.empty((2, 2, 2), dtype=object)
    array[:] = Trap(mark)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(array.dumps())
    for name in ("a.npy", "b.npy"):
        with pytest.raises(UserError, match=name):
            read_voxels(tmp_path / name)
    assert not mark.exists()


def npy_header(shape):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUM",
        b"junk" * 50,
        b"PK\x03\x04" + bytes(100),
        npy_header((4, 4, 4)),
        npy_header((4, 4, 4)) + bytes(255),
        npy_header((10**4, 10**3, 10**3)) + bytes(1000),
        npy_header((10**30, 4, 4)),
        npy_header((-4, 4, 4)) + bytes(256),
        npy_header("nonsense"),
        b"\x93NUMPY\x01\x00\xff\xff",
        b"\x93NUMPY\x09\x00" + bytes(200),
    ],
)
def test_npy_that_is_cut_or_lies(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.npy"):
        read_voxels(tmp_path / "a.npy")


def binvox(occupied):
    """Encode without run lengths beyond one: the format allows it."""
    n = len(occupied)
    header = f"#binvox 1\ndim {n} {n} {n}\ntranslate 0 0 0\nscale 1\ndata\n".encode()
    return header + b"".join(bytes([int(voxel), 1]) for voxel in occupied.ravel())


def test_binvox_has_the_order_of_raw(tmp_path, occupied):
    (tmp_path / "a.binvox").write_bytes(binvox(occupied))
    grid = read_voxels(tmp_path / "a.binvox")
    assert grid.dtype == bool
    np.testing.assert_array_equal(grid, occupied)


def test_binvox_agrees_with_trimesh(tmp_path, occupied):
    # trimesh keeps mesh x, y, z; a .binvox file, as our grids do, x, z, y.
    xyz = np.repeat(np.repeat(np.repeat(occupied, 6, 0), 6, 1), 6, 2).transpose(0, 2, 1)  # runs beyond 1
    voxels = trimesh.voxel.VoxelGrid(xyz)
    (tmp_path / "a.binvox").write_bytes(trimesh.exchange.binvox.export_binvox(voxels))
    np.testing.assert_array_equal(read_voxels(tmp_path / "a.binvox"), xyz.transpose(0, 2, 1))


@pytest.mark.parametrize(
    "damage",
    {
        "empty": lambda whole: b"",
        "cut data": lambda whole: whole[:-2],
        "odd byte": lambda whole: whole[:-1],
        "too much data": lambda whole: whole + b"\x00\x05",
        "no data line": lambda whole: whole.replace(b"data\n", b""),
        "not cubic": lambda whole: whole.replace(b"dim 6 6 6", b"dim 6 6 5"),
        "not a number": lambda whole: whole.replace(b"dim 6 6 6", b"dim x x x"),
        "huge": lambda whole: whole.replace(b"dim 6 6 6", b"dim 100000 100000 100000"),
        "enormous": lambda whole: whole.replace(b"dim 6 6 6", b"dim " + b"9" * 5000),
        "other file": lambda whole: b"OFF\n" * 100,
        "junk": lambda whole: bytes(range(256)),
    }.items(),
    ids=lambda item: item[0],
)
def test_binvox_faults(tmp_path, occupied, damage):
    (tmp_path / "a.binvox").write_bytes(damage[1](binvox(occupied)))
    with pytest.raises(UserError, match=r"a\.binvox"):
        read_voxels(tmp_path / "a.binvox")


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"\.raw, \.npy, \.binvox"):
        read_voxels(tmp_path / "a.vox")


def test_what_is_no_ordinary_file(tmp_path):
    for suffix in (".raw", ".npy", ".binvox"):
        (tmp_path / f"a{suffix}").mkdir()
        with pytest.raises(UserError, match="not an ordinary file"):
            read_voxels(tmp_path / f"a{suffix}")


def test_missing_files_stay_os_errors(tmp_path):
    for suffix in (".raw", ".npy", ".binvox"):
        with pytest.raises(FileNotFoundError):
            read_voxels(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_batch_is_read_shape_by_shape(tmp_path, rng, order):
    batch = rng.standard_normal((2, 3, 4, 4, 4)).astype(">f4")
    np.save(tmp_path / "batch.npy", np.asarray(batch, order=order))
    assert count_shapes(tmp_path / "batch.npy") == 6
    for index in range(6):
        grid = read_voxels(tmp_path / "batch.npy", index)
        assert np.array_equal(grid, batch.reshape(6, 4, 4, 4)[index])
        assert grid.dtype == np.float32
        assert grid.flags.c_contiguous


@pytest.mark.parametrize("shape", [(0, 8, 8, 8), (2, 0, 8, 8, 8), (8, 8), (3, 8, 8, 9)])
def test_what_is_no_batch_is_named(tmp_path, shape):
    np.save(tmp_path / "batch.npy", np.zeros(shape))
    with pytest.raises(UserError, match=r"batch\.npy: has shape"):
        count_shapes(tmp_path / "batch.npy")


def test_other_files_hold_one_shape(tmp_path):
    write_raw(tmp_path / "a.raw", np.ones((4, 4, 4), bool))
    assert count_shapes(tmp_path / "a.raw") == 1


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    with atomic_path(tmp_path / "10.pt") as temporary:
        left = temporary.name
    kept = ["10.pt", ".lock", ".run.lock", "latest", ".10-abc.pt", "10-0123abcd.pt"]
    for name in (left, ".latest-0123abcd", *kept):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


HOLD = """
import sys
from pathlib import Path
from rasgan.files import exclusive
with exclusive(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_only_one_process_holds_a_lock_and_a_killed_one_lets_go(tmp_path):
    path = tmp_path / "folder" / ".lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], text=True, **pipes) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="busy"), exclusive(path, "busy"):
            pytest.fail("two hold the lock")
        assert path.exists()
        holder.kill()
    with exclusive(path, "busy"):
        pass
    assert not path.exists()


def test_a_lock_goes_after_an_exception_too(tmp_path):
    path = tmp_path / ".lock"
    with pytest.raises(ValueError, match="mine"), exclusive(path, "busy"):
        raise ValueError("mine")
    assert not path.exists()


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOLCK])
def test_without_locks_in_the_file_system_the_work_goes_on(tmp_path, monkeypatch, number):
    def refuse(lock):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with exclusive(tmp_path / ".lock", "busy"):
        pass

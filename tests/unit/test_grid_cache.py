"""The cache of packed grids, as `read_grids` uses it."""

import errno
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rasgan import grid_cache, voxel_folders
from rasgan.errors import UserError
from rasgan.voxel_folders import find_grids, read_grids
from rasgan.voxel_io import read_voxels, write_raw

NAME = ".rasgan-train-8.npy"


@pytest.fixture
def data(tmp_path, monkeypatch, rng):
    """Make a folder of grids, one of them empty, that is cached although it is small."""
    monkeypatch.setattr(voxel_folders, "CACHED_FROM", 0)
    folder = tmp_path / "data"
    for number in range(4):
        write_raw(folder / f"{number}.raw", rng.random((16, 16, 16)) > 0.8)
    write_raw(folder / "sub" / "ignored.raw", np.ones((8, 8, 8), bool))
    write_raw(folder / "4.raw", np.zeros((8, 8, 8), bool))
    np.savez(folder / "5.npz", grids=rng.random((2, 8, 8, 8)) > 0.5, labels=np.arange(2))
    return folder


@pytest.fixture
def reads(monkeypatch):
    """Record which grids are read."""
    seen = []
    monkeypatch.setattr(voxel_folders, "read_voxels", lambda *new: seen.append(new) or read_voxels(*new))
    return seen


def check(folder, monkeypatch):
    """Compare grids and description with those read without the cache; return the grids."""
    grids, told = read_grids(folder, 8)
    with monkeypatch.context() as patch:
        patch.setattr(voxel_folders, "CACHED_FROM", float("inf"))
        expected, sentence = read_grids(folder, 8)
    np.testing.assert_array_equal(grids[:], expected[:])
    assert (told, grids.digest) == (sentence, expected.digest)
    return grids


def test_grids_are_read_once(data, reads):
    files = [*find_grids(data).counts]
    leftover = data / f".{NAME[:-4]}-0123abcd.npy"
    leftover.write_bytes(b"of a killed process")
    read_grids(data, 8)
    assert not leftover.exists()
    read_grids(data, 4)  # another resolution has a cache of its own
    assert len(reads) == 14
    assert [*find_grids(data).counts] == files
    for resolution in (4, 8):
        assert read_grids(data, resolution)[0].file == data / f".rasgan-train-{resolution}.npy"
    assert len(reads) == 14


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: write_raw(folder / "1.raw", np.ones((16, 16, 16), bool)),
        lambda folder: write_raw(folder / "6.raw", np.ones((8, 8, 8), bool)),
        lambda folder: (folder / "1.raw").unlink(),
        lambda folder: (folder / "4.raw").rename(folder / "9.raw"),
        lambda folder: np.savez(folder / "5.npz", grids=np.ones((3, 8, 8, 8), bool)),
    ],
)
def test_grids_are_read_again_after_a_change_of_the_files(data, monkeypatch, change):
    read_grids(data, 8)
    change(data)
    check(data, monkeypatch)
    check(data, monkeypatch)


def test_grids_are_read_again_after_a_change_of_time_or_code(data, reads, tmp_path, monkeypatch):
    read_grids(data, 8)
    (data / "1.raw").touch()
    read_grids(data, 8)
    assert len(reads) == 14
    shutil.copy(grid_cache.__file__, tmp_path)
    (tmp_path / "voxel_io.py").write_text("# changed", encoding="ascii")
    monkeypatch.setattr(grid_cache, "__file__", str(tmp_path / "grid_cache.py"))
    read_grids(data, 8)
    assert len(reads) == 21


def one_bit(place):
    return lambda content: content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-2],
        one_bit(50),  # of the header
        one_bit(200),  # of a grid
        lambda content: content.replace(b"4.raw", b"5.raw"),
        one_bit(-9),  # of the digest
    ],
)
def test_a_damaged_cache_is_written_again(data, reads, monkeypatch, damage):
    read_grids(data, 8)
    cache = data / NAME
    whole = cache.read_bytes()
    cache.write_bytes(damage(whole))
    check(data, monkeypatch)
    assert cache.read_bytes() == whole
    reads.clear()
    read_grids(data, 8)
    assert not reads


def fill_disk(monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(grid_cache.shutil, "disk_usage", lambda _: usage._replace(free=9))


@pytest.mark.parametrize("why", ["not writable", "full disk"])
def test_grids_are_read_into_memory_if_the_cache_cannot_be_written(data, monkeypatch, why):
    if why == "full disk":
        fill_disk(monkeypatch)
    else:
        (data / NAME / "x").mkdir(parents=True)  # a folder in the place of the file
    assert check(data, monkeypatch).file is None


def test_grids_too_large_for_memory_are_refused_before_they_are_read(data, reads, monkeypatch):
    monkeypatch.setattr(voxel_folders, "available_memory", lambda: 7 * 5.0**3 - 1)
    assert len(read_grids(data, 8)[0]) == 7  # mapped
    (data / NAME).unlink()
    fill_disk(monkeypatch)
    reads.clear()
    with pytest.raises(UserError) as error:
        read_grids(data, 8)
    assert (error.value.about, error.value.value, reads) == ("memory", data, [])
    monkeypatch.setattr(voxel_folders, "available_memory", lambda: 7 * 5.0**3)
    assert len(read_grids(data, 8)[0]) == 7
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UserError):
        read_grids(data, 8)


def test_an_unreadable_file_is_named_after_one_try(data, monkeypatch):
    tried = []

    def fail(path, _):
        tried.append(path)
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(voxel_folders, "read_voxels", fail)
    with pytest.raises(OSError, match=r"0\.raw"):
        read_grids(data, 8)
    assert len(tried) == 1


def test_empty_grids_are_refused_every_time(tmp_path, data):
    write_raw(tmp_path / "empty" / "0.raw", np.zeros((8, 8, 8), bool))
    for _ in range(2):
        with pytest.raises(UserError, match="no voxel is occupied") as error:
            read_grids(tmp_path / "empty", 8)
        assert error.value.about == "all empty"


def test_only_one_of_several_readers_reads_the_grids(data, reads):
    with ThreadPoolExecutor(4) as pool:
        found = [grids for grids, _ in pool.map(lambda _: read_grids(data, 8), range(4))]
    assert len(reads) == 7
    assert {(grids.file, grids.digest) for grids in found} == {(data / NAME, found[0].digest)}


def test_small_sets_are_not_cached(data, monkeypatch):
    monkeypatch.setattr(voxel_folders, "CACHED_FROM", 7 * 5**3)
    assert read_grids(data, 8)[0].file is None
    assert not (data / NAME).exists()

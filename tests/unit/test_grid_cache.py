"""The cache of packed grids, as `read_grids` uses it: never wrong, whatever happens to it or to the files."""

import contextlib
import errno
import os
import threading

import numpy as np
import pytest

from rasgan import grid_cache, voxel_folders
from rasgan.errors import UserError
from rasgan.voxel_folders import find_grids, read_grids
from rasgan.voxel_io import read_voxels, write_raw

NAME = ".rasgan-train-8.npy"


@pytest.fixture
def data(tmp_path, monkeypatch, rng):
    """Make a folder of grids, one of them empty, which are few, but cached all the same."""
    monkeypatch.setattr(voxel_folders, "CACHED_FROM", 0)
    monkeypatch.setattr(grid_cache, "TICK_S", 0)
    monkeypatch.setattr(grid_cache, "user_cache", lambda: tmp_path / "user")
    folder = tmp_path / "data"
    for number in range(4):
        write_raw(folder / f"{number}.raw", rng.random((16, 16, 16)) > 0.8)
    write_raw(folder / "sub" / "ignored.raw", np.ones((8, 8, 8), bool))
    write_raw(folder / "4.raw", np.zeros((8, 8, 8), bool))
    np.savez(folder / "5.npz", grids=rng.random((2, 8, 8, 8)) > 0.5, labels=np.arange(2))
    return folder


@pytest.fixture
def reads(monkeypatch):
    """List what is read from now on."""
    read = []
    monkeypatch.setattr(
        voxel_folders, "read_voxels", lambda *entry: read.append(entry) or read_voxels(*entry)
    )
    return read


def without_cache(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(grid_cache.GridCache, "load", lambda _: None)
        patch.setattr(voxel_folders, "CACHED_FROM", float("inf"))
        return read_grids(folder, 8)


def check(folder, monkeypatch):
    """Read through the cache what is read without it, and the same is reported; return the grids."""
    (grids, told), (expected, sentence) = read_grids(folder, 8), without_cache(folder, monkeypatch)
    np.testing.assert_array_equal(grids[:], expected[:])
    assert (told, grids.digest) == (sentence, expected.digest)
    return grids


def test_grids_are_read_once(data, reads, monkeypatch):
    files = find_grids(data).paths
    read_grids(data, 8)
    assert len(reads) == 7
    assert find_grids(data).paths == files
    assert read_grids(data, 8)[0].file == data / NAME
    assert len(reads) == 7
    check(data, monkeypatch)
    read_grids(data, 4)  # another resolution has a cache of its own
    reads.clear()
    for resolution in (4, 8):
        read_grids(data, resolution)
    assert not reads


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: write_raw(folder / "1.raw", np.ones((16, 16, 16), bool)),
        lambda folder: write_raw(folder / "4.raw", np.ones((8, 8, 8), bool)),
        lambda folder: write_raw(folder / "6.raw", np.ones((8, 8, 8), bool)),
        lambda folder: (folder / "1.raw").unlink(),
        lambda folder: (folder / "4.raw").rename(folder / "9.raw"),
        lambda folder: np.savez(folder / "5.npz", grids=np.ones((3, 8, 8, 8), bool)),
        lambda folder: (folder / "9.off").write_text("OFF", encoding="ascii"),  # reported as not converted
    ],
)
def test_a_change_of_the_files_is_noticed(data, monkeypatch, change):
    read_grids(data, 8)
    (data / "1.off").write_text("OFF", encoding="ascii")
    change(data)
    check(data, monkeypatch)
    check(data, monkeypatch)


def test_a_touched_file_is_read_again(data, reads):
    read_grids(data, 8)
    status = (data / "1.raw").stat()
    os.utime(data / "1.raw", ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    reads.clear()
    read_grids(data, 8)
    assert len(reads) == 7


def test_other_code_reads_again(data, reads, tmp_path, monkeypatch):
    read_grids(data, 8)
    (tmp_path / "voxel_io.py").write_text("# mended", encoding="ascii")
    monkeypatch.setattr(voxel_folders.voxel_io, "__file__", str(tmp_path / "voxel_io.py"))
    reads.clear()
    read_grids(data, 8)
    assert len(reads) == 7


def cut(content):
    return content[: len(content) // 2]


def one_bit(place):
    return lambda content: content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        lambda content: b"",
        lambda content: content[:-2],
        lambda content: content + b"}",
        lambda content: bytes(len(content)),
        one_bit(3),  # of the magic word
        one_bit(50),  # of the header
        one_bit(200),  # of a grid
        lambda content: content.replace(b"edges", b"Edges"),
        lambda content: content.replace(b"4.raw", b"5.raw"),
        one_bit(-9),  # of the digest
    ],
)
def test_a_damaged_cache_is_made_again(data, reads, monkeypatch, damage):
    read_grids(data, 8)
    cache = data / NAME
    whole = cache.read_bytes()
    cache.write_bytes(damage(whole))
    check(data, monkeypatch)
    assert cache.read_bytes() == whole
    reads.clear()
    read_grids(data, 8)
    assert not reads


def test_what_a_killed_process_left_is_cleared_away(data):
    leftover = data / f".{NAME[:-4]}-0123abcd.npy"
    leftover.write_bytes(b"half")
    read_grids(data, 8)
    assert not leftover.exists()


def block(path):
    """Put something in the place of a file that cannot be replaced by one."""
    (path / "x").mkdir(parents=True)


def test_where_the_folder_cannot_be_written_to_the_users_has_the_cache(data, reads, monkeypatch):
    block(data / NAME)
    (file,) = {read_grids(data, 8)[0].file for _ in range(2)}
    assert file.parent == grid_cache.user_cache()
    reads.clear()
    check(data, monkeypatch)
    assert len(reads) == 7  # by the reading without a cache
    write_raw(data.parent / "more" / "0.raw", np.ones((8, 8, 8), bool))
    block(data.parent / "more" / NAME)
    assert read_grids(data.parent / "more", 8)[0].file not in (None, file)


def no_home():
    raise RuntimeError("no home")


def no_room(monkeypatch):
    usage = grid_cache.shutil.disk_usage("/")
    monkeypatch.setattr(grid_cache.shutil, "disk_usage", lambda _: usage._replace(free=9))


@contextlib.contextmanager
def full_disk(path):
    yield path.with_name("written")
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


@pytest.mark.parametrize("why", ["no place", "no home", "no room", "disk full at the end"])
def test_without_a_place_grids_are_kept_in_memory(data, monkeypatch, why):
    if why == "no room":
        no_room(monkeypatch)
    elif why == "disk full at the end":
        monkeypatch.setattr(grid_cache.files, "atomic_path", full_disk)
    else:
        block(data / NAME)
        if why == "no home":
            monkeypatch.setattr(grid_cache, "user_cache", no_home)
        else:
            (data.parent / "user").write_bytes(b"a file")
    grids = check(data, monkeypatch)
    assert grids.file is None
    assert [path.name for path in data.iterdir() if path.suffix == ".npy"] == [NAME] * (data / NAME).is_dir()


def test_grids_too_large_for_memory_are_refused_before_they_are_read(data, reads, monkeypatch):
    monkeypatch.setattr(voxel_folders, "available_memory", lambda: 870.0)
    assert len(read_grids(data, 8)[0]) == 7  # 7 x 5³ bytes, mapped
    (data / NAME).unlink()
    no_room(monkeypatch)
    reads.clear()
    with pytest.raises(UserError) as error:
        read_grids(data, 8)
    assert (error.value.about, error.value.value, reads) == ("memory", data, [])
    monkeypatch.setattr(voxel_folders, "available_memory", lambda: 880.0)
    assert len(read_grids(data, 8)[0]) == 7
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UserError):
        read_grids(data, 8)


def test_a_file_that_cannot_be_read_is_named_after_one_try(data, monkeypatch):
    tried = []

    def fail(path, _):
        tried.append(path)
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(voxel_folders, "read_voxels", fail)
    with pytest.raises(OSError, match=r"0\.raw"):
        read_grids(data, 8)
    assert len(tried) == 1


def test_grids_that_are_all_empty_are_refused_every_time(data):
    for path in find_grids(data).paths:
        path.unlink()
    write_raw(data / "0.raw", np.zeros((8, 8, 8), bool))
    for _ in range(2):
        with pytest.raises(UserError) as error:
            read_grids(data, 8)
        assert error.value.about == "all empty"
    assert not (data / NAME).exists()


def test_of_several_readers_one_reads(data, reads):
    found = []
    readers = [threading.Thread(target=lambda: found.append(read_grids(data, 8)[0])) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(reads) == 7
    assert {(grids.file, grids.digest) for grids in found} == {(data / NAME, found[0].digest)}
    assert len(found) == 4


def test_small_sets_have_no_cache(data, monkeypatch):
    monkeypatch.setattr(voxel_folders, "CACHED_FROM", 7 * 5**3)
    assert read_grids(data, 8)[0].file is None
    assert not (data / NAME).exists()

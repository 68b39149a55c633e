"""Atomic writes, locks and checks of files."""

import contextlib
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from rasgan import files
from rasgan.errors import UserError
from rasgan.files import atomic_path, check_is_file, exclusive, remove_leftovers


def test_atomic_path_writes_complete_files(tmp_path):
    target = tmp_path / "new" / "folder" / "file.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert temporary.suffix == ".txt"
        assert temporary.parent == target.parent
        assert not target.exists()
    assert target.read_text(encoding="utf-8") == "new"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be synced there")
def test_atomic_path_syncs_the_names_of_file_and_folders(tmp_path, monkeypatch):
    real, synced = os.fsync, []

    def fsync(descriptor):
        synced.append((os.fstat(descriptor).st_ino, target.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    target = tmp_path / "new" / "folder" / "a.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("x", encoding="ascii")
    folders = (target.parent, tmp_path / "new", tmp_path)
    assert synced[0] == (target.stat().st_ino, False)
    assert synced[1:] == [(folder.stat().st_ino, True) for folder in folders]


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be synced there")
@pytest.mark.parametrize(
    ("number", "fails"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)]
)
def test_atomic_path_works_on_file_systems_that_cannot_sync_folders(tmp_path, monkeypatch, number, fails):
    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    refused = pytest.raises(OSError, match=os.strerror(number)) if fails else contextlib.nullcontext()
    with refused, atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("x", encoding="ascii")
    assert (tmp_path / "a").read_text(encoding="ascii") == "x"


def test_atomic_path_keeps_the_old_file_after_an_exception(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old", encoding="utf-8")
    with contextlib.suppress(KeyboardInterrupt), atomic_path(target) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise KeyboardInterrupt
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    "name",
    ["a" * 200 + ".raw", "é" * 120 + ".raw", "椅" * 80 + ".raw", ".raw", "no suffix"],
)
def test_atomic_path_accepts_any_valid_name(tmp_path, name):
    with atomic_path(tmp_path / name) as temporary:
        temporary.write_bytes(b"1")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_atomic_path_adds_the_name_to_errors(tmp_path):
    with pytest.raises(OSError, match="full") as failure, atomic_path(tmp_path / "a.pt"):
        raise OSError(errno.ENOSPC, "full")
    assert failure.value.filename == str(tmp_path / "a.pt")


def held(monkeypatch, winerror, times):
    """Let `Path.replace` fail as on Windows while another program has the file open."""
    original, left = Path.replace, [times]

    def replace(self, target):
        if left[0]:
            left[0] -= 1
            error = PermissionError(errno.EACCES, "held")
            error.winerror = winerror
            raise error
        return original(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    return left


@pytest.mark.parametrize(
    ("winerror", "times", "patience", "is_written"),
    [(32, 2, 60, True), (32, 1000, 0.1, False), (1314, 1000, 60, False)],
    ids=["for a moment", "too long", "forbidden"],
)
def test_a_file_that_another_program_has_open_is_tried_again(
    tmp_path, monkeypatch, winerror, times, patience, is_written
):
    monkeypatch.setattr(files, "HELD_S", patience)
    left = held(monkeypatch, winerror, times)
    refused = contextlib.nullcontext() if is_written else pytest.raises(PermissionError)
    with refused, atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("new", encoding="ascii")
    assert (left[0] == 0) == is_written
    assert left[0] < times
    assert [path.name for path in tmp_path.iterdir()] == (["a.txt"] if is_written else [])


def test_only_leftovers_of_killed_processes_are_removed(tmp_path):
    with atomic_path(tmp_path / "10.pt") as temporary:
        left = temporary.name
    kept = ["10.pt", ".lock", ".run.lock", "latest", ".10-abc.pt", "10-0123abcd.pt"]
    for name in (left, ".latest-0123abcd", *kept):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


@pytest.mark.parametrize("make", [os.mkdir, getattr(os, "mkfifo", None)], ids=["folder", "pipe"])
def test_folders_and_pipes_are_not_ordinary_files(tmp_path, make):
    if make is None:
        pytest.skip("needs named pipes")
    make(tmp_path / "x")
    with pytest.raises(UserError, match=r"x: not an ordinary file; give the path of one"):
        check_is_file(tmp_path / "x")


HOLD = """
import sys
from pathlib import Path
from rasgan.files import exclusive
with exclusive(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_exclusive_and_released_when_its_process_is_killed(tmp_path):
    path = tmp_path / "folder" / ".lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], text=True, **pipes) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="busy"), exclusive(path, "busy"):
            pytest.fail("locked twice")
        assert path.exists()
        holder.kill()
    with exclusive(path, "busy"):
        pass
    assert not path.exists()


def test_exclusive_works_on_file_systems_without_locks(tmp_path, monkeypatch):
    def refuse(lock):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with exclusive(tmp_path / ".lock", "busy"):
        pass

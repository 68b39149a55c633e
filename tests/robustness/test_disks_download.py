"""download_data.py on a disk that is full, read-only or another's: one sentence, and no half data set."""

import dataclasses
import gzip
import io
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import download_data
from tests.web_server import Server

ROOT = Path(__file__).parents[2]
CHANCE = random.Random(21)
MESHES = {f"chair/train/{number}.off": b"OFF\n" + CHANCE.randbytes(5000) for number in range(60)}


def make_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in MESHES.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def make_tar_gz() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for name, content in MESHES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue())


class SmallDisk:
    """A disk in memory, as large as a test wants."""

    def __init__(self, path: Path):
        self.path = path
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "none", path], check=True, capture_output=True
        )

    def become(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True)

    def close(self) -> None:
        subprocess.run(["umount", self.path], check=True)


@pytest.fixture
def disk(tmp_path, monkeypatch) -> Iterator[SmallDisk]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux may mount a small disk")
    (tmp_path / "disk").mkdir()
    try:
        disk = SmallDisk(tmp_path / "disk")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        yield disk
    finally:
        disk.close()


@pytest.fixture(autouse=True)
def small_data_set(monkeypatch):
    """Expect next to nothing of the data set, so that it is begun where there is no room for it."""
    small = dataclasses.replace(download_data.MODELNET10, packed_bytes=1, unpacked_bytes=1)
    monkeypatch.setattr(download_data, "DATASETS", {"modelnet10": small})


def run(place: Path, *options: object) -> int:
    return download_data.main(["--dataset", "modelnet10", "--dir", str(place), *map(str, options)])


def check_sentence(error: str, names: object, says: str) -> None:
    assert error.startswith("error: ")
    assert str(names) in error
    assert says in error
    assert error.count("\n") == 1


def meshes_of(place: Path) -> dict[str, bytes]:
    return {
        path.relative_to(place / "ModelNet10").as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file()
    }


FULL = "the disk is full; free some space"


def test_a_disk_that_fills_up_while_downloading_keeps_what_has_come(disk, monkeypatch, capsys):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    disk.become("size=200k")
    with Server(make_zip()) as server:
        server.misbehave = lambda handler, count: (
            not handler.headers.get("Range")
            and (server.send(handler, 200, server.body, {"ETag": server.etag}) or True)  # without a length
        )
        assert run(disk.path, "--yes", "--url", server.url) == 1
        check_sentence(capsys.readouterr().err, disk.path / "ModelNet10.zip.part", FULL)
        assert not (disk.path / "ModelNet10.zip").exists()
        assert not (disk.path / "ModelNet10").exists()
        disk.become("size=2m")
        assert run(disk.path, "--yes", "--url", server.url) == 0
    assert meshes_of(disk.path) == MESHES


@pytest.mark.parametrize("options", ["size=200k", "size=2m,nr_inodes=30"], ids=["bytes", "files"])
def test_a_disk_that_fills_up_while_unpacking_is_left_empty(disk, tmp_path, capsys, options):
    archive = tmp_path / "meshes.tar.gz"  # which does not tell beforehand how much it holds
    archive.write_bytes(make_tar_gz())
    disk.become(options)
    assert run(disk.path, "--archive", archive) == 1
    check_sentence(capsys.readouterr().err, disk.path / ".ModelNet10.unpacking", FULL)
    assert list(disk.path.iterdir()) == []
    disk.become("size=2m,nr_inodes=1000")
    assert run(disk.path, "--archive", archive) == 0
    assert meshes_of(disk.path) == MESHES


def test_a_zip_that_does_not_fit_is_refused_before_anything_is_written(disk, tmp_path, capsys):
    archive = tmp_path / "meshes.zip"
    archive.write_bytes(make_zip())
    disk.become("size=200k")
    assert run(disk.path, "--archive", archive) == 1
    check_sentence(capsys.readouterr().err, disk.path, "free some space or choose another place with --dir")
    assert list(disk.path.iterdir()) == []


def test_a_disk_without_room_for_a_single_file(disk, tmp_path, capsys):
    archive = tmp_path / "meshes.zip"
    archive.write_bytes(make_zip())
    disk.become("size=2m,nr_inodes=1")
    assert run(disk.path, "--archive", archive) == 1
    check_sentence(capsys.readouterr().err, disk.path, FULL)


def test_a_read_only_disk_is_told_and_what_is_on_it_is_found(disk, tmp_path, capsys):
    archive = tmp_path / "meshes.zip"
    archive.write_bytes(make_zip())
    disk.become("ro")
    assert run(disk.path, "--archive", archive) == 1
    check_sentence(capsys.readouterr().err, disk.path, "choose a place that you may read and write")
    disk.become("rw")
    assert run(disk.path, "--archive", archive) == 0
    disk.become("ro")
    assert run(disk.path, "--archive", archive) == 0
    assert "already there" in capsys.readouterr().out


AS_NOBODY = """
import os, sys
import download_data
os.setgid(65534)
os.setuid(65534)
sys.exit(download_data.main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no modes of this kind")
@pytest.mark.parametrize("locked", ["folder", "archive"])
def test_without_permission_it_is_told(locked):
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        place, archive = Path(name, "place"), Path(name, "meshes.zip")
        place.mkdir()
        archive.write_bytes(make_zip())
        for path, mode in ((Path(name), 0o755), (place, 0o777), (archive, 0o644)):
            path.chmod(mode)
        (place if locked == "folder" else archive).chmod(0o555 if locked == "folder" else 0o000)
        # Modes do not bind root, which therefore becomes nobody once everything is imported.
        program = AS_NOBODY if os.geteuid() == 0 else AS_NOBODY.replace("os.set", "0 and os.set")
        result = subprocess.run(
            [sys.executable, "-c", program, "--dataset", "modelnet10", "--archive", archive, "--dir", place],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 1
        names = place if locked == "folder" else archive
        check_sentence(result.stderr, names, "permission denied; choose a place that you may read and write")
        assert list(place.iterdir()) == []

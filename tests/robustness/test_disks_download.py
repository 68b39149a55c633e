"""download_data.py on a disk that is full: one sentence, and no half data set."""

import errno
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import download_data
from tests.made_archives import MESHES, files_in, make_small, meshes, tar_gz_of, zip_of
from tests.web_server import Server

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def small_data_set(monkeypatch):
    """Expect next to nothing of the data set, so that it is begun where there is no room for it."""
    make_small(monkeypatch)


def run(place: Path, *options: object) -> int:
    return download_data.main(["--dataset", "modelnet10", "--yes", "--dir", str(place), *map(str, options)])


def check_sentence(error: str, names: Path, says: str) -> None:
    assert error.startswith(f"error: {names}: ")
    assert says in error
    assert error.count("\n") == 1


@contextmanager
def full_disk(title: str):
    """Stand for the bar that shows progress, on a disk that is full after the first steps."""
    steps = iter(range(3))

    def show(done, total):
        if next(steps, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")

    yield show


@pytest.mark.parametrize("pack", [zip_of, tar_gz_of])
def test_a_disk_that_fills_up_while_unpacking_is_left_empty(tmp_path, monkeypatch, capsys, pack):
    archive, place = tmp_path / "mine", tmp_path / "place"
    archive.write_bytes(pack(MESHES.items()))
    with monkeypatch.context() as patches:
        patches.setattr(download_data, "byte_bar", full_disk)
        assert run(place, "--archive", archive) == 1
    check_sentence(capsys.readouterr().err, place / "ModelNet10.part" / "unpacked", "the disk is full")
    assert list(place.iterdir()) == []
    assert run(place, "--archive", archive) == 0
    assert files_in(place / "ModelNet10") == MESHES


WITH_SMALL_FILES = """
import resource, sys
import download_data
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
sys.exit(download_data.main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_write_that_fails_while_downloading_keeps_what_has_come(tmp_path):
    big = meshes(size=20_000)
    with Server(zip_of(big.items())) as server:
        options = ["--dataset", "modelnet10", "--yes", "--url", server.url, "--dir", str(tmp_path)]
        result = subprocess.run(
            [sys.executable, "-c", WITH_SMALL_FILES, *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 1
        (part,) = (tmp_path / "ModelNet10.part").iterdir()
        check_sentence(result.stderr, part, "")
        size = part.stat().st_size
        assert 0 < size <= 100_000
        assert not (tmp_path / "ModelNet10").exists()
        assert run(tmp_path, "--url", server.url) == 0
        assert server.ranges() == [None, size]
    assert files_in(tmp_path / "ModelNet10") == big

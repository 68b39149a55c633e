"""After download_data.py was killed or the disk was full, the same command completes the data set."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

import download_data
from rasgan.data import archives
from rasgan.files import exclusive
from tests.made_archives import MESHES, files_in, inside, make_small, meshes, tar_gz_of, zip_of
from tests.robustness import running
from tests.web_server import Server

TIMEOUT_S = 60
MANY = MESHES | {f"chair/train/more_{number}.off": b"OFF\n" * 80 for number in range(800)}
COMMAND = ["--dataset", "modelnet10", "--yes"]


class Killed(BaseException):
    """An exception that no code catches, like a kill."""


@pytest.fixture
def server(monkeypatch):
    make_small(monkeypatch)
    with Server(zip_of(inside(MESHES))) as server:
        yield server


def run(server: Server, place: Path) -> int:
    return download_data.main([*COMMAND, "--url", server.url, "--dir", str(place)])


def check_complete(place: Path, expected: dict[str, bytes] = MESHES) -> None:
    assert list(place.iterdir()) == [place / "ModelNet10"]
    assert files_in(place / "ModelNet10") == expected


def test_a_kill_between_download_and_unpacking(server, tmp_path, monkeypatch):
    """The downloaded archive is used without the server, then deleted."""

    def kill(*args):
        raise Killed

    with monkeypatch.context() as patches:
        patches.setattr(archives, "unpack", kill)
        with pytest.raises(Killed):
            run(server, tmp_path)
    assert run(server, tmp_path) == 0
    check_complete(tmp_path)
    assert len(server.requests) == 1


def test_a_kill_before_the_cleanup(server, tmp_path, capsys):
    """The cleanup needs neither the server nor a yes."""
    assert run(server, tmp_path) == 0
    (tmp_path / "ModelNet10.part" / "unpacked" / "chair").mkdir(parents=True)
    (tmp_path / "ModelNet10.part" / "ModelNet10.zip").touch()
    (tmp_path / ".ModelNet10.lock").touch()
    assert download_data.main(["--dataset", "modelnet10", "--dir", str(tmp_path)]) == 0
    assert "already exists: nothing to do" in capsys.readouterr().out
    check_complete(tmp_path)
    assert len(server.requests) == 1


def test_a_second_run_is_refused_and_changes_nothing(server, tmp_path, capsys):
    (tmp_path / "ModelNet10.part" / "unpacked").mkdir(parents=True)
    with exclusive(download_data.lock_path(tmp_path / "ModelNet10"), "free"):
        assert run(server, tmp_path) == 1
    assert "another run is downloading it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["ModelNet10.part", "unpacked"]
    assert server.requests == []
    assert run(server, tmp_path) == 0
    check_complete(tmp_path)


# --- disks


@contextmanager
def full_disk(title: str):
    """Replace the progress bar, with a disk that is full after a few steps."""
    steps = iter(range(3))

    def show(done, total):
        if next(steps, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")

    yield show


def test_a_full_disk_while_unpacking_is_left_empty(server, tmp_path, monkeypatch, capsys):
    archive, place = tmp_path / "mine", tmp_path / "place"
    archive.write_bytes(tar_gz_of(MESHES.items()))
    command = [*COMMAND, "--archive", str(archive), "--dir", str(place)]
    with monkeypatch.context() as patches:
        patches.setattr(download_data, "byte_bar", full_disk)
        assert download_data.main(command) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {place / 'ModelNet10.part' / 'unpacked'}: the disk is full")
    assert error.count("\n") == 1
    assert list(place.iterdir()) == []
    assert download_data.main(command) == 0
    check_complete(place)


def test_files_of_a_killed_run_do_not_count_against_the_room(server, tmp_path, monkeypatch):
    remains = tmp_path / "ModelNet10.part" / "unpacked" / "half.off"
    remains.parent.mkdir(parents=True)
    remains.touch()
    usage = lambda folder: type("Usage", (), {"free": 0 if remains.exists() else 10**12})  # noqa: E731
    monkeypatch.setattr("shutil.disk_usage", usage)
    assert run(server, tmp_path) == 0
    check_complete(tmp_path)


WITH_SMALL_FILES = """
import resource, sys
import download_data
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
sys.exit(download_data.main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_failed_write_while_downloading_keeps_the_partial_data(server, tmp_path):
    big = meshes(size=20_000)
    server.body = zip_of(big.items())
    program = [sys.executable, "-c", WITH_SMALL_FILES, *COMMAND, "--url", server.url, "--dir", str(tmp_path)]
    result = subprocess.run(program, cwd=running.ROOT, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert result.returncode == 1
    (part,) = (tmp_path / "ModelNet10.part").iterdir()
    assert result.stderr.startswith(f"error: {part}: ")
    assert result.stderr.count("\n") == 1
    size = part.stat().st_size
    assert 0 < size <= 100_000
    assert run(server, tmp_path) == 0
    assert server.ranges() == [None, size]
    check_complete(tmp_path, big)


# --- real kills


def start(server: Server, place: Path) -> subprocess.Popen:
    arguments = [*COMMAND, "--url", server.url, "--dir", str(place)]
    return running.start("download_data.py", arguments, running.ROOT, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def slow_server(monkeypatch):
    """Yield a server that takes about half a second to send many meshes."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(zip_of(inside(MANY), compression=0)) as server:
        server.always = lambda server, handler: server.serve(handler, pause_s=0.03)
        yield server


def is_downloading(place: Path) -> bool:
    return any(part.stat().st_size > 50_000 for part in place.glob("ModelNet10.part/*.part"))


def is_unpacking(place: Path) -> bool:
    return any(place.glob("ModelNet10.part/unpacked/*/chair/train/*.off")) and not is_in_place(place)


def is_in_place(place: Path) -> bool:
    return (place / "ModelNet10" / "chair").exists()


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("moment", [is_downloading, is_unpacking, is_in_place])
def test_a_kill_at_a_chosen_moment(slow_server, tmp_path, moment: Callable[[Path], bool]):
    for attempt in range(5):  # the moment may pass before the kill comes
        slow_server.requests.clear()
        place = tmp_path / f"killed_{attempt}"
        with start(slow_server, place) as process:
            while not moment(place) and process.poll() is None:
                time.sleep(0.0005)
            process.kill()
        if moment(place):
            break
    else:
        pytest.fail("the kill never came at this moment")
    tomorrow = time.time() + 86_400  # as if the clock was set back
    for path in place.rglob("*.part"):
        os.utime(path, (tomorrow, tomorrow))
    with start(slow_server, place) as process:
        _, error = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, error
    check_complete(place, MANY)
    if moment is is_downloading:
        assert slow_server.ranges()[1] >= 50_000  # the partial data was not requested again
    else:
        assert len(slow_server.requests) == 1

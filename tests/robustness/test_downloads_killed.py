"""download_data.py killed at any moment: the same command completes, and leaves what it always leaves."""

import io
import os
import random
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import download_data
from tests.web_server import Server

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60


def make_archive(meshes: int = 800) -> bytes:
    """Pack many small meshes, which take a while to unpack."""
    chance = random.Random(11)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for number in range(meshes):
            kind, part = ("chair", "sofa")[number % 2], ("train", "test")[number % 3 == 0]
            name = f"ModelNet10/{kind}/{part}/{number}.off"
            packed.writestr(name, b"OFF\n" + chance.randbytes(300))
        packed.writestr("ModelNet10/README.txt", b"x")
    return buffer.getvalue()


ARCHIVE = make_archive()


@pytest.fixture
def server(monkeypatch):
    """Give a server that takes about half a second to send the archive."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(ARCHIVE) as server:
        server.misbehave = lambda handler, count: server.serve(handler, pause_s=0.03) or True
        yield server


def start(server: Server, place: Path) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "download_data.py"), "--dataset", "modelnet10", "--yes"]
    return subprocess.Popen(
        [*command, "--url", server.url, "--dir", str(place)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def complete(server: Server, place: Path) -> None:
    with start(server, place) as process:
        _, error = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, error) == (0, "")


def tree(folder: Path) -> dict[str, bytes | None]:
    """Give every file's content, and None for every folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def never_killed(server, tmp_path):
    """Give what a run leaves that is let be."""
    complete(server, tmp_path / "never_killed")
    server.requests.clear()
    return tree(tmp_path / "never_killed")


def is_downloading(place: Path) -> bool:
    part = place / "ModelNet10.zip.part"
    return part.exists() and part.stat().st_size > 50_000


def is_unpacking(place: Path) -> bool:
    has_begun = any(place.glob(".ModelNet10.unpacking/ModelNet10/chair/train/*.off"))
    return has_begun and not is_in_place(place)


def is_in_place(place: Path) -> bool:
    return (place / "ModelNet10" / "chair").exists()


def has_come(place: Path) -> bool:
    return (place / "ModelNet10.zip").exists()


@pytest.mark.parametrize(
    "moment", [is_downloading, is_unpacking, is_in_place], ids=lambda is_it: is_it.__name__
)
def test_killed_at_a_chosen_moment(server, never_killed, tmp_path, moment: Callable[[Path], bool]):
    for attempt in range(5):  # the moment may pass before the kill comes
        server.requests.clear()
        place = tmp_path / f"killed_{attempt}"
        with start(server, place) as process:
            while not moment(place) and process.poll() is None:
                time.sleep(0.0005)
            process.kill()
        if moment(place):
            break
    else:
        pytest.fail("the moment never came, or was always missed")
    complete(server, place)
    assert tree(place) == never_killed
    if moment is is_downloading:
        assert server.ranges()[1] is not None  # what had come was not asked for again
    else:
        assert len(server.requests) == 1


@pytest.mark.slow
def test_killed_at_random_moments(server, never_killed, tmp_path):
    started = time.monotonic()
    complete(server, tmp_path / "timed")
    duration = time.monotonic() - started
    chance = random.Random(12)
    unfinished = 0
    for number in range(24):
        place = tmp_path / f"killed_{number}"
        for _ in range(1 + number % 3):  # some are killed again and again
            with start(server, place) as process:
                time.sleep(chance.uniform(0.15, 1.0) * duration)
                process.kill()
            unfinished += process.returncode != 0
        complete(server, place)
        assert tree(place) == never_killed
    assert unfinished > 12


def test_killed_between_the_data_set_and_the_removal_of_its_archive(
    server, never_killed, tmp_path, monkeypatch
):
    """All that is left to do is to tidy up; that needs neither the server nor a yes."""

    class Killed(BaseException):
        pass

    def kill(*args):
        raise Killed

    place = tmp_path / "killed"
    command = ["--dataset", "modelnet10", "--dir", str(place)]
    with monkeypatch.context() as patches:
        patches.setattr(download_data.download, "remove", kill)
        with pytest.raises(Killed):
            download_data.main([*command, "--yes", "--url", server.url])
    (place / ".ModelNet10.unpacking").mkdir()
    (place / ".ModelNet10.lock").touch()
    assert has_come(place)
    assert download_data.main(command) == 0
    assert tree(place) == never_killed
    assert len(server.requests) == 1


def test_an_archive_of_the_users_beside_the_data_set_is_not_tidied_up(server, tmp_path):
    (tmp_path / "ModelNet10").mkdir()
    (tmp_path / "ModelNet10" / "mine.off").touch()
    (tmp_path / ".ModelNet10.lock").touch()
    (tmp_path / "ModelNet10.zip").write_bytes(ARCHIVE)
    assert download_data.main(["--dataset", "modelnet10", "--dir", str(tmp_path)]) == 0
    assert sorted(tree(tmp_path)) == ["ModelNet10", "ModelNet10.zip", "ModelNet10/mine.off"]


def test_the_remains_of_a_killed_run_do_not_count_as_a_full_disk(server, never_killed, tmp_path, monkeypatch):
    place = tmp_path / "killed"
    remains = place / ".ModelNet10.unpacking"
    remains.mkdir(parents=True)
    (remains / "half.off").touch()

    def usage(folder):
        return type("Usage", (), {"free": 0 if remains.exists() and any(remains.iterdir()) else 10**12})

    monkeypatch.setattr("shutil.disk_usage", usage)
    assert (
        download_data.main(["--dataset", "modelnet10", "--yes", "--url", server.url, "--dir", str(place)])
        == 0
    )
    assert tree(place) == never_killed


def test_a_second_run_is_refused_while_one_is_at_work_and_neither_disturbs_the_other(
    server, never_killed, tmp_path, capsys
):
    place = tmp_path / "shared"
    may_go_on = threading.Event()

    def wait_in_the_middle(handler, count):
        server.serve(handler, cut=50_000)
        handler.wfile.flush()
        may_go_on.wait(TIMEOUT_S)
        handler.wfile.write(ARCHIVE[50_000:])
        return True

    server.misbehave = wait_in_the_middle
    archive = tmp_path / "mine.zip"
    archive.write_bytes(ARCHIVE)
    command = ["--dataset", "modelnet10", "--dir", str(place)]
    with start(server, place) as first:
        while not (place / "ModelNet10.zip.part").exists():
            assert first.poll() is None
            time.sleep(0.01)
        for source in (["--yes", "--url", server.url], ["--archive", str(archive)]):
            assert download_data.main([*command, *source]) == 1
            error = capsys.readouterr().err
            assert "another run is at work on it; wait until it ends" in error
            assert error.count("\n") == 1
        may_go_on.set()
        _, error = first.communicate(timeout=TIMEOUT_S)
    assert (first.returncode, error) == (0, "")
    assert tree(place) == never_killed
    assert len(server.requests) == 1


def test_a_yes_after_another_run_has_ended_downloads_nothing_again(
    server, never_killed, tmp_path, monkeypatch
):
    place = tmp_path / "shared"
    command = ["--dataset", "modelnet10", "--url", server.url, "--dir", str(place)]

    def say_yes_at_last(question):
        assert download_data.main([*command, "--yes"]) == 0
        return "y"

    monkeypatch.setattr("builtins.input", say_yes_at_last)
    assert download_data.main(command) == 0
    assert tree(place) == never_killed
    assert len(server.requests) == 1


def test_files_from_the_future_are_continued_all_the_same(server, never_killed, tmp_path):
    """The clock went backwards since the last run."""
    place = tmp_path / "killed"
    with start(server, place) as process:
        while not is_downloading(place):
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
    tomorrow = time.time() + 86_400
    for path in place.iterdir():
        os.utime(path, (tomorrow, tomorrow))
    complete(server, place)
    assert tree(place) == never_killed
    assert server.ranges()[1] is not None

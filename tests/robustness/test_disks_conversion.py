"""Full disks, missing permissions, simultaneous runs, closed pipes."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from rasgan.data.conversion import RECORD
from tests.robustness import running
from tests.robustness.work import WORK

ONE_EACH = [name for name in WORK if "processes" not in name]

# Python runs sitecustomize.py before a script; this one simulates a full disk.
FULL_DISK = """
import errno, os
from pathlib import Path
real = os.fsync
def size(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
def fsync(descriptor):
    if sum(size(path) for path in Path().rglob("*") if path.is_file()) > {limit}:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    real(descriptor)
os.fsync = fsync
"""


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return a function that lists the files that a piece of work writes without faults."""
    known = {}

    def files(name):
        if name not in known:
            work, folder = WORK[name], tmp_path_factory.mktemp("good")
            work.prepare(folder)
            assert running.run(work.script, work.arguments, folder).code == 0
            known[name] = running.visible_files(folder)
        return known[name]

    return files


@pytest.fixture
def system(tmp_path_factory):
    """Return a function that returns the options to run a script with a sitecustomize.py."""

    def options(code):
        folder = tmp_path_factory.mktemp("system")
        (folder / "sitecustomize.py").write_text(code, encoding="utf-8")
        path = os.pathsep.join([str(folder), str(running.ROOT)])
        return {"env": {**running.environment(), "PYTHONPATH": path}}

    return options


@pytest.fixture
def unprivileged():
    """Return the options to run a script that cannot ignore permissions."""
    if os.name != "posix":
        pytest.skip("needs POSIX permissions")
    if os.geteuid() != 0:
        return {}
    if sys.platform != "linux":
        pytest.skip("only on Linux can root give up its rights over files")
    return {"preexec_fn": running.give_up_rights}


def hidden(folder):
    files = [path for path in folder.rglob(".*") if path.is_file()]
    return [path for path in files if path.name != RECORD]


def assert_reported(ended, words):
    """Check that a script failed with one or more sentences that all contain these words."""
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert ended.sentences
    assert all(words in sentence for sentence in ended.sentences)


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("name", WORK)
def test_a_full_disk_is_reported_and_the_same_command_continues(name, system, expected, tmp_path):
    work = WORK[name]
    work.prepare(tmp_path)
    before = running.visible_files(tmp_path)
    results = [len(content) for path, content in expected(name).items() if path not in before]
    limit = sum(map(len, before.values())) + int(2.5 * np.mean(results))
    ended = running.run(work.script, work.arguments, tmp_path, **system(FULL_DISK.format(limit=limit)))
    assert_reported(ended, "the disk is full; free some space")
    left = running.visible_files(tmp_path)
    assert left == {path: expected(name)[path] for path in left}
    assert len(before) < len(left) < len(expected(name))
    assert hidden(tmp_path) == []
    assert running.run(work.script, work.arguments, tmp_path).code == 0
    assert running.visible_files(tmp_path) == expected(name)


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("name", ONE_EACH)
def test_a_folder_without_write_permission_is_reported(name, unprivileged, tmp_path):
    work = WORK[name]
    work.prepare(tmp_path)
    before = running.visible_files(tmp_path)
    folders = [tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    ended = running.run(work.script, work.arguments, tmp_path, **unprivileged)
    for folder in folders:
        folder.chmod(0o755)
    assert_reported(ended, "permission denied; choose a place")
    assert running.visible_files(tmp_path) == before


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("name", [name for name in WORK if name != "meshes to voxels"])
def test_two_simultaneous_runs_both_write_complete_files(name, tmp_path, expected):
    work = WORK[name]
    work.prepare(tmp_path)
    pair = [running.start(work.script, work.arguments, tmp_path) for _ in range(2)]
    assert [process.wait(running.TIME_LIMIT_S) for process in pair] == [0, 0]
    assert running.visible_files(tmp_path) == expected(name)
    assert hidden(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
@pytest.mark.parametrize("words", ["the disk is full", "the program that reads this output has ended"])
def test_output_that_cannot_be_printed_is_reported(words, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((4, 4, 4)))
    reader, output = os.pipe()
    os.close(reader)
    if words == "the disk is full":
        os.close(output)
        output = os.open("/dev/full", os.O_WRONLY)
    ended = running.run("convert_to_obj.py", ["-f", "x.npy"], tmp_path, stdout=output)
    os.close(output)
    assert ended.code == 1
    assert ended.err.startswith(f"error: {words}")
    assert ended.err.count("\n") == 1
    assert (tmp_path / "models" / "x.obj").stat().st_size > 0

"""torchrun as it is ended from outside, and processes that do not agree."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import train_rasgan
from rasgan.training import checkpoints
from rasgan.training.checkpoints import Position
from rasgan.training.history import History
from rasgan.voxel_io import write_raw
from tests.robustness.running import environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.system,
    pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX's signals"),
]

OPTIONS = [
    "-n", "run", "-d", "data", "--width", "8", "--resolution", "32", "-b", "2", "--seed", "1",
    "--device", "cpu", "-sample", "1000000", "-graph", "1000000", "-graph3d", "1000000", "-save", "1000000",
]  # fmt: skip
SLOW_S = 3
SLOW_DISK = f"""
import os, runpy, sys, time
real = os.fsync
def fsync(descriptor):
    time.sleep({SLOW_S})
    real(descriptor)
"""
FOLDER_EACH = "os.chdir('rank' + os.environ['RANK'])"
RUN = """
sys.argv.pop(0)
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def data(folder, count=4, seed=1):
    rng = np.random.default_rng(seed)
    for number in range(count):
        write_raw(folder / "data" / f"{number}.raw", rng.random((32, 32, 32)) > 0.9)


def torchrun(folder, prepare, *options):
    """Start two processes that do something before they run the script."""
    (folder / "start.py").write_text("\n".join((SLOW_DISK, prepare, RUN)), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["start.py", train_rasgan.__file__, *OPTIONS, *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment(), start_new_session=True, **pipes)


@pytest.mark.parametrize("to_all", [False, True], ids=["to torchrun", "to all"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_end_that_is_asked_for_saves_however_slow_the_disk(tmp_path, number, to_all):
    data(tmp_path)
    process = torchrun(tmp_path, "os.fsync = fsync", "-e", "100000")
    for line in process.stdout:
        if line.startswith("Epoch: [ 3/"):
            break
    asked = time.monotonic()
    (os.killpg if to_all else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=120)
    assert time.monotonic() - asked > SLOW_S
    assert out.count("Stopped and saved after") == 1, err
    folder = tmp_path / "checkpoint" / "run"
    position = checkpoints.choose_position(folder, None)
    assert position.epoch >= 2
    saved = checkpoints.load_checkpoint(folder, position, with_optimizers=True)
    assert saved.optimizers is not None
    history = History.read(tmp_path / "savepoint" / "run" / "history.csv", saved.history)
    assert len(history) == 2 * position.epoch + position.step
    process = torchrun(tmp_path, "", "-e", str(position.epoch + 1), "--load")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert checkpoints.choose_position(folder, None) == Position(position.epoch + 1)


def ends_with(process, *words):
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    for word in words:
        assert word in err


def test_processes_with_other_data_or_epochs_are_refused_before_the_first_step(tmp_path):
    for rank in (0, 1):
        data(tmp_path / f"rank{rank}", seed=rank)
    differ = "error: the processes of this run differ in"
    ends_with(torchrun(tmp_path, FOLDER_EACH, "-e", "1"), f"{differ} digest of the data")
    data(tmp_path / "rank1", count=6)
    ends_with(torchrun(tmp_path, FOLDER_EACH, "-e", "1"), f"{differ} shapes: process 0 has 4, process 1 6")
    for rank in (0, 1):
        for path in (tmp_path / f"rank{rank}" / "data").iterdir():
            path.unlink()
        data(tmp_path / f"rank{rank}")
        command = [sys.executable, train_rasgan.__file__, *OPTIONS, "-e", str(1 + rank)]
        subprocess.run(command, cwd=tmp_path / f"rank{rank}", env=environment(), check=True)
    ends_with(
        torchrun(tmp_path, FOLDER_EACH, "-e", "5", "-l"), f"{differ} checkpoint: process 0 has 1, process 1 2"
    )
    assert not list(Path(tmp_path).glob("rank?/checkpoint/run/5.pt"))

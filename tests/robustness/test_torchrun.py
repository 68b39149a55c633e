"""Processes of torchrun that are stopped, killed or suspended, and processes that do not agree."""

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
SLOW_S = 1
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


def torchrun(folder, prepare, *options, restarts=0):
    """Start two processes that execute the code `prepare` and then run the script."""
    (folder / "start.py").write_text("\n".join((SLOW_DISK, prepare, RUN)), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [f"--max-restarts={restarts}", "start.py", train_rasgan.__file__, *OPTIONS, *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment(), start_new_session=True, **pipes)


def wait_for_epoch(process, epoch):
    """Read the output until the end of an epoch."""
    for line in process.stdout:
        if line.startswith(f"Epoch: [ {epoch}/"):
            return


def worker(process, rank):
    """Return the process id of one of torchrun's processes."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        pytest.skip("needs /proc")
    pids = children.read_text().split()
    return next(int(pid) for pid in pids if f"RANK={rank}" in environment_of(pid))


def environment_of(pid):
    return Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")


def test_two_processes_train_one_run_and_only_rank_0_writes(tmp_path):
    data(tmp_path)
    every = ["-e", "2", "-graph", "2"]
    out, err = (both := torchrun(tmp_path, "", *every)).communicate(timeout=600)
    assert both.returncode == 0, err
    assert "device cpu, 2 processes" in out
    assert [out.count(words) for words in ("Epoch:", "starting PyTorch", "run is trained")] == [2, 1, 1]
    assert {path.name for path in (tmp_path / "checkpoint").rglob("*")} == {
        "run", "2.pt", "2.optim.pt", "latest",
    }  # fmt: skip
    command = [sys.executable, train_rasgan.__file__, *OPTIONS, *every, "-n", "one"]
    subprocess.run(command, cwd=tmp_path, env=environment(), check=True)
    one, two = (
        np.loadtxt(tmp_path / "savepoint" / name / "history.csv", delimiter=",", skiprows=1)
        for name in ("one", "run")
    )
    np.testing.assert_allclose(two, one, rtol=1e-4)


@pytest.mark.parametrize(
    ("rank", "save"), [(1, 1), (0, 6)], ids=["after a checkpoint", "before the first checkpoint"]
)
def test_killed_process_is_restarted(tmp_path, rank, save):
    data(tmp_path)
    process = torchrun(tmp_path, "", "-e", "6", "-save", str(save), restarts=1)
    wait_for_epoch(process, 3)
    os.kill(worker(process, rank), signal.SIGKILL)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert ("resuming from the newest" if save == 1 else "no checkpoint yet") in out
    command = [sys.executable, train_rasgan.__file__, *OPTIONS, "-n", "alone", "-e", "6"]
    subprocess.run(command, cwd=tmp_path, env=environment(), check=True)
    paths = (tmp_path / "savepoint" / name / "history.csv" for name in ("run", "alone"))
    run, alone = (np.genfromtxt(path, delimiter=",", skip_header=1)[:, :3] for path in paths)
    np.testing.assert_allclose(run, alone, rtol=1e-2)


def test_killed_process_stops_the_others(tmp_path):
    data(tmp_path)
    process = torchrun(tmp_path, "", "-e", "100000", "-save", "1")
    wait_for_epoch(process, 3)
    os.kill(worker(process, 1), signal.SIGKILL)
    ends_with(process, "another process of this run ended", "--load")
    folder = tmp_path / "checkpoint" / "run"
    assert checkpoints.load_checkpoint(folder, checkpoints.choose_position(folder, None))


IMPATIENT = """
from datetime import timedelta
from rasgan.training import distributed
distributed.GRACE_S, distributed.TIMEOUT = 3, timedelta(seconds=%d)
"""


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGINT, signal.SIGINT), ()])
def test_suspended_process_stops_the_others_within_their_time_limit(tmp_path, signals):
    data(tmp_path)
    process = torchrun(tmp_path, IMPATIENT % (600 if signals else 20), "-e", "100000")
    wait_for_epoch(process, 3)
    waiting, suspended = worker(process, 0), worker(process, 1)
    os.kill(suspended, signal.SIGSTOP)
    try:
        for number in signals:
            time.sleep(3)
            os.kill(waiting, number)
        wait_for_the_end(waiting)
    finally:
        os.kill(suspended, signal.SIGKILL)
    ends_with(process, "Stopped by Ctrl-C" if len(signals) == 2 else "process 1 (")


def wait_for_the_end(pid):
    for _ in range(1200):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            return
        if stat.rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    raise AssertionError("still waiting for the suspended process")


@pytest.mark.parametrize("to_all", [False, True], ids=["to torchrun", "to all"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_saves_a_checkpoint_even_on_a_slow_disk(tmp_path, number, to_all):
    data(tmp_path)
    process = torchrun(tmp_path, "os.fsync = fsync", "-e", "100000")
    wait_for_epoch(process, 3)
    sent = time.monotonic()
    (os.killpg if to_all else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=600)
    assert time.monotonic() - sent > SLOW_S
    assert out.count("Stopped and saved after") == 1, err
    folder = tmp_path / "checkpoint" / "run"
    position = checkpoints.choose_position(folder, None)
    assert position.epoch >= 2
    saved = checkpoints.load_checkpoint(folder, position, with_optimizers=True)
    assert saved.optimizers is not None
    history = History.read(tmp_path / "savepoint" / "run" / "history.csv", saved.history)
    assert len(history) == 2 * position.epoch + position.step
    process = torchrun(tmp_path, "", "-e", str(position.epoch + 1), "--load")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert checkpoints.choose_position(folder, None) == Position(position.epoch + 1)


def ends_with(process, *words):
    _, err = process.communicate(timeout=600)
    assert process.returncode != 0
    for word in words:
        assert word in err


def test_processes_with_different_data_are_refused(tmp_path):
    for rank in (0, 1):
        data(tmp_path / f"rank{rank}", seed=rank)
    words = "error: the processes of this run differ in digest of the data"
    ends_with(torchrun(tmp_path, FOLDER_EACH, "-e", "1"), words)
    assert not list(tmp_path.glob("rank?/checkpoint/run/*.pt"))

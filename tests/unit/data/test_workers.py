"""Work in several processes. Kills and Ctrl-C are tested with convert_data.py."""

import multiprocessing
import os

import pytest

from rasgan.data.workers import count_processes, run_tasks
from rasgan.errors import UserError


@pytest.mark.parametrize(
    ("wanted", "tasks", "platform", "expected"),
    [(4, 100, "linux", 4), (4, 3, "linux", 3), (10**4, 10**5, "linux", 1024), (10**4, 10**5, "win32", 61)],
)
def test_the_number_of_processes_is_limited(monkeypatch, wanted, tasks, platform, expected):
    monkeypatch.setattr("sys.platform", platform)
    assert count_processes(wanted, tasks) == expected


def test_by_default_there_is_one_process_per_usable_core(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 5, 7}, raising=False)
    assert count_processes(None, 10) == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert count_processes(None, 10) == 2


def pid_and_square(number):
    return os.getpid(), number**2


def test_a_single_process_is_the_current_one():
    assert list(run_tasks(pid_and_square, [3, 4], 1)) == [(os.getpid(), 9), (os.getpid(), 16)]


def test_several_processes_share_the_tasks_and_exit():
    results = list(run_tasks(pid_and_square, list(range(6)), 2))
    assert sorted(square for _, square in results) == [0, 1, 4, 9, 16, 25]
    assert os.getpid() not in {pid for pid, _ in results}
    assert multiprocessing.active_children() == []


def test_closing_early_leaves_no_process():
    results = run_tasks(pid_and_square, list(range(50)), 2)
    next(results)
    assert multiprocessing.active_children()
    results.close()
    assert multiprocessing.active_children() == []


def test_a_killed_process_is_reported():
    with pytest.raises(UserError, match="A worker process was killed"):
        list(run_tasks(os._exit, [1, 1], 2))
    assert multiprocessing.active_children() == []

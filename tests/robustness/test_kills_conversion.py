"""SIGKILL at random moments: the same command again completes, with the files of a run never killed."""

import os
import shutil
import time

import numpy as np
import pytest

from tests.robustness import running
from tests.robustness.work import WORK

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")

WORKERS_OUTLIVE_S = 5.0


def kill_at_random_moments(name, kills, tmp_path):
    """Kill a command `kills` times, each time let it complete; give how many results each kill left.

    Every second kill comes anywhere in the time that the command takes, the others after the first result.
    """
    work = WORK[name]
    whole, first = tmp_path / "whole", tmp_path / "first"
    work.prepare(first)
    given = running.visible_files(first)
    shutil.copytree(first, whole)
    unkilled = running.run(work.script, work.arguments, whole)
    assert unkilled.code == 0, unkilled.err
    expected = running.visible_files(whole)
    assert len(expected) == 2 * len(given)

    rng = np.random.default_rng(kills)
    results = []
    for number in range(kills):
        place = tmp_path / f"killed{number}"
        shutil.copytree(first, place)
        process = running.start(work.script, work.arguments, place)
        if number % 2:
            time.sleep(unkilled.seconds * (number + rng.random()) / kills)
        else:
            while process.poll() is None and len(running.visible_files(place)) == len(given):
                time.sleep(0.001)
            time.sleep(0.05 * rng.random())
        process.kill()
        process.wait()
        deadline = time.monotonic() + WORKERS_OUTLIVE_S
        while running.alive_in_session(process.pid):
            assert time.monotonic() < deadline, "a worker outlives its parent"
            time.sleep(0.02)
        left = running.visible_files(place)
        assert left == {path: expected[path] for path in left}
        results.append(len(left) - len(given))
        again = running.run(work.script, work.arguments, place)
        assert again.code == 0, again.err
        assert running.visible_files(place) == expected
        shutil.rmtree(place)
    return results, len(given)


@pytest.mark.parametrize("name", WORK)
def test_a_killed_command_completes_when_typed_again(name, tmp_path):
    kill_at_random_moments(name, 1, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORK)
def test_many_killed_commands_complete_when_typed_again(name, tmp_path):
    results, whole = kill_at_random_moments(name, 10, tmp_path)
    assert any(0 < count < whole for count in results), "no kill came in the middle"

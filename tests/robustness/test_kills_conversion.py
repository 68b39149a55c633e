"""After SIGKILL at random moments, the same command writes the files of an uninterrupted run."""

import os
import shutil
import time

import numpy as np
import pytest

from tests.robustness import running
from tests.robustness.work import WORK

KILLS = 10


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("name", WORK)
def test_killed_commands_complete_when_run_again(name, tmp_path):
    """Half of the kills come at random times, the others after a first result."""
    work = WORK[name]
    whole, first = tmp_path / "whole", tmp_path / "first"
    work.prepare(first)
    sources = running.visible_files(first)
    shutil.copytree(first, whole)
    unkilled = running.run(work.script, work.arguments, whole)
    assert unkilled.code == 0, unkilled.err
    expected = running.visible_files(whole)
    assert len(expected) == 2 * len(sources)

    rng = np.random.default_rng(KILLS)
    results = []
    for number in range(KILLS):
        place = tmp_path / f"killed{number}"
        shutil.copytree(first, place)
        process = running.start(work.script, work.arguments, place)
        if number % 2:
            time.sleep(unkilled.seconds * (number + rng.random()) / KILLS)
        else:
            while process.poll() is None and len(running.visible_files(place)) == len(sources):
                time.sleep(0.001)
            time.sleep(0.05 * rng.random())
        process.kill()
        process.wait()
        running.wait_for_the_end_of(process.pid, place)
        left = running.visible_files(place)
        assert left == {path: expected[path] for path in left}
        results.append(len(left) - len(sources))
        again = running.run(work.script, work.arguments, place)
        assert again.code == 0, again.err
        assert running.visible_files(place) == expected
        shutil.rmtree(place)
    assert any(0 < count < len(sources) for count in results), "no kill came between two results"

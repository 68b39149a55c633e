"""A long training needs no more and more memory or file handles."""

import gc
import sys
from pathlib import Path

import pytest

from rasgan.runs import RunFolder
from rasgan.training import history, resuming
from rasgan.training.config import TrainConfig
from rasgan.training.dataset import Shapes

STEPS = 10_000


def resident_bytes():
    resource = pytest.importorskip("resource", reason="needs POSIX")
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_thousand_steps_keep_memory_and_file_handles(tmp_path, rng):
    settings = TrainConfig(width=4, resolution=32, batchsize=2, ema=0.9)
    shapes = Shapes(rng.random((8, 32, 32, 32)) > 0.9)
    training = resuming.begin(RunFolder("run", tmp_path), settings, shapes, shapes)
    sizes, handles = [], []
    for number in range(STEPS):
        result = training.step()
        if number % 1000 == 999:
            history.draw_history(training.folder.plots, number, training.history)
            training.sample(result.fakes, number)
            gc.collect()
            sizes.append(resident_bytes())
            handles.append(len(list(Path("/proc/self/fd").iterdir())))
    assert len(training.history) == STEPS
    steady = sizes[len(sizes) // 2 :]
    assert steady[-1] - steady[0] < 8e6  # the history itself is 64 bytes a step
    assert len(set(handles[1:])) == 1

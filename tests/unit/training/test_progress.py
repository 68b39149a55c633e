import functools
import io

import numpy as np
import pytest
import torch
from tqdm import tqdm

from rasgan.runs import RunFolder
from rasgan.training import progress
from rasgan.training.config import TrainConfig
from rasgan.training.dataset import Shapes
from rasgan.training.resuming import begin


def small_run(folder, **settings):
    config = TrainConfig(resolution=8, width=4, batchsize=1, epochs=3, seed=0, **settings)
    return begin(RunFolder("run", folder), config, Shapes(np.ones((4, 8, 8, 8), bool)))


def test_estimating_the_step_time_leaves_the_run_unchanged(tmp_path):
    run, other = small_run(tmp_path), small_run(tmp_path)
    assert progress.expected_step_s(run) > 0
    assert run.gan.generator.training
    for training in (run, other):
        training.step()
    np.testing.assert_array_equal(run.history.rows(), other.history.rows())
    for name in ("generator", "discriminator"):
        own, others = (getattr(training.gan, name).state_dict() for training in (run, other))
        assert all(torch.equal(own[key], others[key]) for key in own)


@pytest.mark.parametrize("gate", [True, False])
def test_the_bar_shows_the_gate_only_if_it_is_enabled(tmp_path, monkeypatch, gate):
    run, screen = small_run(tmp_path, gate=gate), io.StringIO()
    monkeypatch.setattr(progress, "tqdm", functools.partial(tqdm, file=screen, mininterval=0))
    monkeypatch.setattr(screen, "isatty", lambda: True, raising=False)
    reporter = progress.Reporter(run, screen.write)
    for _ in range(2):
        run.step()
        reporter.step(run)
    reporter.close()
    last = screen.getvalue().split("\r")[-1]
    assert "epoch 1/3, step 2/4" in last
    assert (", gate open, ratio 1" in last) == gate
    assert ("gate" in last) == gate


def test_expected_end_ignores_the_slow_first_step(tmp_path, monkeypatch):
    run, lines, now = small_run(tmp_path), [], [0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    reporter = progress.Reporter(run, lines.append)
    for seconds in (1000, 1, 1, 1):
        run.step()
        now[0] += seconds
        reporter.step(run)
    reporter.end_epoch(run)
    reporter.close()
    assert "takes 4 s" in lines[-1]
    assert "in 0:00:08" in lines[-1]

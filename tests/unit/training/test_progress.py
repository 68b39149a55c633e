import sys

import numpy as np
import pytest

from rasgan.errors import UserError
from rasgan.runs import RunFolder
from rasgan.training import progress
from rasgan.training.config import TrainConfig
from rasgan.training.dataset import Shapes
from rasgan.training.progress import TensorBoard
from rasgan.training.run import begin


def test_without_the_package_the_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match="not installed"):
        TensorBoard(tmp_path)


def test_measurements_and_pictures_can_be_read_back(tmp_path):
    pytest.importorskip("tensorboard", reason="the optional package tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = TensorBoard(tmp_path)
    for step in (1, 2):
        board.step(step, {"loss_d": step / 2, "loss_validation": float("nan")})
    board.sample(2, np.ones((8, 8, 8), dtype=np.float32))
    board.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["scalars"] == ["loss_d"]
    assert [(event.step, event.value) for event in events.Scalars("loss_d")] == [(1, 0.5), (2, 1)]
    (picture,) = events.Images("sample")
    assert picture.width > 50


@pytest.mark.parametrize(("first_step_s", "said"), [(1, "takes 4 s"), (1000, "takes 4 s")])
def test_the_expected_end_leaves_out_a_first_step_that_compiles(tmp_path, monkeypatch, first_step_s, said):
    config = TrainConfig(resolution=8, width=4, batchsize=1, epochs=3, seed=0)
    run, lines, now = begin(RunFolder("run", tmp_path), config, Shapes(np.ones((4, 8, 8, 8), bool))), [], [0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    reporter = progress.Reporter(run, lines.append)
    for seconds in (first_step_s, 1, 1, 1):
        run.step()
        now[0] += seconds
        reporter.step(run)
    reporter.end_epoch(run)
    reporter.close()
    assert said in lines[-1]
    assert "in 0:00:08" in lines[-1]

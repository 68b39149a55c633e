import sys

import numpy as np
import pytest

from rasgan.errors import UserError
from rasgan.training.progress import TensorBoard


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

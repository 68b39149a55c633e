"""Over processes; what takes two of them is in tests/robustness/test_two_processes.py."""

import pytest
import torch

from rasgan.errors import UserError
from rasgan.training import distributed


def test_alone_every_function_gives_back_what_it_was_given():
    x = torch.rand(4)
    assert distributed.world_size() == 1
    assert distributed.is_rank_0()
    assert distributed.gather(x) is x
    assert distributed.average(x) is x
    assert distributed.gather_objects(3) == [3]
    assert torch.equal(distributed.share(x), x)
    assert distributed.broadcast_with_flag(x, True).tolist() == [*x.tolist(), 1]
    assert distributed.broadcast_with_flag(x, False).tolist() == [*x.tolist(), 0]
    distributed.check_agreement({"shapes": 4})


def gathered(monkeypatch, *held):
    """Let this be the first process of as many as hold something."""
    monkeypatch.setattr(distributed, "gather_objects", lambda own: held)


def test_processes_that_differ_are_refused_with_what_they_have(monkeypatch):
    own = {"checkpoint": "3", "shapes": 4}
    gathered(monkeypatch, own, dict(own), dict(own))
    distributed.check_agreement(own)
    gathered(monkeypatch, own, dict(own), {"checkpoint": "3", "shapes": 5})
    with pytest.raises(UserError, match=r"differ in shapes: process 0 has 4, process 2 5\.") as error:
        distributed.check_agreement(own)
    assert error.value.about == "processes differ"


def test_several_processes_have_a_gpu_each(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert distributed.own_device(torch.device("cpu")).type == "cpu"
    with pytest.raises(UserError, match="1 GPUs here, fewer than processes"):
        distributed.own_device(torch.device("cuda"))

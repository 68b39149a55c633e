"""Functions of one process; tests with two are in tests/robustness/test_two_processes.py."""

import pytest
import torch

from rasgan.errors import UserError
from rasgan.training import distributed


def test_functions_return_their_argument_in_a_single_process():
    x = torch.rand(4)
    assert distributed.gather(x) is x
    assert distributed.average(x) is x
    assert distributed.gather_objects(3) == [3]
    assert torch.equal(distributed.share(x), x)
    assert distributed.broadcast_with_flag(x, True).tolist() == [*x.tolist(), 1]
    distributed.check_agreement({"shapes": 4})


def test_processes_that_differ_are_named_with_their_values(monkeypatch):
    own = {"checkpoint": "3", "shapes": 4}
    gathered = [own, own, {"checkpoint": "3", "shapes": 5}]
    monkeypatch.setattr(distributed, "gather_objects", lambda _: gathered)
    with pytest.raises(UserError, match=r"differ in shapes: process 0 has 4, process 2 5\.") as error:
        distributed.check_agreement(own)
    assert error.value.about == "processes differ"

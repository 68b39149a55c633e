"""Over processes; what takes two of them is in tests/robustness/test_two_processes.py."""

import torch

from rasgan.training import distributed


def test_alone_every_function_gives_back_what_it_was_given():
    x = torch.rand(4)
    assert distributed.world_size() == 1
    assert distributed.is_rank_0()
    assert distributed.gather(x) is x
    assert distributed.average(x) is x
    assert distributed.broadcast(x) is x
    assert torch.equal(distributed.share(x), x)
    assert distributed.any_process(True, x.device)

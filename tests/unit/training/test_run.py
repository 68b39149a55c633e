from dataclasses import replace

import numpy as np
import pytest
import torch

from rasgan.errors import UserError
from rasgan.runs import RunFolder
from rasgan.seeding import noise
from rasgan.training import distributed
from rasgan.training.config import new_config
from rasgan.training.dataset import Shapes
from rasgan.training.resuming import begin, check_sizes


def test_the_connection_penalty_grows_over_the_second_half_of_a_run():
    config = new_config("stable", {"resolution": 32, "width": 8, "batchsize": 8, "epochs": 4})
    config = replace(config, connect=0.5, connect_rise=3.0)
    run = begin(RunFolder("x"), config, Shapes(np.ones((8, 32, 32, 32), bool)))
    assert [run.connect(number) for number in range(5)] == [0.5, 0.5, 0.5, 1.0, 1.5]


@pytest.mark.parametrize("share", [0.5, 0.02, 1.0])
def test_output_bias_starts_with_the_occupied_fraction_of_the_training_shapes(share, rng):
    shapes = rng.random((8, 32, 32, 32)) < share
    config = new_config("stable", {"resolution": 32, "width": 8, "batchsize": 8, "output_bias": True})
    gan = begin(RunFolder("run"), config, Shapes(shapes)).gan
    z = noise(np.random.default_rng(0), 8, 200)
    for generator in (gan.generator, gan.ema_generator):
        bias = generator.to_voxels.bias
        assert torch.sigmoid(bias).item() == pytest.approx(shapes.mean(), rel=2e-4)
        assert generator(z).mean().item() == pytest.approx(shapes.mean(), rel=0.05)


@pytest.mark.parametrize(("sizes", "words"), [((3, 8, None), "cannot share"), ((2, 8, 1), "fewer shapes")])
def test_sizes_that_processes_cannot_share_are_refused(monkeypatch, sizes, words):
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    with pytest.raises(UserError, match=words):
        check_sizes(*sizes)

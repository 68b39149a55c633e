from dataclasses import replace

import numpy as np
import pytest
import torch

from rasgan.runs import RunFolder
from rasgan.seeding import noise
from rasgan.training.config import new_config
from rasgan.training.dataset import Shapes
from rasgan.training.run import begin


def test_the_connection_penalty_grows_over_the_second_half_of_a_run():
    config = new_config("stable", {"resolution": 32, "width": 8, "batchsize": 8, "epochs": 4})
    config = replace(config, connect=0.5, connect_rise=3.0)
    run = begin(RunFolder("x"), config, Shapes(np.ones((8, 32, 32, 32), bool)))
    assert [run.connect(number) for number in range(5)] == [0.5, 0.5, 0.5, 1.0, 1.5]


@pytest.mark.parametrize("share", [0.5, 0.02])
def test_by_the_output_bias_shapes_begin_as_full_as_those_of_the_training(share, rng):
    shapes = rng.random((8, 32, 32, 32)) < share
    config = new_config("stable", {"resolution": 32, "width": 8, "batchsize": 8, "output_bias": True})
    gan = begin(RunFolder("run"), config, Shapes(shapes)).gan
    z = noise(np.random.default_rng(0), 8, 200)
    for generator in (gan.generator, gan.ema_generator):
        bias = generator.to_voxels.bias
        assert torch.sigmoid(bias).item() == pytest.approx(shapes.mean(), rel=1e-5)
        assert generator(z).mean().item() == pytest.approx(shapes.mean(), rel=0.05)

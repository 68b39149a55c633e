import numpy as np
import pytest
import torch

from rasgan.runs import RunFolder
from rasgan.seeding import noise
from rasgan.training.config import new_config
from rasgan.training.dataset import Shapes
from rasgan.training.run import begin


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

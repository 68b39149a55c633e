"""Two gloo processes with half a batch each, compared with a single process."""

import math
import os
import socket

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp

from rasgan.errors import UserError
from rasgan.runs import RunFolder
from rasgan.training import distributed, resuming
from rasgan.training.config import new_config
from rasgan.training.dataset import Shapes
from rasgan.training.signals import StopRequest

pytestmark = [pytest.mark.slow, pytest.mark.system]

STEPS = 20
METHODS = {
    "tutorial": ("tutorial", {}),
    "stable": ("stable", {}),
    "connected": ("stable", {"connect": 0.1, "generator_learning_rate": 0.02}),
    "wgan-gp": ("tutorial", {"loss": "wgan-gp"}),
    "penalized batch norm": ("tutorial", {"penalty": 1.0, "loss": "rsgan"}),
}


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def train(method, steps=STEPS):
    """Take steps in float64; return the history and the state of both networks."""
    recipe, extra = METHODS[method]
    settings = new_config(recipe, {"resolution": 32, "width": 8, "batchsize": 4, "seed": 2, **extra})
    shapes = Shapes(np.random.default_rng(5).random((8, 32, 32, 32)) > 0.8)
    training = resuming.begin(RunFolder("run"), settings, shapes, shapes)
    for network in (training.gan.generator, training.gan.discriminator):
        network.double()
    if training.gan.ema_generator is not None:
        training.gan.ema_generator.double()
    shapes.voxels_of_byte = shapes.voxels_of_byte.double()
    training.gan.generator.register_forward_pre_hook(lambda _, inputs: inputs[0].double())  # z is float32
    for _ in range(steps):
        training.step()
    return {
        "history": torch.from_numpy(training.history.rows()),
        **{f"g.{key}": value for key, value in training.gan.generator.state_dict().items()},
        **{f"d.{key}": value for key, value in training.gan.discriminator.state_dict().items()},
    }


def work(rank, processes, port, folder):
    """Run one of several processes."""
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(processes), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    with distributed.joined(torch.device("cpu"), StopRequest()):
        assert distributed.gather_objects({"seed": rank}) == [{"seed": 0}, {"seed": 1}]
        with pytest.raises(UserError, match="differ in epochs: process 0 has 0, process 1 1"):
            distributed.check_agreement({"epochs": rank})
        own = torch.tensor([0.1, math.nan]) if rank == 0 else torch.tensor([7.0, 8.0])
        for flag, up in ((rank == 1, 1), (True, 2), (False, 0)):
            received = distributed.broadcast_with_flag(own, flag)
            torch.testing.assert_close(
                received, torch.tensor([0.1, math.nan, up]), rtol=0, atol=0, equal_nan=True
            )
        ended = {method: train(method) for method in METHODS}
        norm = torch.nn.Sequential(torch.nn.BatchNorm3d(2))
        distributed.convert_batch_norm(norm)
        ended["batch norm"] = norm(distributed.share(far_from_zero()))
        torch.save(ended, f"{folder}/{rank}.pt")


def far_from_zero():
    """Draw (4, 2, 3, 3, 3) values with mean 100 and standard deviation 0.03: E[x^2] - E[x]^2 would cancel."""
    return 100 + 0.03 * torch.randn(4, 2, 3, 3, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """Train with every method in two processes; return the results of each."""
    folder = tmp_path_factory.mktemp("two")
    mp.spawn(work, (2, free_port(), str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_equal_one_with_the_complete_batch(two_processes, method):
    alone = train(method)
    for key, value in alone.items():
        for ours in two_processes:
            torch.testing.assert_close(ours[method][key], value, rtol=1e-5, atol=1e-5, equal_nan=True)
    moved = alone["g.dense.weight"] - train(method, steps=0)["g.dense.weight"]
    assert moved.abs().max() > 1e-4  # far more than the tolerance


def test_batch_norm_over_processes_equals_that_of_torch(two_processes):
    together = torch.cat([ended["batch norm"] for ended in two_processes])
    torch.testing.assert_close(together, torch.nn.BatchNorm3d(2)(far_from_zero()), rtol=1e-3, atol=1e-3)

"""Training and sampling on a device other than the CPU, where a tensor left on the CPU is an error.

The device is torch's "meta", and tensors are fake: they have a shape, a type and a device, but no values.
Where values are needed, these tests return ones, and as on a GPU only after a copy to the CPU.
"""

import contextlib

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from rasgan.runs import RunFolder
from rasgan.sampling import generate, interpolate
from rasgan.training import checkpoints, devices, loop, resuming
from rasgan.training.config import new_config
from rasgan.training.dataset import Shapes
from rasgan.training.step import train_step

# torch's own warning that such a device holds no values
pytestmark = pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")

DEVICE = "meta"
TINY = {"resolution": 32, "width": 8, "batchsize": 2, "ema": 0.5}


def ones_of(tensor):
    if tensor.device.type != "cpu":
        raise TypeError(f"can't convert a {tensor.device.type} tensor to numpy")  # as torch does
    return np.ones(tensor.shape, str(tensor.dtype).removeprefix("torch."))


def converted(module, convert):
    """Replace parameters and buffers of a module; torch would swap fake tensors in place, which fails."""
    for part in module.modules():
        for name, p in part._parameters.items():
            part._parameters[name] = nn.Parameter(convert(p).detach(), p.requires_grad)
        part._buffers.update({name: convert(buffer) for name, buffer in part._buffers.items()})
    return module


@pytest.fixture
def stand_in(monkeypatch):
    """Make tensors fake, with ones for values; autocast does not support this device."""
    monkeypatch.setattr(nn.Module, "_apply", converted)
    monkeypatch.setattr(torch.Tensor, "numpy", ones_of)
    monkeypatch.setattr(torch.Tensor, "item", lambda _: 1.0)
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: np.ones(tensor.shape).tolist())
    monkeypatch.setattr(devices, "autocast", lambda *_: contextlib.nullcontext())
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    mode.cache_enabled = False
    return mode


def begin(folder, config, checkpoint=None, device=DEVICE):
    """Start or resume a run with four shapes on the stand-in device."""
    occupied = np.random.default_rng(0).random((4, *(config.resolution,) * 3)) > 0.9
    shapes, validation = (Shapes(occupied, device) for _ in range(2))
    return resuming.begin(RunFolder("run", folder), config, shapes, validation, checkpoint)


def devices_of(run):
    networks = (run.gan.generator, run.gan.discriminator, run.gan.ema_generator)
    tensors = [tensor for network in networks for tensor in (*network.parameters(), *network.buffers())]
    tensors += [p.grad for network in networks[:2] for p in network.parameters()]
    return {tensor.device.type for tensor in tensors}


METHODS = [
    ("tutorial", "rasgan", {"penalty": 1.0, "mirror": True}),
    ("stable", "rsgan", {"mirror": True, "min_width": 4, "connect": 0.1}),
    ("tutorial", "wgan-gp", {"norm": "batch", "generator_every": 1, "occupied": 255.0}),
]


@pytest.mark.parametrize(("recipe", "loss", "more"), METHODS)
def test_every_method_trains_on_the_device(tmp_path, stand_in, recipe, loss, more):
    run = begin(tmp_path, new_config(recipe, {**TINY, "loss": loss, **more}))
    with stand_in:
        result = run.step()
        assert result.fakes.device.type == DEVICE
        assert devices_of(run) == {DEVICE}
        run.gan.gate.is_open = False
        assert not run.step().trained_d
        assert run.sample(result.fakes, 1).shape == (32, 32, 32)
        run.gan.ema_generator = None
        assert run.sample(result.fakes, 1).shape == (32, 32, 32)


def test_checkpoints_move_to_the_device(tmp_path, stand_in):
    run = begin(tmp_path, new_config("stable", TINY), device="cpu")
    run.step()
    loop.save(run)
    saved = checkpoints.load_checkpoint(run.folder.checkpoints, run.position, with_optimizers=True)
    there = begin(tmp_path, run.config, saved)
    assert there.position == run.position
    with stand_in:
        there.step()
        assert devices_of(there) == {DEVICE}
        moments = [state["exp_avg"] for state in there.gan.optimizer_g.state.values()]
        assert {moment.device.type for moment in moments} == {DEVICE}


def test_shapes_are_generated_on_the_device(tmp_path, stand_in):
    generator = begin(tmp_path, new_config("stable", TINY)).gan.best_generator
    with stand_in:
        assert generate(generator, seed=0, count=3).shape == (3, 32, 32, 32)
        assert interpolate(generator, 0, 1, steps=4).shape == (4, 32, 32, 32)


@pytest.mark.parametrize("left", ["reals_d", "reals_g", "z_d", "z_g", "mix"])
def test_tensor_left_on_the_cpu_is_an_error(tmp_path, stand_in, left):
    """Otherwise, the tests above would prove nothing."""
    run = begin(tmp_path, new_config("tutorial", {**TINY, "loss": "wgan-gp"}))
    with stand_in:
        batch = run.batch(0)
        batch = batch._replace(**{left: getattr(batch, left).cpu()})
        with pytest.raises(RuntimeError, match="device"):
            train_step(run.gan, batch)

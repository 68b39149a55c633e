"""A device proves itself; here the processor under another number stands for it, and is spoiled."""

import os

import pytest
import torch
from torch import nn

from rasgan.errors import UserError
from rasgan.training import proof
from rasgan.training.config import TrainConfig, new_config

STAND_IN = torch.device("cpu", 0)
TINY = {"resolution": 32, "width": 64}
LAYERS = (nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d)


@pytest.fixture
def spoil(monkeypatch):
    """Return a function that makes a layer go through another function on the stand-in alone."""
    is_there = [False]
    step = proof.small_step

    def step_on(device, config):
        is_there[0] = device == STAND_IN
        return step(device, config)

    def spoil(layer, change):
        forward = layer.forward
        monkeypatch.setattr(
            layer,
            "forward",
            lambda self, x: change(forward(self, x)) if is_there[0] else forward(self, x),
        )

    monkeypatch.setattr(proof, "small_step", step_on)
    return spoil


@pytest.mark.parametrize(
    ("recipe", "more"),
    [("tutorial", {}), ("stable", {"mirror": True}), ("tutorial", {"loss": "wgan-gp", "occupied": 255.0})],
)
def test_a_right_device_passes_by_every_recipe(recipe, more):
    assert proof.find_fault(STAND_IN, new_config(recipe, {**TINY, **more})) is None


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_that_is_wrong_by_a_tenth_is_found(spoil, layer):
    spoil(layer, lambda sums: sums * torch.linspace(1, 1.1, sums.shape[-1]))
    assert "differs from the processor's" in proof.find_fault(STAND_IN, TrainConfig(**TINY))


class WrongBackward(torch.autograd.Function):
    @staticmethod
    def forward(_ctx, x):
        return x.clone()

    @staticmethod
    def backward(_ctx, gradient):
        return 1.1 * gradient


def test_gradients_that_are_wrong_are_found_where_losses_are_right(spoil):
    spoil(nn.Conv3d, WrongBackward.apply)
    fault = proof.find_fault(STAND_IN, TrainConfig(**TINY))
    assert fault.startswith("the gradient of the discriminator differs")


def test_a_layer_that_is_no_number_is_found(spoil):
    spoil(nn.BatchNorm3d, lambda sums: sums * torch.nan)
    assert "differs" in proof.find_fault(STAND_IN, TrainConfig(**TINY))


def test_a_layer_that_is_missing_is_found(spoil):
    def missing(_):
        raise NotImplementedError("ConvTranspose3D is not supported on MPS\nand much more")

    spoil(nn.ConvTranspose3d, missing)
    fault = proof.find_fault(STAND_IN, TrainConfig(**TINY))
    assert fault == "it fails with: ConvTranspose3D is not supported on MPS"


def wrong(_device, config):
    return f"loss_D of {config.loss} differs"


def ends(_device, _config):
    os._exit(1)


@pytest.mark.slow
def test_what_is_found_wrong_is_a_sentence_also_where_the_process_ends():
    proof.check(STAND_IN, TrainConfig(**TINY), "float32")
    for find, words in ((wrong, "of a small step, loss_D of rasgan differs"), (ends, "it ends the process")):
        with pytest.raises(UserError, match=words) as error:
            proof.check(STAND_IN, TrainConfig(), "float32", find)
        assert error.value.about == "device"


def test_bf16_is_refused_before_any_step():
    with pytest.raises(UserError, match="bf16 is not tried") as error:
        proof.check(STAND_IN, TrainConfig(), "bf16", ends)
    assert error.value.about == "precision"

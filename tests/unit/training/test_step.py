"""The training step: which networks it trains, and what it leaves unchanged."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from rasgan.blocks import voxels_of
from rasgan.training.config import TrainConfig, new_config
from rasgan.training.state import build_gan
from rasgan.training.step import (
    Batch,
    ema_decay,
    train_step,
    update_ema,
    validate_discriminator,
)
from rasgan.voxels import is_occupied, repairs

TINY = TrainConfig(resolution=32, width=8, batchsize=3)


def gan_for(config=TINY):
    torch.manual_seed(1)
    return build_gan(config, "cpu")


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(2)
    reals_d, reals_g = (torch.rand(2, 3, 1, 32, 32, 32, generator=generator) > 0.8).float()
    z_d, z_g = torch.randn(2, 3, 200, generator=generator)
    return Batch(reals_d, reals_g, z_d, z_g)


def weights(network):
    return copy.deepcopy(dict(network.named_parameters()))


def changed(network, before):
    return {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}


def test_open_gate_trains_every_weight_of_both_networks(batch):
    gan = gan_for()
    before_g, before_d = weights(gan.generator), weights(gan.discriminator)
    result = train_step(gan, batch)
    assert result.trained_d
    assert changed(gan.generator, before_g) == set(before_g)
    # one constant added to every score changes no relativistic loss: the last bias moves by rounding alone
    assert changed(gan.discriminator, before_d) | {"dense.bias"} == set(before_d)


def test_shut_gate_leaves_the_discriminator_unchanged(batch):
    gan = gan_for()
    gan.gate.is_open = False
    before_g, before_d = weights(gan.generator), weights(gan.discriminator)
    result = train_step(gan, batch)
    assert not result.trained_d
    assert changed(gan.discriminator, before_d) == set()
    assert not gan.optimizer_d.state
    assert changed(gan.generator, before_g)


def test_validation_changes_nothing(batch):
    gan = gan_for()
    before = copy.deepcopy([gan.generator.state_dict(), gan.discriminator.state_dict(), gan.gate])
    loss = validate_discriminator(gan, batch[0], batch[2])
    after = [gan.generator.state_dict(), gan.discriminator.state_dict(), gan.gate]
    for old, new in zip(before[:2], after[:2], strict=True):
        assert all(torch.equal(old[key], new[key]) for key in old)
    assert before[2] == after[2]
    assert loss > 0


def test_penalty_is_applied_every_penalty_every_steps(batch):
    penalized = {"norm": "none", "penalty": 5.0, "penalty_every": 2}
    results = {}
    for step in (0, 1):
        for name, extra in (("with", penalized), ("without", {"norm": "none"})):
            gan = gan_for(new_config("tutorial", {"resolution": 32, "width": 8, **extra}))
            train_step(gan, batch, step)
            results[step, name] = gan.discriminator.dense.weight.detach()
    assert not torch.equal(results[0, "with"], results[0, "without"])
    assert torch.equal(results[1, "with"], results[1, "without"])


def test_connection_penalty_reduces_missing_and_loose_voxels(batch):
    """Training starts from noise with hundreds of pieces. The reported loss does not include the penalty."""
    wrong, first = {}, {}
    for connect in (0.0, 0.1):
        gan = gan_for(new_config("stable", {"resolution": 32, "width": 8, "connect": connect}))
        torch.nn.init.normal_(gan.generator.to_voxels.weight)
        torch.nn.init.constant_(gan.generator.to_voxels.bias, -3)
        first[connect] = train_step(gan, batch)
        for step in range(1, 24):
            train_step(gan, batch, step)
        shapes = is_occupied(voxels_of(gan.generate(batch.z_g)).detach().squeeze(1).numpy())
        wrong[connect] = sum(np.sum(repairs(shape)) for shape in shapes)
    assert 0 < wrong[0.1] < 0.8 * wrong[0.0]
    assert (first[0.1].loss_d, first[0.1].loss_g) == (first[0.0].loss_d, first[0.0].loss_g)


def test_average_of_all_tensors_equals_that_of_each_bit_for_bit():
    torch.manual_seed(3)
    network = build_gan(TINY, "cpu").generator
    average, expected = copy.deepcopy(network), copy.deepcopy(network)
    for step in range(5):
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter)
        network(torch.randn(2, 200))  # moves the buffers
        update_ema(average, network, ema_decay(step, 0.999))
        for old, new in zip(expected.state_dict().values(), network.state_dict().values(), strict=True):
            old.lerp_(new, 1 - ema_decay(step, 0.999)) if old.is_floating_point() else old.copy_(new)
    for ours, theirs in zip(average.state_dict().values(), expected.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_average_forgets_the_untrained_generator():
    kept = np.cumprod([ema_decay(step, 0.995) for step in range(200)])[-1]
    assert kept < 1e-9 < 0.995**200
    assert ema_decay(10**6, 0.995) == 0.995


def test_loading_moments_keeps_the_learning_rates(batch):
    one = gan_for()
    train_step(one, batch)
    other = gan_for(new_config("tutorial", {"resolution": 32, "width": 8, "generator_learning_rate": 0.5}))
    other.load_moments(one.optimizer_g.state_dict(), one.optimizer_d.state_dict())
    assert other.optimizer_g.param_groups[0]["lr"] == 0.5
    assert other.optimizer_g.state


def test_mapping_layers_have_their_own_learning_rate(batch):
    mapped = replace(TINY, mapping_layers=2, mapping_rate=0.1)
    gan = gan_for(mapped)
    assert parameters_of(gan.optimizer_g) == list(map(id, gan.generator.parameters()))
    gan.set_learning_rates(0.004, 0.001)
    before = weights(gan.generator)
    train_step(gan, batch)
    for name, parameter in gan.generator.named_parameters():
        moved = (parameter - before[name]).abs().max().item()
        rate = 0.0004 if name.startswith("mapping") else 0.004
        assert 0.5 * rate < moved < 1.01 * rate  # Adam's first step: the rate, less where gradients are tiny


def parameters_of(optimizer):
    return [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]


def test_generator_trains_every_generator_every_steps(batch):
    settings = new_config("tutorial", {"resolution": 32, "width": 8, "loss": "wgan-gp"})
    gan = gan_for(settings)
    mix = torch.tensor([0.1, 0.5, 0.9])
    trained = []
    for step in range(6):
        before = weights(gan.generator)
        before_d = weights(gan.discriminator)
        train_step(gan, batch._replace(mix=mix), step)
        trained.append(bool(changed(gan.generator, before)))
        assert changed(gan.discriminator, before_d)
    assert trained == [True, False, False, False, False, True]


def test_bf16_is_close_to_float32_and_keeps_weights_and_scores_in_float32(batch):
    results = {}
    for precision in ("float32", "bf16"):
        torch.manual_seed(1)
        gan = build_gan(TINY, "cpu", precision)
        results[precision] = train_step(gan, batch)
        assert gan.score(batch[0]).dtype == torch.float32
        assert {p.dtype for p in gan.discriminator.parameters()} == {torch.float32}
    fine, coarse = results["float32"], results["bf16"]
    assert coarse.loss_d == pytest.approx(fine.loss_d, rel=0.05)
    assert coarse.loss_d != fine.loss_d
    assert coarse.fakes.dtype == torch.bfloat16


@pytest.mark.gpu
def test_gpu_step_equals_cpu_step(batch):
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    expected = train_step(gan_for(), batch)
    for precision, tolerance in (("float32", 1e-3), ("bf16", 0.05)):
        torch.manual_seed(1)
        gan = build_gan(TINY, "cuda", precision)
        result = train_step(gan, Batch(*(x.cuda() for x in batch[:4])))
        assert result.loss_d == pytest.approx(expected.loss_d, rel=tolerance)
        assert result.loss_g == pytest.approx(expected.loss_g, rel=tolerance)


@pytest.mark.parametrize("loss", ["rsgan", "wgan-gp"])
def test_penalized_step_follows_the_objective_of_the_paper(batch, loss):
    """Compute the discriminator's first step in float64, with the penalty as in its paper."""
    extra = {"loss": loss, "norm": "none", "penalty": 3.0, "penalty_every": 4}
    settings = new_config("tutorial", {"resolution": 32, "width": 8, **extra})
    reals, reals_g, z_d, z_g = (x.double() for x in batch[:4])
    mix = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    gan, mine = gan_for(settings), gan_for(settings)
    for network in (gan.generator, gan.discriminator, mine.generator, mine.discriminator):
        network.double()
    train_step(gan, Batch(reals, reals_g, z_d, z_g, mix))

    critic, fakes = mine.discriminator, mine.generator(z_d).detach()

    def squared_norms(x):
        x = x.requires_grad_()
        (norms,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        return (norms**2).sum((1, 2, 3, 4))

    c_real, c_fake = critic(reals), critic(fakes)
    if loss == "rsgan":
        objective = -torch.sigmoid(c_real - c_fake).log().mean()
        objective = objective + 4 * 3.0 / 2 * (squared_norms(reals).mean() + squared_norms(fakes).mean())
    else:
        share = mix.view(-1, 1, 1, 1, 1)
        norms = squared_norms(share * reals + (1 - share) * fakes).sqrt()
        objective = c_fake.mean() - c_real.mean() + 4 * 3.0 * ((norms - 1) ** 2).mean()
    objective.backward()
    for ours, theirs in zip(gan.discriminator.parameters(), critic.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)

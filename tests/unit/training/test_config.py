from dataclasses import fields, replace

import pytest

from rasgan.errors import UserError
from rasgan.losses import LOSSES
from rasgan.training.config import (
    Intervals,
    TrainConfig,
    new_config,
    resumed_config,
)


def test_the_defaults_are_the_tutorials():
    s = TrainConfig()
    assert (s.epochs, s.batchsize) == (2500, 24)
    assert (s.generator_learning_rate, s.discriminator_learning_rate) == (2e-3, 5e-5)
    assert (s.loss, s.norm, s.output, s.gate, s.penalty) == ("rasgan", "batch", "linear", True, 0)
    assert (s.beta1, s.beta2, s.width, s.resolution) == (0.5, 0.999, 512, 64)


def test_the_stable_recipe_suits_the_resolution_and_the_tutorials_is_one_for_all():
    penalties = [new_config("stable", {"resolution": edge}).penalty for edge in (32, 64, 128)]
    assert penalties == [2, 2 * 2**3, 2 * 4**3]
    assert new_config("tutorial", {"resolution": 128}) == TrainConfig(resolution=128)
    assert new_config("stable", {}) == new_config("stable", {"resolution": 64})


def test_a_resumed_run_keeps_its_settings_and_takes_new_rates_and_epochs():
    stored = new_config("stable", {"width": 64, "seed": 5})
    new = {"epochs": 9, "generator_learning_rate": 0.1, "connect": 0.02}
    assert resumed_config(stored, None, {**new, "width": 64}) == replace(stored, **new)


@pytest.mark.parametrize(
    ("recipe", "asked", "given", "words"),
    [
        ("tutorial", None, {"width": 256, "loss": "sgan"}, r"width 256 \(the run has 512\), loss sgan"),
        ("tutorial", "stable", {"width": 256}, "width 256"),  # what was typed comes before the recipe
        ("tutorial", "stable", {}, "not started with the recipe stable"),
        ("stable", "tutorial", {}, "not started with the recipe tutorial"),
    ],
)
def test_a_resumed_run_is_refused_other_settings(recipe, asked, given, words):
    with pytest.raises(UserError, match=words):
        resumed_config(new_config(recipe, {}), asked, given)


@pytest.mark.parametrize("given", [{"resolution": 32}, {"resolution": 128}, {"loss": "wgan-gp"}])
def test_a_resumed_run_may_name_its_recipe_again(given):
    old = new_config("stable", given)
    assert resumed_config(old, "stable", {name: given[name] for name in given.keys() & {"loss"}}) == old


def test_settings_of_other_kinds_or_beyond_their_limits_are_refused():
    with pytest.raises(TypeError, match="color"):
        TrainConfig(color=1)
    with pytest.raises(TypeError, match="width must be of type int"):
        TrainConfig(width="8")
    for wrong in ({"width": 0}, {"ema": 1.0}, {"beta1": -0.1}, {"generator_learning_rate": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            TrainConfig(**wrong)
    for wrong in ({"save": 0}, {"score": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Intervals(**wrong)


def test_the_choices_of_losses_are_the_losses_there_are():
    (field,) = (field for field in fields(TrainConfig) if field.name == "loss")
    assert set(field.metadata["choices"]) == set(LOSSES)


SCHEDULE = ((3, 0.1, 0.01), (7, 0.2, 0.02))


def test_a_schedule_brings_its_epochs_unless_some_are_given():
    assert new_config("tutorial", {"schedule": SCHEDULE}).epochs == 7
    assert new_config("tutorial", {"schedule": SCHEDULE, "epochs": 5}).epochs == 5
    assert resumed_config(TrainConfig(), None, {"schedule": SCHEDULE}).epochs == 7


def test_without_a_schedule_the_learning_rates_stay():
    schedule_state = new_config("tutorial", {"generator_learning_rate": 0.5}).schedule_state()
    assert schedule_state.rates == (0.5, 0.00005)
    assert new_config("tutorial", {"schedule": SCHEDULE}).schedule_state().rates == (0.1, 0.01)


def test_what_cannot_be_had_together_is_refused():
    with pytest.raises(UserError, match="the schedule sets both learning rates"):
        new_config("tutorial", {"schedule": SCHEDULE, "generator_learning_rate": 0.1})
    scheduled = new_config("tutorial", {"schedule": SCHEDULE})
    with pytest.raises(UserError, match="sets both"):
        resumed_config(scheduled, None, {"discriminator_learning_rate": 0.1})
    assert resumed_config(scheduled, None, {"schedule": (), "discriminator_learning_rate": 0.1})
    with pytest.raises(UserError, match="watches the gate"):
        new_config("stable", {"stop_ratio": 150})
    with pytest.raises(UserError, match="needs a sigmoid output"):
        new_config("tutorial", {"connect": 0.1})
    assert new_config("tutorial", {"connect": 0.1, "output": "sigmoid"}).connect


def test_wgan_gp_brings_what_belongs_to_it_and_what_is_typed_wins():
    s = new_config("tutorial", {"loss": "wgan-gp", "penalty": 5.0})
    assert (s.norm, s.gate, s.beta1, s.beta2, s.generator_every) == ("none", False, 0.5, 0.9, 5)
    assert (s.generator_learning_rate, s.discriminator_learning_rate) == (1e-4, 1e-4)
    assert s.penalty == 5
    assert new_config("stable", {"loss": "wgan-gp"}).penalty == 10
    assert new_config("tutorial", {}).generator_every == 1

"""All settings of a run, the recipes that preset them, and what can be changed when a run is resumed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace

from rasgan.errors import UserError
from rasgan.limits import broken_limit
from rasgan.training.schedules import Row, ScheduleState
from rasgan.voxels import RESOLUTIONS

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "bf16")


def setting(default: object, text: str, *flags: str, **details: object) -> object:
    """Describe a field of `TrainConfig` or `Intervals`, from which parser, help and documentation are made.

    The default determines the type. `flags` are option strings in addition to the field's name. `details` are
    ``choices``, the limits of `rasgan.limits`, ``metavar``, ``default_text``, and ``option``, another name.
    """
    return field(default=default, metadata={"text": text, "flags": flags, **details})


def check_limits(config: object) -> None:
    """Raise TypeError or ValueError if a field has an invalid type or value."""
    for described in fields(config):
        name, value, kind = described.name, getattr(config, described.name), type(described.default)
        if not isinstance(value, (int, float) if kind is float else kind):
            raise TypeError(f"{name} must be of type {kind.__name__}: {value!r}")
        if kind is str and value not in described.metadata["choices"]:
            raise ValueError(f"{name} must be one of {', '.join(described.metadata['choices'])}: {value}")
        if kind in (int, float) and (fault := broken_limit(value, described.metadata)):
            raise ValueError(f"{name} {fault}: {value}")


@dataclass(frozen=True)
class TrainConfig:
    """All settings that, together with the data, determine a run. The defaults are the tutorial's."""

    resolution: int = setting(64, "edge of the grids in voxels", choices=RESOLUTIONS, at_least=1)
    width: int = setting(512, "channels of the generator's first grid", at_least=1)
    min_width: int = setting(1, "minimum number of channels in any layer", at_least=1)
    mirror: bool = setting(False, "make every generated shape mirror-symmetric")
    mirror_axis: int = setting(0, "axis of the grid along which shapes are mirrored", at_least=0, at_most=2)
    output_bias: bool = setting(False, "start with as many occupied voxels as the training shapes")
    blur: bool = setting(False, "average the generator's logits with those of neighboring voxels")
    mapping_layers: int = setting(
        0, "fully connected layers before the generator: a mapping network", at_least=0
    )
    mapping_rate: float = setting(1.0, "learning rate of the mapping layers, relative to the others", above=0)
    output: str = setting("linear", "activation of the generator's last layer", choices=("linear", "sigmoid"))
    norm: str = setting("batch", "the discriminator's normalization", choices=("batch", "none"))
    init: str = setting(
        "normal",
        "initial weights of the discriminator: N(0, 0.02), or scaled by the width of each layer",
        choices=("normal", "scaled"),
    )
    loss: str = setting(
        "rasgan", "loss of both networks", choices=("rasgan", "rsgan", "sgan", "wgan-gp")
    )  # the keys of rasgan.losses.LOSSES, which imports torch
    penalty: float = setting(0.0, "weight of the gradient penalty", at_least=0)
    penalty_every: int = setting(1, "steps between penalties", at_least=1)
    connect: float = setting(0.0, "weight of the penalty on loose and missing voxels", at_least=0)
    connect_rise: float = setting(
        1.0, "factor by which `connect` grows over the second half of the run", above=0
    )
    generator_every: int = setting(1, "train the generator only on every so many steps", at_least=1)
    gate: bool = setting(True, "train the discriminator only while it is not too far ahead")
    ema: float = setting(
        0.0, "average the generator over steps with this decay; 0 is off", at_least=0, under=1
    )
    beta1: float = setting(0.5, "Adam's first decay", at_least=0, under=1)
    beta2: float = setting(0.999, "Adam's second decay", at_least=0, under=1)
    generator_learning_rate: float = setting(0.002, "generator's learning rate", "-glr", above=0)
    discriminator_learning_rate: float = setting(0.00005, "discriminator's learning rate", "-dlr", above=0)
    cooldown: float = setting(
        0.0,
        "decay both learning rates linearly to 0 over this last fraction of the run",
        at_least=0,
        at_most=1,
    )
    schedule: tuple[tuple[int, float, float], ...] = setting(
        (),
        "learning rates by epoch: one of the tutorial's tables, or a CSV file with the columns "
        "epochs,generator,discriminator; none ends a schedule",
        metavar="chair|airplane|FILE",
        default_text="none",
    )
    stop_ratio: int = setting(
        0,
        "end the run, or continue with the schedule's next row, once the discriminator trains only every N "
        "steps; the tutorial's value is 150, 0 is never",
        at_least=0,
    )
    grow_epochs: tuple[int, ...] = setting(
        (), "epochs after which the resolution doubles; before, it is a half, a quarter ... of `resolution`"
    )
    occupied: float = setting(1.0, "value of an occupied voxel; 255 in the original", above=0)
    batchsize: int = setting(24, "shapes in a batch", "-b", "--batch-size", at_least=1)
    epochs: int = setting(2500, "number of epochs to train", "-e", at_least=1)
    seed: int = setting(0, "same seed, same machine: same run", at_least=0, default_text="a new one")

    def __post_init__(self) -> None:
        check_limits(self)

    def state_dict(self) -> dict:
        """Return numbers, strings and tuples of them, for checkpoints and JSON."""
        return asdict(self)

    def stage(self, epoch: int) -> "TrainConfig":
        """Return the settings of an epoch, counted from 0, with the resolution of that epoch.

        The weight of the gradient penalty is proportional to the number of voxels; see `recipe_presets`.
        """
        halvings = sum(epoch < until for until in self.grow_epochs)
        return replace(self, resolution=self.resolution >> halvings, penalty=self.penalty / 8**halvings)

    def schedule_state(self) -> ScheduleState:
        """Return the start of the schedule; without one, a single row contains both learning rates."""
        constant = Row(self.epochs, self.generator_learning_rate, self.discriminator_learning_rate)
        return ScheduleState(tuple(Row(*row) for row in self.schedule) or (constant,), self.stop_ratio)


@dataclass(frozen=True)
class Intervals:
    """How often each kind of file is written; it is also written after the last epoch."""

    sample: int = setting(10, "save a generated grid every N epochs; 0 is never", "-sample", at_least=0)
    save: int = setting(10, "save the networks every N epochs", "-save", at_least=1)
    graph: int = setting(10, "save the loss graph every N epochs; 0 is never", "-graph", at_least=0)
    graph3d: int = setting(10, "save a 3D graph every N epochs; 0 is never", "-graph3d", at_least=0)
    score: int = setting(
        0,
        "score generated shapes every N epochs, which shows a collapse and loose parts; 0 is never",
        option="every",
        at_least=0,
    )

    def __post_init__(self) -> None:
        check_limits(self)


SHORT_STEPS, SHORT_BATCH, SHORT_TIME = 3875, 16, "about 20 minutes on two CPU cores"
"""Length of the training that the README and the scripts suggest without a GPU, at width 64 and 64³."""

GROW_SHARE = 0.6
"""Fraction of the epochs before the last doubling of the resolution; of these, the same fraction comes before
the doubling before that."""

REMOVED = {"discriminator_width": 0}
"""Settings of version 0.1 that no longer exist, each with the only value that can still be loaded."""


def without_removed(settings: dict) -> dict:
    """Return the settings of a run of any version without those in `REMOVED`.

    Raises UserError if one of them does not have its default value, because the run depends on it.
    """
    for name in REMOVED.keys() & settings.keys():
        if settings[name] != REMOVED[name]:
            reason = f"this run was trained with {name} = {settings[name]}, which no longer exists"
            raise UserError(f"{reason}; version 0.1 of this project can still load it.")
    return {name: value for name, value in settings.items() if name not in REMOVED}


RECIPES: dict[str, dict] = {
    "tutorial": {},
    # Relativistic pairing with zero-centered penalties on reals and fakes, no normalization in the
    # discriminator: Huang et al. 2024, "The GAN is dead; long live the GAN!"
    "stable": {
        "loss": "rsgan",
        "penalty": 2.0,
        "penalty_every": 4,
        "norm": "none",
        "init": "scaled",
        "output": "sigmoid",
        "gate": False,
        "beta1": 0.0,
        "beta2": 0.99,
        "generator_learning_rate": 0.002,
        "discriminator_learning_rate": 0.001,
        # What this project adds, each tried at equal compute: benchmarks/studies/pieces.md
        "ema": 0.999,
        "mirror": True,
        "output_bias": True,
        "mapping_layers": 2,
        "mapping_rate": 0.3,
        "connect": 0.005,
        "connect_rise": 4.0,
        "cooldown": 0.3,
    },
}
LOSS_PRESETS: dict[str, dict] = {
    # WGAN-GP as in the tutorial's repository: penalty 10, five critic steps per generator step, no
    # normalization in the critic.
    "wgan-gp": {
        "penalty": 10.0,
        "penalty_every": 1,
        "generator_every": 5,
        "norm": "none",
        "gate": False,
        "beta1": 0.5,
        "beta2": 0.9,
        "generator_learning_rate": 0.0001,
        "discriminator_learning_rate": 0.0001,
    },
}
RATES = frozenset({"generator_learning_rate", "discriminator_learning_rate"})
MEASURED = {"mirror"}
"""Presets that depend on the training shapes (`rasgan.training.dataset.measured_mirror`)."""
CHANGEABLE = RATES | {"epochs", "schedule", "stop_ratio", "batchsize", "connect"}
"""Settings that can be changed when a run is resumed."""


def recipe_presets(recipe: str, resolution: int) -> dict:
    """Return the presets of a recipe for grids of edge `resolution`.

    The weight of the penalty is proportional to the number of voxels. A grid twice as fine has eight times as
    many. A discriminator that separates the same shapes equally well needs an eighth of the gradient at each
    voxel, which is an eighth of the squared norm in total; eight times the weight makes up for that.
    """
    presets = dict(RECIPES[recipe])
    if "penalty" in presets:
        presets["penalty"] *= (resolution / RESOLUTIONS[0]) ** 3  # `RECIPES` lists it for 32³
    return presets


def new_config(recipe: str, given: Mapping[str, object]) -> TrainConfig:
    """Combine a recipe's presets, those of its loss, and the settings given; later ones take precedence.

    A schedule also sets the number of epochs, unless that is given. Raises UserError if settings contradict
    each other.
    """
    config = _with_given(TrainConfig(**_presets(recipe, given)), given)
    if recipe == "tutorial" or "grow_epochs" in given:
        return config
    doublings = (config.resolution // RESOLUTIONS[0]).bit_length() - 1
    if config.width >> doublings + 2 < 2:  # too few channels in the finest grid to grow
        return config
    epochs = (round(config.epochs * GROW_SHARE**finer) for finer in range(doublings, 0, -1))
    return replace(config, grow_epochs=tuple(epoch for epoch in epochs if epoch))


def _presets(recipe: str, given: Mapping[str, object]) -> dict:
    """Return the presets of a recipe and, overriding them, those of the loss."""
    presets = recipe_presets(recipe, given.get("resolution", TrainConfig.resolution))
    return {**presets, **LOSS_PRESETS.get(given.get("loss", presets.get("loss")), {})}


def resumed_config(old: TrainConfig, recipe: str | None, given: Mapping[str, object]) -> TrainConfig:
    """Combine the settings given with those of the run that is resumed.

    Raises UserError if `given`, or the recipe, differs from the run in a setting that is not `CHANGEABLE`.
    """

    def clashes(wanted: Mapping[str, object]) -> list[str]:
        kept = {name: (value, getattr(old, name)) for name, value in wanted.items() if name not in CHANGEABLE}
        return [f"{name} {value} (the run has {has})" for name, (value, has) in kept.items() if value != has]

    if differing := clashes(given):
        raise UserError(f"a resumed run keeps its settings: {', '.join(differing)}.", about="settings kept")
    if recipe is not None:
        preset = {name: getattr(TrainConfig(), name) for presets in RECIPES.values() for name in presets}
        preset |= _presets(recipe, {"resolution": old.resolution, **given})
        if clashes({name: value for name, value in {**preset, **given}.items() if name not in MEASURED}):
            raise UserError(f"this run was not started with the recipe {recipe}.", about="other recipe")
    return _with_given(old, given)


def _with_given(config: TrainConfig, given: Mapping[str, object]) -> TrainConfig:
    """Replace the settings given. Raises UserError if settings contradict each other."""
    schedule = given.get("schedule", ())
    config = replace(config, **{**({"epochs": schedule[-1][0]} if schedule else {}), **given})
    if config.schedule and RATES & given.keys():
        raise UserError("the schedule sets both learning rates.", about="rates")
    if config.stop_ratio and not config.gate:
        raise UserError("the stopping rule watches the gate, which is off here.", about="stop_ratio")
    if config.connect and config.output != "sigmoid":
        raise UserError("connect needs a sigmoid output, which this recipe does not have.", about="connect")
    return config

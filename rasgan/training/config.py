"""The settings that fix a run's method, the recipes that preset them, and what a resumed run may change."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from rasgan.errors import UserError
from rasgan.training.schedules import Row, ScheduleState


@dataclass(frozen=True)
class TrainConfig:
    """All numbers and choices that, with the data, determine a run; the defaults are the tutorial's."""

    resolution: int = 64
    width: int = 512
    output: str = "linear"
    norm: str = "batch"
    init: str = "normal"
    loss: str = "rasgan"
    penalty: float = 0.0
    penalty_every: int = 1
    generator_every: int = 1
    gate: bool = True
    ema: float = 0.0
    beta1: float = 0.5
    beta2: float = 0.999
    generator_learning_rate: float = 0.002
    discriminator_learning_rate: float = 0.00005
    schedule: tuple[tuple[int, float, float], ...] = ()
    stop_ratio: int = 0
    occupied: float = 1.0
    batchsize: int = 24
    epochs: int = 2500
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), type(field.default)
            if not isinstance(value, (int, float) if kind is float else kind):
                raise TypeError(f"{field.name} must be of type {kind.__name__}: {value!r}")
        for name in ("resolution", "width", "penalty_every", "generator_every", "batchsize", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1: {getattr(self, name)}")

    def state_dict(self) -> dict:
        """Return plain numbers and strings, as checkpoints and JSON hold them."""
        return asdict(self)

    def schedule_state(self) -> ScheduleState:
        """Stand at the start of the schedule; without one, a single row holds both learning rates."""
        constant = Row(self.epochs, self.generator_learning_rate, self.discriminator_learning_rate)
        return ScheduleState(tuple(Row(*row) for row in self.schedule) or (constant,), self.stop_ratio)


PRESET_RESOLUTION = 32
"""Recipes are written down for grids of this edge; `recipe_presets` gives them for others."""

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
        "ema": 0.995,
        "beta1": 0.0,
        "beta2": 0.99,
        "generator_learning_rate": 0.001,
        "discriminator_learning_rate": 0.001,
    },
}
LOSS_PRESETS: dict[str, dict] = {
    # What belongs to a loss. WGAN-GP as in the tutorial's repository: penalty 10, five steps of the critic
    # for one of the generator, no normalization in the critic.
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
CHANGEABLE = RATES | {"epochs", "schedule", "stop_ratio"}
"""What a resumed run may set anew; everything else belongs to the run."""


def recipe_presets(recipe: str, resolution: int) -> dict:
    """Return the presets of a recipe for grids of this edge.

    The penalty grows with the number of voxels. A shape drawn on a grid twice as fine has eight times as
    many, and a discriminator that tells it apart as well needs an eighth of the slope by each, an eighth of
    the squared norm in all. Eight times the weight leaves its penalty what it was. The generator's learning
    rate doubles from 32 to 64³ and stays there; the discriminator's stays throughout. Beyond 64³
    the output is linear: behind a sigmoid every voxel starts at 0.5, which is occupied, and the finer the
    grid, the longer it takes to empty. Tried at 32, 64 and 128³, benchmarks/studies/recipes.md.
    """
    presets = dict(RECIPES[recipe])
    finer = resolution / PRESET_RESOLUTION
    for name, factor in (("penalty", finer**3), ("generator_learning_rate", min(finer, 2))):
        if name in presets:
            presets[name] *= factor
    if finer > 2 and "output" in presets:
        presets["output"] = "linear"
    return presets


def new_config(recipe: str, given: Mapping[str, object]) -> TrainConfig:
    """Combine a recipe's presets, those of its loss, and what the user typed; each wins over those before.

    `given` has no entry for what was left out. A schedule brings its length, unless epochs are given.

    Raises
    ------
    UserError
        If options contradict each other.
    """
    presets = recipe_presets(recipe, given.get("resolution", TrainConfig.resolution))
    loss = given.get("loss", presets.get("loss"))
    settings = TrainConfig(**{**presets, **LOSS_PRESETS.get(loss, {})})
    return _take(settings, given)


def _take(settings: TrainConfig, given: Mapping[str, object]) -> TrainConfig:
    """Set what the user typed, and refuse what cannot be had together."""
    schedule = given.get("schedule", ())
    settings = replace(settings, **{**({"epochs": schedule[-1][0]} if schedule else {}), **given})
    if settings.schedule and RATES & given.keys():
        raise UserError(
            "the schedule sets both learning rates: leave out -glr and -dlr, or leave it by --schedule none."
        )
    if settings.stop_ratio and not settings.gate:
        raise UserError("--stop-ratio watches the gate, which is off here: leave it out, or add --gate.")
    return settings


def resumed_config(
    stored: Mapping[str, object], recipe: str | None, given: Mapping[str, object]
) -> TrainConfig:
    """Combine what the user typed with the settings of the run that goes on.

    Raises
    ------
    UserError
        If the user asks for something that the run cannot change; the sentence names each such option.
    ValueError
        If the stored settings are not those of this version.
    """
    known = {field.name for field in fields(TrainConfig)}
    if not set(stored) <= known:
        raise ValueError("settings that this version does not know")
    old = asdict(TrainConfig(**stored))
    wanted = {**({} if recipe is None else recipe_presets(recipe, old["resolution"])), **given}
    fixed = {name: value for name, value in wanted.items() if name not in CHANGEABLE}
    clashes = [
        f"--{name.replace('_', '-')} {value} (the run has {old[name]})"
        for name, value in fixed.items()
        if value != old[name]
    ]
    if clashes:
        raise UserError(f"a resumed run keeps its settings; leave out {', '.join(clashes)}.")
    return _take(TrainConfig(**stored), given)

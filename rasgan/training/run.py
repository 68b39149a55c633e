"""A run in memory: its settings, both players and what they measured; and the files it leaves."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rasgan.blocks import as_voxels
from rasgan.errors import UserError
from rasgan.export import plots
from rasgan.files import atomic_path
from rasgan.metrics import quick_scores
from rasgan.networks import LATENT_SIZE
from rasgan.runs import RunFolder
from rasgan.sampling import generate
from rasgan.seeding import NOISE, ORDER_D, ORDER_G, VALIDATION, batch_order, noise, rng_for, seed_weights
from rasgan.training import checkpoints, distributed
from rasgan.training.checkpoints import START, Position
from rasgan.training.config import TrainConfig
from rasgan.training.dataset import Shapes
from rasgan.training.history import COLUMNS, History, add_scores, save_csv, save_history
from rasgan.training.schedules import ScheduleState
from rasgan.training.state import GanState, build_gan
from rasgan.training.step import StepResult, train_step, validate_discriminator

SCORED = 64  # generated shapes


@dataclass
class TrainingRun:
    """What a run is made of.

    Parameters
    ----------
    run : RunFolder
        Where its files go.
    settings : TrainConfig
    gan : GanState
    schedule_state : ScheduleState
        Where it stands in its schedule.
    history : History
        Every step so far.
    shapes : Shapes
        What is trained on.
    validation : Shapes, optional
        What the discriminator's loss is measured on besides.
    """

    run: RunFolder
    settings: TrainConfig
    gan: GanState
    schedule_state: ScheduleState
    history: History
    shapes: Shapes
    validation: Shapes | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the data; an incomplete last one is dropped."""
        return len(self.shapes) // self.settings.batchsize

    def step(self, epoch: int, index: int) -> StepResult:
        """Take step `index` (from 0) of `epoch` (from 1) and record what it measured.

        Each player has its own order of the shapes and its own noise; all of it follows from the seed. Of
        several processes each takes its share.

        Raises
        ------
        UserError
            If a loss is no number any more.
        """
        seed, size, device = self.settings.seed, self.settings.batchsize, self.shapes.device
        number = (epoch - 1) * self.steps_per_epoch + index
        orders = (batch_order(seed, player, epoch, len(self.shapes), size) for player in (ORDER_D, ORDER_G))
        reals_d, reals_g = (self.shapes.blocks(distributed.share(order[index])) for order in orders)
        rng = rng_for(seed, NOISE, number)
        z_d, z_g = (distributed.share(z).to(device) for z in noise(rng, 2, size, LATENT_SIZE))
        mix = None
        if self.gan.loss.penalty_is_one_centered:
            mix = distributed.share(torch.from_numpy(rng.random(size, dtype=np.float32))).to(device)
        result = train_step(self.gan, reals_d, reals_g, z_d, z_g, number, mix)
        if not (math.isfinite(result.loss_d) and math.isfinite(result.loss_g)):
            raise UserError(
                f"a loss of {self.run.name} is not a number any more: training diverged; go on from the last "
                "checkpoint with --load and lower learning rates (-glr, -dlr, --schedule)."
            )
        loss_validation = self.validate(number)
        ratio = self.gan.gate.ratio
        self.history.append(
            number / self.steps_per_epoch,
            result.loss_d,
            result.loss_g,
            loss_validation,
            result.trained_d,
            ratio,
            *self.schedule_state.rates,
        )
        self.schedule_state.watch(ratio)
        return result

    def end_epoch(self, epoch: int) -> str | None:
        """Follow the schedule after `epoch` epochs; say what changed, None if nothing did."""
        early = self.schedule_state.reached
        why = f"the discriminator trained only every {self.settings.stop_ratio} steps or more: "
        if self.schedule_state.is_over:
            return f"Epoch {epoch}: {why}the run ends (--stop-ratio)."
        if not self.schedule_state.end_epoch(epoch):
            return None
        if early:
            self.gan.gate.count_anew()
        self.gan.set_learning_rates(*self.schedule_state.rates)
        rates = "learning rates are now {:g} (generator) and {:g} (discriminator).".format(
            *self.schedule_state.rates
        )
        return f"Epoch {epoch}: {why if early else ''}{rates}"

    def measured(self) -> dict[str, float]:
        """Return the last step's row of the history by name."""
        return dict(zip(COLUMNS, self.history.last(), strict=True))

    def validate(self, number: int) -> float:
        """Measure loss_D on a random batch of the validation shapes; NaN if there are none."""
        if self.validation is None:
            return math.nan
        rng = rng_for(self.settings.seed, VALIDATION, number)
        size = min(self.settings.batchsize, len(self.validation))
        size -= size % distributed.world_size()
        reals = self.validation.blocks(
            distributed.share(rng.choice(len(self.validation), size, replace=False))
        )
        z = distributed.share(noise(rng, size, LATENT_SIZE)).to(reals.device)
        return validate_discriminator(self.gan, reals, z)

    def save(self, position: Position, keep: int) -> None:
        """Write a checkpoint; the newest `keep` epochs have the optimizers' state."""
        state = {
            **self.gan.state_dict(),
            "pace": self.schedule_state.state_dict(),
            "history": torch.from_numpy(self.history.rows()),
            "settings": self.settings.state_dict(),
        }
        optimizers = self.gan.optimizers_state_dict()
        checkpoints.save_checkpoint(self.run.checkpoints, position, state, optimizers, keep)

    def sample(self, fakes: Tensor, turn: int) -> np.ndarray:
        """Take one (n, n, n) grid: the averaged generator's, else the next of the last training batch."""
        if self.gan.averaged is not None:
            return generate(self.gan.averaged, seed=turn, count=1)[0]
        turn %= len(fakes)
        return as_voxels(fakes[turn : turn + 1])[0, 0].float().cpu().contiguous().numpy()

    def score(self, epoch: int) -> dict[str, float]:
        """Score shapes of the generator as it is now against those of the training, and write it down."""
        generator = self.gan.averaged or self.gan.generator
        grids = generate(generator, seed=0, count=SCORED)
        found = quick_scores(grids, self.shapes.occupied())
        add_scores(self.run.scores, epoch, found)
        return found

    def save_grid(self, epoch: int, grid: np.ndarray) -> None:
        """Write one generated grid."""
        with atomic_path(self.run.grid(epoch)) as temporary:
            np.save(temporary, grid)

    def draw_losses(self, epoch: int) -> None:
        """Draw the loss curves so far and write the tracked values beside them."""
        save_history(self.run.plots, self.history)
        save_csv(self.run.history, self.history)
        columns = self.history.columns()
        plots.draw_losses(
            self.run.plots / f"{epoch}.png",
            columns["epoch"],
            columns["loss_d"],
            columns["loss_g"],
            columns["loss_validation"] if self.validation is not None else None,
            self.schedule_state.rates,
        )


def begin(
    run: RunFolder,
    settings: TrainConfig,
    shapes: Shapes,
    validation: Shapes | None,
    position: Position = START,
    state: dict | None = None,
    optimizers: dict | None = None,
    precision: str = "float32",
) -> TrainingRun:
    """Start a run from its seed, or go on at `position` from a checkpoint's `state` and `optimizers`.

    Raises
    ------
    UserError
        If the shapes do not fill one batch, or a batch cannot be shared evenly.
    """
    check_sizes(settings.batchsize, len(shapes), None if validation is None else len(validation))
    seed_weights(settings.seed)
    if state is None:
        gan, schedule_state, history = (
            build_gan(settings, shapes.device, precision),
            settings.schedule_state(),
            History(),
        )
    else:
        with checkpoints.understood(checkpoints.weights_path(run.checkpoints, position)):
            gan = build_gan(settings, shapes.device, precision)
            gan.load_state_dict(state)
            schedule_state = resumed_schedule_state(settings, state, position.epoch)
            history = History(state["history"].numpy())
        if optimizers is not None:
            with checkpoints.understood(checkpoints.optimizers_path(run.checkpoints, position)):
                gan.load_optimizers_state_dict(optimizers)
    gan.set_learning_rates(*schedule_state.rates)
    return TrainingRun(run, settings, gan, schedule_state, history, shapes, validation)


def resumed_schedule_state(settings: TrainConfig, state: dict, epoch: int) -> ScheduleState:
    """Stand where the checkpoint stood in its schedule; in another schedule, where its table has `epoch`."""
    schedule_state, before = settings.schedule_state(), TrainConfig(**state["settings"])
    if before.schedule == settings.schedule:
        schedule_state.load_state_dict(state["pace"])
        schedule_state.reached = schedule_state.reached and before.stop_ratio == settings.stop_ratio
    else:
        schedule_state.go_to(epoch)
    return schedule_state


def check_sizes(batch_size: int, shapes: int, validation_shapes: int | None) -> None:
    """Refuse data that do not fill one batch, and batches that the processes cannot share evenly."""
    processes = distributed.world_size()
    if batch_size > shapes:
        raise UserError(
            f"the data folder holds {shapes} shapes, fewer than one batch of {batch_size}; "
            f"try --batchsize {shapes}, or add shapes."
        )
    if batch_size % processes:
        raise UserError(f"{processes} processes cannot share a batch of {batch_size} evenly; try another.")
    if validation_shapes is not None and validation_shapes < processes:
        raise UserError(f"the validation folder holds fewer shapes than there are processes, {processes}.")

"""A training run: its settings, both networks and the history; how it starts and resumes."""

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rasgan import seeding
from rasgan.blocks import as_voxels
from rasgan.errors import UserError
from rasgan.metrics import quick_scores
from rasgan.networks import LATENT_SIZE
from rasgan.runs import START, Position, RunFolder
from rasgan.sampling import generate
from rasgan.training import checkpoints, distributed
from rasgan.training.checkpoints import Checkpoint
from rasgan.training.config import TrainConfig
from rasgan.training.dataset import Shapes, occupied_share
from rasgan.training.devices import send
from rasgan.training.growing import grown
from rasgan.training.history import History, Measurement, cut_scores
from rasgan.training.schedules import ScheduleState
from rasgan.training.state import GanState, build_gan, check_fit, set_output_bias
from rasgan.training.step import Batch, StepResult, train_step, validate_discriminator

SCORED = 64  # generated shapes


@dataclass
class TrainingRun:
    """Everything that a run consists of."""

    folder: RunFolder  # where its files go
    config: TrainConfig
    gan: GanState  # both networks and their optimizers, with the settings of the current stage
    schedule_state: ScheduleState
    history: History  # every step so far
    shapes: Shapes  # what is trained on
    validation: Shapes | None = None  # what the discriminator's loss is measured on besides
    position: Position = START

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the data; an incomplete last one is dropped."""
        return len(self.shapes) // self.config.batchsize

    @property
    def steps_taken(self) -> int:
        """All steps so far."""
        return self.position.epoch * self.steps_per_epoch + self.position.step

    @property
    def is_over(self) -> bool:
        """Whether it has all its epochs, or its stopping rule has ended it."""
        ended_early = self.schedule_state.is_over and not self.position.step
        return self.position.epoch >= self.config.epochs or ended_early

    @property
    def has_lost_history(self) -> bool:
        """Whether it was resumed without the file of its earlier steps."""
        return self.position != START and not len(self.history)

    def describe_position(self) -> str:
        """Return the position in words, such as "epoch 3", or "epoch 4, step 7 of 31" within an epoch."""
        epoch, step = self.position
        return f"epoch {epoch + 1}, step {step} of {self.steps_per_epoch}" if step else f"epoch {epoch}"

    def step(self, is_last: bool = False) -> StepResult:
        """Take the next step and record what it measured; UserError if a loss is no number any more.

        Of several processes, `is_last` in one makes it the last step of all.
        """
        number = self.steps_taken
        stage = self.config.stage(self.position.epoch)
        if stage.resolution != self.gan.config.resolution:
            self.gan = grown(self.gan, stage)
        rates = self.rates(number)
        self.gan.set_learning_rates(*rates)
        self.gan.connect = self.connect(number)
        result = train_step(self.gan, self.batch(number), number, is_last)
        if not (math.isfinite(result.loss_d) and math.isfinite(result.loss_g)):
            there = checkpoints.saved_positions(self.folder.checkpoints)
            raise UserError(
                f"a loss of {self.folder.name} is not a number any more: training diverged.",
                about="diverged" if there else "diverged early",
            )
        measured = Measurement(
            number / self.steps_per_epoch,
            result.loss_d,
            result.loss_g,
            self.validate(number),
            result.trained_d,
            self.gan.gate.ratio,
            *rates,
        )
        self.history.append(measured)
        self.schedule_state.watch(measured.ratio)
        self.position = Position(*divmod(number + 1, self.steps_per_epoch))
        return result

    def rates(self, number: int) -> tuple[float, float]:
        """Return both learning rates of step `number`: those of the schedule, falling in the cooldown."""
        total = self.config.epochs * self.steps_per_epoch
        cooling = self.config.cooldown * total
        factor = min(1.0, (total - number) / cooling) if cooling else 1.0
        return tuple(rate * factor for rate in self.schedule_state.rates)

    def connect(self, number: int) -> float:
        """Return the weight of the connection penalty at step `number`."""
        done = number / (self.config.epochs * self.steps_per_epoch)
        return self.config.connect * (1 + (self.config.connect_rise - 1) * max(0.0, 2 * done - 1))

    def batch(self, number: int) -> Batch:
        """Draw this process's share of what step `number` sees; all of it follows from the seed."""
        seed, size = self.config.seed, self.config.batchsize
        epoch, index = divmod(number, self.steps_per_epoch)
        orders = (
            seeding.batch_order(seed, who, epoch + 1, len(self.shapes), size)
            for who in (seeding.ORDER_D, seeding.ORDER_G)
        )
        rng = seeding.rng_for(seed, seeding.NOISE, number)
        drawn = [
            *(torch.from_numpy(order[index]) for order in orders),
            *seeding.noise(rng, 2, size, LATENT_SIZE),
        ]
        if self.gan.loss.penalty_is_one_centered:
            drawn.append(torch.from_numpy(rng.random(size, dtype=np.float32)))
        drawn = send(map(distributed.share, drawn), self.shapes.device)
        resolution = self.gan.config.resolution
        return Batch(*(self.shapes.blocks(order, resolution) for order in drawn[:2]), *drawn[2:])

    def validate(self, number: int) -> float:
        """Measure loss_D on a random batch of the validation shapes; NaN if there are none."""
        if self.validation is None:
            return math.nan
        rng = seeding.rng_for(self.config.seed, seeding.VALIDATION, number)
        size = min(self.config.batchsize, len(self.validation))
        size -= size % distributed.world_size()
        chosen = torch.from_numpy(rng.choice(len(self.validation), size, replace=False))
        drawn = map(distributed.share, (chosen, seeding.noise(rng, size, LATENT_SIZE)))
        chosen, z = send(drawn, self.validation.device)
        reals = self.validation.blocks(chosen, self.gan.config.resolution)
        return validate_discriminator(self.gan, reals, z)

    def end_epoch(self) -> str | None:
        """Follow the schedule after an epoch; return a sentence about what changed, None if nothing did."""
        epoch, state = self.position.epoch, self.schedule_state
        why = f"Epoch {epoch}: "
        if early := state.reached:
            why += f"the discriminator trained only every {self.config.stop_ratio} steps or more: "
        if state.is_over:
            return f"{why}the run ends by its stopping rule."
        if not state.end_epoch(epoch):
            return None
        if early:
            self.gan.gate.reset_ratio()
        return "{}learning rates are now {:g} (generator) and {:g} (discriminator).".format(why, *state.rates)

    def checkpoint(self) -> Checkpoint:
        """Return all that a resumed run needs."""
        gan, average = self.gan, self.gan.ema_generator
        return Checkpoint(
            self.position,
            self.config,
            gan.generator.state_dict(),
            gan.discriminator.state_dict(),
            None if average is None else average.state_dict(),
            gan.gate.state_dict(),
            self.schedule_state.state_dict(),
            self.history.state_dict(),
            self.shapes.mark,
            gan.precision,
            (gan.optimizer_g.state_dict(), gan.optimizer_d.state_dict()),
        )

    def save(self) -> Path:
        """Write a checkpoint, and the history up to it; return the checkpoint's path."""
        self.history.write(self.folder.history)
        return checkpoints.save_checkpoint(self.folder.checkpoints, self.checkpoint())

    def move_aside(self, position: Position) -> list[Path]:
        """Move files later than `position`, from which this run continues, into new folders; return these."""
        folder = self.folder
        damaged = [folder.history] if self.has_lost_history else []
        moved = folder.move_aside(position, [folder.history, folder.scores], damaged)
        cut_scores(folder.scores, position.epoch)
        if moved:
            self.history.write(folder.history)
        return moved

    def sample(self, fakes: Tensor, turn: int) -> np.ndarray:
        """Return one (n, n, n) grid: the averaged generator's, else the next of the last training batch."""
        if self.gan.ema_generator is not None:
            return self.generate(turn, 1)[0]
        turn %= len(fakes)
        grid = as_voxels(fakes[turn : turn + 1])[0, 0].float().cpu().contiguous().numpy()
        return self.at_full_resolution(grid)

    def generate(self, seed: int, count: int) -> np.ndarray:
        """Generate `count` shapes, (count, n, n, n), at the resolution of the run."""
        return self.at_full_resolution(generate(self.gan.best_generator, seed, count))

    def at_full_resolution(self, grids: np.ndarray) -> np.ndarray:
        """Repeat the voxels of (..., m, m, m) grids from before the networks grew: (..., n, n, n)."""
        for axis in (-3, -2, -1):
            grids = grids.repeat(self.config.resolution // grids.shape[axis], axis)
        return grids

    @functools.cached_property
    def training_scores(self) -> dict[str, float]:
        """The scores of `SCORED` training shapes, to compare those of generated shapes with."""
        chosen = seeding.choose(self.config.seed, 2, len(self.shapes), min(SCORED, len(self.shapes)))
        return quick_scores(self.shapes.occupied[chosen], self.shapes.occupied, chosen)


def begin(
    folder: RunFolder,
    config: TrainConfig,
    shapes: Shapes,
    validation: Shapes | None = None,
    checkpoint: Checkpoint | None = None,
    precision: str = "float32",
) -> TrainingRun:
    """Start a run from its seed, or resume it from a checkpoint with the settings `config`.

    Raises UserError if the shapes do not fill a batch, a batch cannot be shared evenly, or the checkpoint is
    invalid.
    """
    check_sizes(config.batchsize, len(shapes), None if validation is None else len(validation))
    seeding.seed_weights(config.seed)
    if checkpoint is None:
        gan = build_gan(config.stage(0), shapes.device, precision)
        if config.output_bias:
            set_output_bias(gan, occupied_share(shapes))
        return TrainingRun(folder, config, gan, config.schedule_state(), History(), shapes, validation)
    with checkpoints.understood(checkpoints.weights_path(folder.checkpoints, checkpoint.position)):
        stage = config.stage(checkpoint.position.last_epoch)
        check_fit(stage, checkpoint.generator, checkpoint.discriminator)
        gan = build_gan(stage, shapes.device, precision)
        gan.generator.load_state_dict(checkpoint.generator)
        gan.discriminator.load_state_dict(checkpoint.discriminator)
        gan.gate.load_state_dict(checkpoint.gate)
        if gan.ema_generator is not None:
            gan.ema_generator.load_state_dict(checkpoint.ema_generator)
        state = config.schedule_state()
        if checkpoint.config.schedule == config.schedule:
            state.load_state_dict(checkpoint.schedule_state)
            state.reached = state.reached and checkpoint.config.stop_ratio == config.stop_ratio
        else:
            state.go_to(checkpoint.position.epoch)
        saved = checkpoint.history
        history = History(saved.numpy()) if isinstance(saved, Tensor) else History.read(folder.history, saved)
    if checkpoint.optimizers is not None:
        with checkpoints.understood(checkpoints.optimizers_path(folder.checkpoints, checkpoint.position)):
            gan.load_moments(*checkpoint.optimizers)
    position = resumed_position(checkpoint, config, shapes)
    if position != checkpoint.position:
        history.cut(position.epoch)
    return TrainingRun(folder, config, gan, state, history, shapes, validation, position)


def check_same_data(folder: RunFolder, checkpoint: Checkpoint, shapes: Shapes) -> None:
    """Raise UserError if the shapes are not those that the checkpoint was trained on, as far as it knows."""
    before, now = checkpoint.data, shapes.mark
    if before not in (None, now):
        differ = f"{now.count} in number, not {before.count}" if now.count != before.count else "other shapes"
        reason = f"the data are not those that {folder.name} was trained on: {differ}."
        raise UserError(reason, about="other data")


def resumed_position(checkpoint: Checkpoint, config: TrainConfig, shapes: Shapes) -> Position:
    """Return where the run resumes: where the checkpoint stands, or at the start of that epoch.

    A step within an epoch has a meaning only for the same shapes in batches of the same size.
    """
    epoch, step = checkpoint.position
    is_same = checkpoint.data in (None, shapes.mark) and checkpoint.config.batchsize == config.batchsize
    return checkpoint.position if is_same and step < len(shapes) // config.batchsize else Position(epoch)


def check_sizes(batch_size: int, shapes: int, validation_shapes: int | None) -> None:
    """Raise UserError for data that do not fill one batch, and batches that cannot be shared evenly."""
    processes = distributed.world_size()
    if batch_size > shapes:
        raise UserError(
            f"the data folder holds {shapes} shapes, fewer than one batch of {batch_size}.",
            about="batch larger than data",
            value=shapes,
        )
    if batch_size % processes:
        raise UserError(f"{processes} processes cannot share a batch of {batch_size} evenly; try another.")
    if validation_shapes is not None and validation_shapes < processes:
        raise UserError(f"the validation folder holds fewer shapes than there are processes, {processes}.")

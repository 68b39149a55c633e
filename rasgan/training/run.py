"""A training run: its settings, data, networks and history, and how it takes a step."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rasgan import seeding
from rasgan.blocks import as_voxels
from rasgan.errors import UserError
from rasgan.networks import LATENT_SIZE
from rasgan.runs import START, Position, RunFolder
from rasgan.sampling import generate
from rasgan.training import checkpoints, distributed
from rasgan.training.checkpoints import Checkpoint
from rasgan.training.config import TrainConfig
from rasgan.training.dataset import Shapes
from rasgan.training.devices import send
from rasgan.training.growing import grown
from rasgan.training.history import History, Measurement
from rasgan.training.schedules import ScheduleState
from rasgan.training.state import GanState
from rasgan.training.step import Batch, StepResult, train_step, validate_discriminator


@dataclass
class TrainingRun:
    """Everything that a run consists of."""

    folder: RunFolder  # where its files are written
    config: TrainConfig
    gan: GanState  # both networks and their optimizers, with the settings of the current stage
    schedule_state: ScheduleState
    history: History  # every step so far
    shapes: Shapes  # training shapes
    validation: Shapes | None = None  # shapes on which the discriminator's loss is only measured
    position: Position = START

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in the data; an incomplete last one is dropped."""
        return len(self.shapes) // self.config.batchsize

    @property
    def steps_taken(self) -> int:
        """All steps so far."""
        return self.position.epoch * self.steps_per_epoch + self.position.step

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or the stopping rule has ended the run."""
        ended_early = self.schedule_state.is_over and not self.position.step
        return self.position.epoch >= self.config.epochs or ended_early

    @property
    def has_lost_history(self) -> bool:
        """Whether it was resumed without the file of its earlier steps."""
        return self.position != START and not len(self.history)

    def describe_position(self) -> str:
        """Return the position in words: "epoch 3" or, within an epoch, "epoch 4, step 7 of 31"."""
        epoch, step = self.position
        return f"epoch {epoch + 1}, step {step} of {self.steps_per_epoch}" if step else f"epoch {epoch}"

    def step(self, is_last: bool = False) -> StepResult:
        """Take the next step and record its measurements. Raises UserError if a loss is NaN or infinite.

        With several processes, `is_last` in one of them makes this step the last one of all.
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
            has_checkpoint = checkpoints.saved_positions(self.folder.checkpoints)
            raise UserError(
                f"{self.folder.name}: a loss became NaN or infinite, so training has diverged.",
                about="diverged" if has_checkpoint else "diverged early",
            )
        epoch, validation, ratio = number / self.steps_per_epoch, self.validate(number), self.gan.gate.ratio
        losses = (result.loss_d, result.loss_g, validation)
        self.history.append(Measurement(epoch, *losses, result.trained_d, ratio, *rates))
        self.schedule_state.watch(ratio)
        self.position = Position(*divmod(number + 1, self.steps_per_epoch))
        return result

    def rates(self, number: int) -> tuple[float, float]:
        """Return both learning rates of step `number`: those of the schedule, lower in the cooldown."""
        total = self.config.epochs * self.steps_per_epoch
        cooldown = self.config.cooldown * total  # steps
        factor = min(1.0, (total - number) / cooldown) if cooldown else 1.0
        return tuple(rate * factor for rate in self.schedule_state.rates)

    def connect(self, number: int) -> float:
        """Return the weight of the connection penalty at step `number`."""
        done = number / (self.config.epochs * self.steps_per_epoch)
        return self.config.connect * (1 + (self.config.connect_rise - 1) * max(0.0, 2 * done - 1))

    def batch(self, number: int) -> Batch:
        """Return this process's share of the batch of step `number`, which follows from the seed alone."""
        seed, size, device = self.config.seed, self.config.batchsize, self.shapes.device
        epoch, index = divmod(number, self.steps_per_epoch)
        orders = [
            torch.from_numpy(seeding.batch_order(seed, who, epoch + 1, len(self.shapes), size)[index])
            for who in (seeding.ORDER_D, seeding.ORDER_G)
        ]
        rng = seeding.rng_for(seed, seeding.NOISE, number)
        noise = list(seeding.noise(rng, 2, size, LATENT_SIZE))
        if self.gan.loss.penalty_is_one_centered:
            noise.append(torch.from_numpy(rng.random(size, dtype=np.float32)))
        order_d, order_g, *noise = send(map(distributed.share, [*orders, *noise]), device)
        resolution = self.gan.config.resolution
        return Batch(self.shapes.blocks(order_d, resolution), self.shapes.blocks(order_g, resolution), *noise)

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
        """Follow the schedule after an epoch. Return a sentence about what changed, or None."""
        state, why = self.schedule_state, f"Epoch {self.position.epoch}: "
        if is_early := state.reached:
            why += f"the discriminator trained only every {self.config.stop_ratio} steps or more: "
        if state.is_over:
            return f"{why}the run ends by its stopping rule."
        if not state.end_epoch(self.position.epoch):
            return None
        if is_early:
            self.gan.gate.reset_ratio()
        generator, discriminator = state.rates
        return f"{why}learning rates are now {generator:g} (generator) and {discriminator:g} (discriminator)."

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

    def sample(self, fakes: Tensor, turn: int) -> np.ndarray:
        """Return one (n, n, n) grid of logits or probabilities.

        The averaged generator, if there is one, generates it from seed `turn`. Otherwise it is the shape at
        that index, modulo the size of the batch, of the `fakes` of the last step.
        """
        if self.gan.ema_generator is not None:
            return self.generate(turn, 1)[0]
        turn %= len(fakes)
        grids = as_voxels(fakes[turn : turn + 1])[0].float().cpu().contiguous().numpy()
        return self.at_full_resolution(grids)[0]

    def generate(self, seed: int, count: int) -> np.ndarray:
        """Generate `count` shapes, (count, n, n, n), at the resolution of the run."""
        return self.at_full_resolution(generate(self.gan.best_generator, seed, count))

    def at_full_resolution(self, grids: np.ndarray) -> np.ndarray:
        """Repeat the voxels of (N, m, m, m) grids from before the networks grew: (N, n, n, n)."""
        factor = self.config.resolution // grids.shape[-1]
        return grids.repeat(factor, 1).repeat(factor, 2).repeat(factor, 3)

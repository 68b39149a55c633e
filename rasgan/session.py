"""A run in memory: its settings, both players and what they measured; and the files it leaves."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rasgan import checkpoints, figures
from rasgan.checkpoints import Position
from rasgan.dataset import Shapes
from rasgan.errors import UserError
from rasgan.files import atomic_path
from rasgan.generate import generate
from rasgan.history import History, save_history
from rasgan.networks import LATENT_SIZE
from rasgan.randomness import NOISE, ORDER_D, ORDER_G, VALIDATION, batch_order, noise, rng_for, seed_weights
from rasgan.runs import RunFolder
from rasgan.settings import Settings
from rasgan.training import Players, StepResult, build_players, train_step, validate_discriminator


@dataclass
class Session:
    """What a run is made of.

    Parameters
    ----------
    run : RunFolder
        Where its files go.
    settings : Settings
    players : Players
    history : History
        Every step so far.
    shapes : Shapes
        What is trained on.
    validation : Shapes, optional
        What the discriminator's loss is measured on besides.
    """

    run: RunFolder
    settings: Settings
    players: Players
    history: History
    shapes: Shapes
    validation: Shapes | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the data; an incomplete last one is dropped."""
        return len(self.shapes) // self.settings.batchsize

    def step(self, epoch: int, index: int) -> StepResult:
        """Take step `index` (from 0) of `epoch` (from 1) and record what it measured.

        Each player has its own order of the shapes and its own noise; all of it follows from the seed.

        Raises
        ------
        UserError
            If a loss is no number any more.
        """
        seed, size = self.settings.seed, self.settings.batchsize
        number = (epoch - 1) * self.steps_per_epoch + index
        reals_d, reals_g = (
            self.shapes.batch(batch_order(seed, purpose, epoch, len(self.shapes), size)[index])
            for purpose in (ORDER_D, ORDER_G)
        )
        z_d, z_g = noise(rng_for(seed, NOISE, number), 2, size, LATENT_SIZE).to(self.shapes.device)
        result = train_step(self.players, reals_d, reals_g, z_d, z_g, number)
        if not (math.isfinite(result.loss_d) and math.isfinite(result.loss_g)):
            raise UserError(
                f"a loss of {self.run.name} is not a number any more: training diverged; go on from the last "
                "checkpoint with --load and lower learning rates (-glr, -dlr)."
            )
        loss_validation = self.validate(number)
        fraction = number / self.steps_per_epoch
        self.history.append(fraction, result.loss_d, result.loss_g, loss_validation, result.trained_d)
        return result

    def validate(self, number: int) -> float:
        """Measure loss_D on a random batch of the validation shapes; NaN if there are none."""
        if self.validation is None:
            return math.nan
        rng = rng_for(self.settings.seed, VALIDATION, number)
        size = min(self.settings.batchsize, len(self.validation))
        reals = self.validation.batch(rng.choice(len(self.validation), size, replace=False))
        return validate_discriminator(self.players, reals, noise(rng, size, LATENT_SIZE).to(reals.device))

    def save(self, position: Position, keep: int) -> None:
        """Write a checkpoint; the newest `keep` epochs have the optimisers' state."""
        state = {
            **self.players.state_dict(),
            "history": torch.from_numpy(self.history.rows()),
            "settings": self.settings.state_dict(),
        }
        optimizers = self.players.optimizers_state_dict()
        checkpoints.save_checkpoint(self.run.checkpoints, position, state, optimizers, keep)

    def sample(self, fakes: Tensor, turn: int) -> np.ndarray:
        """Take one (n, n, n) grid: the averaged generator's, else the next of the last training batch."""
        if self.players.averaged is not None:
            return generate(self.players.averaged, seed=turn, count=1)[0]
        return fakes[turn % len(fakes), 0].float().cpu().contiguous().numpy()

    def save_grid(self, epoch: int, grid: np.ndarray) -> None:
        """Write one generated grid."""
        with atomic_path(self.run.grid(epoch)) as temporary:
            np.save(temporary, grid)

    def draw_losses(self, epoch: int) -> None:
        """Draw the loss curves so far and write the tracked values beside them."""
        save_history(self.run.plots, self.history)
        columns = self.history.columns()
        figures.draw_losses(
            self.run.plots / f"{epoch}.png",
            columns["epochs"],
            columns["losses_d"],
            columns["losses_g"],
            columns["losses_validation"] if self.validation is not None else None,
            (self.settings.generator_learning_rate, self.settings.discriminator_learning_rate),
        )


def begin(
    run: RunFolder,
    settings: Settings,
    shapes: Shapes,
    validation: Shapes | None,
    state: dict | None = None,
    optimizers: dict | None = None,
) -> Session:
    """Start a run from its seed, or go on from a checkpoint's `state` and `optimizers`.

    Raises
    ------
    UserError
        If the shapes do not fill one batch.
    """
    if settings.batchsize > len(shapes):
        raise UserError(
            f"the data folder holds {len(shapes)} shapes, fewer than one batch of {settings.batchsize}; "
            f"try --batchsize {len(shapes)}, or add shapes."
        )
    seed_weights(settings.seed)
    players = build_players(settings, shapes.device)
    if state is None:
        return Session(run, settings, players, History(), shapes, validation)
    players.load_state_dict(state)
    if optimizers is not None:
        players.load_optimizers_state_dict(optimizers)
    return Session(run, settings, players, History(state["history"].numpy()), shapes, validation)

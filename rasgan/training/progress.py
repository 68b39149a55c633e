"""What a training run tells of itself in the shell."""

import datetime
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rasgan import cli
from rasgan.errors import UserError
from rasgan.export import shading
from rasgan.gating import Gate
from rasgan.networks import count_parameters
from rasgan.training import distributed
from rasgan.training.checkpoints import Position
from rasgan.training.run import SCORED, TrainingRun
from rasgan.voxels import is_occupied


def describe(session: TrainingRun, save_every: int, keep: int) -> str:
    """Say in two lines what is trained, where, and how much disk it will take."""
    run, settings, gan = session.run, session.settings, session.gan
    generator, discriminator = count_parameters(gan.generator), count_parameters(gan.discriminator)
    averaged = generator if gan.averaged is not None else 0
    weights = 4 * (generator + discriminator + averaged)  # bytes: float32
    optimizers = 8 * (generator + discriminator)  # Adam's two moments
    saves = -(-settings.epochs // save_every)
    disk = saves * weights + min(keep, saves) * optimizers
    processes = f", {distributed.world_size()} processes" if distributed.world_size() > 1 else ""
    return (
        f"{run.name}: {len(session.shapes)} shapes at {settings.resolution}³, "
        f"{session.steps_per_epoch} steps an epoch, loss {settings.loss}, seed {settings.seed}; "
        f"device {session.shapes.device}{processes}, {gan.precision}; "
        f"generator {generator:,} and discriminator {discriminator:,} parameters.\n"
        f"Checkpoints go to {run.checkpoints}: {(weights + optimizers) / 1e6:,.0f} MB each, "
        f"{weights / 1e6:,.0f} MB once older than the newest {keep}; "
        f"all of {settings.epochs} epochs take about {disk / 1e9:,.2f} GB."
    )


class TensorBoard:
    """Write what ``tensorboard --logdir FOLDER`` shows.

    Parameters
    ----------
    folder : Path
    first_step : int
        A run that goes on from an earlier checkpoint writes over what came after it.

    Raises
    ------
    UserError
        If the optional package is not installed.
    """

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError(
                '--tensorboard needs an optional package: python -m pip install -e ".[tensorboard]"'
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=first_step)

    def step(self, number: int, measured: dict[str, float]) -> None:
        """Add the measurements of step `number`; those that are NaN are left out."""
        for name, value in measured.items():
            if value == value:
                self._writer.add_scalar(name, value, number)

    def sample(self, number: int, grid: np.ndarray) -> None:
        """Add a picture of a generated grid of scores."""
        picture = shading.smooth_picture(is_occupied(grid), shrink=2, whole_box=True)
        self._writer.add_image("sample", picture, number, dataformats="HWC")

    def close(self) -> None:
        """Write what is still to be written."""
        self._writer.close()


class Reporter:
    """Return how training goes: a progress bar on a terminal, the original's line a step elsewhere.

    Of several processes only the first one tells anything. With a `board`, it hears everything too.
    """

    def __init__(self, epochs: int, steps: int, done: Position, board: TensorBoard | None = None) -> None:
        self.epochs, self.steps, self.board = epochs, steps, board
        self.taken = done.epoch * steps + done.step
        self.is_silent = not distributed.is_rank_0()
        self.bar = tqdm(
            total=epochs * steps,
            initial=self.taken,
            unit="step",
            dynamic_ncols=True,
            disable=True if self.is_silent else None,
        )
        self.started = self.since = time.perf_counter()
        self.first = self.taken

    def step(self, epoch: int, index: int, measured: dict[str, float], gate: Gate) -> None:
        """Return what step `index` of `epoch`, both counted from 1, measured; `gate` has heard of it."""
        now = time.perf_counter()
        self.taken += 1
        if self.board is not None:
            self.board.step(self.taken, measured)
        if not self.bar.disable:
            self.bar.set_description(f"epoch {epoch}/{self.epochs}", refresh=False)
            self.bar.set_postfix(
                d_loss=f"{measured['loss_d']:.3f}",
                g_loss=f"{measured['loss_g']:.3f}",
                gate="open" if gate.is_open else "shut",
                ratio=gate.steps_per_d,
                refresh=False,
            )
            self.bar.update()
        elif not self.is_silent:
            loss_d, loss_g = measured["loss_d"], measured["loss_g"]
            cli.say(
                f"Epoch: [{epoch:2d}/{self.epochs}] [{index:4d}/{self.steps}] time: {now - self.since:.4f}, "
                f"d_loss: {loss_d:.8f}, g_loss: {loss_g:.8f}, TrainD: {gate.is_open}, "
                f"G/D train ratio: {gate.steps_per_d}"
            )
        self.since = now

    def sample(self, grid: np.ndarray) -> None:
        """Show a generated grid on the board."""
        if self.board is not None:
            self.board.sample(self.taken, grid)

    def scores(self, epoch: int, scores: dict[str, float]) -> None:
        """Return how the generated shapes look after an epoch."""
        self.say(
            f"Epoch {epoch}: {SCORED} generated shapes have {scores['voxels']:,.0f} voxels on average, "
            f"diversity {scores['diversity']:.2f}, {scores['distinct_nearest']} different nearest training "
            f"shapes, {scores['empty']:.0%} empty."
        )
        if self.board is not None:
            self.board.step(self.taken, {f"scores/{name}": value for name, value in scores.items()})

    def end_epoch(self, epoch: int) -> None:
        """After this start's first epoch, tell when the last one will probably end."""
        if self.started is None or epoch == self.epochs:
            return
        each = (time.perf_counter() - self.started) / (self.taken - self.first)  # seconds a step
        left = datetime.timedelta(seconds=round(each * (self.epochs - epoch) * self.steps))
        end = datetime.datetime.now() + left
        self.say(
            f"An epoch takes {each * self.steps:.3g} s; the last of {self.epochs} will end about "
            f"{end:%Y-%m-%d %H:%M}, in {left}."
        )
        self.started = None

    def say(self, sentence: str) -> None:
        """Print a line without tearing the bar."""
        if self.bar.disable:
            if not self.is_silent:
                cli.say(sentence)
        else:
            self.bar.write(sentence)

    def close(self) -> None:
        """End the bar's line and the board's file."""
        self.bar.close()
        if self.board is not None:
            self.board.close()

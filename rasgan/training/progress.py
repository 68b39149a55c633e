"""What a training run reports: lines or a bar in the shell, and TensorBoard."""

import datetime
import functools
import math
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from rasgan.errors import UserError
from rasgan.export import shading
from rasgan.metrics import verdict
from rasgan.networks import LATENT_SIZE, count_parameters, inference
from rasgan.training import distributed
from rasgan.training.checkpoints import KEPT, Checkpoint
from rasgan.training.config import Intervals
from rasgan.training.dataset import occupied_share
from rasgan.training.run import SCORED, TrainingRun
from rasgan.voxels import is_occupied

SECONDS_BETWEEN_LINES = 30.0
"""Where there is no terminal, each epoch's last step is a line, and a step after so long a silence."""
BYTES_PER_VOXEL = 4 + 1  # of a sampled grid and of the film's
BYTES_PER_STEP = 125 + 40  # in history.csv, and in the files beside the loss graphs


def describe(run: TrainingRun, intervals: Intervals, checkpoint: Checkpoint | None = None) -> str:
    """Return lines: what is trained and where; the disk space it needs; of a resumed run, what changed."""
    config, gan, folder = run.config, run.gan, run.folder
    generator, discriminator = count_parameters(gan.generator), count_parameters(gan.discriminator)
    averaged = generator if gan.ema_generator is not None else 0
    weights = 4 * (generator + discriminator + averaged)  # bytes: float32
    optimizers = 8 * (generator + discriminator)  # Adam's two moments
    saves = math.ceil(config.epochs / intervals.save)
    disk = saves * weights + min(KEPT, saves) * optimizers
    samples = math.ceil(config.epochs / intervals.sample) if intervals.sample else 0
    grids = samples * config.resolution**3 * BYTES_PER_VOXEL
    history = config.epochs * run.steps_per_epoch * BYTES_PER_STEP
    processes = distributed.world_size()
    shared = f", {processes} processes" if processes > 1 else ""
    lines = [
        f"{folder.name}: {len(run.shapes)} shapes at {config.resolution}³, "
        f"steps an epoch: {run.steps_per_epoch}, loss {config.loss}, seed {config.seed}; "
        f"device {run.shapes.device}{shared}, {gan.precision}; "
        f"generator {generator:,} and discriminator {discriminator:,} parameters.",
        f"Checkpoints go to {folder.checkpoints}: {megabytes(weights + optimizers)} each, "
        f"{megabytes(weights)} once older than the newest {KEPT}; "
        f"all of them take about {megabytes(disk)}. The grids and the history in {folder.savepoints} take "
        f"about {megabytes(grids + history)}.",
    ]
    if config.output_bias and checkpoint is None:
        share = f"{occupied_share(run.shapes):.1%} of the voxels occupied"
        lines.append(f"Generated shapes start with {share}, like the training shapes.")
    if config.grow_epochs:
        ends = config.grow_epochs
        stages = ", ".join(f"{config.stage(end - 1).resolution}³ until epoch {end}" for end in ends)
        lines.append(f"The networks grow: {stages}, then {config.resolution}³.")
    if config.schedule and config.schedule[-1][0] < config.epochs:
        end = f"The schedule ends with epoch {config.schedule[-1][0]}"
        lines.append(f"{end}: its last learning rates are used until epoch {config.epochs}.")
    if checkpoint is not None:
        lines += [f"Resuming after {run.describe_position()}.", *_changes(run, checkpoint)]
    return "\n".join(lines)


def _changes(run: TrainingRun, checkpoint: Checkpoint) -> Iterator[str]:
    """Yield a sentence for everything that is not as it was when the checkpoint was saved."""
    if checkpoint.optimizers is None:
        yield f"Checkpoint {checkpoint.position} has no optimizer state, so Adam's moments start from zero."
    if run.has_lost_history:
        yield (
            f"{run.folder.history} is missing, or is not the file that checkpoint {checkpoint.position} was "
            "saved with. Training is not affected; the history starts again here."
        )
    if checkpoint.data is None:
        yield "An earlier version saved this checkpoint; whether the data are the same could not be checked."
    elif checkpoint.data != run.shapes.mark:
        yield (
            f"Other data from here on ({len(run.shapes)} shapes, before {checkpoint.data.count}): the epoch "
            "count continues, and the shapes are shuffled again."
        )
    before, now = checkpoint.config, run.config
    changes = {name: (getattr(before, name), getattr(now, name)) for name in ("batchsize", "connect")}
    changes["precision"] = (checkpoint.precision or run.gan.precision, run.gan.precision)
    for name, (old, new) in changes.items():
        if old != new:
            yield f"{name} is {new} from here on, before {old}."
    if checkpoint.position != run.position:
        yield (
            f"Epoch {run.position.epoch + 1} starts again: the steps of it before the stop had other batches."
        )


def expected_step_s(run: TrainingRun) -> float:
    """Estimate the seconds of a step on a CPU, from passes of two shapes through both networks.

    A backward pass takes about two forward passes. Of each shape a step takes 4 passes through the generator
    (fakes for both networks, one backward) and 9 through the discriminator (reals and fakes for both, and
    backward all but that of the generator's reals). Gradient penalties and the optimizers are left out.
    """
    generator, discriminator = run.gan.generator, run.gan.discriminator
    with inference(generator), inference(discriminator), torch.no_grad():
        for _ in range(2):  # the first pass also allocates memory
            times = [time.perf_counter()]
            shapes = generator(torch.zeros(2, LATENT_SIZE))
            times.append(time.perf_counter())
            discriminator(shapes)
            times.append(time.perf_counter())
    pairs = run.config.batchsize / distributed.world_size() / 2
    return pairs * (4 * (times[1] - times[0]) + 9 * (times[2] - times[1]))


def megabytes(count: int) -> str:
    """Return bytes in megabytes, or in gigabytes from 10 on."""
    return f"{count / 1e9:,.0f} GB" if count >= 1e10 else f"{max(1, round(count / 1e6)):,} MB"


SHOWN = (
    ("voxels", "voxels", "{:,.0f}"),
    ("diversity", "diversity", "{:.2f}"),
    ("distinct neighbors", "distinct_nearest", "{}"),
    ("one piece", "one_piece", "{:.0%}"),
    ("stands", "stands", "{:.0%}"),
    ("empty", "empty", "{:.0%}"),
)
"""Scores that are printed while training: label, name, format."""


class TensorBoard:
    """Write what the program tensorboard shows; steps of an earlier start beyond `steps` are replaced.

    UserError if the optional package is not installed.
    """

    def __init__(self, folder: Path, steps: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError(
                "TensorBoard is an optional package, which is not installed.", about="tensorboard"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=steps + 1)  # the first that is replaced

    def step(self, number: int, measured: dict[str, float]) -> None:
        """Add the measurements of step `number`; those that are NaN are left out."""
        for name, value in measured.items():
            if not math.isnan(value):
                self._writer.add_scalar(name, value, number)

    def sample(self, number: int, grid: np.ndarray) -> None:
        """Add a picture of a generated grid of scores."""
        picture = shading.smooth_picture(is_occupied(grid), shrink=2, whole_box=True)
        self._writer.add_image("sample", picture, number, dataformats="HWC")

    def close(self) -> None:
        """Write what is still to be written."""
        self._writer.close()


class Reporter:
    """Report how training goes: a progress bar on a terminal; elsewhere the original's line, once an epoch.

    Only rank 0 reports. `say` prints a line; TensorBoard gets everything too.
    """

    def __init__(
        self,
        run: TrainingRun,
        say: Callable[[str], object],
        tensorboard: TensorBoard | None = None,
    ) -> None:
        is_silent = not distributed.is_rank_0()
        self.print, self.tensorboard = say if not is_silent else lambda _: None, tensorboard
        self.bar = tqdm(
            total=run.config.epochs * run.steps_per_epoch,
            initial=run.steps_taken,
            unit="step",
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining} {rate_fmt}{postfix}",
            disable=is_silent or None,  # None: unless this is a terminal
        )
        self.started = self.last_step = self.last_line = time.perf_counter()
        self.first = run.steps_taken
        self.expects_end = True

    def step(self, run: TrainingRun) -> None:
        """Report what the newest step measured."""
        measured, gate, steps = run.history.last(), run.gan.gate, run.steps_per_epoch
        if self.tensorboard is not None:
            self.tensorboard.step(len(run.history), measured._asdict())
        epoch, index = divmod(run.steps_taken - 1, steps)
        now = time.perf_counter()
        if not self.bar.disable:
            place = f"epoch {epoch + 1}/{run.config.epochs}, step {index + 1}/{steps}"
            self.bar.set_description(place, refresh=False)
            state = f", gate {'open' if gate.is_open else 'shut'}, ratio {gate.steps_per_d}"
            postfix = f"D {measured.loss_d:.3f} G {measured.loss_g:.3f}{state if gate.enabled else ''}"
            self.bar.set_postfix_str(postfix, refresh=False)
            self.bar.update()
        elif index + 1 == steps or now - self.last_line >= SECONDS_BETWEEN_LINES:
            self.say(
                f"Epoch: [{epoch + 1:2d}/{run.config.epochs}] [{index + 1:4d}/{steps}] "
                f"time: {now - self.last_step:.4f}, "
                f"d_loss: {measured.loss_d:.8f}, g_loss: {measured.loss_g:.8f}, TrainD: {gate.is_open}, "
                f"G/D train ratio: {gate.steps_per_d}"
            )
            self.last_line = now
        self.last_step = now
        if run.steps_taken == self.first + 1 and index + 1 < steps:
            self.started, self.first = now, run.steps_taken  # the first step is slower: it allocates memory

    def sample(self, run: TrainingRun, grid: np.ndarray) -> None:
        """Show a generated grid in TensorBoard."""
        if self.tensorboard is not None:
            self.tensorboard.sample(len(run.history), grid)

    def scores(self, run: TrainingRun, scores: dict[str, float]) -> None:
        """Report how good the generated shapes are after an epoch, beside the training shapes."""
        known = run.training_scores
        pairs = ", ".join(
            f"{label} {form.format(scores[name])} ({form.format(known[name])})" for label, name, form in SHOWN
        )
        scored = f"Epoch {run.position.epoch}: {SCORED} generated shapes (training shapes): {pairs}."
        fill = functools.partial(textwrap.fill, width=80, subsequent_indent="  ", break_on_hyphens=False)
        self.say(f"{fill(scored)}\n{fill(verdict(scores, known)[1], initial_indent='  ')}")
        if self.tensorboard is not None:
            self.tensorboard.step(
                len(run.history), {f"scores/{name}": value for name, value in scores.items()}
            )

    def end_epoch(self, run: TrainingRun) -> None:
        """After this start's first epoch, report when the last one will probably end."""
        epochs = run.config.epochs
        if not self.expects_end or run.is_over:
            return
        each = (time.perf_counter() - self.started) / (run.steps_taken - self.first)  # seconds a step
        steps_left = (epochs - run.position.epoch) * run.steps_per_epoch
        left = datetime.timedelta(seconds=round(each * steps_left))
        self.say(
            f"An epoch takes {each * run.steps_per_epoch:.3g} s; the last of {epochs} will end about "
            f"{datetime.datetime.now() + left:%Y-%m-%d %H:%M}, in {left}."
        )
        self.expects_end = False

    def say(self, sentence: str) -> None:
        """Print a line without tearing the bar."""
        if not self.bar.disable:
            self.bar.write(sentence)
        else:
            self.print(sentence)

    def close(self) -> None:
        """End the bar's line and TensorBoard's file."""
        self.bar.close()
        if self.tensorboard is not None:
            self.tensorboard.close()

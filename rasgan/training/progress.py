"""What a training run reports: a progress bar on a terminal, else lines."""

import datetime
import functools
import math
import textwrap
import time
from collections.abc import Callable, Iterator

import torch
from tqdm import tqdm

from rasgan import seeding
from rasgan.metrics import quick_scores, verdict
from rasgan.networks import LATENT_SIZE, count_parameters, inference
from rasgan.training import distributed, launcher
from rasgan.training.checkpoints import KEPT, Checkpoint
from rasgan.training.config import Intervals
from rasgan.training.run import TrainingRun

SECONDS_BETWEEN_LINES = 30.0
"""Without a terminal, the last step of each epoch prints a line, and a step after so long without one."""
SCORED = 64  # shapes that are generated to be scored
SHOWN = (
    ("voxels", "voxels", "{:,.0f}"),
    ("diversity", "diversity", "{:.2f}"),
    ("distinct neighbors", "distinct_nearest", "{}"),
    ("one piece", "one_piece", "{:.0%}"),
    ("stands", "stands", "{:.0%}"),
    ("empty", "empty", "{:.0%}"),
)
"""Scores that are printed while training: label, name, format."""


def describe(run: TrainingRun, intervals: Intervals, checkpoint: Checkpoint | None = None) -> str:
    """Describe in lines what is trained, its disk space and, of a resumed run, what changed."""
    config, gan, folder = run.config, run.gan, run.folder
    generator, discriminator = count_parameters(gan.generator), count_parameters(gan.discriminator)
    averaged = generator if gan.ema_generator is not None else 0
    weights = 4 * (generator + discriminator + averaged)  # bytes: float32
    optimizers = 8 * (generator + discriminator)  # Adam's two moments
    saves = math.ceil(config.epochs / intervals.save)
    disk = saves * weights + min(KEPT, saves) * optimizers
    processes = distributed.world_size()
    shared = f", {processes} processes" if processes > 1 else ""
    lines = [
        f"{folder.name}: {len(run.shapes)} shapes at {config.resolution}³, "
        f"steps an epoch: {run.steps_per_epoch}, loss {config.loss}, seed {config.seed}; "
        f"device {run.shapes.device}{shared}, {gan.precision}; "
        f"generator {generator:,} and discriminator {discriminator:,} parameters.",
        f"Checkpoints go to {folder.checkpoints}: {megabytes(weights + optimizers)} each, "
        f"{megabytes(weights)} once older than the newest {KEPT}; about {megabytes(disk)} in total.",
    ]
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
    """Yield a sentence for everything that differs from when the checkpoint was saved."""
    if checkpoint.optimizers is None:
        yield f"Checkpoint {checkpoint.position} has no optimizer state, so Adam's moments start from zero."
    if run.has_lost_history:
        yield (
            f"{run.folder.history} is missing, or is not the file that checkpoint {checkpoint.position} was "
            "saved with. Training is not affected; the history starts again here."
        )
    if checkpoint.data is None:
        yield "An earlier version saved this checkpoint, without a digest of its data to compare with."
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
        yield f"Epoch {run.position.epoch + 1} starts again, because its batches are different now."


def expected_step_s(run: TrainingRun) -> float:
    """Estimate the seconds of a step on a CPU from one pass of two shapes forward through both networks.

    A pass backward takes about as long as two forward. Per shape, a step takes as long as 4 forward passes of
    the generator (2 forward, 1 backward) and 9 of the discriminator (4 forward, 2 backward, 1 backward to its
    input only): 6.5 of both on average. Penalties and optimizers are not included.
    """
    generator, discriminator = run.gan.generator, run.gan.discriminator
    with inference(generator), inference(discriminator), torch.no_grad():
        for _ in range(2):  # the first pass also allocates memory
            started = time.perf_counter()
            discriminator(generator(torch.zeros(2, LATENT_SIZE)))
            seconds = time.perf_counter() - started
    return 6.5 * seconds / 2 * run.config.batchsize / distributed.world_size()


def megabytes(count: int) -> str:
    """Format a number of bytes in MB, or in GB from 10 GB on."""
    return f"{count / 1e9:,.0f} GB" if count >= 1e10 else f"{max(1, round(count / 1e6)):,} MB"


class Reporter:
    """Report how training goes: a progress bar on a terminal, else the original's line once an epoch.

    Only rank 0 reports. `say` prints a line.
    """

    def __init__(self, run: TrainingRun, say: Callable[[str], object]) -> None:
        is_silent = launcher.rank() > 0
        self.print = say if not is_silent else lambda _: None
        self.bar = tqdm(
            total=run.config.epochs * run.steps_per_epoch,
            initial=run.steps_taken,
            unit="step",
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining} {rate_fmt}{postfix}",
            disable=is_silent or None,  # None: unless this is a terminal
        )
        self.started = self.last_step = self.last_line = time.perf_counter()
        self.first = run.steps_taken  # number of steps at `started`
        self.expects_end = True
        self.training_scores: dict[str, float] = {}

    def step(self, run: TrainingRun) -> None:
        """Report what the newest step measured."""
        measured, gate, steps = run.history.last(), run.gan.gate, run.steps_per_epoch
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
            self.print(
                f"Epoch: [{epoch + 1:2d}/{run.config.epochs}] [{index + 1:4d}/{steps}] "
                f"time: {now - self.last_step:.4f}, "
                f"d_loss: {measured.loss_d:.8f}, g_loss: {measured.loss_g:.8f}, TrainD: {gate.is_open}, "
                f"G/D train ratio: {gate.steps_per_d}"
            )
            self.last_line = now
        self.last_step = now
        if run.steps_taken == self.first + 1 and index + 1 < steps:
            self.started, self.first = now, run.steps_taken  # the first step is slower: it allocates memory

    def scores(self, run: TrainingRun, scores: dict[str, float]) -> None:
        """Report scores of generated shapes after an epoch, beside those of training shapes."""
        if not self.training_scores:
            count, shapes = len(run.shapes), run.shapes.occupied
            chosen = seeding.choose(run.config.seed, 2, count, min(SCORED, count))
            self.training_scores = quick_scores(shapes[chosen], shapes, chosen)
        pairs = ", ".join(
            f"{label} {form.format(scores[name])} ({form.format(self.training_scores[name])})"
            for label, name, form in SHOWN
        )
        scored = f"Epoch {run.position.epoch}: {SCORED} generated shapes (training shapes): {pairs}."
        fill = functools.partial(textwrap.fill, width=80, subsequent_indent="  ", break_on_hyphens=False)
        conclusion = verdict(scores, self.training_scores)[1]
        self.say(f"{fill(scored)}\n{fill(conclusion, initial_indent='  ')}")

    def end_epoch(self, run: TrainingRun) -> None:
        """Report when the last epoch will probably end, once, after the first one since the start."""
        epochs = run.config.epochs
        if not self.expects_end or run.is_over:
            return
        each = (time.perf_counter() - self.started) / (run.steps_taken - self.first)  # seconds per step
        steps_left = (epochs - run.position.epoch) * run.steps_per_epoch
        left = datetime.timedelta(seconds=round(each * steps_left))
        self.say(
            f"An epoch takes {each * run.steps_per_epoch:.3g} s; the last of {epochs} will end about "
            f"{datetime.datetime.now() + left:%Y-%m-%d %H:%M}, in {left}."
        )
        self.expects_end = False

    def say(self, sentence: str) -> None:
        """Print a line above the bar, if there is one."""
        (self.print if self.bar.disable else self.bar.write)(sentence)

    def close(self) -> None:
        """End the bar's line."""
        self.bar.close()

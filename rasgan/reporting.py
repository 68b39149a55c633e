"""What a training run tells of itself in the shell."""

import time

from tqdm import tqdm

from rasgan import cli
from rasgan.checkpoints import Position
from rasgan.gating import Gate
from rasgan.networks import count_parameters
from rasgan.session import Session
from rasgan.training import StepResult


def describe(session: Session, save_every: int, keep: int) -> str:
    """Say in two lines what is trained, where, and how much disk it will take."""
    run, settings, players = session.run, session.settings, session.players
    generator, discriminator = count_parameters(players.generator), count_parameters(players.discriminator)
    averaged = generator if players.averaged is not None else 0
    weights = 4 * (generator + discriminator + averaged)  # bytes: float32
    optimizers = 8 * (generator + discriminator)  # Adam's two moments
    saves = -(-settings.epochs // save_every)
    disk = saves * weights + min(keep, saves) * optimizers
    return (
        f"{run.name}: {len(session.shapes)} shapes at {settings.resolution} cubed, "
        f"{session.steps_per_epoch} steps an epoch, loss {settings.loss}, seed {settings.seed}; "
        f"device {session.shapes.device}, float32; "
        f"generator {generator:,} and discriminator {discriminator:,} parameters.\n"
        f"Checkpoints go to {run.checkpoints}: {(weights + optimizers) / 1e6:,.0f} MB each, "
        f"{weights / 1e6:,.0f} MB once older than the newest {keep}; "
        f"all of {settings.epochs} epochs take about {disk / 1e9:,.2f} GB."
    )


class Reporter:
    """Tell how training goes: a progress bar on a terminal, the original's line a step elsewhere."""

    def __init__(self, epochs: int, steps: int, done: Position) -> None:
        self.epochs, self.steps = epochs, steps
        first = done.epoch * steps + done.step
        self.bar = tqdm(total=epochs * steps, initial=first, unit="step", dynamic_ncols=True, disable=None)
        self.since = time.perf_counter()

    def step(self, epoch: int, index: int, result: StepResult, gate: Gate) -> None:
        """Tell of step `index` of `epoch`, both counted from 1; `gate` has heard of it."""
        now = time.perf_counter()
        if self.bar.disable:
            cli.say(
                f"Epoch: [{epoch:2d}/{self.epochs}] [{index:4d}/{self.steps}] time: {now - self.since:.4f}, "
                f"d_loss: {result.loss_d:.8f}, g_loss: {result.loss_g:.8f}, TrainD: {gate.is_open}, "
                f"G/D train ratio: {gate.steps_per_d}"
            )
        else:
            self.bar.set_description(f"epoch {epoch}/{self.epochs}", refresh=False)
            self.bar.set_postfix(
                d_loss=f"{result.loss_d:.3f}",
                g_loss=f"{result.loss_g:.3f}",
                gate="open" if gate.is_open else "shut",
                ratio=gate.steps_per_d,
                refresh=False,
            )
            self.bar.update()
        self.since = now

    def close(self) -> None:
        """End the bar's line."""
        self.bar.close()

"""Step 4 of the tutorial: train a RaSGAN on a folder of voxel grids.

Examples::

    python train_rasgan.py --demo
    python train_rasgan.py -n chair-1 -d ModelNet10/chair/train -e 2500 -b 24 -sample 10 -save 10 -glr 0.0025
    python train_rasgan.py -n chair-1 -d ModelNet10/chair/train -l
"""

import argparse
import functools
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from tqdm import tqdm

from rasgan import checkpoints, cli, demo, figures
from rasgan.checkpoints import Position
from rasgan.dataset import Shapes, load_shapes
from rasgan.devices import DEVICES, choose_device, memory_guarded
from rasgan.errors import UserError
from rasgan.files import atomic_path
from rasgan.generate import generate
from rasgan.history import History, save_history
from rasgan.interrupts import StopRequest, stop_requests
from rasgan.networks import LATENT_SIZE, RESOLUTIONS, channel_counts, count_parameters
from rasgan.randomness import (
    NOISE,
    ORDER_D,
    ORDER_G,
    VALIDATION,
    batch_order,
    fresh_seed,
    noise,
    rng_for,
    seed_weights,
)
from rasgan.runs import RunFolder
from rasgan.settings import RECIPES, Settings, new_settings, resumed_settings
from rasgan.training import Players, StepResult, build_players, train_step, validate_discriminator

DEFAULT = Settings()
DEFAULT_INTERVAL = 10  # epochs


def build_parser() -> argparse.ArgumentParser:
    """Describe the options: the tutorial's table first, then ours."""
    parser = argparse.ArgumentParser(description="Train a 3D RaSGAN on voxel grids.", allow_abbrev=False)
    add = parser.add_argument_group("the tutorial's options").add_argument
    add("-n", "--name", help="name of the run; its files go to checkpoint/NAME and savepoint/NAME")
    add("-d", "--data", type=Path, help="folder of .raw voxel grids to train on")
    add(
        "-v",
        "--validation_data",
        "--validation-data",
        type=Path,
        help="folder of .raw grids to measure D's loss on",
    )
    add("-e", "--epochs", **setting("epochs", cli.positive, "number of epochs to train"))
    add("-b", "--batchsize", "--batch-size", **setting("batchsize", cli.positive, "shapes in a batch"))
    for flag, what in (
        ("sample", "a generated grid is saved"),
        ("save", "the networks are saved"),
        ("graph", "the loss graph is saved"),
        ("graph3d", "a 3D graph is saved"),
    ):
        add(
            f"-{flag}", f"--{flag}", type=cli.positive, default=DEFAULT_INTERVAL, metavar="EPOCHS",
            help=f"how often {what}, in epochs (default {DEFAULT_INTERVAL})",
        )  # fmt: skip
    add("-l", "--load", action="store_true", help="go on from the newest checkpoint of this run")
    add(
        "-le",
        "--load_epoch",
        "--load-epoch",
        type=cli.whole_number,
        help="go on from this epoch (implies --load)",
    )
    rates = ("generator_learning_rate", "-glr"), ("discriminator_learning_rate", "-dlr")
    for name, short in rates:
        text = f"{name.split('_')[0]}'s learning rate"
        add(short, f"--{name}", f"--{name.replace('_', '-')}", **setting(name, cli.positive_real, text))

    add = parser.add_argument_group("this project's options").add_argument
    add(
        "--demo",
        action="store_true",
        help="make sample chairs, train a small network on them, show what it made",
    )
    add("--width", **setting("width", cli.positive, "channels of the generator's first grid"))
    add("--resolution", **setting("resolution", int, "edge of the grids in voxels", choices=RESOLUTIONS))
    add("--device", choices=DEVICES, default="auto", help="where to compute (default: the best there is)")
    add(
        "--seed",
        **setting("seed", cli.whole_number, "same seed, same machine: same run", default="a new one"),
    )
    add(
        "--keep",
        type=cli.positive,
        default=2,
        help="newest checkpoints kept with the optimisers' state (default 2)",
    )
    add("--recipe", choices=sorted(RECIPES), help="presets of the options below (default tutorial)")

    add = parser.add_argument_group("the method (defaults: the tutorial's)").add_argument
    add("--loss", **setting("loss", str, "loss of both players", choices=("rasgan", "rsgan", "sgan")))
    add("--penalty", **setting("penalty", cli.non_negative_real, "gamma of the gradient penalties R1 and R2"))
    add("--penalty-every", **setting("penalty_every", cli.positive, "steps between penalties"))
    add("--norm", **setting("norm", str, "the discriminator's normalisation", choices=("batch", "none")))
    add("--output", **setting("output", str, "the generator's last function", choices=("linear", "sigmoid")))
    add("--gate", action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS,
        help="train the discriminator only while it is not too far ahead (default: on)")  # fmt: skip
    add("--ema", **setting("ema", cli.share, "average the generator over steps with this decay; 0 is off"))
    add("--beta1", **setting("beta1", cli.share, "Adam's first decay"))
    add("--beta2", **setting("beta2", cli.share, "Adam's second decay"))
    return parser


def setting(name: str, kind: type, text: str, **kwargs: object) -> dict:
    """Describe an option that belongs to `Settings`; left out, it does not appear in the parsed arguments."""
    default = kwargs.pop("default", getattr(DEFAULT, name))
    help_text = f"{text} (default {default})"
    return {"dest": name, "type": kind, "default": argparse.SUPPRESS, "help": help_text, **kwargs}


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Train, or run the demo around a training."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.demo:
        demo.fill_in(args)
        demo.prepare(cli.say)
        args.load = bool(checkpoints.saved_positions(RunFolder(args.name).checkpoints))
    elif not args.name or not args.data:
        parser.error("-n/--name and -d/--data are required (or try --demo)")
    train(args)
    if args.demo:
        demo.finish(RunFolder(args.name), cli.say)
    return 0


def train(args: argparse.Namespace) -> None:
    """Options, folder, data, networks, then the epochs; each chore after an epoch is one line."""
    run = RunFolder(args.name)
    position, state = find_checkpoint(run, args)
    settings = choose_settings(args, state)
    device = choose_device(args.device)
    shapes = load_shapes(args.data, settings.resolution, device, progress("reading shapes"))
    check_batch(settings.batchsize, shapes, args.data)
    validation = args.validation_data and load_shapes(args.validation_data, settings.resolution, device)

    seed_weights(settings.seed)
    players = build_players(settings, device)
    history = restore(players, run, position, state) if state else History()
    write_options(run, args, settings)
    announce(run, args, settings, players, shapes, device)
    if position.epoch >= settings.epochs:
        cli.say(f"{run.name} has its {settings.epochs} epochs already; --epochs asks for more.")
    with memory_guarded(settings.batchsize), stop_requests(tell_of_stop) as stop:
        run_epochs(run, args, settings, players, history, shapes, validation, position, stop)


def run_epochs(
    run: RunFolder,
    args: argparse.Namespace,
    settings: Settings,
    players: Players,
    history: History,
    shapes: Shapes,
    validation: Shapes | None,
    done: Position,
    stop: StopRequest,
) -> None:
    """Train on from `done`; an epoch's number is that of finished epochs, 1 after the first."""
    seed, batch_size = settings.seed, settings.batchsize
    steps = len(shapes) // batch_size
    reporter = Reporter(settings.epochs, steps, done)
    for epoch in range(done.epoch + 1, settings.epochs + 1):
        order_d = batch_order(seed, ORDER_D, epoch, len(shapes), batch_size)
        order_g = batch_order(seed, ORDER_G, epoch, len(shapes), batch_size)
        for index in range(done.step if epoch == done.epoch + 1 else 0, steps):
            step = (epoch - 1) * steps + index
            z_d, z_g = noise(rng_for(seed, NOISE, step), 2, batch_size, LATENT_SIZE).to(shapes.device)
            reals_d, reals_g = shapes.batch(order_d[index]), shapes.batch(order_g[index])
            result = train_step(players, reals_d, reals_g, z_d, z_g, step)
            loss_validation = validate(players, validation, settings, step)
            history.append(step / steps, result.loss_d, result.loss_g, loss_validation, result.trained_d)
            stop_if_diverged(result, run)
            reporter.step(epoch, index + 1, result, players)
            if stop.is_made and index + 1 < steps:
                end_early(run, Position(epoch - 1, index + 1), players, history, settings, args.keep)

        def due(interval: int, epoch: int = epoch) -> bool:
            return epoch % interval == 0 or epoch == settings.epochs

        grid = sample(players, result.fakes, epoch // args.sample)
        if due(args.save):
            save(run, Position(epoch), players, history, settings, args.keep)
        if due(args.sample):
            save_grid(run.grid(epoch), grid)
        if due(args.graph):
            draw_history(run, epoch, history, settings)
        if due(args.graph3d):
            figures.draw_scatter(run.graphs / f"{epoch}.png", grid, title=run.title(epoch))
        if stop.is_made and epoch < settings.epochs:
            end_early(run, Position(epoch), players, history, settings, args.keep)
    reporter.close()


def find_checkpoint(run: RunFolder, args: argparse.Namespace) -> tuple[Position, dict | None]:
    """Find where to go on and load that checkpoint; the very start and None for a new run."""
    if not args.load and args.load_epoch is None:
        if checkpoints.saved_positions(run.checkpoints):
            raise UserError(
                f"{run.checkpoints} holds a run of this name already; go on with it by --load, "
                "or choose another --name."
            )
        return Position(0), None
    position = checkpoints.choose_position(run.checkpoints, args.load_epoch)
    return position, checkpoints.load_checkpoint(run.checkpoints, position)


def choose_settings(args: argparse.Namespace, state: dict | None) -> Settings:
    """Combine what was typed with the recipe's presets or the checkpoint's settings."""
    names = {field.name for field in fields(Settings)}
    given = {name: value for name, value in vars(args).items() if name in names}
    if state:
        return resumed_settings(state["settings"], args.recipe, given)
    settings = new_settings(args.recipe or "tutorial", {"seed": fresh_seed(), **given})
    try:
        channel_counts(settings.width, settings.resolution)
    except ValueError as error:
        raise UserError(f"--width {settings.width} does not suit: {error}.") from error
    return settings


def check_batch(batch_size: int, shapes: Shapes, folder: Path) -> None:
    """Refuse a batch that the folder cannot fill."""
    if batch_size > len(shapes):
        raise UserError(
            f"{folder} holds {len(shapes)} shapes, fewer than one batch of {batch_size}; "
            f"try --batchsize {len(shapes)}, or add shapes."
        )


def restore(players: Players, run: RunFolder, position: Position, state: dict) -> History:
    """Put the players where the checkpoint left them and return the run's history up to there."""
    players.load_state_dict(state)
    optimizers = checkpoints.load_optimizers(run.checkpoints, position)
    if optimizers is None:
        cli.say(f"epoch {position} was kept without its optimisers' state (--keep): Adam starts afresh.")
    else:
        players.load_optimizers_state_dict(optimizers)
    return History(state["history"].numpy())


def write_options(run: RunFolder, args: argparse.Namespace, settings: Settings) -> None:
    """Write what this start of the run was told, beside the run's results."""
    told = {**vars(args), **settings.state_dict()}
    with atomic_path(run.options) as temporary:
        temporary.write_text(json.dumps(told, indent=2, default=str) + "\n", encoding="utf-8")


def announce(
    run: RunFolder,
    args: argparse.Namespace,
    settings: Settings,
    players: Players,
    shapes: Shapes,
    device: object,
) -> None:
    """Say before the first step what is trained, where, and how much disk it will take."""
    generator, discriminator = (count_parameters(net) for net in (players.generator, players.discriminator))
    averaged = generator if settings.ema else 0
    weights = 4 * (generator + discriminator + averaged)  # bytes: float32
    optimizers = 8 * (generator + discriminator)  # Adam's two moments
    saves = -(-settings.epochs // args.save)
    disk = saves * weights + min(args.keep, saves) * optimizers
    cli.say(
        f"{run.name}: {len(shapes)} shapes at {settings.resolution} cubed, "
        f"{len(shapes) // settings.batchsize} steps an epoch, loss {settings.loss}, seed {settings.seed}; "
        f"device {device}, float32; generator {generator:,} and discriminator {discriminator:,} parameters."
    )
    cli.say(
        f"Checkpoints go to {run.checkpoints}: {(weights + optimizers) / 1e6:,.0f} MB each, "
        f"{weights / 1e6:,.0f} MB once older than the newest {args.keep}; "
        f"all of {settings.epochs} epochs take about {disk / 1e9:,.2f} GB."
    )


class Reporter:
    """Tell how training goes: a progress bar on a terminal, the original's line a step elsewhere."""

    def __init__(self, epochs: int, steps: int, done: Position) -> None:
        self.epochs, self.steps = epochs, steps
        first = done.epoch * steps + done.step
        self.bar = tqdm(total=epochs * steps, initial=first, unit="step", dynamic_ncols=True, disable=None)
        self.since = time.perf_counter()

    def step(self, epoch: int, index: int, result: StepResult, players: Players) -> None:
        """Tell of step `index` of `epoch`, both counted from 1."""
        gate, now = players.gate, time.perf_counter()
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


def validate(players: Players, validation: Shapes | None, settings: Settings, step: int) -> float:
    """Measure loss_D on a random batch of the validation shapes; NaN without a validation folder."""
    if validation is None:
        return math.nan
    rng = rng_for(settings.seed, VALIDATION, step)
    size = min(settings.batchsize, len(validation))
    reals = validation.batch(rng.choice(len(validation), size, replace=False))
    return validate_discriminator(players, reals, noise(rng, size, LATENT_SIZE).to(reals.device))


def stop_if_diverged(result: StepResult, run: RunFolder) -> None:
    """End the run once a loss is no number any more; the checkpoints are of epochs before that."""
    if not (math.isfinite(result.loss_d) and math.isfinite(result.loss_g)):
        raise UserError(
            f"a loss of {run.name} is not a number any more: training diverged; go on from the last "
            "checkpoint with --load and lower learning rates (-glr, -dlr)."
        )


def save(
    run: RunFolder, position: Position, players: Players, history: History, settings: Settings, keep: int
) -> None:
    """Write a checkpoint."""
    state = {
        **players.state_dict(),
        "history": torch.from_numpy(history.rows()),
        "settings": settings.state_dict(),
    }
    checkpoints.save_checkpoint(run.checkpoints, position, state, players.optimizers_state_dict(), keep)


def end_early(
    run: RunFolder, position: Position, players: Players, history: History, settings: Settings, keep: int
) -> NoReturn:
    """Save where a run stands that was asked to stop, then end it."""
    save(run, position, players, history, settings, keep)
    raise UserError(f"stopped and saved after epoch {position}; go on with --load.")


def tell_of_stop() -> None:
    """Say that a request to stop was heard."""
    cli.say("\nStopping after this step, then saving; once more ends at once.")


def sample(players: Players, fakes: torch.Tensor, turn: int) -> np.ndarray:
    """Take one (n, n, n) grid: the averaged generator's, else the next of the last training batch."""
    if players.averaged is not None:
        return generate(players.averaged, seed=turn, count=1)[0]
    return fakes[turn % len(fakes), 0].float().cpu().contiguous().numpy()


def save_grid(path: Path, grid: np.ndarray) -> None:
    """Write one generated grid."""
    with atomic_path(path) as temporary:
        np.save(temporary, grid)


def draw_history(run: RunFolder, epoch: int, history: History, settings: Settings) -> None:
    """Draw the loss curves so far and write the tracked values beside them."""
    save_history(run.plots, history)
    columns = history.columns()
    figures.draw_losses(
        run.plots / f"{epoch}.png",
        columns["epochs"],
        columns["losses_d"],
        columns["losses_g"],
        columns["losses_validation"] if np.isfinite(columns["losses_validation"]).any() else None,
        (settings.generator_learning_rate, settings.discriminator_learning_rate),
    )


def progress(description: str) -> Callable[[Iterable[Path]], Iterable[Path]]:
    """Wrap an iterable of files in a bar that disappears when it is done and where there is no terminal."""
    return functools.partial(tqdm, desc=description, unit="file", leave=False, disable=None)


if __name__ == "__main__":
    sys.exit(main())

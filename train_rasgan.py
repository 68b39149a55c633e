"""Step 4 of the tutorial: train a RaSGAN on a folder of voxel grids.

Examples::

    python train_rasgan.py --demo
    python train_rasgan.py -n chair-1 -d ModelNet10/chair/train -e 2500 -b 24 -sample 10 -save 10 -glr 0.0025
    python train_rasgan.py -n chair-1 -d ModelNet10/chair/train --schedule chair
    python train_rasgan.py -n chair-1 -d ModelNet10/chair/train -l
    torchrun --nproc_per_node=2 train_rasgan.py -n chair-1 -d ModelNet10/chair/train
"""

import argparse
import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

import torch
from tqdm import tqdm

from rasgan import cli, demo
from rasgan.errors import UserError
from rasgan.export import plots
from rasgan.files import atomic_path, exclusive, remove_leftovers
from rasgan.losses import LOSSES
from rasgan.networks import channel_counts
from rasgan.runs import RunFolder
from rasgan.seeding import fresh_seed
from rasgan.training import checkpoints, distributed
from rasgan.training import run as training_run
from rasgan.training.checkpoints import Position
from rasgan.training.config import RECIPES, TrainConfig, new_config, resumed_config
from rasgan.training.dataset import load_shapes
from rasgan.training.devices import DEVICES, PRECISIONS, choose_device, configure, memory_guarded
from rasgan.training.progress import Reporter, TensorBoard, describe
from rasgan.training.run import TrainingRun
from rasgan.training.schedules import choose_schedule
from rasgan.training.signals import StopRequest, stop_requests
from rasgan.training.step import StepResult
from rasgan.voxels import RESOLUTIONS

DEFAULT = TrainConfig()
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
    add(
        "--schedule",
        type=str,
        default=argparse.SUPPRESS,
        metavar="chair|airplane|FILE",
        help="learning rates by epoch: one of the tutorial's tables, or a CSV file with the columns "
        "epochs,generator,discriminator; none leaves a schedule",
    )
    add(
        "--stop-ratio",
        **setting(
            "stop_ratio",
            cli.whole_number,
            "end the run, or go to the schedule's next row, once the discriminator trains only every so "
            "many steps; the tutorial's is 150, 0 is never",
        ),
    )
    add("--device", choices=DEVICES, default="auto", help="where to compute (default: the best there is)")
    add(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="what networks compute in (default float32)",
    )
    add("--compile", action="store_true", help="compile the networks first, which takes a minute (GPUs)")
    add(
        "--seed",
        **setting("seed", cli.whole_number, "same seed, same machine: same run", default="a new one"),
    )
    add(
        "--keep",
        type=cli.positive,
        default=2,
        help="newest checkpoints kept with the optimizers' state (default 2)",
    )
    add(
        "--every",
        type=cli.positive,
        metavar="EPOCHS",
        help="score generated shapes every so many epochs: diversity, different nearest training shapes and "
        "empty grids tell a collapse (default: never)",
    )
    add("--tensorboard", action="store_true", help="write for TensorBoard to savepoint/NAME/tensorboard")
    add("--recipe", choices=sorted(RECIPES), help="presets of the options below (default tutorial)")

    add = parser.add_argument_group("the method (defaults: the tutorial's)").add_argument
    add("--loss", **setting("loss", str, "loss of both players", choices=LOSSES))
    add("--penalty", **setting("penalty", cli.non_negative_real, "weight of the gradient penalty"))
    add("--penalty-every", **setting("penalty_every", cli.positive, "steps between penalties"))
    add(
        "--generator-every",
        **setting("generator_every", cli.positive, "the generator trains on every so many steps"),
    )
    add(
        "--occupied",
        **setting("occupied", cli.positive_real, "value of an occupied voxel; the original's is 255"),
    )
    add("--norm", **setting("norm", str, "the discriminator's normalization", choices=("batch", "none")))
    add(
        "--init",
        **setting(
            "init",
            str,
            "how the discriminator's weights start: N(0, 0.02), or scaled by the width of each layer",
            choices=("normal", "scaled"),
        ),
    )
    add("--output", **setting("output", str, "the generator's last function", choices=("linear", "sigmoid")))
    add("--gate", action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS,
        help="train the discriminator only while it is not too far ahead (default: on)")  # fmt: skip
    add("--ema", **setting("ema", cli.share, "average the generator over steps with this decay; 0 is off"))
    add("--beta1", **setting("beta1", cli.share, "Adam's first decay"))
    add("--beta2", **setting("beta2", cli.share, "Adam's second decay"))
    return parser


def setting(name: str, kind: type, text: str, **kwargs: object) -> dict:
    """Describe an option that belongs to `TrainConfig`; left out, it is not among the parsed arguments."""
    default = kwargs.pop("default", getattr(DEFAULT, name))
    help_text = f"{text} (default {default})"
    return {"dest": name, "type": kind, "default": argparse.SUPPRESS, "help": help_text, **kwargs}


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Train, or run the demo around a training."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.demo:
        if distributed.launched_by_torchrun():
            parser.error("--demo runs in one process: start it without torchrun")
        demo.fill_in(args)
        demo.prepare(cli.say)
        args.load = bool(checkpoints.saved_positions(RunFolder(args.name).checkpoints))
    elif args.name is None or args.data is None:
        parser.error("-n/--name and -d/--data are required (or try --demo)")
    device = distributed.own_device(choose_device(args.device))
    configure(device)
    with distributed.joined(device):
        train(args, device)
    if args.demo:
        demo.finish(RunFolder(args.name), cli.say)
    return 0


def train(args: argparse.Namespace, device: torch.device) -> None:
    """Wire it up: folder, checkpoint, settings, data, session; then the epochs."""
    run = RunFolder(args.name)
    with reserved(run):
        position, state = find_checkpoint(run, args)
        settings = choose_config(args, state, checkpoints.weights_path(run.checkpoints, position))
        value = settings.occupied
        shapes = load_shapes(args.data, settings.resolution, device, progress("reading shapes"), value)
        validation = args.validation_data and load_shapes(
            args.validation_data, settings.resolution, device, value=value
        )
        optimizers = checkpoints.load_optimizers(run.checkpoints, position) if state else None
        with memory_guarded(settings.batchsize):
            training = training_run.begin(
                run, settings, shapes, validation, position, state, optimizers, args.precision
            )
            if args.compile:
                training.gan.compile()
            steps = training.steps_per_epoch
            board = None
            if distributed.is_rank_0():
                remove_leftovers(run.checkpoints)
                write_options(run, args, settings)
                if args.tensorboard:
                    board = TensorBoard(run.board, position.epoch * steps + position.step)
            with contextlib.closing(Reporter(settings.epochs, steps, position, board)) as reporter:
                reporter.say(describe(training, args.save, args.keep))
                if state and optimizers is None:
                    reporter.say(
                        f"Epoch {position} was kept without Adam's state (--keep): it starts afresh."
                    )
                if position.epoch >= settings.epochs:
                    reporter.say(f"{run.name} has its {settings.epochs} epochs; --epochs asks for more.")
                elif training.schedule_state.is_over:
                    reporter.say(f"{run.name} ended by --stop-ratio; a higher one, or 0, goes on.")
                else:
                    with stop_requests(lambda: tell_of_stop(reporter)) as stop:
                        run_epochs(training, args, position, reporter, stop)


def run_epochs(
    training: TrainingRun, args: argparse.Namespace, done: Position, reporter: Reporter, stop: StopRequest
) -> None:
    """Train on from `done`; an epoch's number is that of finished epochs, 1 after the first."""
    epochs, steps = training.settings.epochs, training.steps_per_epoch
    for epoch in range(done.epoch + 1, epochs + 1):
        for index in range(done.step if epoch == done.epoch + 1 else 0, steps):
            result = training.step(epoch, index)
            reporter.step(epoch, index + 1, training.measured(), training.gan.gate)
            stopping = distributed.any_process(stop.is_made, training.shapes.device)
            if stopping and index + 1 < steps:
                end_early(training, Position(epoch - 1, index + 1), args.keep)
        change = training.end_epoch(epoch)
        if change:
            reporter.say(change)
        is_last = epoch == epochs or training.schedule_state.is_over
        if distributed.is_rank_0():
            write_results(training, args, epoch, result, is_last, reporter)
        reporter.end_epoch(epoch)
        if is_last:
            return
        if stopping:
            end_early(training, Position(epoch), args.keep)


def write_results(
    training: TrainingRun,
    args: argparse.Namespace,
    epoch: int,
    result: StepResult,
    is_last: bool,
    reporter: Reporter,
) -> None:
    """Write what is due after an epoch; after the last one, everything."""

    def due(interval: int) -> bool:
        return epoch % interval == 0 or is_last

    if due(args.save):
        training.save(Position(epoch), args.keep)
    if due(args.sample) or due(args.graph3d):
        grid = training.sample(result.fakes, turn=-(-epoch // args.sample))  # the last epoch has its own
    if due(args.sample):
        training.save_grid(epoch, grid)
        reporter.sample(grid)
    if due(args.graph):
        training.draw_losses(epoch)
    if args.every and due(args.every):
        reporter.scores(epoch, training.score(epoch))
    if due(args.graph3d):
        plots.draw_scatter(training.run.graphs / f"{epoch}.png", grid, title=training.run.title(epoch))


def reserved(run: RunFolder) -> contextlib.AbstractContextManager:
    """Keep other processes off this run; of several processes of one run, the first does it for all."""
    if not distributed.is_rank_0():
        return contextlib.nullcontext()
    refusal = f"another process trains {run.name} now; wait until it ends, or choose another --name."
    return exclusive(run.lock, refusal)


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


def choose_config(args: argparse.Namespace, state: dict | None, source: Path) -> TrainConfig:
    """Combine what was typed with the presets of the recipe, or with the checkpoint at `source`."""
    names = {field.name for field in fields(TrainConfig)}
    given = {name: value for name, value in vars(args).items() if name in names}
    if "schedule" in given:
        is_none = given["schedule"] == "none"
        given["schedule"] = () if is_none else tuple(map(tuple, choose_schedule(given["schedule"])))
    if state:
        with checkpoints.understood(source):
            return resumed_config(state["settings"], args.recipe, given)
    settings = new_config(args.recipe or "tutorial", {"seed": distributed.broadcast(fresh_seed()), **given})
    try:
        channel_counts(settings.width, settings.resolution)
    except ValueError as error:
        raise UserError(f"--width {settings.width} does not suit: {error}.") from error
    return settings


def write_options(run: RunFolder, args: argparse.Namespace, settings: TrainConfig) -> None:
    """Write what this start of the run was told, beside the run's results."""
    told = {**vars(args), **settings.state_dict()}
    with atomic_path(run.options) as temporary:
        temporary.write_text(json.dumps(told, indent=2, default=str) + "\n", encoding="utf-8")


def end_early(training: TrainingRun, position: Position, keep: int) -> NoReturn:
    """Save where a run stands that was asked to stop, then end it."""
    if distributed.is_rank_0():
        training.save(position, keep)
    raise UserError(f"stopped and saved after epoch {position}; go on with --load.")


def tell_of_stop(reporter: Reporter) -> None:
    """Say that a request to stop was heard."""
    reporter.say("\nStopping after this step, then saving; once more ends at once.")


def progress(description: str) -> Callable[[Iterable[Path]], Iterable[Path]]:
    """Wrap an iterable of files in a bar that disappears when it is done and where there is no terminal."""
    return functools.partial(tqdm, desc=description, unit="file", leave=False, disable=None)


if __name__ == "__main__":
    sys.exit(main())

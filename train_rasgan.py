"""Step 4 of the tutorial: train a RaSGAN on a folder of voxel grids.

Either -n and -d are required, or --demo. For example:

    python train_rasgan.py --demo
    python train_rasgan.py -n chair-1 -d ModelNet10/chair/train -e 2500 -b 24
    python train_rasgan.py -n chair-1 -d ModelNet10/chair/train --load
    python train_rasgan.py -n chair-2 -d ModelNet10/chair/train --schedule chair
    torchrun --nproc_per_node=2 train_rasgan.py -n chair-3 -d chair/train
"""

if __name__ == "__main__":
    import rasgan.startup  # noqa: F401 - before packages that may be missing

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from rasgan import cli, files
from rasgan.errors import UserError
from rasgan.memory import available_memory
from rasgan.runs import RunFolder
from rasgan.training.config import (
    DEVICES,
    PRECISIONS,
    RECIPES,
    ConflictError,
    Intervals,
    TrainConfig,
    new_config,
    recipe_presets,
    resumed_config,
)
from rasgan.training.schedules import choose_schedule
from rasgan.voxel_folders import read_grids

if TYPE_CHECKING:  # torch is imported where it is needed: not for --help, nor in the demo's workers
    import torch

    from rasgan.training.checkpoints import Checkpoint
    from rasgan.training.progress import Reporter
    from rasgan.training.run import TrainingRun

SETTINGS = {field.name: field for field in dataclasses.fields(TrainConfig)}
INTERVALS = {field.name: field for field in dataclasses.fields(Intervals)}
STOPPING = "\nStopping after this step, then saving; once more ends at once."
METHOD = (
    *("loss", "penalty", "penalty_every", "connect", "generator_every", "occupied", "norm", "init", "output"),
    *("gate", "ema", "beta1", "beta2", "mirror", "min_width", "output_bias", "blur"),
    *("mapping_layers", "mapping_rate", "cooldown"),
)
ADVICE = {
    "batch larger than data": "Type --batchsize {}, or add shapes.",
    "batch too large": "Try --batchsize {}.",
    "too narrow": "Take a larger --width, or --min-width 2 for both runs.",
    "width too large": "Try a smaller --width.",
    "all empty": "Convert the meshes again with --mode solid --overwrite, which keeps thin parts.",
    "diverged": "Take lower learning rates (-glr, -dlr, --schedule): start anew under another --name, or go "
    "on from a checkpoint by --load.",
    "diverged early": "It has no checkpoint yet: start again with lower learning rates (-glr, -dlr, "
    "--schedule).",
    "device": "Choose another --device, or leave it out.",
    "memory": "Make {} writable, or free space on its disk: then grids are cached there and need little "
    "memory. Or train on fewer shapes, or at a lower --resolution.",
    "no checkpoints": "Check --name and the folder that you are in, or leave --load out to start the run.",
    "no data": "Give -d a folder of voxel grids; convert_data.py makes them of meshes.",
    "connect": "Leave --connect out, or add --output sigmoid.",
    "grow": "Give both runs the same settings, and this one twice the --resolution.",
    "grown bias": "Leave --output-bias out.",
    "mapping_rate": "Leave --mapping-rate out, or add --mapping-layers 2.",
    "output_bias": "Leave --output-bias out, or add --output sigmoid.",
    "not mirrored": "Leave --mirror out, or put the shapes in the middle of the grid: "
    "python convert_data.py -m FOLDER --center --overwrite",
    "no grids": "Convert its meshes: python convert_data.py -m {}",
    "odd resolution": "Grids of 32³, 64³ and 128³ fit, and those up to 1/8 smaller; convert the meshes again "
    "with --resolution.",
    "other data": "Give the -d of before; or add --new-data: then the epochs are counted on, and the order "
    "of the shapes begins anew.",
    "odd checkpoint": "Resume from another epoch with -le EPOCH, or start anew under another --name.",
    "penalty_every": "Leave --penalty-every out, or add --penalty.",
    "process ended": "Start all processes again with --load.",
    "processes differ": "Start all of them with the same options, data and checkpoints.",
    "processes": "Start torchrun with --nproc_per_node={}.",
    "rates": "Leave out -glr and -dlr, or leave the schedule by --schedule none.",
    "resolution": "Train with --resolution {}, or convert the meshes again with another --resolution.",
    "stop_ratio": "Leave --stop-ratio out, or add --gate.",
    "tensorboard": 'For --tensorboard, type: python -m pip install -e ".[tensorboard]"',
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the options: the tutorial's table first, then ours."""
    parser = cli.Parser(__doc__)
    group = parser.add_argument_group("the tutorial's options")
    add = group.add_argument
    add("-n", "--name", help="name of the run; its files go to checkpoint/NAME and savepoint/NAME")
    add("-d", "--data", type=Path, metavar="FOLDER",
        help="folder of voxel grids to train on (.raw .binvox .npy .npz .mat)")  # fmt: skip
    add("-v", "--validation_data", "--validation-data", type=Path, metavar="FOLDER",
        help="folder of voxel grids to measure the discriminator's loss on")  # fmt: skip
    cli.add_setting(group, SETTINGS["epochs"])
    cli.add_setting(group, SETTINGS["batchsize"])
    for name in ("sample", "save", "graph", "graph3d"):
        cli.add_setting(group, INTERVALS[name], default=INTERVALS[name].default)
    add("-l", "--load", action="store_true", help="resume from the newest checkpoint of this run")
    cli.add_load_epoch(group, "resume from this epoch (implies --load)")
    cli.add_setting(group, SETTINGS["generator_learning_rate"])
    cli.add_setting(group, SETTINGS["discriminator_learning_rate"])

    group = parser.add_argument_group("this project's options")
    add = group.add_argument
    add("--demo", action="store_true", help="make sample chairs, train a small network on them, show results")
    for name in ("width", "resolution", "schedule", "stop_ratio"):
        cli.add_setting(group, SETTINGS[name])
    text = "where to compute (default: CUDA if available, else the CPU)"
    add("--device", choices=DEVICES, default="auto", help=text)
    add("--precision", choices=PRECISIONS, default="float32", help="floating-point format (default float32)")
    cli.add_setting(group, SETTINGS["seed"])
    add("--new-data", action="store_true", help="with --load: resume on data other than before")
    cli.add_setting(group, INTERVALS["score"], default=INTERVALS["score"].default)
    add("--tensorboard", action="store_true", help="log to savepoint/NAME/tensorboard")
    add("--grow", metavar="RUN", help="start from the networks of this run, which has half the resolution")
    presets = " ".join(describe_option(*preset) for preset in recipe_presets("stable", 64).items())
    text = f"presets for the options below; stable, at 64³: {presets} (default tutorial)"
    add("--recipe", choices=sorted(RECIPES), help=text)

    group = parser.add_argument_group("the method (defaults: the tutorial's)")
    for name in METHOD:
        cli.add_setting(group, SETTINGS[name])
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Train, or run the demo around a training; exit code 1 where it was stopped."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.demo:
        from rasgan import demo

        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            parser.error("--demo runs in one process: start it without torchrun")
        demo.fill_in(args)
        demo.prepare(cli.say)
        args.load = has_checkpoints(args.name)
        command = "python train_rasgan.py --demo"
    elif args.name is None or args.data is None:
        parser.error("-n/--name and -d/--data are required (or try --demo)")
    elif args.new_data and not args.load and args.load_epoch is None:
        parser.error("--new-data goes with --load")
    else:
        command = resume_command(sys.argv[1:] if argv is None else argv)
    with advising(args.name, command):
        run, is_over = train(args)
    if not is_first_process():
        return int(not is_over)
    if not is_over:
        cli.say(f"Stopped and saved after {run.describe_position()}. To go on, type:\n  {command}")
        return 1
    if args.demo:
        demo.finish(run.folder, cli.say)
    else:
        tell_what_was_made(run)
    return 0


def train(args: argparse.Namespace) -> tuple["TrainingRun", bool]:
    """Train as the options say; return the run, and whether it is over or was stopped before."""
    folder = RunFolder(args.name)
    for data in filter(None, (args.data, args.validation_data)):
        files.check_is_folder(data)
        if not data.is_dir():
            raise UserError(f"{data}: no such folder; check the path, or convert meshes by convert_data.py.")
    if is_first_process():  # at once: the imports take seconds
        cli.say(f"{folder.name}: starting PyTorch, reading {args.data} ...")
    from rasgan.training import devices, distributed, loop, progress, signals
    from rasgan.training.dataset import check_mirror
    from rasgan.training.run import begin, check_same_data

    device = distributed.own_device(devices.choose_device(args.device))
    devices.configure(device)
    slow = devices.slow_bf16(device) if args.precision == "bf16" else None
    if slow and is_first_process():
        cli.complain("warning", f"{slow}; leave --precision bf16 out.")
    with contextlib.ExitStack() as held:
        held.enter_context(distributed.joined(device))
        if distributed.is_rank_0():
            refusal = (
                f"another process trains {folder.name} now; wait until it ends, or choose another --name."
            )
            held.enter_context(files.exclusive(folder.lock, refusal))
        checkpoint = find_checkpoint(folder, args)
        config = choose_config(args, checkpoint)

        shapes, validation = read_data(args, config, device)
        position = str(checkpoint.position) if checkpoint else "none"
        data = {"shapes": shapes.mark.count, "digest of the data": shapes.mark.digest}
        data["validation shapes"] = len(validation) if validation else "none"
        distributed.check_agreement(
            {"checkpoint": position, **data, "precision": args.precision, **config.state_dict()}
        )
        if checkpoint and not args.new_data:
            check_same_data(folder, checkpoint, shapes)
        held.enter_context(devices.memory_guarded(config.batchsize))
        check_mirror(config, shapes)
        run = begin(folder, config, shapes, validation, checkpoint, args.precision)
        if args.grow and checkpoint is None:
            grow_from(run, args.grow)

        intervals = Intervals(**{name: getattr(args, name) for name in INTERVALS})
        reporter = held.enter_context(contextlib.closing(open_reporter(args, run)))
        reporter.say(progress.describe(run, intervals))
        for sentence in describe_resume(run, checkpoint) if checkpoint else ():
            reporter.say(sentence)
        if run.is_over:
            reporter.say(describe_end(run))
        stop = held.enter_context(signals.stop_requests(functools.partial(reporter.say, STOPPING)))
        return run, loop.fit(run, intervals, reporter, stop)


def is_first_process() -> bool:
    """Return whether this is the one process that prints, of those that torchrun started or alone."""
    return os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def advising(name: str, command: str) -> Iterator[None]:
    """Add to what goes wrong in the block what to type: how to mend it, or the command that goes on."""
    try:
        with cli.advising(ADVICE):
            yield
    except ConflictError as error:
        raise UserError(describe_conflict(error)) from error
    except (OSError, KeyboardInterrupt) as error:
        if not has_checkpoints(name):
            raise
        how = f"To resume, type: {command}"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(how) from error
        raise UserError(f"{cli.explain(error)} {how}") from error


def has_checkpoints(name: str) -> bool:
    """Return whether there is anything to go on from."""
    return any(RunFolder(name).checkpoints.glob("*.pt"))


def find_checkpoint(folder: RunFolder, args: argparse.Namespace) -> "Checkpoint | None":
    """Load the checkpoint to go on from; None for a new run."""
    from rasgan.training import checkpoints

    if args.load or args.load_epoch is not None:
        position = checkpoints.choose_position(folder.checkpoints, args.load_epoch)
        return checkpoints.load_checkpoint(folder.checkpoints, position, with_optimizers=True)
    if checkpoints.saved_positions(folder.checkpoints):
        raise UserError(
            f"{folder.checkpoints} holds a run of this name already; go on with it by --load, "
            "or choose another --name."
        )
    return None


def choose_config(args: argparse.Namespace, checkpoint: "Checkpoint | None") -> TrainConfig:
    """Combine what was typed with the presets of the recipe, or with the settings of the checkpoint."""
    from rasgan.networks import channel_counts
    from rasgan.seeding import fresh_seed
    from rasgan.training import distributed

    given = {name: value for name, value in vars(args).items() if name in SETTINGS}
    if "schedule" in given:
        is_none = given["schedule"] == "none"
        given["schedule"] = () if is_none else tuple(map(tuple, choose_schedule(given["schedule"])))
    if checkpoint:
        return resumed_config(checkpoint.config, args.recipe, given)
    config = new_config(args.recipe or "tutorial", {"seed": distributed.broadcast(fresh_seed()), **given})
    try:
        channel_counts(config.width, config.resolution)
    except ValueError as error:
        raise UserError(f"--width {config.width} does not suit: {error}.") from error
    return config


def read_data(args: argparse.Namespace, config: TrainConfig, device: "torch.device") -> tuple:
    """Read what is trained on, and what is validated on or None."""
    from rasgan.training.dataset import Shapes

    bar = functools.partial(tqdm, desc="reading shapes", unit="shape", leave=False, disable=None)

    def read(folder: Path, split: str, start: str) -> Shapes:
        grids, told = read_grids(folder, config.resolution, split, bar)
        if is_first_process():
            cli.say(f"{start}: {told}.")
            if grids.file:
                cli.say(describe_cache(grids.file, grids.content.nbytes))
        return Shapes(grids, device, config.occupied)

    shapes = read(args.data, "train", args.name)
    return shapes, args.validation_data and read(args.validation_data, "test", "validation")


def describe_cache(file: Path, size: int) -> str:
    """Return where the grids are cached, and whether they are too large to stay in memory."""
    sentence = f"Grids are cached in {file} ({size / 1e6:,.0f} MB); you can delete it when no run uses it."
    if size > (available := available_memory()):
        sentence += f" Only {available / 1e6:,.0f} MB of memory are available: steps wait for the disk."
    return sentence


def grow_from(run: "TrainingRun", name: str) -> None:
    """Let the networks of a new run begin as those of the run `name` ended, on a grid half as fine."""
    from rasgan.training import checkpoints, growing

    folder = RunFolder(name).trained().checkpoints
    coarse = checkpoints.load_checkpoint(folder, checkpoints.choose_position(folder, None))
    growing.check_suits(run.config, coarse.config)
    growing.grow(run.gan, coarse)


def open_reporter(args: argparse.Namespace, run: "TrainingRun") -> "Reporter":
    """Write down the options, clear away what a killed run left, and begin to report."""
    from rasgan.training import distributed
    from rasgan.training.progress import Reporter, TensorBoard

    tensorboard = None
    if distributed.is_rank_0():
        files.remove_leftovers(run.folder.checkpoints)
        told = {**vars(args), **run.config.state_dict()}
        with files.atomic_path(run.folder.options) as temporary:
            temporary.write_text(json.dumps(told, indent=2, default=str) + "\n", encoding="utf-8")
        if args.tensorboard:
            tensorboard = TensorBoard(run.folder.tensorboard, run.steps_taken)
    return Reporter(run, cli.say, tensorboard)


def resume_command(argv: Sequence[str]) -> str:
    """Return the command that goes on with the run that `argv` began or went on with."""
    kept, words = [], iter(argv)
    for word in words:
        if word in ("-le", "--load_epoch", "--load-epoch"):
            next(words, None)
        elif word not in ("-l", "--load") and not word.startswith(("-le=", "--load_epoch=", "--load-epoch=")):
            kept.append(word)
    processes = os.environ.get("LOCAL_WORLD_SIZE", "1")
    start = ["python"] if processes == "1" else ["torchrun", f"--nproc_per_node={processes}"]
    return cli.command_line(*start, "train_rasgan.py", *kept, "--load")


def describe_conflict(error: ConflictError) -> str:
    """Return which options a resumed run cannot take."""
    if error.recipe is not None:
        differing = "; ".join(f"{name} {has}, not {wanted}" for name, (wanted, has) in error.clashes.items())
        kept = f"the run keeps its settings, which are not those of --recipe {error.recipe}: {differing}"
        return f"{kept}. Leave --recipe out."
    typed = ", ".join(
        f"{describe_option(name, wanted)} (the run has {has})"
        for name, (wanted, has) in error.clashes.items()
    )
    return f"a resumed run keeps its settings; leave out {typed}."


def describe_option(name: str, value: object) -> str:
    """Return a setting as it is typed."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {cli.plain(value)}"


def describe_resume(run: "TrainingRun", checkpoint: "Checkpoint") -> Iterator[str]:
    """Yield what is to be said where a run goes on otherwise than if it had never stopped."""
    if checkpoint.optimizers is None:
        yield f"Checkpoint {checkpoint.position} has no optimizer state, so Adam's moments start from zero."
    if checkpoint.data is None:
        yield "An earlier version saved this checkpoint: whether the data are the same could not be checked."
    elif checkpoint.data != run.shapes.mark:
        yield (
            f"Other data from here on, {len(run.shapes)} shapes after {checkpoint.data.count}: the epochs "
            "are counted on, the order of the shapes begins anew."
        )
    if checkpoint.config.batchsize != run.config.batchsize:
        yield f"Batches of {run.config.batchsize} shapes from here on, after {checkpoint.config.batchsize}."
    if checkpoint.config.connect != run.config.connect:
        yield f"--connect {run.config.connect:g} from here on, after {checkpoint.config.connect:g}."
    before, now = checkpoint.precision, run.gan.precision
    if before not in (None, now):
        yield f"The networks compute in {now} from here on, after {before}; --precision {before} keeps that."
    if checkpoint.position != run.position:
        steps = cli.counted(checkpoint.position.step, "step")
        yield f"Epoch {run.position.epoch + 1} begins anew: {steps} of it before the stop had other batches."


def describe_end(run: "TrainingRun") -> str:
    """Return why there is nothing left to train."""
    done, epochs, name = run.position.epoch, run.config.epochs, run.folder.name
    if done >= epochs:
        there = "its" if done == epochs else f"more than --epochs {epochs} asks for:"
        return f"{name} has {there} {cli.counted(done, 'epoch')}; a higher --epochs asks for more."
    return f"{name} ended by --stop-ratio; a higher one, or 0, goes on."


def tell_what_was_made(run: "TrainingRun") -> None:
    """Print where the results lie and what to type next."""
    folder = run.folder
    cli.say(
        f"{folder.name} is trained; epoch {run.position.epoch} was the last. Its networks are in "
        f"{folder.checkpoints}; grids, loss graphs and 3D graphs are in {folder.savepoints}. Next:\n"
        f"  {cli.command_line('python', '-m', 'rasgan.generate', '-n', folder.name)}\n"
        f"  {cli.command_line('python', 'convert_to_obj.py', '-n', folder.name)}"
    )


if __name__ == "__main__":
    sys.exit(main())

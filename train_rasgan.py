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
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from rasgan import cli, files
from rasgan.errors import UserError
from rasgan.memory import available_memory
from rasgan.runs import START, RunFolder, saved_positions
from rasgan.training import launcher
from rasgan.training.config import (
    DEVICES,
    PRECISIONS,
    RECIPES,
    SHORT_BATCH,
    SHORT_STEPS,
    SHORT_TIME,
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
    from rasgan.training.run import TrainingRun

SETTINGS = {field.name: field for field in dataclasses.fields(TrainConfig)}
INTERVALS = {field.name: field for field in dataclasses.fields(Intervals)}
STOPPING = "\nFinishing this step and saving a checkpoint. Press Ctrl-C again to quit immediately."
LONG_S = 2 * 24 * 3600  # a CPU training that takes longer gets a warning
LONG_STEP_S = 5  # a longer step gets a note, because the bar seems to hang
METHOD = ("loss", "penalty", "connect", "occupied", "gate")
ADVICE = {
    "batch larger than data": "Type --batchsize {}, or add shapes.",
    "batch too large": "Try --batchsize {}.",
    "width too large": "Try a smaller --width.",
    "all empty": "Convert the meshes again with --mode solid --overwrite, which keeps thin parts.",
    "diverged": "Use lower learning rates (-glr, -dlr, --schedule): start again under another --name, or "
    "resume from a checkpoint with --load.",
    "diverged early": "It has no checkpoint yet: start again with lower learning rates (-glr, -dlr, "
    "--schedule).",
    "device": "Choose another --device, or leave it out.",
    "memory": "Make {} writable, or free space on its disk: then grids are cached there and need little "
    "memory. Or train on fewer shapes, or at a lower --resolution.",
    "no data": "Give -d a folder of voxel grids; convert_data.py creates them from meshes.",
    "no grids": "Convert its meshes: python convert_data.py -m {}",
    "odd resolution": "Grids of 32³, 64³ and 128³ fit, and those up to 1/8 smaller; convert the meshes again "
    "with --resolution.",
    "other data": "Use the same -d as before, or add --new-data: then the epoch count continues, and the "
    "shapes are shuffled again.",
    "odd checkpoint": "Resume from another epoch with -le EPOCH, or start again under another --name.",
    "process ended": "To resume, start all processes again, with --load if there is a checkpoint.",
    "processes": "Start torchrun with --nproc_per_node={}.",
    "processes differ": "Start all of them with the same options, data and checkpoints.",
    "other recipe": "Leave --recipe out.",
    "settings kept": "Leave these options out, or start a new run under another --name.",
    "rates": "Leave out -glr and -dlr, or turn the schedule off with --schedule none.",
    "resolution": "Train with --resolution {}, or convert the meshes again with another --resolution.",
    "stop_ratio": "Leave --stop-ratio out, or add --gate.",
    "connect": "Leave --connect out, or add --recipe stable.",
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the options: the tutorial's first, then this project's."""
    parser = cli.Parser(__doc__)
    group = parser.add_argument_group("the tutorial's options")
    add = group.add_argument
    add("-n", "--name", help="name of the run; its files go to checkpoint/NAME and savepoint/NAME")
    add("-d", "--data", type=Path, metavar="FOLDER",
        help="folder of voxel grids to train on (.raw .binvox .npy .npz)")  # fmt: skip
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
    presets = recipe_presets("stable", 64)
    rates = ("generator_learning_rate", "discriminator_learning_rate")
    options = (describe_option(name, presets[name]) for name in (*METHOD, *rates) if name in presets)
    text = f"all settings of the method; stable at 64³, {' '.join(options)} and others (default tutorial)"
    add("--recipe", choices=sorted(RECIPES), help=text)

    group = parser.add_argument_group("the method (defaults: the tutorial's)")
    for name in METHOD:
        cli.add_setting(group, SETTINGS[name])
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Train, or run the demo; return exit code 1 if it was stopped."""
    parser = build_parser()
    argv = sys.argv[1:] if argv is None else argv
    args = parser.parse_args(argv)
    if args.demo:
        from rasgan import demo

        if launcher.world_size() > 1:
            parser.error("--demo runs in one process: start it without torchrun")
        demo.fill_in(args)
        demo.prepare(cli.say)
    elif args.name is None or args.data is None:
        parser.error("-n/--name and -d/--data are required (or try --demo)")
    args.load = args.load or args.load_epoch is not None
    if args.new_data and not args.load:
        parser.error("--new-data goes with --load")
    command = resume_command(argv, args.demo)
    with advising(args.name, command):
        run, is_over = train(args)
    if launcher.rank() > 0:
        return int(not is_over)
    if not is_over:
        cli.say(f"Stopped and saved after {run.describe_position()}. To resume, {command}")
        return 1
    if args.demo:
        demo.finish(run.folder, cli.say)
    else:
        tell_what_was_made(run)
    return 0


def train(args: argparse.Namespace) -> tuple["TrainingRun", bool]:
    """Train with the options; return the run, and False if it was stopped before its end."""
    folder = RunFolder(args.name)
    for data in filter(None, (args.data, args.validation_data)):
        files.check_is_folder(data)
    with contextlib.ExitStack() as held:
        if launcher.rank() == 0:
            refusal = f"{folder.name} is already being trained by another process"
            advice = "Wait for it to finish, or choose another --name."
            for lock in dict.fromkeys(folder.locks):
                held.enter_context(files.exclusive(lock, f"{refusal}. {advice}"))
        restarts, resumes = launcher.restarts(), False
        if launcher.world_size() == 1:
            resumes = choose_start(folder, args.load, args.demo, restarts)
        if launcher.rank() == 0:  # at once: the imports take seconds
            cli.say(f"{folder.name}: starting PyTorch, reading {args.data} ...")
        from rasgan.training import checkpoints, devices, distributed, loop, progress, resuming, signals
        from rasgan.training.dataset import measured_mirror

        stop = signals.StopRequest()
        device = distributed.own_device(devices.choose_device(args.device))
        devices.configure(device)
        if args.precision == "bf16" and launcher.rank() == 0 and not devices.has_bf16(device):
            cli.complain("warning", "this device emulates bf16, which is slow; leave --precision bf16 out.")
        held.enter_context(distributed.joined(device, stop))
        if launcher.world_size() > 1:  # torchrun tells only the machine where a process ended
            restarts = max(distributed.gather_objects(restarts))
            resumes = choose_start(folder, args.load, False, restarts)
        epoch = None if restarts else args.load_epoch  # a restart has newer checkpoints
        checkpoint = None
        if resumes:
            position = checkpoints.choose_position(folder.checkpoints, epoch)
            checkpoint = checkpoints.load_checkpoint(folder.checkpoints, position, with_optimizers=True)
        given = {name: value for name, value in vars(args).items() if name in SETTINGS}
        config = choose_config(args.recipe, given, checkpoint)

        shapes, validation = read_data(args.name, args.data, args.validation_data, config, device)
        if config.mirror and not checkpoint:
            config, found = measured_mirror(config, shapes)
            if launcher.rank() == 0:
                cli.say(found)
        own = {"checkpoint": str(checkpoint and checkpoint.position), "shapes": len(shapes)}
        own |= {"digest of the data": shapes.mark.digest, "validation shapes": len(validation or ())}
        distributed.check_agreement({**own, "precision": args.precision, **config.state_dict()})
        if checkpoint and not args.new_data:
            resuming.check_same_data(folder, checkpoint, shapes)
        held.enter_context(devices.memory_guarded(config.batchsize))
        run = resuming.begin(folder, config, shapes, validation, checkpoint, args.precision)

        intervals = Intervals(**{name: getattr(args, name) for name in INTERVALS})
        reporter = held.enter_context(contextlib.closing(progress.Reporter(run, cli.say)))
        reporter.say(progress.describe(run, intervals, checkpoint))
        if run.is_over:
            reporter.say(describe_end(run))
        elif launcher.rank() == 0:
            prepare_files(run, checkpoint, vars(args))
            if device.type == "cpu":
                warn_of_slow(run, args.data, progress.expected_step_s(run))
        held.enter_context(signals.stop_requests(stop, functools.partial(reporter.say, STOPPING)))
        try:
            return run, loop.fit(run, intervals, reporter, stop)
        except BaseException:
            if not run.steps_taken:  # a start that fails, for example for lack of memory, leaves no options
                files.remove(folder.options)
            raise


@contextlib.contextmanager
def advising(name: str, command: str) -> Iterator[None]:
    """Add to each error of the block how to fix it, or the `command` that resumes the run."""
    try:
        with cli.advising(ADVICE):
            yield
    except (OSError, KeyboardInterrupt) as error:
        if not saved_positions(RunFolder(name).checkpoints):
            raise
        how = f"To resume, {command}"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(how) from error
        raise UserError(f"{cli.explain(error)} {how}") from error


def choose_start(folder: RunFolder, load: bool, is_demo: bool, restarts: int) -> bool:
    """Return whether to resume; the demo and a restarted process do so if there is a checkpoint.

    Raises UserError if there is none to resume from, or one that would be overwritten.
    """
    is_begun = bool(saved_positions(folder.checkpoints))
    if restarts and launcher.rank() == 0:
        start = "resuming from the newest checkpoint" if is_begun else "no checkpoint yet: starting again"
        cli.say(f"{folder.name}: restarted ({cli.counted(restarts, 'restart')}); {start}.")
    if is_demo or restarts:
        return is_begun
    if is_begun and not load:
        raise UserError(
            f"{folder.checkpoints} already contains a run of this name. Resume it with --load, or choose "
            "another --name."
        )
    if load:
        folder.trained()
    return load


def choose_config(recipe: str | None, given: dict, checkpoint: "Checkpoint | None") -> TrainConfig:
    """Combine the settings given with the presets of the recipe, or with those of the checkpoint."""
    from rasgan.networks import channel_counts
    from rasgan.seeding import fresh_seed
    from rasgan.training import distributed

    if "schedule" in given:
        is_none = given["schedule"] == "none"
        schedule = () if is_none else tuple(map(tuple, choose_schedule(given["schedule"])))
        given = {**given, "schedule": schedule}
    if checkpoint:
        return resumed_config(checkpoint.config, recipe, given)
    config = new_config(recipe or "tutorial", {"seed": distributed.gather_objects(fresh_seed())[0], **given})
    try:
        channel_counts(config.width, config.resolution)
    except ValueError as error:
        raise UserError(f"--width {config.width} does not suit: {error}.") from error
    return config


def read_data(
    name: str, data: Path, validation: Path | None, config: TrainConfig, device: "torch.device"
) -> tuple:
    """Read the training shapes and the validation shapes, None without `validation`."""
    from rasgan.training.dataset import Shapes

    bar = functools.partial(tqdm, desc="reading shapes", unit="shape", leave=False, disable=None)

    def read(folder: Path, split: str, start: str) -> Shapes:
        grids, told = read_grids(folder, config.resolution, split, bar)
        if launcher.rank() == 0:
            cli.say(f"{start}: {told}.")
            if grids.file:
                megabytes, available = grids.content.nbytes / 1e6, available_memory() / 1e6
                cli.say(
                    f"Grids are cached in {grids.file} ({megabytes:,.0f} MB); delete it when no run uses it."
                )
                if megabytes > available:
                    cli.say(f"Only {available:,.0f} MB of memory are available: steps wait for the disk.")
        return Shapes(grids, device, config.occupied)

    return read(data, "train", name), validation and read(validation, "test", "validation")


def prepare_files(run: "TrainingRun", checkpoint: "Checkpoint | None", typed: dict) -> None:
    """Move files of later epochs aside, delete temporary files of killed processes, and save the options."""
    from rasgan.training.resuming import move_aside

    if moved := move_aside(run, checkpoint.position if checkpoint else START):
        there = " and ".join(map(str, moved))
        cli.say(f"Files later than {run.describe_position()} were moved to {there}.")
    files.remove_leftovers(run.folder.checkpoints)
    options = {**typed, **run.config.state_dict()}
    with files.atomic_path(run.folder.options) as temporary:
        temporary.write_text(json.dumps(options, indent=2, default=str) + "\n", encoding="utf-8")


def resume_command(argv: Sequence[str], is_demo: bool = False) -> str:
    """Return "type:" and the command that resumes the run that `argv` started or resumed."""
    kept, words = [], iter(argv)
    for word in words:
        if word in ("-le", "--load_epoch", "--load-epoch"):
            next(words, None)
        elif word not in ("-l", "--load") and not word.startswith(("-le=", "--load_epoch=", "--load-epoch=")):
            kept.append(word)
    typed = cli.command_line(cli.script("train_rasgan.py"), *kept, *([] if is_demo else ["--load"]))
    processes = launcher.local_world_size()
    if processes < launcher.world_size():
        return f"start torchrun on every machine as before, with:\n  {typed}"
    start = f"torchrun --nproc_per_node={processes}" if processes > 1 else cli.interpreter()
    return f"type:\n  {start} {typed}"


def describe_option(name: str, value: object) -> str:
    """Return a setting as a command-line option."""
    flag = name.replace("_", "-")
    return f"--{'' if value else 'no-'}{flag}" if isinstance(value, bool) else f"--{flag} {cli.plain(value)}"


def describe_end(run: "TrainingRun") -> str:
    """Return why the run has no steps left."""
    done, name = cli.counted(run.position.epoch, "epoch"), run.folder.name
    if run.position.epoch < run.config.epochs:
        return f"{name} was stopped by --stop-ratio. To train longer, increase it, or set it to 0."
    return f"{name} has already been trained for {done}. To train longer, increase --epochs."


def warn_of_slow(run: "TrainingRun", data: Path, step_s: float) -> None:
    """Print the expected time of slow steps and, for days of training, the command for a smaller network."""
    steps, edge = run.config.epochs * run.steps_per_epoch - run.steps_taken, run.config.resolution
    if steps * step_s < LONG_S:
        if step_s > LONG_STEP_S:
            cli.say(f"On this CPU a step takes about {step_s:.2g} s; the bar moves after each step.")
        return
    batch = min(SHORT_BATCH, len(run.shapes))
    epochs = math.ceil(SHORT_STEPS / (len(run.shapes) // batch))
    small = ["-n", f"{run.folder.name[:90]}-small", "-d", data, "--recipe", "stable"]
    small += ["--resolution", edge, "--width", 64, "-b", batch, "-e", epochs]
    cli.say(
        f"On this CPU a step takes about {step_s:.2g} s and all {steps:,} steps about "
        f"{steps * step_s / 86400:,.0f} days. For a smaller network, {SHORT_TIME} at 64³, type:\n"
        f"  {cli.command_line('python', 'train_rasgan.py', *small)}"
    )


def tell_what_was_made(run: "TrainingRun") -> None:
    """Print where the results are and what to type next."""
    folder = run.folder
    cli.say(
        f"{folder.name} is trained; epoch {run.position.epoch} was the last. Its networks are in "
        f"{folder.checkpoints}; grids, loss graphs and 3D graphs are in {folder.savepoints}. Next:\n"
        f"  {cli.command_line('python', '-m', 'rasgan.generate', '-n', folder.name)}\n"
        f"  {cli.command_line('python', 'convert_to_obj.py', '-n', folder.name)}"
    )


if __name__ == "__main__":
    sys.exit(main())

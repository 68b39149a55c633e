"""How a run starts from its seed, or resumes from a checkpoint."""

from pathlib import Path

from torch import Tensor

from rasgan import seeding
from rasgan.errors import UserError
from rasgan.runs import Position, RunFolder
from rasgan.training import checkpoints, distributed
from rasgan.training.checkpoints import Checkpoint
from rasgan.training.config import TrainConfig
from rasgan.training.dataset import Shapes, occupied_share
from rasgan.training.history import History, cut_scores
from rasgan.training.run import TrainingRun
from rasgan.training.state import build_gan, check_fit, set_output_bias


def begin(
    folder: RunFolder,
    config: TrainConfig,
    shapes: Shapes,
    validation: Shapes | None = None,
    checkpoint: Checkpoint | None = None,
    precision: str = "float32",
) -> TrainingRun:
    """Start a run from its seed, or resume it from a checkpoint with the settings `config`.

    Raises UserError if the shapes do not fill a batch, the processes cannot share a batch evenly, or the
    checkpoint is invalid.
    """
    check_sizes(config.batchsize, len(shapes), None if validation is None else len(validation))
    seeding.seed_weights(config.seed)
    stage = config.stage(checkpoint.position.last_epoch if checkpoint else 0)
    if checkpoint:
        with checkpoints.understood(checkpoints.weights_path(folder.checkpoints, checkpoint.position)):
            check_fit(stage, checkpoint.generator, checkpoint.discriminator)
    gan = build_gan(stage, shapes.device, precision)
    run = TrainingRun(folder, config, gan, config.schedule_state(), History(), shapes, validation)
    if checkpoint:
        load(run, checkpoint)
    elif config.output_bias:
        set_output_bias(gan, occupied_share(shapes))
    return run


def load(run: TrainingRun, checkpoint: Checkpoint) -> None:
    """Load a checkpoint into a new run. Raises UserError if it is invalid."""
    gan, state, folder = run.gan, run.schedule_state, run.folder
    with checkpoints.understood(checkpoints.weights_path(folder.checkpoints, checkpoint.position)):
        gan.generator.load_state_dict(checkpoint.generator)
        gan.discriminator.load_state_dict(checkpoint.discriminator)
        gan.gate.load_state_dict(checkpoint.gate)
        if gan.ema_generator is not None:
            gan.ema_generator.load_state_dict(checkpoint.ema_generator)
        if checkpoint.config.schedule == run.config.schedule:
            state.load_state_dict(checkpoint.schedule_state)
            state.reached = state.reached and checkpoint.config.stop_ratio == run.config.stop_ratio
        else:
            state.go_to(checkpoint.position.epoch)
        saved = checkpoint.history
        is_old = isinstance(saved, Tensor)  # earlier versions stored all rows
        run.history = History(saved.numpy()) if is_old else History.read(folder.history, saved)
    if checkpoint.optimizers is not None:
        with checkpoints.understood(checkpoints.optimizers_path(folder.checkpoints, checkpoint.position)):
            gan.load_moments(*checkpoint.optimizers)
    run.position = resumed_position(checkpoint, run.config, run.shapes)
    if run.position != checkpoint.position:
        run.history.cut(run.position.epoch)


def resumed_position(checkpoint: Checkpoint, config: TrainConfig, shapes: Shapes) -> Position:
    """Return the position of the checkpoint, or the start of its epoch if its batches would be others.

    A step within an epoch has a meaning only for the same shapes in batches of the same size.
    """
    epoch, step = checkpoint.position
    is_same = checkpoint.data in (None, shapes.mark) and checkpoint.config.batchsize == config.batchsize
    return checkpoint.position if is_same and step < len(shapes) // config.batchsize else Position(epoch)


def check_same_data(folder: RunFolder, checkpoint: Checkpoint, shapes: Shapes) -> None:
    """Raise UserError if the shapes are not those that the checkpoint was trained on, as far as it knows."""
    before, now = checkpoint.data, shapes.mark
    if before not in (None, now):
        differ = f"{now.count} in number, not {before.count}" if now.count != before.count else "other shapes"
        reason = f"the data are not those that {folder.name} was trained on: {differ}."
        raise UserError(reason, about="other data")


def check_sizes(batch_size: int, shapes: int, validation_shapes: int | None) -> None:
    """Raise UserError if the data do not fill a batch, or the processes cannot share batches evenly."""
    processes = distributed.world_size()
    if batch_size > shapes:
        raise UserError(
            f"the data folder contains {shapes} shapes, fewer than one batch of {batch_size}.",
            about="batch larger than data",
            value=shapes,
        )
    if batch_size % processes:
        raise UserError(f"{processes} processes cannot share a batch of {batch_size} evenly; try another.")
    if validation_shapes is not None and validation_shapes < processes:
        raise UserError(f"the validation folder contains fewer shapes than there are processes, {processes}.")


def move_aside(run: TrainingRun, position: Position) -> list[Path]:
    """Move files later than `position`, from which a run resumes, to new folders, and return these."""
    folder = run.folder
    damaged = [folder.history] if run.has_lost_history else []
    moved = folder.move_aside(position, [folder.history, folder.scores], damaged)
    cut_scores(folder.scores, position.epoch)
    if moved:
        run.history.write(folder.history)
    return moved

"""Checkpoints: all that a resumed run needs.

A checkpoint is ``EPOCH.pt`` with both networks, the gate, the settings and the length and digest of
``history.csv``. The newest ones also have ``EPOCH.optim.pt`` with the optimizers' state, which is twice as
large and written first. A run that is stopped within an epoch leaves ``EPOCH+STEP.pt``, which the next
checkpoint replaces. The file ``latest`` names the checkpoint written last, which is not the highest one after
resuming from an earlier epoch.
"""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from rasgan.errors import UserError
from rasgan.files import atomic_path, remove
from rasgan.networks import Generator
from rasgan.runs import LATEST, Position, parse_position, pretrained_run, saved_positions, write_latest
from rasgan.training.config import TrainConfig, without_removed
from rasgan.training.dataset import DataMark
from rasgan.training.devices import is_out_of_memory
from rasgan.training.state import check_fit, new_generator

FORMAT = 2
KEPT = 2  # checkpoints with the optimizers' state: one more, in case the newest is damaged
KEYS = {  # of EPOCH.pt, by field of `Checkpoint`
    "config": "settings",
    "generator": "generator",
    "discriminator": "discriminator",
    "ema_generator": "averaged",
    "gate": "gate",
    "schedule_state": "pace",
    "history": "history",
    "data": "data",
    "precision": "precision",
}
OPTIMIZER_KEYS = ("g", "d")  # of EPOCH.optim.pt


@dataclass
class Checkpoint:
    """A run at one position, as plain numbers, strings, tensors and containers of them.

    All fields after `generator` are None in the checkpoint of a model that can only generate shapes.
    """

    position: Position
    config: TrainConfig
    generator: dict  # weights by name
    discriminator: dict | None = None
    ema_generator: dict | None = None  # None without averaging
    gate: dict | None = None  # state of the Gate
    schedule_state: dict | None = None  # state of the ScheduleState
    history: dict | Tensor | None = None  # `History.state_dict`; earlier versions: all (steps, 8) rows
    data: DataMark | None = None  # None if an earlier version saved it
    precision: str | None = None  # "float32" or "bf16"; None as above
    optimizers: tuple[dict, dict] | None = None  # of G and D; None if deleted or not loaded


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint and return its path. Only the newest `KEPT` epochs keep the optimizers' state."""
    position = checkpoint.position
    if checkpoint.optimizers is not None:
        _save(
            optimizers_path(folder, position), dict(zip(OPTIMIZER_KEYS, checkpoint.optimizers, strict=True))
        )
    write_latest(Path(folder), position)  # ignored until the weights exist
    path = _save_weights(folder, checkpoint)
    earlier = [saved for saved in saved_positions(folder) if saved < position]
    for saved in earlier:
        if saved.step:  # a stop within an epoch
            remove(weights_path(folder, saved))
    kept = [saved for saved in earlier if not saved.step][1 - KEPT :]
    for state in Path(folder).glob("*.optim.pt"):
        saved = parse_position(state.name.removesuffix(".optim.pt"))
        if saved and saved < position and saved not in kept:
            remove(state)
    return path


def save_generator(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write the generator alone, the averaged one if there is one, and return the path.

    It can generate shapes, but no run can resume from it. Weights are rounded to float16: half the size.
    """
    weights = checkpoint.ema_generator or checkpoint.generator
    generator = {name: value.half() if value.dim() > 1 else value for name, value in weights.items()}
    return _save_weights(folder, Checkpoint(checkpoint.position, checkpoint.config, generator))


def choose_position(folder: Path, epoch: int | None) -> Position:
    """Return the position at the end of `epoch`, or for None that of the checkpoint written last.

    Raises UserError, which lists the existing ones, if there is no such checkpoint.
    """
    positions = saved_positions(folder)
    if not positions:
        raise UserError(f"{Path(folder).absolute()}: no checkpoints of this run.", about="no checkpoints")
    if epoch is None:
        note = Path(folder) / LATEST
        text = note.read_text(encoding="ascii", errors="replace").strip() if note.is_file() else ""
        latest = parse_position(text)
        return latest if latest in positions else positions[-1]
    if Position(epoch) not in positions:
        there = "..., " * (len(positions) > 8) + ", ".join(map(str, positions[-8:]))
        raise UserError(f"{folder}: epoch {epoch} was not saved; there are {there}.", about="odd checkpoint")
    return Position(epoch)


def load_checkpoint(folder: Path, position: Position, with_optimizers: bool = False) -> Checkpoint:
    """Read a checkpoint onto the CPU; the optimizers' state, twice as large, only on request.

    Raises UserError if a file is damaged or of another version. Code in it is never run.
    """
    path = weights_path(folder, position)
    state = _load(path)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(
            f"{path}: not a checkpoint of this version of the project; use the version that saved it."
        )
    with understood(path):
        fields = {name: state[key] for name, key in KEYS.items() if key in state}
        fields["config"] = TrainConfig(**without_removed(fields["config"]))
        if "data" in fields:
            fields["data"] = DataMark(**fields["data"])
        checkpoint = Checkpoint(position, **fields)
    path = optimizers_path(folder, position)
    if with_optimizers and path.exists():
        with understood(path):
            loaded = _load(path)
            checkpoint.optimizers = tuple(loaded[key] for key in OPTIMIZER_KEYS)
    return checkpoint


def load_generator(folder: Path, epoch: int | None = None) -> tuple[Generator, Position]:
    """Load the generator of a checkpoint, the averaged one if there is one, and its position.

    Raises UserError if there is no such checkpoint, or it is damaged.
    """
    position = choose_position(folder, epoch)
    checkpoint = load_checkpoint(folder, position)
    config = checkpoint.config.stage(position.last_epoch)
    with understood(weights_path(folder, position)):
        weights = checkpoint.ema_generator or checkpoint.generator
        check_fit(config, weights)
        generator = new_generator(config)
        generator.load_state_dict(weights)
    return generator.eval(), position


def load_pretrained(name: str = "chairs") -> Generator:
    """Load the generator of a pretrained model. Raises UserError if there is none of this name."""
    return load_generator(pretrained_run(name).checkpoints)[0]


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Convert errors caused by an incompatible checkpoint at `path` into a UserError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise UserError(f"{path}: not a valid checkpoint of a run.", about="odd checkpoint") from error


def weights_path(folder: Path, position: Position) -> Path:
    """Return the path of the weights file; a checkpoint is complete once it exists."""
    return Path(folder) / f"{position}.pt"


def optimizers_path(folder: Path, position: Position) -> Path:
    """Return the path of the file with the optimizers' state."""
    return Path(folder) / f"{position}.optim.pt"


def _save_weights(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write all but the optimizers' state."""
    data = None if checkpoint.data is None else checkpoint.data._asdict()
    fields = {**vars(checkpoint), "config": checkpoint.config.state_dict(), "data": data}
    state = {key: fields[name] for name, key in KEYS.items() if fields[name] is not None}
    path = weights_path(folder, checkpoint.position)
    _save(path, {"format": FORMAT, **state})
    return path


def _save(path: Path, state: dict) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # torch hides a full disk behind its own message
                raise error.__context__ from error
            raise


def _load(path: Path) -> dict:
    """Read one file in memory proportional to its size; torch's restricted unpickler runs no foreign code."""
    too_large = UserError(f"{path}: damaged; it would unpack to more than the file.", about="odd checkpoint")
    try:
        if _is_bomb(path):
            raise too_large
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, LookupError, UnpicklingError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a complete checkpoint; delete it.", about="odd checkpoint") from error
    if sum(tensor.numel() * tensor.element_size() for tensor in _tensors(state)) > path.stat().st_size:
        raise too_large
    return state


def _is_bomb(path: Path) -> bool:
    """Return whether an archive may fill the memory. Files of torch.save never do."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
        return (
            any(entry.compress_type for entry in entries)
            or sum(entry.file_size for entry in entries) > path.stat().st_size
            or any(b"bytearray" in archive.read(entry) for entry in pickles)  # any number of zeros
        )


def _tensors(state: object) -> Iterator[Tensor]:
    """Yield every tensor in nested containers once."""
    waiting, seen = [state], {}
    while waiting:
        item = waiting.pop()
        if id(item) not in seen:
            seen[id(item)] = item
            if isinstance(item, Tensor):
                yield item
            elif isinstance(item, dict | list | tuple):
                waiting.extend(item.values() if isinstance(item, dict) else item)

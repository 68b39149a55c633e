"""Checkpoints: all that a resumed run needs, whole or absent.

A checkpoint is up to two files in the run's checkpoint folder: ``EPOCH.pt`` with both networks, the gate, the
history and the settings, and ``EPOCH.optim.pt`` with the optimizers' state, twice as large. The second is
written first, so a checkpoint counts once ``EPOCH.pt`` is there. Older epochs keep the networks only.

A run that is stopped within an epoch leaves ``EPOCH+STEP.pt``: so many finished epochs and steps of the next.
The following checkpoint replaces it. The file ``latest`` names the checkpoint written last, which is not the
highest one after a resume from an earlier epoch.
"""

import pickle
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from rasgan.errors import UserError
from rasgan.files import atomic_path
from rasgan.training.devices import is_out_of_memory

FORMAT = 2
LATEST = "latest"


class Position(NamedTuple):
    """How far a run has come: finished epochs, and steps of the next one."""

    epoch: int
    step: int = 0

    def __str__(self) -> str:
        return f"{self.epoch}+{self.step}" if self.step else f"{self.epoch}"


START = Position(0)


def parse_position(text: str) -> Position | None:
    """Read what `str` of a `Position` wrote; None for anything else."""
    match = re.fullmatch(r"(\d{1,9})(?:\+(\d{1,9}))?", text, re.ASCII)
    return Position(int(match[1]), int(match[2] or 0)) if match else None


def saved_positions(folder: Path) -> list[Position]:
    """List the checkpoints of a run, the furthest last."""
    positions = (parse_position(path.stem) for path in Path(folder).glob("*.pt"))
    return sorted(position for position in positions if position is not None)


def save_checkpoint(folder: Path, position: Position, state: dict, optimizers: dict, keep: int) -> None:
    """Write a checkpoint; keep the optimizers' state of the newest `keep` epochs only.

    Parameters
    ----------
    state : dict
        Tensors, numbers, strings and containers of them; no other objects.
    optimizers : dict
        The optimizers' state by name.
    """
    _save(optimizers_path(folder, position), optimizers)
    _save(weights_path(folder, position), {"format": FORMAT, **state})
    with atomic_path(Path(folder) / LATEST) as temporary:
        temporary.write_text(f"{position}\n", encoding="ascii")
    earlier = [saved for saved in saved_positions(folder) if saved < position]
    for saved in earlier:
        if saved.step:
            weights_path(folder, saved).unlink(missing_ok=True)
            optimizers_path(folder, saved).unlink(missing_ok=True)
    for saved in [saved for saved in earlier if not saved.step][: 1 - keep or None]:
        optimizers_path(folder, saved).unlink(missing_ok=True)


def save_generator(folder: Path, position: Position, settings: dict, weights: dict) -> Path:
    """Write a checkpoint from which shapes can be generated, and no run resumed; return its path."""
    path = weights_path(folder, position)
    _save(path, {"format": FORMAT, "settings": settings, "generator": weights})
    return path


def choose_position(folder: Path, epoch: int | None) -> Position:
    """Return the end of `epoch`, or for None where the checkpoint written last stands.

    Raises
    ------
    UserError
        If there is no such checkpoint; the sentence names those that there are.
    """
    positions = saved_positions(folder)
    if not positions:
        raise UserError(
            f"{folder}: no checkpoints of this run; check --name, or leave --load out to start it."
        )
    if epoch is None:
        latest = _read_latest(Path(folder) / LATEST)
        return latest if latest in positions else positions[-1]
    if Position(epoch) not in positions:
        raise UserError(f"{folder}: epoch {epoch} was not saved; there are {_listing(positions)}.")
    return Position(epoch)


def load_checkpoint(folder: Path, position: Position) -> dict:
    """Read the networks, gate, history and settings of a checkpoint, onto the CPU.

    Raises
    ------
    UserError
        If the file is damaged, foreign or of another version. Code in it is never run.
    """
    path = weights_path(folder, position)
    state = _load(path)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(
            f"{path}: not a checkpoint of this version of the project; resume it with the one it is of."
        )
    return state


def load_optimizers(folder: Path, position: Position) -> dict | None:
    """Read the optimizers' state of a checkpoint; None where it was dropped."""
    path = optimizers_path(folder, position)
    return _load(path) if path.exists() else None


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Turn what goes wrong inside the block, because the checkpoint at `path` is odd, into a sentence."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"{path}: not what this version saves for a run; take another epoch with -le, or start anew."
        ) from error


def weights_path(folder: Path, position: Position) -> Path:
    """Path of the file that makes a checkpoint count."""
    return Path(folder) / f"{position}.pt"


def optimizers_path(folder: Path, position: Position) -> Path:
    """Path of the file with the optimizers' state."""
    return Path(folder) / f"{position}.optim.pt"


def _save(path: Path, state: dict) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            # torch hides a failed write behind its own message; the cause says whether the disk is full
            raise _underlying_os_error(error) or error from error


def _underlying_os_error(error: BaseException) -> OSError | None:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return cause


def _load(path: Path) -> dict:
    """Read one file; torch's restricted unpickler runs no foreign code."""
    damaged = UserError(
        f"{path}: not a whole checkpoint; delete it and resume from an earlier epoch with -le."
    )
    if not zipfile.is_zipfile(path):
        raise damaged
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError) as error:
        raise damaged from error


def _read_latest(path: Path) -> Position | None:
    return (
        parse_position(path.read_text(encoding="ascii", errors="replace").strip()) if path.is_file() else None
    )


def _listing(positions: list[Position], most: int = 8) -> str:
    shown = [str(position) for position in positions[-most:]]
    return ("..., " if len(positions) > most else "") + ", ".join(shown)

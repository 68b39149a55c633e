"""Checkpoints: all that a resumed run needs, whole or absent.

A checkpoint is up to two files in the run's checkpoint folder: ``EPOCH.pt`` with both networks, the gate, the
history and the settings, and ``EPOCH.optim.pt`` with the optimisers' state, twice as large. The second is
written first, so a checkpoint counts once ``EPOCH.pt`` is there. Older epochs keep the networks only. The
file ``latest`` names the epoch saved last, which is not the highest after a resume from an earlier epoch.
"""

import pickle
import re
import zipfile
from pathlib import Path

import torch

from rasgan.errors import UserError
from rasgan.files import atomic_path

FORMAT = 1
WEIGHTS_SUFFIX = ".pt"
OPTIMIZERS_SUFFIX = ".optim.pt"
LATEST = "latest"


def saved_epochs(folder: Path) -> list[int]:
    """List the epochs with a checkpoint, oldest first."""
    names = (re.fullmatch(r"(\d+)\.pt", path.name) for path in Path(folder).glob("*.pt"))
    return sorted(int(match[1]) for match in names if match)


def save_checkpoint(folder: Path, epoch: int, state: dict, optimizers: dict, keep: int) -> None:
    """Write the checkpoint of `epoch` and drop the optimisers' state of all but the newest `keep` epochs.

    Parameters
    ----------
    state : dict
        Tensors, numbers, strings and containers of them; no other objects.
    optimizers : dict
        The optimisers' state by name.
    """
    _save(weights_path(folder, epoch).with_suffix(OPTIMIZERS_SUFFIX), optimizers)
    _save(weights_path(folder, epoch), {"format": FORMAT, "epoch": epoch, **state})
    with atomic_path(Path(folder) / LATEST) as temporary:
        temporary.write_text(f"{epoch}\n", encoding="ascii")
    older = [saved for saved in saved_epochs(folder) if saved <= epoch]
    for saved in older[:-keep]:
        weights_path(folder, saved).with_suffix(OPTIMIZERS_SUFFIX).unlink(missing_ok=True)


def choose_epoch(folder: Path, epoch: int | None) -> int:
    """Return `epoch`, or the one saved last for None.

    Raises
    ------
    UserError
        If there is no such checkpoint; the sentence names those that there are.
    """
    epochs = saved_epochs(folder)
    if not epochs:
        raise UserError(
            f"{folder}: no checkpoints of this run; check --name, or leave --load out to start it."
        )
    if epoch is None:
        latest = _read_latest(Path(folder) / LATEST)
        return latest if latest in epochs else epochs[-1]
    if epoch not in epochs:
        raise UserError(f"{folder}: epoch {epoch} was not saved; there are {_listing(epochs)}.")
    return epoch


def load_checkpoint(folder: Path, epoch: int) -> dict:
    """Read the networks, gate, history and settings of one saved epoch, onto the CPU."""
    path = weights_path(folder, epoch)
    state = _load(path)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(
            f"{path}: not a checkpoint of this version of the project; resume it with the one it is of."
        )
    return state


def load_optimizers(folder: Path, epoch: int) -> dict | None:
    """Read the optimisers' state of one saved epoch; None where it was dropped."""
    path = weights_path(folder, epoch).with_suffix(OPTIMIZERS_SUFFIX)
    return _load(path) if path.exists() else None


def weights_path(folder: Path, epoch: int) -> Path:
    """Path of the file that makes the checkpoint of `epoch`."""
    return Path(folder) / f"{epoch}{WEIGHTS_SUFFIX}"


def _save(path: Path, state: dict) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            # torch hides the failed write behind its own message; the cause says whether the disk is full
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


def _read_latest(path: Path) -> int | None:
    text = path.read_text(encoding="ascii", errors="replace").strip() if path.is_file() else ""
    return int(text) if text.isdecimal() else None


def _listing(epochs: list[int], most: int = 8) -> str:
    shown = [str(epoch) for epoch in epochs[-most:]]
    return ("..., " if len(epochs) > most else "") + ", ".join(shown)

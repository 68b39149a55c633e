"""The folders and files of a training run, named as in the tutorial."""

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from rasgan import files
from rasgan.errors import UserError

CHECKPOINTS = Path("checkpoint")
SAVEPOINTS = Path("savepoint")
PRETRAINED = Path(__file__).parent / "pretrained"
"""A folder for each pretrained model, which contains one checkpoint with the generator only."""
DEVICE_NAME = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³]|conin\$|conout\$)\s*(\..*)?", re.IGNORECASE)
"""Names of devices on Windows, with any suffix. It must be possible to copy a run's folders to any system."""

LATEST = "latest"
"""Name of the file in the folder of checkpoints that names the checkpoint saved last."""
REPLACED = "replaced-"
"""Prefix of the folders that `RunFolder.move_aside` creates."""


class Position(NamedTuple):
    """The progress of a run: completed epochs, and steps of the next one."""

    epoch: int
    step: int = 0

    @property
    def last_epoch(self) -> int:
        """The epoch of the last step so far, counted from 0."""
        return self.epoch if self.step else max(0, self.epoch - 1)

    def __str__(self) -> str:
        return f"{self.epoch}+{self.step}" if self.step else f"{self.epoch}"


START = Position(0)


def parse_position(text: str) -> Position | None:
    """Parse the text of a `Position`. Returns None for anything else."""
    match = re.fullmatch(r"(\d{1,9})(?:\+(\d{1,9}))?", text, re.ASCII)
    position = match and Position(int(match[1]), int(match[2] or 0))
    return position if str(position) == text else None


def saved_positions(folder: Path) -> list[Position]:
    """List the checkpoints in a folder, the furthest last.

    A checkpoint is a file ``EPOCH.pt`` or ``EPOCH+STEP.pt``. Optimizer states (``EPOCH.optim.pt``) and the
    temporary files of a killed process (``.EPOCH-1a2b3c4d.pt``) are not checkpoints.
    """
    positions = (parse_position(path.stem) for path in Path(folder).glob("*.pt"))
    return sorted(position for position in positions if position is not None)


class RunFolder:
    """The two folders of one run, below the current folder or another `base`.

    Raises UserError if `name` is not a valid folder name on every system.
    """

    def __init__(self, name: str, base: Path = Path()) -> None:
        if not re.fullmatch(r"[^<>:\"/\\|?*\x00-\x1f]{1,100}", name) or name.strip(" .") != name:
            advice = "use at most 100 letters, digits, '-' and '_'"
            raise UserError(f"run name {name!r} cannot be a folder's name; {advice}.")
        if DEVICE_NAME.fullmatch(name):
            raise UserError(f"run name {name!r} cannot be a folder's name on Windows; choose another.")
        self.name = name
        self.checkpoints = base / CHECKPOINTS / name
        self.savepoints = base / SAVEPOINTS / name
        self.plots = self.savepoints / "plots"
        self.graphs = self.savepoints / "3D_graphs"
        self.film = self.savepoints / "film"
        self.models = self.savepoints / "models"
        self.renders = self.savepoints / "renders"
        self.options = self.savepoints / "options.json"
        self.history = self.savepoints / "history.csv"
        self.scores = self.savepoints / "scores.csv"

    @property
    def locks(self) -> list[Path]:
        """Lock files of both folders, beside the folders that these may be links to."""
        folders = (self.checkpoints.resolve(), self.savepoints.resolve())
        return [folder.with_name(f".{folder.name}.lock") for folder in folders]

    def grid(self, epoch: int) -> Path:
        """Return the path of the shape generated after `epoch` epochs."""
        return self.savepoints / f"{epoch}.npy"

    def title(self, epoch: object) -> str:
        """Return the title of the results of one epoch."""
        return f"{self.name}, epoch {epoch}"

    def generated(self, position: object) -> Path:
        """Return the folder of shapes generated after training from the checkpoint at `position`."""
        return self.savepoints / "generated" / str(position)

    def evaluation(self, position: object) -> Path:
        """Return the path of the scores of the checkpoint at `position`."""
        return self.savepoints / "evaluation" / f"{position}.json"

    def existing(self) -> "RunFolder":
        """Return this run. Raises UserError, which names other runs, if it has no results."""
        _check(self.savepoints, Path.is_dir, "no run of this name")
        return self

    def trained(self) -> "RunFolder":
        """Return this run. Raises UserError, which names other runs, if it has no checkpoints."""
        _check(self.checkpoints, saved_positions, "no checkpoints of this run")
        return self

    def move_aside(
        self, position: Position, records: Iterable[Path], damaged: Iterable[Path] = ()
    ) -> list[Path]:
        """Move checkpoints and results later than `position` into new folders, and return these folders.

        The folders, ``replaced-1`` and so on, have the same layout as those they are in. The `records`, files
        about all positions, are copied; `damaged` files are moved like results. If the process is killed, the
        next call with the same position moves the rest.
        """
        later = [saved for saved in saved_positions(self.checkpoints) if saved > position]
        saved = [self.checkpoints / f"{name}{suffix}" for name in later for suffix in (".optim.pt", ".pt")]
        kinds = [path for path in self.savepoints.glob("*") if not path.name.startswith((".", REPLACED))]
        found = [path for folder in (self.savepoints, *kinds) for path in folder.glob("*")]
        results = [path for path in found if (parse_position(path.name.split(".")[0]) or START) > position]
        results += filter(Path.is_file, damaged)
        copied = filter(Path.is_file, records) if later or results else ()
        if later:
            write_latest(self.checkpoints, position)
        aside = [
            _put_aside(self.savepoints, copied, results),
            _put_aside(self.checkpoints, (), filter(Path.exists, saved)),
        ]
        return [folder for folder in aside if folder.exists()]


def write_latest(folder: Path, position: Position) -> None:
    """Record the checkpoint in `folder` from which to resume."""
    with files.atomic_path(folder / LATEST) as temporary:
        temporary.write_text(f"{position}\n", encoding="ascii")


def _put_aside(folder: Path, copied: Iterable[Path], moved: Iterable[Path]) -> Path:
    """Copy and move paths inside `folder` to its next ``replaced-N``, and return that."""
    names = [path.name.removeprefix(REPLACED) for path in folder.glob(f"{REPLACED}*")]
    number = 1 + max((int(name) for name in names if name.isdecimal()), default=0)
    aside = folder / f"{REPLACED}{number}"
    for paths, transfer in ((copied, shutil.copy2), (moved, files.replace)):
        for path in paths:
            target = aside / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            transfer(path, target)
    return aside


def _check(wanted: Path, is_run: Callable[[Path], object], fault: str) -> None:
    """Raise UserError, which names other runs, if a folder is not that of a run.

    Hidden folders and results of the pretrained models are not runs.
    """
    if is_run(wanted):
        return
    others = {f"pretrained-{name}" for name in pretrained_names()}
    names = {path.name for path in filter(is_run, wanted.parent.glob("[!.]*"))} - others
    advice = f"runs here: {', '.join(sorted(names))}." if names else "no runs here yet; train one first."
    if (Path("..") / wanted).is_dir():
        advice = f"you are in {Path.cwd().name}, and the run is one folder up. Type: cd .."
    raise UserError(f"{wanted.absolute()}: {fault}; {advice}")


def pretrained_names() -> list[str]:
    """List the names of the pretrained models."""
    return sorted(path.name for path in PRETRAINED.glob("*") if saved_positions(path))


def pretrained_run(name: str) -> RunFolder:
    """Return a pretrained model as a run whose results go to the current folder."""
    if name not in pretrained_names():
        raise UserError(f"{name!r} is not a pretrained model; choose from: {', '.join(pretrained_names())}.")
    run = RunFolder(f"pretrained-{name}")
    run.checkpoints = PRETRAINED / name
    return run


def by_epoch(path: Path) -> tuple[int, str]:
    """Return the key that sorts files by the epoch in their name, others first."""
    return (int(path.stem) if path.stem.isdecimal() else -1, path.name)

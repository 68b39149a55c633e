"""Where the files of a training run lie; the names are the tutorial's."""

import re
from collections.abc import Iterable
from pathlib import Path

from rasgan.errors import UserError

CHECKPOINTS = Path("checkpoint")
SAVEPOINTS = Path("savepoint")
PRETRAINED = Path(__file__).parent / "pretrained"
"""A folder for each model that comes with the project, in it one checkpoint with the generator only."""
LONGEST_NAME = 100
DEVICE_NAME = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³]|conin\$|conout\$)\s*(\..*)?", re.IGNORECASE)
"""What Windows takes for a device, with any suffix; a run's folders are to be copied to any system."""


class RunFolder:
    """The two folders of one run, below the folder that the script is started in, or another `base`.

    UserError if `name` cannot name folders on every system.
    """

    def __init__(self, name: str, base: Path = Path()) -> None:
        if len(name) > LONGEST_NAME:
            fault = f"cannot be a folder's name: it has {len(name)} characters; use at most {LONGEST_NAME}"
            raise UserError(f"run name {name[:20]!r}... {fault}.")
        if not re.fullmatch(r"[^<>:\"/\\|?*\x00-\x1f]+", name) or name.strip(" .") != name:
            raise UserError(f"run name {name!r} cannot be a folder's name; use letters, digits, '-' and '_'.")
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
        self.tensorboard = self.savepoints / "tensorboard"

    @property
    def locks(self) -> list[Path]:
        """Lock files of both folders, beside what they are links to: two names may share a folder."""
        folders = (self.checkpoints.resolve(), self.savepoints.resolve())
        return [folder.with_name(f".{folder.name}.lock") for folder in folders]

    def grid(self, epoch: int) -> Path:
        """Path of the shape that was generated after `epoch` epochs."""
        return self.savepoints / f"{epoch}.npy"

    def title(self, epoch: object) -> str:
        """Title of what comes from one epoch."""
        return f"{self.name}, epoch {epoch}"

    def generated(self, position: object) -> Path:
        """Folder of the shapes generated after training from the checkpoint at `position`."""
        return self.savepoints / "generated" / str(position)

    def evaluation(self, position: object) -> Path:
        """Path of the scores of the checkpoint at `position`."""
        return self.savepoints / "evaluation" / f"{position}.json"

    def existing(self) -> "RunFolder":
        """Return this run, of which results are wanted; UserError, naming the others, if it has none."""
        if self.savepoints.is_dir():
            return self
        found = [path for path in self.savepoints.parent.glob("*") if path.is_dir()]
        raise UserError(f"{self.savepoints.absolute()}: no run of this name; {_known(found)}")

    def trained(self) -> "RunFolder":
        """Return this run, whose checkpoints are wanted; UserError, naming the others, if it has none."""
        if any(self.checkpoints.glob("*.pt")):
            return self
        found = [path.parent for path in self.checkpoints.parent.glob("*/*.pt")]
        raise UserError(f"{self.checkpoints.absolute()}: no checkpoints of this run; {_known(found)}")


def _known(folders: Iterable[Path]) -> str:
    """Write which runs there are; results of the pretrained models lie beside them and are none."""
    names = {folder.name for folder in folders} - {f"pretrained-{name}" for name in pretrained_names()}
    return (
        f"runs here: {', '.join(sorted(names))}." if names else "there are no runs here yet; train one first."
    )


def pretrained_names() -> list[str]:
    """List the models that come with the project."""
    return sorted({path.parent.name for path in PRETRAINED.glob("*/*.pt")})


def pretrained_run(name: str) -> RunFolder:
    """Return a model that comes with the project as a run: its weights are there, its results go here."""
    if name not in pretrained_names():
        raise UserError(f"{name!r} is no pretrained model; there are: {', '.join(pretrained_names())}.")
    run = RunFolder(f"pretrained-{name}")
    run.checkpoints = PRETRAINED / name
    return run


def by_epoch(path: Path) -> tuple[int, str]:
    """Return the key that sorts files by the epoch in their name, others first."""
    return (int(path.stem) if path.stem.isdecimal() else -1, path.name)

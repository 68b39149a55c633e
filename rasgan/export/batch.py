"""What the two convert_to scripts share: which grids to read, where each result goes, and what came of it."""

import argparse
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from rasgan import cli
from rasgan.errors import UserError
from rasgan.runs import RunFolder, by_epoch
from rasgan.voxel_io import VOXEL_SUFFIXES, count_shapes, read_voxels
from rasgan.voxels import OCCUPIED_ABOVE


class EmptyShapeError(UserError):
    """A grid in which no voxel is occupied cannot become what was asked for."""


@dataclass(frozen=True)
class Shape:
    """A grid on disk: a voxel file, or one of the shapes of an .npy batch.

    Parameters
    ----------
    path : Path
    index : int
        Its place in the batch, from 0.
    is_alone : bool
        Whether the file holds no other shape.
    """

    path: Path
    index: int = 0
    is_alone: bool = True

    @property
    def stem(self) -> str:
        """What its results are called, without a suffix."""
        return self.path.stem if self.is_alone else f"{self.path.stem}-{self.index:02d}"

    @property
    def epoch(self) -> int | None:
        """The epoch that it is of; training names its files by the epoch."""
        return int(self.path.stem) if self.path.stem.isdecimal() else None

    @property
    def label(self) -> str:
        """What is written beside its picture."""
        stem = self.path.stem.encode(errors="replace").decode()  # fonts know no bytes outside of Unicode
        name = stem if self.epoch is None else f"epoch {self.epoch}"
        return name if self.is_alone else f"{name}, {self.index}"

    def read(self) -> np.ndarray:
        """Read the (n, n, n) grid, as `read_grid` does."""
        return read_grid(self.path, self.index)


Source = TypeVar("Source", Path, Shape)
"""What one result is made from; its stem names the result."""


@dataclass
class ExportSummary:
    """What became of the files of a run."""

    written: list[Path] = field(default_factory=list)
    already_there: int = 0
    empty: list[Path | Shape] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def add_options(parser: argparse.ArgumentParser, result: str, folder: str, takes_many: bool = False) -> None:
    """Add ``-n RUN`` and ``-f FILE``, of which exactly one is needed, and ``--threshold``.

    `result` is the suffix of what is written, `folder` the name of the folder for it. `takes_many` says that
    ``-f`` takes folders and every shape of a batch.
    """
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "-n",
        "--name",
        metavar="RUN",
        help=f"training run: every savepoint/RUN/EPOCH.npy becomes savepoint/RUN/{folder}/EPOCH{result}; "
        "what is there already is left as it is",
    )
    source.add_argument(
        "-f",
        "--file",
        type=Path,
        metavar="FILE",
        help=f"one .npy, .raw or .binvox file, for example savepoint/chair-1/1000.npy: becomes "
        f"./{folder}/NAME{result}"
        + (f"; of an .npy batch every shape; or a folder of such files: ./{folder}/FOLDER" * takes_many),
    )
    parser.add_argument(
        "--threshold",
        type=cli.real,
        default=OCCUPIED_ABOVE,
        metavar="SCORE",
        help="a voxel is occupied above this score (default: %(default)s)",
    )


def run_grids(run: RunFolder) -> list[Path]:
    """List the .npy files of a run by epoch.

    Raises
    ------
    UserError
        If nothing was generated in it yet.
    """
    grids = _voxel_files(run.savepoints, (".npy",))
    if not grids:
        raise UserError(f"{run.savepoints}: holds no .npy file yet; train longer or sample more often.")
    return grids


def folder_grids(folder: Path) -> list[Path]:
    """List the voxel files of any folder, those named by an epoch in its order.

    Raises
    ------
    UserError
        If there is none.
    """
    grids = _voxel_files(folder, VOXEL_SUFFIXES)
    if not grids:
        raise UserError(f"{folder}: holds no {', '.join(VOXEL_SUFFIXES)} file; choose another folder.")
    return grids


def _voxel_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    paths = [
        path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith(".")
    ]
    return sorted(paths, key=by_epoch)


def shapes_in(paths: Iterable[Path]) -> list[Shape]:
    """List every shape of some voxel files; a file that cannot be read counts as one.

    Raises
    ------
    UserError
        If two of them share a name, and so their results would.
    """
    shapes = []
    for path in paths:
        try:
            count = count_shapes(path)
        except (UserError, OSError):
            count = 1  # reading it will say what is wrong
        shapes += [Shape(path, index, count == 1) for index in range(count)]
    names = Counter(shape.stem.lower() for shape in shapes)  # some systems take A and a for the same
    for shape in shapes:
        if names[shape.stem.lower()] > 1:
            raise UserError(
                f"{shape.path}: another file here has shapes of the name {shape.stem!r} too; "
                "move one of the two elsewhere."
            )
    return shapes


def read_grid(path: Path, index: int = 0) -> np.ndarray:
    """Read a grid as `read_voxels` does; a file that the system refuses is a `UserError`, like a damaged one.

    So it does not stop the export of other files, as a result that cannot be written does.
    """
    try:
        return read_voxels(path, index)
    except OSError as error:
        raise UserError(cli.describe_os_error(error)) from error


def of_epochs(shapes: list[Shape], first: int, last: int) -> list[Shape]:
    """Keep the shapes of the epochs `first` to `last`, both included.

    Raises
    ------
    UserError
        If none is left; the sentence says what epochs there are.
    """
    kept = [shape for shape in shapes if shape.epoch is not None and first <= shape.epoch <= last]
    if not kept:
        epochs = sorted(shape.epoch for shape in shapes if shape.epoch is not None)
        there = (
            f"those here go from {epochs[0]} to {epochs[-1]}" if epochs else "no file here is named by one"
        )
        raise UserError(f"--epochs: no shape of an epoch from {first} to {last}; {there}.")
    return kept


def choose(shapes: list[Shape], count: int, seed: int) -> list[Shape]:
    """Draw at most `count` shapes at random, the same for the same seed, and leave them in their order."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(shapes), min(count, len(shapes)), replace=False)
    return [shapes[index] for index in sorted(chosen)]


def spread(shapes: list[Shape], most: int) -> list[Shape]:
    """Take at most `most` shapes, evenly spaced, the first and the last included."""
    if len(shapes) <= most:
        return shapes
    return [shapes[index] for index in np.linspace(0, len(shapes) - 1, most).round().astype(int)]


def target_of(source: Source, folder: Path, suffix: str) -> Path:
    """Return the file in `folder` that `source` becomes: only its last suffix is exchanged."""
    return folder / f"{source.stem}{suffix}"


def export_all(
    sources: Iterable[Source], folder: Path, suffix: str, export: Callable[[Source, Path], None]
) -> ExportSummary:
    """Export each file that has no result in `folder` yet; one that fails does not stop the others.

    Parameters
    ----------
    sources : files or shapes
        What to read.
    folder : Path
        Where the results lie.
    suffix : str
        Of the results, with its dot.
    export : callable
        Reads its first and writes its second argument. A `UserError` is recorded, an `EmptyShapeError`
        apart from the others; whatever else goes wrong (a full disk) ends the whole export.
    """
    summary = ExportSummary()
    for source in sources:
        target = target_of(source, folder, suffix)
        if target.exists():
            summary.already_there += 1
            continue
        try:
            export(source, target)
        except EmptyShapeError:
            summary.empty.append(source)
        except UserError as error:
            summary.failed.append(str(error))
        else:
            summary.written.append(target)
    return summary

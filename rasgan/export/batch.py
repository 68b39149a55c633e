"""Many voxel grids at once: which to read, what their results are called, and what became of each."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rasgan.errors import UserError, describe_os_error
from rasgan.runs import RunFolder, by_epoch
from rasgan.voxel_io import VOXEL_SUFFIXES, count_shapes, read_voxels


class EmptyShapeError(UserError):
    """A grid in which no voxel is occupied cannot become a mesh."""


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
        """Name of its results, without a suffix."""
        return self.path.stem if self.is_alone else f"{self.path.stem}-{self.index:02d}"

    @property
    def epoch(self) -> int | None:
        """Its epoch, or None: training names its files by the epoch."""
        return int(self.path.stem) if self.path.stem.isdecimal() else None

    @property
    def label(self) -> str:
        """Text beside its picture."""
        stem = self.path.stem.encode(errors="replace").decode()  # fonts know no bytes outside of Unicode
        name = stem if self.epoch is None else f"epoch {self.epoch}"
        return name if self.is_alone else f"{name}, {self.index}"

    def read(self) -> np.ndarray:
        """Read the (n, n, n) grid, as `rasgan.voxel_io.read_voxels` does.

        Raises
        ------
        UserError
            If the file is damaged or cannot be opened: one such file does not stop the export of others.
        """
        try:
            return read_voxels(self.path, self.index)
        except OSError as error:
            raise UserError(describe_os_error(error)) from error

    def target(self, folder: Path, suffix: str) -> Path:
        """Return the file in `folder` that it becomes: only the last suffix of its name is replaced."""
        return folder / f"{self.stem}{suffix}"


@dataclass
class ExportSummary:
    """Result of `export_all`: what was written, was there already, is empty, or failed and why."""

    written: list[Path] = field(default_factory=list)
    already_there: int = 0
    empty: list[Shape] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def folder_grids(
    folder: Path, suffixes: Sequence[str] = VOXEL_SUFFIXES, advice: str = "choose another folder"
) -> list[Path]:
    """List the voxel files of a folder by name, then those named by an epoch in its order.

    Raises
    ------
    UserError
        If there is none; it ends with the `advice`.
    """
    grids = [
        path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith(".")
    ]
    if not grids:
        raise UserError(f"{folder}: holds no {', '.join(suffixes)} file; {advice}.")
    return sorted(grids, key=by_epoch)


def run_grids(run: RunFolder) -> list[Path]:
    """List the .npy files of a run by epoch; `UserError` if nothing was generated in it yet."""
    return folder_grids(run.savepoints, (".npy",), "train longer or sample more often")


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
        raise UserError(f"no shape of an epoch from {first} to {last}; {there}.")
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


def export_all(
    shapes: Iterable[Shape], folder: Path, suffix: str, export: Callable[[Shape, Path], None]
) -> ExportSummary:
    """Export each shape that has no result in `folder` yet; one that fails does not stop the others.

    Parameters
    ----------
    shapes : iterable of Shape
        What to read.
    folder : Path
        Where the results lie.
    suffix : str
        Of the results, with its dot.
    export : callable
        Reads the shape and writes the file. A `UserError` is recorded, an `EmptyShapeError` apart from the
        others; any other exception (a full disk) ends the whole export.
    """
    summary = ExportSummary()
    for shape in shapes:
        target = shape.target(folder, suffix)
        if target.exists():
            summary.already_there += 1
            continue
        try:
            export(shape, target)
        except EmptyShapeError:
            summary.empty.append(shape)
        except UserError as error:
            summary.failed.append(str(error))
        else:
            summary.written.append(target)
    return summary

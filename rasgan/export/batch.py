"""Export of many voxel grids: which to read, how to name the results, and a summary of what was written."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from tqdm import tqdm

from rasgan.errors import UserError, describe_os_error
from rasgan.runs import RunFolder, by_epoch
from rasgan.voxel_io import VOXEL_SUFFIXES, count_shapes, read_voxels, write_npy
from rasgan.voxels import is_occupied

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shape:
    """A grid on disk: a voxel file, or one shape of an .npy batch."""

    path: Path
    index: int = 0  # in the batch
    is_alone: bool = True  # the file contains no other shape

    @property
    def stem(self) -> str:
        """Name of its results, without a suffix."""
        return self.path.stem if self.is_alone else f"{self.path.stem}-{self.index:02d}"

    @property
    def epoch(self) -> int | None:
        """Its epoch, or None: training names its files by epoch."""
        return int(self.path.stem) if self.path.stem.isdecimal() else None

    @property
    def label(self) -> str:
        """Caption of its picture."""
        name = self.path.stem if self.epoch is None else f"epoch {self.epoch}"
        return name if self.is_alone else f"{name}, {self.index}"

    def __str__(self) -> str:
        """Return its location, for messages."""
        return str(self.path) if self.is_alone else f"{self.path}, shape {self.index:02d}"

    def read(self) -> np.ndarray:
        """Read the (n, n, n) grid. Raises UserError also for files that cannot be opened."""
        try:
            return read_voxels(self.path, self.index)
        except OSError as error:
            raise UserError(describe_os_error(error)) from error


def bar(items: Iterable[Item], what: str = "shapes", total: int | None = None) -> Iterable[Item]:
    """Wrap `items` in a progress bar, which is shown only if stderr is a terminal."""
    return tqdm(items, desc=what, total=total, leave=False, disable=None)


def save_shape(stem: Path, number: int, grid: np.ndarray) -> Path:
    """Write a generated shape to ``STEM-NUMBER.npy`` and return the path."""
    path = Path(f"{stem}-{number:02d}.npy")
    write_npy(path, grid)
    return path


def distinct_name(shape: Shape) -> str:
    """Return a name for the result of a shape, without a suffix, that differs between runs.

    ``savepoint/chair-1/generated/120/seed0-00.npy`` becomes ``chair-1-120-seed0-00``.
    """
    origin = _run_and_epoch(shape.path.absolute().parent)
    return f"{origin}-{shape.stem}" if origin else shape.stem


def source_name(path: Path) -> str:
    """Return a name for the single result of a voxel file or a folder of them, like `distinct_name`."""
    if not path.is_dir():
        return distinct_name(Shape(path))
    return _run_and_epoch(path.resolve()) or path.resolve().name


def _run_and_epoch(folder: Path) -> str | None:
    """Return "RUN-EPOCH" for a folder of shapes generated after training, else None."""
    return f"{folder.parents[1].name}-{folder.name}" if folder.parent.name == "generated" else None


class ExportSummary(NamedTuple):
    """Result of `export_all`."""

    written: list[Path]
    replaced: list[Path]
    already_there: int
    failed: list[UserError]


def folder_grids(
    folder: Path, suffixes: Sequence[str] = VOXEL_SUFFIXES, advice: str = "choose another folder"
) -> list[Path]:
    """List the voxel files of a folder by epoch, others first. Raises UserError with `advice` if none."""
    grids = [
        path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith(".")
    ]
    if not grids:
        raise UserError(f"{folder}: contains no {', '.join(suffixes)} file; {advice}.")
    return sorted(grids, key=by_epoch)


def run_grids(run: RunFolder) -> list[Path]:
    """List the .npy files that a run saved while training, by epoch. Raises UserError if there are none."""
    advice = "train longer, sample more often, or choose a folder of shapes generated after training"
    return folder_grids(run.savepoints, (".npy",), advice)


def film_grids(run: RunFolder) -> list[Path]:
    """List the grids of one latent vector by epoch, or `run_grids` for early runs, which lack them."""
    grids = run_grids(run)
    film = [run.film / path.name for path in grids]
    return film if all(path.is_file() for path in film) else grids


def shapes_of(path: Path) -> list[Shape]:
    """List the shapes of a voxel file, of an .npy batch, or of all such files in a folder."""
    path.stat()  # reports a missing file, whatever its suffix
    return shapes_in(folder_grids(path) if path.is_dir() else [path])


def results_of(path: Path, folder: Path) -> Path:
    """Return the folder for results: `folder`, or a subfolder of it if `path` is a folder of shapes."""
    return folder / source_name(path) if path.is_dir() else folder


def shapes_in(paths: Iterable[Path]) -> list[Shape]:
    """List every shape in voxel files. Raises UserError if two shapes, and so their results, share a name."""
    shapes = []
    for path in paths:
        try:
            count = count_shapes(path)
        except (UserError, OSError):
            count = 1  # the error is reported when the shape is read
        shapes += [Shape(path, index, count == 1) for index in range(count)]
    names = Counter(shape.stem.lower() for shape in shapes)  # some file systems ignore case
    for shape in shapes:
        if names[shape.stem.lower()] > 1:
            fault = f"another file here also has the name {shape.stem!r}; move one of them elsewhere"
            raise UserError(f"{shape.path}: {fault}.")
    return shapes


def of_epochs(shapes: list[Shape], first: int, last: int) -> list[Shape]:
    """Select the shapes of the epochs `first` to `last`. Raises UserError if there are none."""
    kept = [shape for shape in shapes if shape.epoch is not None and first <= shape.epoch <= last]
    if not kept:
        epochs = sorted(shape.epoch for shape in shapes if shape.epoch is not None)
        there = f"epochs here range from {epochs[0]} to {epochs[-1]}" if epochs else "no file is named by one"
        raise UserError(f"no shape of an epoch from {first} to {last}; {there}.", about="epochs")
    return kept


def choose(shapes: list[Shape], count: int, seed: int) -> list[Shape]:
    """Choose at most `count` shapes at random, the same for the same seed, and keep their order."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(shapes), min(count, len(shapes)), replace=False)
    return [shapes[index] for index in sorted(chosen)]


def spread(shapes: Sequence[Item], most: int) -> Sequence[Item]:
    """Choose at most `most` evenly spaced items, including the first and the last."""
    if len(shapes) <= most:
        return shapes
    return [shapes[index] for index in np.linspace(0, len(shapes) - 1, most).round().astype(int)]


def read_labeled(
    shapes: Iterable[Shape], threshold: float
) -> tuple[list[str], list[np.ndarray], list[UserError]]:
    """Read the shapes of one picture: labels, occupied voxels, and the errors of shapes left out.

    Raises the first error if no shape can be read.
    """
    labels, grids, failed = [], [], []
    for shape in bar(shapes, "reading"):
        try:
            grids.append(is_occupied(shape.read(), threshold))
            labels.append(shape.label)
        except UserError as error:
            failed.append(error)
    if not grids:
        raise failed[0]
    return labels, grids, failed


def describe_dropped(sizes: Sequence[tuple[int, int]]) -> str:
    """Describe how many voxels were dropped, given the number before and after for each shape."""
    before, after = np.sum(sizes, axis=0)
    dropped = before - after
    return f"dropped {dropped:,} of {before:,} voxels ({dropped / max(1, before):.1%})"


def export_all(
    shapes: Iterable[Shape],
    folder: Path,
    suffix: str,
    export: Callable[[Shape, Path], None],
    replace: bool = False,
) -> ExportSummary:
    """Export each shape to ``FOLDER/NAME`` + `suffix` by a function that reads it and writes its file.

    Existing files are skipped, or replaced. A UserError does not stop the others; any other exception does.
    """
    written, replaced, already_there, failed = [], [], 0, []
    for shape in shapes:
        target = folder / f"{distinct_name(shape)}{suffix}"
        is_there = target.exists()
        if is_there and not replace:
            already_there += 1
            continue
        try:
            export(shape, target)
            (replaced if is_there else written).append(target)
        except UserError as error:
            failed.append(error)
    return ExportSummary(written, replaced, already_there, failed)

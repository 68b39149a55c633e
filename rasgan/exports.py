"""What the two convert_to scripts share: which grids to read, where each result goes, and what came of it."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rasgan.errors import UserError
from rasgan.runs import RunFolder
from rasgan.voxels import OCCUPIED_ABOVE


class EmptyShapeError(UserError):
    """A grid in which no voxel is occupied cannot become what was asked for."""


@dataclass
class Summary:
    """What became of the files of a run."""

    written: list[Path] = field(default_factory=list)
    already_there: int = 0
    empty: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def add_options(parser: argparse.ArgumentParser, result: str, folder: str) -> None:
    """Add ``-n RUN`` and ``-f FILE``, of which exactly one is needed, and ``--threshold``.

    `result` is the suffix of what is written, `folder` the name of the folder for it.
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
        f"./{folder}/NAME{result}",
    )
    parser.add_argument(
        "--threshold",
        type=float,
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
    grids = [path for path in run.savepoints.glob("*.npy") if not path.name.startswith(".")]
    if not grids:
        raise UserError(f"{run.savepoints}: holds no .npy file yet; train longer or sample more often.")
    return sorted(grids, key=lambda path: (int(path.stem) if path.stem.isdecimal() else -1, path.stem))


def target_of(source: Path, folder: Path, suffix: str) -> Path:
    """Give the file in `folder` that `source` becomes: only its last suffix is exchanged."""
    return folder / f"{source.stem}{suffix}"


def export_all(
    sources: Iterable[Path], folder: Path, suffix: str, export: Callable[[Path, Path], None]
) -> Summary:
    """Export each file that has no result in `folder` yet; one that fails does not stop the others.

    Parameters
    ----------
    sources : paths
        Files to read.
    folder : Path
        Where the results lie.
    suffix : str
        Of the results, with its dot.
    export : callable
        Reads its first and writes its second argument. A `UserError` is recorded, an `EmptyShapeError`
        apart from the others; whatever else goes wrong (a full disk) ends the whole export.
    """
    summary = Summary()
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

"""Convert a folder of meshes to a folder of voxel grids: each mesh becomes one .raw file."""

import collections
import contextlib
import functools
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from rasgan.data.binvox import find_binvox, run_binvox
from rasgan.data.meshes import SUFFIXES, read_mesh
from rasgan.data.meshes.polygons import has_area
from rasgan.data.voxelize import VoxelOptions, voxelize
from rasgan.data.workers import count_processes, run_tasks
from rasgan.errors import UserError, describe_os_error
from rasgan.files import atomic_path, remove
from rasgan.voxel_io import read_raw, write_raw

STRAY_BELOW = 0.2  # of the grid's volume: an object that can fill no more has lost most of its shape

RECORD = ".conversion.json"
"""Hidden file in each folder of grids, with the options that all of them were made with."""

# 3D files that are not supported. Blender or a CAD program can export them in a format that is.
OTHER_FORMATS = frozenset(
    ".3ds .3mf .abc .amf .blend .c4d .dae .dwg .dxf .fbx .iges .igs .lwo .ma .max .mb .skp .sldprt "  # noqa: SIM905
    ".step .stp .usd .usda .usdc .usdz .vrml .vtk .vtp .wrl .x .x3d".split()
)


@dataclass(frozen=True)
class ConversionOptions(VoxelOptions):
    """How meshes are converted; see `rasgan.data.voxelize.voxelize` and `rasgan.data.meshes.read_mesh`."""

    up: str | None = None  # None: the default of each format
    binvox: str | None = None  # path or name of the Binvox program; None: the built-in voxelizer

    def recorded(self) -> dict[str, object]:
        """Return the options in the form in which `RECORD` stores them."""
        return asdict(self) | {"binvox": self.binvox is not None}


@dataclass
class ConversionSummary:
    """The result of the conversion of a folder."""

    converted: int = 0
    already_there: int = 0
    empty: list[Path] = field(default_factory=list)  # meshes whose grid, new or old, has no occupied voxel
    notes: list[tuple[Path, str]] = field(default_factory=list)  # what was ignored in a mesh, or is unusual
    unknown: list[Path] = field(default_factory=list)  # folders of existing grids made with unknown options
    skipped: collections.Counter = field(default_factory=collections.Counter)  # other 3D files, by suffix
    failed: list[UserError] = field(default_factory=list)  # each message starts with a file or a subfolder


def convert_folder(
    folder: Path,
    options: ConversionOptions,
    jobs: int | None = None,
    overwrite: bool = False,
    progress: Callable[..., Iterable] = lambda outcomes, **_: outcomes,
    output: Path | None = None,
) -> ConversionSummary:
    """Convert every mesh below `folder` to a grid; one bad mesh does not stop the rest.

    Existing grids are skipped unless `overwrite` is set. Meshes whose existing grid is damaged or of another
    size count as failed, as do meshes that would become the same grid.

    Parameters
    ----------
    jobs : int, optional
        Processes; default: one for each core. See `rasgan.data.workers.run_tasks`.
    progress : callable
        Wraps the iterable of results, as ``tqdm(outcomes, total=..., unit=...)`` does.
    output : Path, optional
        Where the grids go, in the same subfolders; default: beside the meshes.

    Raises
    ------
    UserError
        If there is no such folder, no mesh in it or no such Binvox, if the folder of the grids cannot be
        written to, if grids there were made with other options, or if a worker process was killed.
    """
    summary = ConversionSummary()
    meshes = find_meshes(folder, summary)
    if not meshes and not summary.failed:
        only = f", but {describe_skipped(summary.skipped)}" if summary.skipped else "; check the path"
        raise UserError(f"{folder}: no meshes ({', '.join(SUFFIXES)}) in this folder{only}.")
    if options.binvox is not None:
        options = replace(options, binvox=find_binvox(options.binvox))
    grids = _name_grids(meshes, folder, output or folder, summary)
    existing = {mesh: grid for mesh, grid in grids.items() if grid.is_file()}
    kept = {} if overwrite else existing
    todo = [(mesh, grid) for mesh, grid in grids.items() if mesh not in kept]
    wanted = options.recorded()
    mixed = {place for place in {grid.parent for grid in existing.values()} if read_record(place) != wanted}
    if todo:
        _check_writable(output or folder)
    if overwrite:
        for place in mixed:
            remove(place / RECORD)
    else:
        _refuse_other_options(mixed, wanted)
        summary.unknown = sorted(mixed)
    bar = progress(kept.items(), total=len(kept), unit="existing grid") if kept else ()
    _check_existing(bar, options.resolution, summary)
    _convert(todo, options, summary, progress, count_processes(jobs, len(todo)), mixed)
    if overwrite and not summary.failed:
        for place in mixed:
            write_record(place, wanted)
    return summary


def find_meshes(folder: Path, summary: ConversionSummary) -> list[Path]:
    """List all meshes below `folder`, sorted.

    Other 3D files and unreadable subfolders go to the summary. Linked subfolders, ``__MACOSX`` and names that
    start with a dot are skipped.
    """
    if not folder.is_dir():
        remedy = "give the folder that contains it" if folder.is_file() else "check the path"
        raise UserError(f"{folder}: not a folder; {remedy}.")
    paths, unreadable = [], []
    for parent, subfolders, names in os.walk(folder, onerror=unreadable.append):
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and name != "__MACOSX"]
        paths += [Path(parent, name) for name in names if not name.startswith(".")]
    summary.failed += [UserError(describe_os_error(error)) for error in unreadable]
    suffixes = [path.suffix.lower() for path in paths]
    summary.skipped.update(suffix for suffix in suffixes if suffix in OTHER_FORMATS)
    return sorted(path for path, suffix in zip(paths, suffixes, strict=True) if suffix in SUFFIXES)


def describe_skipped(skipped: collections.Counter) -> str:
    """Return how many files of other formats there are, and what to do with them."""
    counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(skipped.items()))
    return f"{counts}: export them as .glb, .obj, .ply or .stl, for example from Blender or a CAD program"


def _name_grids(
    meshes: list[Path], folder: Path, output: Path, summary: ConversionSummary
) -> dict[Path, Path]:
    """Return the grid of each mesh. Meshes that would become the same grid count as failed."""
    grids = {mesh: (output / mesh.relative_to(folder)).with_suffix(".raw") for mesh in meshes}
    # Names that differ only in case are the same on Windows.
    uses = collections.Counter(os.path.normcase(grid) for grid in grids.values())
    for mesh, grid in list(grids.items()):
        if uses[os.path.normcase(grid)] > 1:
            fault = f"another mesh would become {grid.name}, too; rename one of them."
            summary.failed.append(UserError(f"{mesh}: {fault}"))
            del grids[mesh]
    return grids


def read_record(folder: Path) -> dict[str, object] | None:
    """Read the options that the grids of a folder were made with; None if they are unknown."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        record = record.get(".raw", record)  # earlier versions had a record for each format
        return {key: record[key] for key in ConversionOptions().recorded()}
    except (OSError, ValueError, RecursionError, AttributeError, LookupError, TypeError):
        return None


def write_record(folder: Path, options: dict[str, object]) -> None:
    """Record the options of the grids in a folder. If the disk is full, they stay unknown."""
    with contextlib.suppress(OSError), atomic_path(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(options, indent=1) + "\n", encoding="utf-8")


def _refuse_other_options(places: set[Path], wanted: dict[str, object]) -> None:
    """Raise UserError if the grids of a folder are known to be made with other options."""
    for place in sorted(places):
        made = read_record(place)
        if made is not None:
            pairs = [(key, made[key], value) for key, value in wanted.items()]
            differs = ", ".join(f"{key}: {old}, not {new}" for key, old, new in pairs if old != new)
            fault = f"its .raw files were made with other options ({differs})"
            remedy = "convert all of them again, or write the new ones to another folder."
            raise UserError(f"{place}: {fault}; {remedy}", about="other options")


def _check_writable(folder: Path) -> None:
    """Raise UserError if no file can be created in a folder, which need not exist yet."""
    place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        error.filename = str(place)
        raise UserError(describe_os_error(error), about="not writable") from error


def _check_existing(pairs: Iterable[tuple[Path, Path]], resolution: int, summary: ConversionSummary) -> None:
    """Read the existing grids; add to the summary which are damaged, of another size, or empty."""
    for mesh, grid in pairs:
        try:
            voxels = read_raw(grid)
            if len(voxels) != resolution:
                fault = f"contains {len(voxels)}³ voxels, not {resolution}³; delete it first."
                raise UserError(f"{grid}: {fault}")
        except (UserError, OSError) as error:
            fault = describe_os_error(error) if isinstance(error, OSError) else str(error)
            summary.failed.append(UserError(fault, about="other size"))
        else:
            summary.already_there += 1
            summary.empty += [] if voxels.any() else [mesh]


def _convert(
    todo: list[tuple[Path, Path]],
    options: ConversionOptions,
    summary: ConversionSummary,
    progress: Callable[..., Iterable],
    processes: int,
    mixed: set[Path],
) -> None:
    """Convert meshes to grids. With its first grid, a folder that is not `mixed` gets a record."""
    grids, recorded = dict(todo), set(mixed)
    outcomes = run_tasks(functools.partial(_try_mesh, options=options), todo, processes)
    with contextlib.closing(outcomes):
        for mesh, outcome in progress(outcomes, total=len(todo), unit="mesh") if todo else ():
            if isinstance(outcome, UserError):
                summary.failed.append(outcome)
                continue
            if grids[mesh].parent not in recorded:
                write_record(grids[mesh].parent, options.recorded())
                recorded.add(grids[mesh].parent)
            voxels, notes = outcome
            summary.converted += 1
            summary.empty += [] if voxels else [mesh]
            summary.notes += [(mesh, note) for note in notes]


def _try_mesh(
    pair: tuple[Path, Path], options: ConversionOptions
) -> tuple[Path, tuple[int, list[str]] | UserError]:
    """Convert one mesh to its grid; return the mesh and the result, or why it failed."""
    mesh, grid = pair
    try:
        return mesh, convert_mesh(mesh, options, grid)
    except UserError as error:
        return mesh, error
    except OSError as error:
        return mesh, UserError(f"{mesh}: {describe_os_error(error).removeprefix(f'{mesh}: ')}")
    except MemoryError:
        fault = "does not fit into memory; reduce its number of faces."
        return mesh, UserError(f"{mesh}: {fault}", about="memory")


def convert_mesh(mesh: Path, options: ConversionOptions, grid: Path | None = None) -> tuple[int, list[str]]:
    """Convert one mesh and write its grid, by default beside it.

    Returns the number of occupied voxels, and notes on what was ignored in the mesh or is unusual.
    """
    notes: list[str] = []
    vertices, faces = read_mesh(mesh, options.up, notes)
    share = used_share(vertices, faces)
    if share**3 < STRAY_BELOW:
        far = "vertices far away, which no face with an area uses"
        notes.append(f"{far}, shrink the object to {share:.0%} of the grid's side; delete them")
    if options.binvox is not None:
        occupied = run_binvox(options.binvox, mesh, options, options.up)
    else:
        try:
            occupied = voxelize(vertices, faces, options.resolution, options.mode, options.center)
        except ValueError as error:
            raise UserError(f"{mesh}: {error}.") from error
    write_raw(grid or mesh.with_suffix(".raw"), occupied)
    return np.count_nonzero(occupied), notes


def used_share(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Return the share of the grid's side that the faces with an area span: 1 without stray vertices.

    It is a ratio of longest sides, and its cube one of volumes; for a flat mesh the volumes themselves are 0.
    """
    used = vertices[np.unique(faces[has_area(vertices, faces)])]
    return float(np.ptp(used, axis=0).max() / np.ptp(vertices, axis=0).max()) if len(used) else 1.0

"""Convert a folder of meshes to a folder of voxel grids: each mesh becomes one .raw or .binvox file."""

import collections
import contextlib
import functools
import json
import os
import re
import secrets
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
from rasgan.files import atomic_path
from rasgan.voxel_io import VOXEL_SUFFIXES, read_voxels, write_voxels

STRAY_BELOW = 0.2  # of the grid's volume: an object that can fill no more lost most of its shape

RECORD = ".conversion.json"
"""Hidden file of a folder with the options of its grids, by their suffix: those of a suffix are all alike."""

# 3D files that are not read here; Blender or a CAD program can export them in a format that is.
OTHER_FORMATS = re.compile(
    r"\.(dae|fbx|3ds|3mf|blend|wrl|vrml|x3dv?|usd[acz]?|abc|amf|lwo|max|m[ab]|c4d|dxf|x|md[23]|ms3d|b3d|ase|ac|skp"
    r"|vt[kp]|drc|step|stp|iges|igs|brep|sat|x_t|sldprt|ipt|f3d|3dm|ifc|dwg)"
)


@dataclass(frozen=True)
class ConversionOptions(VoxelOptions):
    """How meshes are converted; see `rasgan.data.voxelize.voxelize` and `rasgan.data.meshes.read_mesh`."""

    up: str | None = None  # None: the default of each format
    binvox: str | None = None  # path or name of the real program; None: the built-in voxelizer
    suffix: str = ".raw"  # of the grids, a key of `rasgan.voxel_io.WRITERS`

    def recorded(self) -> dict[str, object]:
        """Return the options as they are recorded beside the grids."""
        return asdict(self) | {"binvox": self.binvox is not None}


@dataclass
class ConversionSummary:
    """The result of the conversion of a folder."""

    converted: int = 0
    already_there: int = 0
    empty: list[Path] = field(default_factory=list)  # meshes whose grid, new or old, has no occupied voxel
    stray: list[tuple[Path, float]] = field(default_factory=list)  # and the object's share of the grid's side
    notes: list[tuple[Path, str]] = field(default_factory=list)  # what was left out of a mesh
    unknown: list[Path] = field(default_factory=list)  # folders of existing grids made with unknown options
    beside: list[Path] = field(default_factory=list)  # voxel files among the meshes, made from none of them
    skipped: collections.Counter = field(default_factory=collections.Counter)  # other 3D files, by suffix
    failed: list[UserError] = field(default_factory=list)  # each message starts with a file or a subfolder


Converted = tuple[int, float, list[str]]
"""Occupied voxels of a grid, the share of its side that the faces span, and what was left out of the mesh."""


def convert_folder(
    folder: Path,
    options: ConversionOptions,
    jobs: int | None = None,
    overwrite: bool = False,
    progress: Callable[..., Iterable] = lambda outcomes, **_: outcomes,
    output: Path | None = None,
) -> ConversionSummary:
    """Convert every mesh below `folder` to a grid; one bad mesh does not stop the rest.

    An existing grid of the right size is skipped. One of another size is not overwritten unless asked for:
    that mesh counts as failed, as do meshes that would become the same grid.

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
        If there is no such folder, no mesh in it or no such Binvox, if a folder cannot be written to or has
        grids made with other options, or if a worker process was killed.
    """
    summary = ConversionSummary()
    meshes, voxel_files = find_meshes(folder, summary)
    if not meshes and not summary.failed:
        only = f", but {describe_skipped(summary.skipped)}" if summary.skipped else "; check the path"
        raise UserError(f"{folder}: no meshes ({', '.join(SUFFIXES)}) in this folder{only}.")
    if options.binvox is not None:
        options = replace(options, binvox=find_binvox(options.binvox))
    grids = _name_grids(meshes, folder, output or folder, options.suffix, summary)
    kept = {} if overwrite else {mesh: grid for mesh, grid in grids.items() if grid.is_file()}
    todo = [(mesh, grid) for mesh, grid in grids.items() if mesh not in kept]
    summary.unknown = _check_options({grid.parent for grid in kept.values()}, options)
    _check_writable({grid.parent for _, grid in todo})
    summary.beside = _of_no_mesh(voxel_files, meshes) if output in (None, folder) else []
    bar = progress(kept.items(), total=len(kept), unit="existing grid") if kept else ()
    _check_existing(bar, options.resolution, summary)
    _convert(todo, options, summary, progress, count_processes(jobs, len(todo)))
    return summary


def find_meshes(folder: Path, summary: ConversionSummary) -> tuple[list[Path], list[Path]]:
    """List all meshes below `folder`, and all voxel files, sorted.

    Other 3D files and unreadable subfolders go to the summary. Linked subfolders, ``__MACOSX`` and names that
    start with a dot are left out.
    """
    if not folder.is_dir():
        remedy = "give the folder that holds it" if folder.is_file() else "check the path"
        raise UserError(f"{folder}: not a folder; {remedy}.")
    paths, unreadable = [], []
    for parent, subfolders, names in os.walk(folder, onerror=unreadable.append):
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and name != "__MACOSX"]
        paths += [Path(parent, name) for name in names if not name.startswith(".")]
    summary.failed += [UserError(describe_os_error(error)) for error in unreadable]
    suffixes = [path.suffix.lower() for path in paths]
    summary.skipped.update(filter(OTHER_FORMATS.fullmatch, suffixes))
    meshes = [path for path, suffix in zip(paths, suffixes, strict=True) if suffix in SUFFIXES]
    voxel_files = [path for path, suffix in zip(paths, suffixes, strict=True) if suffix in VOXEL_SUFFIXES]
    return sorted(meshes), sorted(voxel_files)


def describe_skipped(skipped: collections.Counter) -> str:
    """Return how many files of other formats there are, and what to do with them."""
    counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(skipped.items()))
    return f"{counts}: export them as .glb, .obj, .ply or .stl, for example from Blender or a CAD program"


def _name_grids(
    meshes: list[Path], folder: Path, output: Path, suffix: str, summary: ConversionSummary
) -> dict[Path, Path]:
    """Return the grid of each mesh; meshes that would become the same one have failed."""
    sources = collections.defaultdict(list)
    for mesh in meshes:  # names that differ only in case are the same on Windows
        grid = (output / mesh.relative_to(folder)).with_suffix(suffix)
        sources[os.path.normcase(grid)].append((mesh, grid))
    for group in sources.values():
        names = " and ".join(mesh.name for mesh, _ in group)
        fault = f"{names} would all become {group[0][1].name}; rename them."
        summary.failed += [UserError(f"{mesh}: {fault}") for mesh, _ in group if len(group) > 1]
    return dict(group[0] for group in sources.values() if len(group) == 1)


def read_record(folder: Path) -> dict[str, dict[str, object]]:
    """Read, by the suffix of the grids, the options that they were made with, if they are known."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    record = record if isinstance(record, dict) else {}
    return {suffix: options for suffix, options in record.items() if isinstance(options, dict)}


def write_record(folder: Path, suffix: str, options: dict[str, object] | None) -> None:
    """Record the options of the grids with this suffix; None, and a full disk, leave them unknown."""
    record = read_record(folder)
    record.pop(suffix, None)
    record |= {suffix: options} if options else {}
    with contextlib.suppress(OSError), atomic_path(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _check_options(places: set[Path], options: ConversionOptions) -> list[Path]:
    """Return the folders whose existing grids were made with unknown options.

    UserError if the options of one are known to be other ones: the grids of a folder would not be alike.
    """
    unknown = []
    for place in sorted(places):
        made = read_record(place).get(options.suffix)
        if made is None:
            unknown.append(place)
        elif made != options.recorded():
            pairs = [(key, made.get(key), value) for key, value in options.recorded().items()]
            differs = ", ".join(f"{key}: {old}, not {new}" for key, old, new in pairs if old != new)
            fault = f"its {options.suffix} files were made with other options ({differs})"
            remedy = "convert all of them again, or write the new ones to another folder."
            raise UserError(f"{place}: {fault}; {remedy}", about="other options")
    return unknown


def _check_writable(places: set[Path]) -> None:
    """Raise UserError if no file can be created in one of the folders, which need not exist yet."""
    existing = {next(p for p in (place, *place.absolute().parents) if p.exists()) for place in places}
    for place in sorted(existing):
        probe = place / f".{secrets.token_hex(4)}"
        try:
            probe.touch(exist_ok=False)
            probe.unlink()
        except OSError as error:
            error.filename = str(place)
            raise UserError(describe_os_error(error), about="not writable") from error


def _of_no_mesh(voxel_files: list[Path], meshes: list[Path]) -> list[Path]:
    """List the voxel files in folders of meshes whose names are those of no mesh there."""
    names = collections.defaultdict(set)
    for mesh in meshes:
        names[mesh.parent].add(mesh.stem)
    return [path for path in voxel_files if path.parent in names and path.stem not in names[path.parent]]


def _check_existing(pairs: Iterable[tuple[Path, Path]], resolution: int, summary: ConversionSummary) -> None:
    """Read the existing grids; list in the summary those that are damaged, of another size, or empty."""
    for mesh, grid in pairs:
        try:
            voxels = read_voxels(grid)
            if len(voxels) != resolution:
                raise UserError(
                    f"{grid}: contains {len(voxels)}³ voxels, not {resolution}³; delete it first."
                )
        except (UserError, OSError) as error:
            fault = describe_os_error(error) if isinstance(error, OSError) else str(error)
            summary.failed.append(UserError(fault, about="other size"))
            continue
        summary.already_there += 1
        summary.empty += [] if voxels.any() else [mesh]


def _convert(
    todo: list[tuple[Path, Path]],
    options: ConversionOptions,
    summary: ConversionSummary,
    progress: Callable[..., Iterable],
    processes: int,
) -> None:
    """Convert meshes to grids, and record the options in every folder whose grids are all made with them."""
    wanted, suffix, grids = options.recorded(), options.suffix, dict(todo)
    old = {grid.parent for grid in grids.values() if grid.is_file()}
    old = {place for place in old if read_record(place).get(suffix) != wanted}
    for place in old:
        write_record(place, suffix, None)
    mixed, made, failed = old.union(summary.unknown), set(), set()
    outcomes = run_tasks(functools.partial(_try_mesh, options=options), todo, processes)
    try:
        with contextlib.closing(outcomes):
            for mesh, outcome in progress(outcomes, total=len(todo), unit="mesh") if todo else ():
                if isinstance(outcome, UserError):
                    failed.add(grids[mesh].parent)
                    summary.failed.append(outcome)
                    continue
                made.add(grids[mesh].parent)
                voxels, share, notes = outcome
                summary.converted += 1
                summary.empty += [] if voxels else [mesh]
                summary.stray += [(mesh, share)] if share**3 < STRAY_BELOW else []
                summary.notes += [(mesh, note) for note in notes]
        mixed -= old - failed
    finally:  # after Ctrl-C, too
        for place in made - mixed:
            write_record(place, suffix, wanted)


def _try_mesh(pair: tuple[Path, Path], options: ConversionOptions) -> tuple[Path, Converted | UserError]:
    """Convert one mesh to its grid; return it and the outcome, or why it failed."""
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


def convert_mesh(mesh: Path, options: ConversionOptions, grid: Path | None = None) -> Converted:
    """Convert one mesh and write its grid, by default beside it."""
    notes: list[str] = []
    vertices, faces = read_mesh(mesh, options.up, notes)
    if options.binvox is not None:
        occupied = run_binvox(options.binvox, mesh, options, options.up)
    else:
        try:
            occupied = voxelize(vertices, faces, options.resolution, options.mode, options.center)
        except ValueError as error:
            raise UserError(f"{mesh}: {error}.") from error
    write_voxels(grid or mesh.with_suffix(options.suffix), occupied)
    return np.count_nonzero(occupied), used_share(vertices, faces), notes


def used_share(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Return the share of the grid's side that faces with an area span: 1 without stray vertices.

    It is a ratio of longest sides, and its cube one of volumes: those themselves are 0 for a flat mesh.
    """
    used = vertices[np.unique(faces[has_area(vertices, faces)])]
    return float(np.ptp(used, axis=0).max() / np.ptp(vertices, axis=0).max()) if len(used) else 1.0

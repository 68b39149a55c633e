"""A folder of meshes to a folder of voxel grids: each mesh gets a .raw or .binvox beside it."""

import collections
import contextlib
import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rasgan.data import grid_record
from rasgan.data.binvox import find_binvox, run_binvox
from rasgan.data.meshes import SUFFIXES, read_mesh, upward_axis
from rasgan.data.meshes.polygons import has_area
from rasgan.data.voxelize import VoxelOptions, voxelize
from rasgan.data.workers import count_processes, run_tasks
from rasgan.errors import UserError, describe_os_error
from rasgan.voxel_io import read_voxels, write_voxels

STRAY_BELOW = 0.2  # of the grid's volume: an object that can fill no more lost most of its shape

# 3D files that are not read here, and programs that make readable ones of them.
_BLENDER = (
    ".dae", ".fbx", ".3ds", ".3mf", ".blend", ".wrl", ".vrml", ".x3d", ".x3dv", ".usd", ".usda", ".usdc",
    ".usdz", ".abc", ".amf", ".lwo", ".max", ".ma", ".mb", ".c4d", ".dxf", ".x", ".md2", ".md3", ".ms3d",
    ".b3d", ".ase", ".ac", ".skp", ".vtk", ".vtp",
)  # fmt: skip
_CAD = (
    ".step", ".stp", ".iges", ".igs", ".brep", ".sat", ".x_t", ".sldprt", ".ipt", ".f3d", ".3dm", ".ifc",
    ".dwg",
)  # fmt: skip
OTHER_FORMATS = {
    **dict.fromkeys(_BLENDER, "export them as .glb, .obj or .ply, for example from Blender"),
    **dict.fromkeys(_CAD, "export them as .stl from a CAD program"),
    ".drc": "decompress them as .ply with Draco's draco_decoder",
}


@dataclass(frozen=True)
class ConversionOptions(VoxelOptions):
    """How meshes are converted; see `rasgan.data.voxelize.voxelize` and `rasgan.data.meshes.read_mesh`."""

    up: str | None = None  # None: as each format has it
    binvox: str | None = None  # path or name of the real program; None: the built-in voxelizer
    suffix: str = ".raw"  # of the grids, a key of `rasgan.voxel_io.WRITERS`


@dataclass
class ConversionSummary:
    """What became of the meshes of a folder."""

    converted: int = 0
    already_there: int = 0
    empty: list[Path] = field(default_factory=list)  # meshes whose grid, new or kept, has no occupied voxel
    stray: list[tuple[Path, float]] = field(default_factory=list)  # and the object's share of the grid's side
    notes: list[tuple[Path, str]] = field(default_factory=list)  # what of a mesh was left out
    other_options: list[tuple[Path, str]] = field(default_factory=list)  # kept grids, and what differs
    unknown: list[Path] = field(default_factory=list)  # kept grids of which nobody knows how they were made
    skipped: collections.Counter = field(default_factory=collections.Counter)  # other 3D files, by suffix
    failed: list[UserError] = field(default_factory=list)  # each message begins with the mesh or subfolder


@dataclass(frozen=True)
class Converted:
    """What is to be known of one grid that was written."""

    occupied: int  # voxels
    checksum: int
    share: float  # of the grid's side that the faces reach over
    notes: list[str]


def convert_folder(
    folder: Path,
    options: ConversionOptions,
    jobs: int | None = None,
    overwrite: bool = False,
    progress: Callable[..., Iterable] = lambda outcomes, **_: outcomes,
) -> ConversionSummary:
    """Convert every mesh below `folder` to a grid beside it; one bad mesh does not stop the rest.

    A grid that is there with the right size is left as it is; it is said if it is empty, or made with other
    options (`rasgan.data.grid_record`). One of another size is never overwritten unless asked for: that mesh
    counts as failed, and so do meshes that would share one grid. UserError if there is no such folder, no
    mesh in it or no such Binvox, or if a worker process was killed.

    Parameters
    ----------
    folder : Path
        Searched by `find_meshes`.
    jobs : int, optional
        Processes; default: as many as there are cores to run on. See `rasgan.data.workers.run_tasks`.
    overwrite : bool
        Convert again what is already there.
    progress : callable
        Wraps the iterable of results, as ``tqdm(outcomes, total=..., unit=...)`` does.
    """
    meshes, skipped, unreadable = find_meshes(folder)
    if not meshes and not unreadable:
        only = f" that are read here, but {say_skipped(skipped)}" if skipped else "; check the path"
        raise UserError(f"{folder}: no meshes ({', '.join(SUFFIXES)}) in this folder{only}.")
    if options.binvox is not None:
        options = replace(options, binvox=find_binvox(options.binvox))

    summary = ConversionSummary(skipped=skipped, failed=unreadable)
    todo, kept = _sort_out(meshes, options.suffix, overwrite, summary)
    _judge_kept(progress(kept, total=len(kept), unit="kept grid") if kept else (), options, summary)
    work = functools.partial(_try_mesh, options=options)
    outcomes = run_tasks(work, todo, count_processes(jobs, len(todo)))
    made = {}
    try:
        with contextlib.closing(outcomes):
            for mesh, outcome in progress(outcomes, total=len(todo), unit="mesh") if todo else ():
                if isinstance(outcome, Converted):
                    grid = mesh.with_suffix(options.suffix)
                    made[grid] = outcome.checksum, _recorded(options, mesh)
                _count(mesh, outcome, summary)
    finally:  # also of what was made before Ctrl-C
        grid_record.add_to_records(made)
    return summary


def find_meshes(folder: Path) -> tuple[list[Path], collections.Counter, list[UserError]]:
    """List all meshes below `folder`, sorted; count the other 3D files; list unreadable subfolders' errors.

    Linked subfolders, ``__MACOSX`` and names that begin with a dot are left out.
    """
    if not folder.is_dir():
        remedy = "give the folder that holds it" if folder.is_file() else "check the path"
        raise UserError(f"{folder}: not a folder; {remedy}.")
    meshes, skipped, unreadable = [], collections.Counter(), []
    for parent, subfolders, names in os.walk(folder, onerror=unreadable.append):
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and name != "__MACOSX"]
        paths = [Path(parent, name) for name in names if not name.startswith(".")]
        meshes += [path for path in paths if path.suffix.lower() in SUFFIXES]
        skipped.update(path.suffix.lower() for path in paths if path.suffix.lower() in OTHER_FORMATS)
    return sorted(meshes), skipped, [UserError(describe_os_error(error)) for error in unreadable]


def say_skipped(skipped: collections.Counter) -> str:
    """Return in words how many files of which other formats there are, and what to do with them."""
    advice = collections.defaultdict(list)
    for suffix, count in sorted(skipped.items()):
        advice[OTHER_FORMATS[suffix]].append(f"{count} {suffix}")
    return "; ".join(f"{', '.join(counts)}: {what}" for what, counts in advice.items())


def _sort_out(
    meshes: list[Path], suffix: str, overwrite: bool, summary: ConversionSummary
) -> tuple[list[Path], list[Path]]:
    """Return the meshes to convert and those whose grid is there; those that share one have failed."""
    groups = collections.defaultdict(list)
    for mesh in meshes:  # names that differ in case alone are one on Windows
        groups[os.path.normcase(mesh.with_suffix(suffix))].append(mesh)
    todo, kept = [], []
    for sources in groups.values():
        grid = sources[0].with_suffix(suffix)
        if len(sources) > 1:
            names = " and ".join(source.name for source in sources)
            fault = f"{names} would all become {grid.name}; rename them."
            summary.failed += [UserError(f"{source}: {fault}") for source in sources]
        elif overwrite or not grid.is_file():
            todo.append(sources[0])
        else:
            kept.append(sources[0])
    return todo, kept


def _judge_kept(meshes: Iterable[Path], options: ConversionOptions, summary: ConversionSummary) -> None:
    """Look at the grids that are there already: their size, whether they are empty, how they were made."""
    records = {}
    for mesh in meshes:
        grid, n = mesh.with_suffix(options.suffix), options.resolution
        try:
            voxels, crc = read_voxels(grid), grid_record.checksum(grid)
            fault = f"holds {len(voxels)}³ voxels, not {n}³" if len(voxels) != n else None
        except (UserError, OSError) as error:
            words = describe_os_error(error) if isinstance(error, OSError) else str(error)
            fault = f"damaged: {words.removeprefix(f'{grid}: ').rstrip('.')}"
        if fault is not None:
            fault = f"{mesh}: {grid.name} is already there but {fault}; delete it first."
            summary.failed.append(UserError(fault, about="other size"))
            continue
        summary.already_there += 1
        summary.empty += [] if voxels.any() else [mesh]
        if grid.parent not in records:
            records[grid.parent] = grid_record.read_record(grid.parent)
        known_crc, made = records[grid.parent].get(grid.name, (None, {}))
        differs = _difference(made, _recorded(options, mesh))
        if known_crc != crc:
            summary.unknown.append(grid)
        elif differs:
            summary.other_options.append((grid, differs))


def _recorded(options: ConversionOptions, mesh: Path) -> grid_record.Options:
    """Return what is kept of the options that a grid was made with."""
    return {
        "mode": options.mode,
        "centered": options.center,
        "up": options.up or upward_axis(mesh),
        "voxelizer": "built-in" if options.binvox is None else "Binvox",
    }


def _difference(made: grid_record.Options, wanted: grid_record.Options) -> str:
    """Return in words in what two sets of options differ; "" if in nothing."""
    words = {True: "yes", False: "no"}
    pairs = [(key, made.get(key), value) for key, value in wanted.items() if made.get(key) != value]
    return ", ".join(f"{key}: {words.get(old, old)}, not {words.get(new, new)}" for key, old, new in pairs)


def _count(mesh: Path, outcome: Converted | UserError, summary: ConversionSummary) -> None:
    """Add what became of one mesh."""
    if isinstance(outcome, UserError):
        summary.failed.append(outcome)
        return
    summary.converted += 1
    summary.empty += [] if outcome.occupied else [mesh]
    summary.stray += [(mesh, outcome.share)] if outcome.share**3 < STRAY_BELOW else []
    summary.notes += [(mesh, note) for note in outcome.notes]


def _try_mesh(mesh: Path, options: ConversionOptions) -> tuple[Path, Converted | UserError]:
    """Convert one mesh; return it and what is to be known of its grid, or why it failed."""
    try:
        return mesh, convert_mesh(mesh, options)
    except UserError as error:
        return mesh, error
    except OSError as error:
        fault = describe_os_error(error).removeprefix(f"{mesh}: ")
        return mesh, UserError(f"{mesh}: {fault}")
    except MemoryError:
        fault = "does not fit into memory; reduce its number of faces."
        return mesh, UserError(f"{mesh}: {fault}", about="memory")


def convert_mesh(mesh: Path, options: ConversionOptions) -> Converted:
    """Convert one mesh and write its grid beside it."""
    notes: list[str] = []
    vertices, faces = read_mesh(mesh, options.up, notes)
    if options.binvox is not None:
        occupied = run_binvox(options.binvox, mesh, options, options.up)
    else:
        try:
            occupied = voxelize(vertices, faces, options.resolution, options.mode, options.center)
        except ValueError as error:
            raise UserError(f"{mesh}: {error}.") from error
    grid = mesh.with_suffix(options.suffix)
    write_voxels(grid, occupied)
    share = used_share(vertices, faces)
    return Converted(np.count_nonzero(occupied), grid_record.checksum(grid), share, notes)


def used_share(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Return which share of the grid's side the faces reach over: 1 where no loose vertex widens the box.

    The longest side of the box of the vertices that faces with an area use, over that of the box of all, as
    Binvox scales it to the grid. Its cube is the share of the grid's volume that is left to the object;
    that of the boxes themselves would be 0 for every flat mesh.
    """
    used = np.zeros(len(vertices), dtype=bool)
    used[faces[has_area(vertices, faces)]] = True
    if not used.any():
        return 1.0
    return float(np.ptp(vertices[used], axis=0).max() / np.ptp(vertices, axis=0).max())

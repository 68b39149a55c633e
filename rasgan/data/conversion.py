"""A folder of meshes to a folder of voxel grids: each mesh gets a .raw beside it."""

import collections
import contextlib
import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rasgan.data.binvox import find_binvox, run_binvox
from rasgan.data.meshes import SUFFIXES, read_mesh
from rasgan.data.voxelize import VoxelOptions, voxelize
from rasgan.data.workers import count_processes, run_tasks
from rasgan.errors import UserError, describe_os_error
from rasgan.voxel_io import write_raw


@dataclass(frozen=True)
class ConversionOptions(VoxelOptions):
    """How meshes are converted; see `rasgan.data.voxelize.voxelize` and `rasgan.data.meshes.read_mesh`."""

    up: str = "z"
    binvox: str | None = None  # path or name of the real program; None: the built-in voxelizer


@dataclass
class ConversionSummary:
    """What became of the meshes of a folder."""

    converted: int = 0
    already_there: int = 0
    empty: list[Path] = field(default_factory=list)  # converted, but without one occupied voxel
    failed: list[UserError] = field(default_factory=list)  # each message begins with the mesh or subfolder


def convert_folder(
    folder: Path,
    options: ConversionOptions,
    jobs: int | None = None,
    overwrite: bool = False,
    progress: Callable[..., Iterable] = lambda outcomes, **_: outcomes,
) -> ConversionSummary:
    """Convert every mesh below `folder` to a .raw beside it; one bad mesh does not stop the rest.

    A .raw that is there with the right size is left as it is. One of another size is never overwritten
    unless asked for: that mesh counts as failed, and so do meshes that would share one .raw. UserError if
    there is no such folder, no mesh in it or no such Binvox, or if a worker process was killed.

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
    meshes, unreadable = find_meshes(folder)
    if not meshes and not unreadable:
        raise UserError(f"{folder}: no meshes ({', '.join(SUFFIXES)}) in this folder; check the path.")
    if options.binvox is not None:
        options = replace(options, binvox=find_binvox(options.binvox))

    todo, summary = _sort_out(meshes, options.resolution, overwrite)
    summary.failed[:0] = unreadable
    work = functools.partial(_try_mesh, options=options)
    outcomes = run_tasks(work, todo, count_processes(jobs, len(todo)))
    with contextlib.closing(outcomes):
        for mesh, outcome in progress(outcomes, total=len(todo), unit="mesh") if todo else ():
            if isinstance(outcome, UserError):
                summary.failed.append(outcome)
            else:
                summary.converted += 1
                summary.empty += [mesh] if outcome == 0 else []
    return summary


def find_meshes(folder: Path) -> tuple[list[Path], list[UserError]]:
    """List all meshes below `folder`, sorted, and the errors of subfolders that cannot be read.

    Linked subfolders, ``__MACOSX`` and names that begin with a dot are left out.
    """
    if not folder.is_dir():
        remedy = "give the folder that holds it" if folder.is_file() else "check the path"
        raise UserError(f"{folder}: not a folder; {remedy}.")
    meshes, unreadable = [], []
    for parent, subfolders, names in os.walk(folder, onerror=unreadable.append):
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and name != "__MACOSX"]
        paths = (Path(parent, name) for name in names if not name.startswith("."))
        meshes += [path for path in paths if path.suffix.lower() in SUFFIXES]
    return sorted(meshes), [UserError(describe_os_error(error)) for error in unreadable]


def _sort_out(meshes: list[Path], resolution: int, overwrite: bool) -> tuple[list[Path], ConversionSummary]:
    """Separate the meshes to convert from those of which it is known already what becomes of them."""
    groups = collections.defaultdict(list)
    for mesh in meshes:  # names that differ in case alone are one on Windows
        groups[os.path.normcase(mesh.with_suffix(".raw"))].append(mesh)
    todo, summary = [], ConversionSummary()
    for sources in groups.values():
        mesh, raw = sources[0], sources[0].with_suffix(".raw")
        size = raw.stat().st_size if raw.is_file() else None
        if len(sources) > 1:
            names = " and ".join(source.name for source in sources)
            fault = f"{names} would all become {raw.name}; rename them."
            summary.failed += [UserError(f"{source}: {fault}") for source in sources]
        elif size is None or overwrite:
            todo.append(mesh)
        elif size == resolution**3:
            summary.already_there += 1
        else:
            fault = f"{raw.name} is already there but holds {size} bytes, not {resolution}³; delete it first."
            summary.failed.append(UserError(f"{mesh}: {fault}", about="other size"))
    return todo, summary


def _try_mesh(mesh: Path, options: ConversionOptions) -> tuple[Path, int | UserError]:
    """Convert one mesh; return it and how many voxels are occupied, or why it failed."""
    try:
        return mesh, np.count_nonzero(convert_mesh(mesh, options))
    except UserError as error:
        return mesh, error
    except OSError as error:
        fault = describe_os_error(error).removeprefix(f"{mesh}: ")
        return mesh, UserError(f"{mesh}: {fault}")
    except MemoryError:
        fault = "does not fit into memory; reduce its number of faces."
        return mesh, UserError(f"{mesh}: {fault}", about="memory")


def convert_mesh(mesh: Path, options: ConversionOptions) -> np.ndarray:
    """Convert one mesh, write its .raw and return the (n, n, n) bool grid."""
    if options.binvox is not None:
        occupied = run_binvox(options.binvox, mesh, options, options.up)
    else:
        vertices, faces = read_mesh(mesh, options.up)
        occupied = voxelize(vertices, faces, options.resolution, options.mode, options.center)
    write_raw(mesh.with_suffix(".raw"), occupied)
    return occupied

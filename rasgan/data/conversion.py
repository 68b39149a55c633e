"""A folder of meshes to a folder of voxel grids: each mesh gets a .raw beside it."""

import collections
import concurrent.futures.process
import contextlib
import functools
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rasgan.data.binvox import find_binvox, run_binvox
from rasgan.data.meshes import SUFFIXES, read_mesh
from rasgan.data.voxelize import voxelize
from rasgan.errors import UserError, describe_os_error
from rasgan.voxel_io import write_raw

MOST_JOBS = 61 if sys.platform == "win32" else 1024
"""Windows waits for no more processes at a time, and Python refuses to start more."""


@dataclass(frozen=True)
class ConversionOptions:
    """How meshes are voxelized; see `rasgan.data.voxelize.voxelize` and `rasgan.data.meshes.read_mesh`."""

    resolution: int = 64
    mode: str = "binvox"
    center: bool = False
    up: str = "z"
    binvox: str | None = None  # path of the real program; None: the built-in voxelizer


@dataclass
class ConversionSummary:
    """What became of the meshes of a folder."""

    converted: int = 0
    already_there: int = 0
    empty: list[Path] = field(default_factory=list)  # converted, but without one occupied voxel
    failed: dict[Path, str] = field(default_factory=dict)  # mesh -> one sentence


def convert_folder(
    folder: Path,
    settings: ConversionOptions,
    jobs: int | None = None,
    overwrite: bool = False,
    progress: Callable[..., Iterable] = lambda outcomes, **_: outcomes,
) -> ConversionSummary:
    """Convert every mesh below `folder` to a .raw beside it; one bad mesh does not stop the rest.

    A .raw that is there with the right size is left as it is. One of another size is never overwritten
    unasked: that mesh counts as failed, and so do meshes that would share one .raw.

    Parameters
    ----------
    folder : Path
        Searched with its subfolders; linked subfolders, ``__MACOSX`` and dot names are passed over.
    settings : ConversionOptions
        The same for every mesh.
    jobs : int, optional
        Processes; default: as many as there are cores to run on. The calling script needs the usual
        ``if __name__ == "__main__"`` guard, since they are spawned.
    overwrite : bool
        Convert again what is already there.
    progress : callable
        Wraps the iterable of results, as ``tqdm(outcomes, total=..., unit=...)`` does.

    Raises
    ------
    UserError
        If there is no such folder or no mesh in it, or if a worker process was killed.
    """
    summary = ConversionSummary()
    meshes = find_meshes(Path(folder), summary.failed)
    if not meshes and not summary.failed:
        raise UserError(f"{folder}: no meshes ({', '.join(SUFFIXES)}) in this folder; check -m.")
    if settings.binvox is not None:
        settings = ConversionOptions(**{**vars(settings), "binvox": find_binvox(settings.binvox)})

    todo = []
    for raw, sources in _by_raw(meshes).items():
        size = raw.stat().st_size if raw.is_file() else None
        if len(sources) > 1:
            names = " and ".join(mesh.name for mesh in sources)
            summary.failed |= dict.fromkeys(sources, f"{names} would all become {raw.name}; rename them.")
        elif size is None or overwrite:
            todo.append(sources[0])
        elif size == settings.resolution**3:
            summary.already_there += 1
        else:
            summary.failed[sources[0]] = (
                f"{raw.name} is already there but holds {size} bytes, not {settings.resolution}³; "
                "delete it or use --overwrite."
            )

    if not todo:
        return summary
    jobs = min(jobs or usable_cores(), len(todo), MOST_JOBS)
    with contextlib.closing(_convert_all(todo, settings, jobs)) as outcomes:
        for mesh, reason, is_empty in progress(outcomes, total=len(todo), unit="mesh"):
            if reason is not None:
                summary.failed[mesh] = reason
                continue
            summary.converted += 1
            if is_empty:
                summary.empty.append(mesh)
    return summary


def find_meshes(folder: Path, failed: dict[Path, str]) -> list[Path]:
    """List all meshes below `folder`, sorted; subfolders that cannot be read go into `failed`."""
    if not folder.is_dir():
        remedy = "give the folder that holds it" if folder.is_file() else "check the path"
        raise UserError(f"{folder}: not a folder; {remedy}.")

    def note(error: OSError) -> None:
        failed[Path(error.filename)] = describe_os_error(error)

    meshes = []
    for parent, subfolders, names in os.walk(folder, onerror=note):
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and name != "__MACOSX"]
        paths = (Path(parent, name) for name in names if not name.startswith("."))
        meshes += [path for path in paths if path.suffix.lower() in SUFFIXES]
    return sorted(meshes)


def _by_raw(meshes: list[Path]) -> dict[Path, list[Path]]:
    """Group meshes by the .raw that they would become (names that differ in case are one on Windows)."""
    groups = collections.defaultdict(list)
    for mesh in meshes:
        groups[os.path.normcase(mesh.with_suffix(".raw"))].append(mesh)
    return {sources[0].with_suffix(".raw"): sources for sources in groups.values()}


def usable_cores() -> int:
    """Count the cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def convert_mesh(mesh: Path, settings: ConversionOptions) -> np.ndarray:
    """Convert one mesh, write its .raw and give the (n, n, n) bool grid."""
    options = {"resolution": settings.resolution, "mode": settings.mode, "center": settings.center}
    if settings.binvox is not None:
        occupied = run_binvox(settings.binvox, mesh, up=settings.up, **options)
    else:
        occupied = voxelize(*read_mesh(mesh, settings.up), **options)
    write_raw(mesh.with_suffix(".raw"), occupied)
    return occupied


Outcome = tuple[Path, str | None, bool]
"""A mesh, why it failed (None: it did not), and whether its grid came out empty."""


def _try_mesh(mesh: Path, settings: ConversionOptions) -> Outcome:
    try:
        return mesh, None, not convert_mesh(mesh, settings).any()
    except UserError as error:
        return mesh, str(error).removeprefix(f"{mesh}: "), False
    except OSError as error:
        return mesh, describe_os_error(error), False
    except MemoryError:
        return mesh, "it does not fit into memory; use fewer --jobs or a mesh with fewer faces.", False


def _convert_all(meshes: list[Path], settings: ConversionOptions, jobs: int) -> Iterator[Outcome]:
    """Return the outcomes as they come; closing this early leaves no process and no half-written file."""
    if jobs <= 1:
        yield from map(functools.partial(_try_mesh, settings=settings), meshes)
        return
    bystanders = set(multiprocessing.active_children())
    pool = concurrent.futures.ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_become_worker
    )
    try:
        futures = [pool.submit(_work, mesh, settings) for mesh in meshes]
        for done in concurrent.futures.as_completed(futures):
            yield done.result()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise UserError(
            "A worker process was killed, as happens when memory runs out; "
            "run the same command with fewer --jobs."
        ) from error
    except BaseException:
        for worker in set(multiprocessing.active_children()) - bystanders:
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _become_worker() -> None:
    """Leave Ctrl-C to the parent; on its request, or when it is gone, end and tidy up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _work(mesh: Path, settings: ConversionOptions) -> Outcome:
    try:
        return _try_mesh(mesh, settings)
    except SystemExit:  # asked to end: temporary files are gone by now, and the pool would hand on more work
        os._exit(1)


def _end_with_parent() -> None:
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGTERM)

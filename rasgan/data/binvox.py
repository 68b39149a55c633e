"""Patrick Min's Binvox program, run on one mesh at a time."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from rasgan.data.meshes import read_mesh, write_off
from rasgan.data.voxelize import VoxelOptions
from rasgan.errors import UserError
from rasgan.voxel_io import read_raw

TIMEOUT_S = 600.0  # it hangs then: 18 s were seen on a ModelNet mesh with software OpenGL
_RUNS = {"binvox": ([],), "exact": (["-e"],), "solid": ([], ["-e"])}


class BinvoxError(UserError):
    """Binvox cannot be started or does not do its work."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, about="binvox")


def find_binvox(program: str) -> str:
    """Return the path of the executable `program`, a path or a name on PATH; `BinvoxError` if it is none."""
    found = shutil.which(program) or shutil.which(str(Path(program).absolute()))
    if found is None:
        raise BinvoxError(f"{program}: no such program that may be run.")
    return str(Path(found).absolute())


def run_binvox(
    program: str,
    mesh: Path,
    options: VoxelOptions = VoxelOptions(),  # noqa: B008  it is frozen
    up: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> np.ndarray:
    """Voxelize a mesh file with Binvox.

    Binvox gets a copy in a temporary folder: there, a header without a line break, which it cannot read, is
    mended, other formats become .off, and no NAME.raw makes it write NAME_1.raw instead.

    `program` is its path (`find_binvox`); `mesh` and `up` are those of `rasgan.data.meshes.read_mesh`. A run
    is stopped after `timeout_s` seconds; mode "solid" takes two.

    Returns
    -------
    occupied : (resolution, resolution, resolution) bool array

    Raises
    ------
    UserError
        If the file is not a mesh. `BinvoxError`, which quotes the last line that Binvox printed, if Binvox
        cannot be started, fails, takes too long or writes no such grid.
    """
    vertices, faces = read_mesh(mesh, up)  # its messages are better than Binvox's
    occupied = np.zeros((options.resolution,) * 3, dtype=bool)
    for flags in _RUNS[options.mode]:
        with tempfile.TemporaryDirectory(prefix="binvox-", ignore_cleanup_errors=True) as folder:
            copy = Path(folder, "mesh.off")
            write_off(copy, vertices, faces, digits=17)
            center = ["-cb"] if options.center else []
            command = [program, "-d", str(options.resolution), "-t", "raw", *flags, *center, str(copy)]
            printed = _run(command, mesh, timeout_s)
            raw = copy.with_suffix(".raw")
            if not raw.is_file():
                raise BinvoxError(f"{mesh}: Binvox ended without an error but wrote no file ({printed}).")
            try:
                grid = read_raw(raw)
            except UserError as error:
                raise BinvoxError(f"{mesh}: Binvox wrote a damaged file: {error}") from error
            if len(grid) != options.resolution:
                fault = f"Binvox wrote {len(grid)} voxels a side, not {options.resolution}"
                raise BinvoxError(f"{mesh}: {fault}.")
            occupied |= grid
    return occupied


def _run(command: list[str], mesh: Path, timeout_s: float) -> str:
    """Run Binvox and return the last line that it printed; any exception ends it and its children, too."""
    with tempfile.TemporaryFile() as output:  # not a pipe: a child that outlives Binvox could block it
        try:
            process = subprocess.Popen(  # noqa: S603  an argument list; the program is the user's choice
                command,
                cwd=Path(command[-1]).parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            fault = f"cannot be run ({error.strerror}); give a Binvox made for this system."
            raise BinvoxError(f"{command[0]}: {fault}") from error
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise BinvoxError(f"{mesh}: Binvox took more than {timeout_s:g} s and was stopped.") from None
        finally:  # its children, too, where the system knows groups
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
            process.wait()
        output.seek(0)
        lines = output.read().decode("utf-8", "replace").strip().splitlines() or ["it printed nothing"]
    printed = lines[-1].strip()[-200:]
    if code:
        fault = f"Binvox failed with exit code {code} ({printed})"
        raise BinvoxError(f"{mesh}: {fault}; its default mode needs a display (Xvfb will do).")
    return printed

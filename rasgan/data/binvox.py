"""Run Patrick Min's Binvox program on one mesh."""

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

TIMEOUT_S = 600.0  # the slowest ModelNet mesh took 18 s with software OpenGL
_RUNS = {"binvox": ([],), "exact": (["-e"],), "solid": ([], ["-e"])}


class BinvoxError(UserError):
    """Binvox cannot be started or failed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, about="binvox")


def find_binvox(program: str) -> str:
    """Return the path of an executable, given by its path or name. Raises `BinvoxError` if there is none."""
    found = shutil.which(program) or shutil.which(str(Path(program).absolute()))
    if found is None:
        raise BinvoxError(f"{program}: no such executable program.")
    return str(Path(found).absolute())


def run_binvox(
    program: str,
    mesh: Path,
    options: VoxelOptions = VoxelOptions(),  # noqa: B008  it is frozen
    up: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> np.ndarray:
    """Voxelize a mesh file with Binvox.

    Binvox gets a copy in a temporary folder, as a plain .off file, because it cannot read headers without a
    line break, and writes NAME_1.raw where NAME.raw exists.

    `program` is its path (`find_binvox`); `mesh` and `up` are those of `rasgan.data.meshes.read_mesh`. A run
    is stopped after `timeout_s` seconds; mode "solid" takes two runs.

    Returns
    -------
    occupied : (resolution, resolution, resolution) bool array

    Raises
    ------
    UserError
        If the file is not a mesh. `BinvoxError`, with the last line that Binvox printed, if it cannot be
        started, fails, takes too long or does not write a grid of this size.
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
            try:
                grid = read_raw(raw)
                if len(grid) != options.resolution:
                    raise UserError(f"{raw}: another size.")
            except (UserError, OSError) as error:
                fault = f"Binvox wrote no valid grid of {options.resolution}³ voxels ({printed})"
                raise BinvoxError(f"{mesh}: {fault}.") from error
            occupied |= grid
    return occupied


def _run(command: list[str], mesh: Path, timeout_s: float) -> str:
    """Run Binvox and return the last line that it printed. Exceptions end it and its child processes."""
    with tempfile.TemporaryFile() as output:  # a child that outlives Binvox could block a pipe
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
            fault = f"cannot be run ({error.strerror}); use the Binvox for this system."
            raise BinvoxError(f"{command[0]}: {fault}") from error
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise BinvoxError(f"{mesh}: Binvox took more than {timeout_s:g} s and was stopped.") from None
        finally:  # and its children, on systems with process groups
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

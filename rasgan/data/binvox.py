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

    Binvox works on a copy in a temporary folder: there a header without a line break, which it cannot read,
    is mended, other formats become .off, and a NAME.raw beside the mesh, for which it would write NAME_1.raw,
    is not in its way. UserError if the file is no mesh; `BinvoxError`, which names the mesh and quotes the
    last line that Binvox printed, if it cannot be started, fails, takes too long or leaves no such grid.

    Parameters
    ----------
    program : str
        Path of the executable (`find_binvox`).
    mesh : Path
        Mesh file in any format that `rasgan.data.meshes` reads.
    options : VoxelOptions
        Mode "solid" takes two runs.
    up : {"z", "y"}, optional
        Which axis of the file points up; default: as the format has it.
    timeout_s : float
        Seconds after which one run is stopped.

    Returns
    -------
    occupied : (resolution, resolution, resolution) bool array
    """
    vertices, faces = read_mesh(mesh, up)  # its messages are better than Binvox's
    occupied = np.zeros((options.resolution,) * 3, dtype=bool)
    for flags in _RUNS[options.mode]:
        with tempfile.TemporaryDirectory(prefix="binvox-", ignore_cleanup_errors=True) as folder:
            copy = Path(folder, "mesh.off")
            write_off(copy, vertices, faces, digits=17)
            center = ["-cb"] if options.center else []
            command = [program, "-d", str(options.resolution), "-t", "raw", *flags, *center, str(copy)]
            _run(command, mesh, timeout_s)
            occupied |= _read_output(copy.with_suffix(".raw"), mesh, options.resolution)
    return occupied


def _run(command: list[str], mesh: Path, timeout_s: float) -> None:
    """Run Binvox to its end; an exception on the way, Ctrl-C included, ends it and its children too."""
    folder = Path(command[-1]).parent
    log = folder / "log.txt"  # a file, not a pipe: a child that outlives Binvox cannot keep us waiting
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(  # noqa: S603  an argument list; the program is the user's choice
                command,
                cwd=folder,
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
        finally:
            _kill(process)
    if code:
        raise BinvoxError(
            f"{mesh}: Binvox failed with exit code {code} ({_last_line(log)}); "
            "its default mode needs a display (Xvfb will do)."
        )


def _kill(process: subprocess.Popen) -> None:
    """End a process and, where the system knows groups, all that it started."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _last_line(log: Path) -> str:
    """Return the last line of `log` in which something stands, at most 200 characters of it."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip()[-200:] for line in reversed(lines) if line.strip()), "it printed nothing")


def _read_output(raw: Path, mesh: Path, resolution: int) -> np.ndarray:
    """Read what Binvox wrote and check that it is what was asked for."""
    if not raw.is_file():
        words = _last_line(raw.with_name("log.txt"))
        raise BinvoxError(f"{mesh}: Binvox ended well but wrote no file ({words}).")
    try:
        occupied = read_raw(raw)
    except UserError as error:
        fault = str(error).removeprefix(f"{raw}: ").rstrip(".")
        raise BinvoxError(f"{mesh}: what Binvox wrote is damaged ({fault}).") from error
    if len(occupied) != resolution:
        raise BinvoxError(f"{mesh}: Binvox wrote {len(occupied)} voxels a side, not {resolution}.")
    return occupied

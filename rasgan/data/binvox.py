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
from rasgan.errors import UserError
from rasgan.voxel_io import read_raw

TIMEOUT_S = 600.0
"""Binvox has been seen to take 18 s on a ModelNet mesh with software OpenGL; this means that it hangs."""

_SURFACE = "-e"
_RUNS = {"binvox": ([],), "exact": ([_SURFACE],), "solid": ([], [_SURFACE])}


def find_binvox(program: str) -> str:
    """Return the path of the executable `program`, a path or a name on PATH; `UserError` if there is none."""
    found = shutil.which(program) or shutil.which(str(Path(program).absolute()))
    if found is None:
        raise UserError(
            f"{program}: no such program that may be run; leave out -b to use the built-in voxelizer."
        )
    return str(Path(found).absolute())


def run_binvox(
    program: str,
    mesh: Path,
    resolution: int = 64,
    mode: str = "binvox",
    center: bool = False,
    up: str = "z",
    timeout_s: float = TIMEOUT_S,
) -> np.ndarray:
    """Voxelize a mesh file with Binvox.

    Binvox works on a copy in a temporary folder: a glued .off header, which it cannot read, is mended there,
    other formats reach it as .off, and its habit of writing NAME_1.raw where NAME.raw exists does no harm.

    Parameters
    ----------
    program : str
        Path of the executable (`find_binvox`).
    mesh : Path
        Mesh file in any format that `rasgan.data.meshes` reads.
    resolution, mode, center
        As in `rasgan.data.voxelize.voxelize`; mode "solid" takes two runs.
    up : {"z", "y"}
        Which axis of the file points up.
    timeout_s : float
        Seconds after which one run is given up.

    Returns
    -------
    occupied : (resolution, resolution, resolution) bool array

    Raises
    ------
    UserError
        If Binvox cannot be started, fails, takes too long or leaves no grid of the right size; the message
        names the mesh and ends with Binvox's last words.
    """
    vertices, faces = read_mesh(mesh, up)  # what is wrong with a mesh is better told here than by Binvox
    occupied = np.zeros((resolution,) * 3, dtype=bool)
    for number, flags in enumerate(_RUNS[mode]):
        with tempfile.TemporaryDirectory(prefix="binvox-", ignore_cleanup_errors=True) as folder:
            copy = Path(folder) / f"mesh{number}.off"
            write_off(copy, vertices, faces, digits=17)
            command = [
                program,
                "-d",
                str(resolution),
                "-t",
                "raw",
                *flags,
                *(["-cb"] if center else []),
                str(copy),
            ]
            _run(command, mesh, timeout_s)
            occupied |= _read_output(copy.with_suffix(".raw"), mesh, resolution)
    return occupied


def _run(command: list[str], mesh: Path, timeout_s: float) -> None:
    """Run Binvox to its end; whatever stops us stops it and its children too."""
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
            raise UserError(
                f"{command[0]}: cannot be run ({error.strerror}); "
                "give a Binvox made for this system, or leave out -b."
            ) from error
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise UserError(
                f"{mesh}: Binvox took more than {timeout_s:g} s and was stopped; leave out -b for this mesh."
            ) from None
        finally:
            _kill(process)
    if code:
        raise UserError(
            f"{mesh}: Binvox failed with exit code {code} ({_last_words(log)}); "
            "its default mode needs a display (Xvfb will do); or leave out -b."
        )


def _kill(process: subprocess.Popen) -> None:
    """End a process and, where the system knows groups, all that it started."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip()[-200:] for line in reversed(lines) if line.strip()), "it said nothing")


def _read_output(raw: Path, mesh: Path, resolution: int) -> np.ndarray:
    """Read what Binvox wrote and check that it is what was asked for."""
    if not raw.is_file():
        words = _last_words(raw.with_name("log.txt"))
        raise UserError(f"{mesh}: Binvox ended well but wrote no file ({words}); leave out -b for this mesh.")
    try:
        occupied = read_raw(raw)
    except UserError as error:
        fault = str(error).removeprefix(f"{raw}: ")
        raise UserError(
            f"{mesh}: what Binvox wrote is damaged ({fault.rstrip('.')}); leave out -b for this mesh."
        ) from error
    if len(occupied) != resolution:
        raise UserError(
            f"{mesh}: Binvox wrote {len(occupied)} voxels a side, not {resolution}; "
            "leave out -b for this mesh."
        )
    return occupied

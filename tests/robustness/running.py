"""Run scripts on bad input, one per process or many in one process, with limits on time and memory."""

import concurrent.futures
import contextlib
import ctypes
import faulthandler
import io
import multiprocessing
import os
import runpy
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIME_LIMIT_S = 600  # only against hanging: a busy machine may be slow
MEMORY_LIMIT = {True: 12 << 30, False: 3 << 30}
"""Bytes of address space with torch and without; libraries reserve most of it and never use it."""

QUIET = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""No windows, and no memory reserved by threads."""


@dataclass(frozen=True)
class Ended:
    """How a script ended."""

    code: int | None  # None after an exception other than SystemExit
    out: str
    err: str
    seconds: float

    @property
    def sentences(self) -> list[str]:
        """The error messages on stderr, without progress bars and the usage of argparse."""
        lines = self.err.replace("\r", "\n").split("\n")
        return [line for line in lines if line.startswith(("error: ", "failed: ")) or ": error: " in line]


def command_of(script: str, arguments: list[str]) -> list[str]:
    """Return the command line of a script, or of a module whose name has dots."""
    place = [str(ROOT / script)] if script.endswith(".py") else ["-m", script]
    return [sys.executable, *place, *arguments]


def environment() -> dict[str, str]:
    """Return the environment of a script, without a display and with this project on the path."""
    return {**os.environ, **QUIET, "PYTHONPATH": str(ROOT)}


def run(script: str, arguments: list[str], cwd: Path, **options: object) -> Ended:
    """Run a script as a user would; `options` are passed to `subprocess.run`."""
    started = time.monotonic()
    done = subprocess.run(
        command_of(script, arguments),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        timeout=TIME_LIMIT_S,
        check=False,
        **{
            "env": environment(),
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "preexec_fn": limit(script) if sys.platform == "linux" else None,
            **options,
        },
    )
    out, err = ((text or b"").decode("utf-8", "backslashreplace") for text in (done.stdout, done.stderr))
    return Ended(done.returncode, out, err, time.monotonic() - started)


def start(script: str, arguments: list[str], cwd: Path, **options: object) -> subprocess.Popen:
    """Start a script in a new session; its output is discarded unless `options` redirect it."""
    return subprocess.Popen(
        command_of(script, arguments),
        cwd=cwd,
        env=environment(),
        start_new_session=True,
        **{**dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL), **options},
    )


def wait_for_the_end_of(leader: int, folder: Path) -> None:
    """Wait until no process is left in a session, or with a path in `folder` on its command line.

    Return at once on systems without /proc.
    """
    for _ in range(1500):  # 30 s
        alive = [process for process in Path("/proc").glob("[0-9]*") if _is_part(process, leader, folder)]
        if not alive:
            return
        time.sleep(0.02)
    raise AssertionError(f"still running: {alive}")


def _is_part(process: Path, leader: int, folder: Path) -> bool:
    try:
        words = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        line = os.fsdecode((process / "cmdline").read_bytes())
    except OSError:
        return False
    return words[0] != "Z" and (int(words[3]) == leader or str(folder) in line)  # Z: a zombie has ended


def visible_files(folder: Path) -> dict[str, bytes]:
    """Read all files of a folder except hidden ones, which are not results."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def needs_torch(script: str) -> bool:
    """Return whether a script imports torch, which reserves much address space."""
    return script in ("train_rasgan.py", "rasgan.generate")


def limit(script: str):
    """Return a function that limits the memory of the process that calls it."""

    def bound() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT[needs_torch(script)],) * 2)

    return bound


def give_up_rights() -> None:
    """Make the program that this process executes, even as root, respect file permissions (Linux)."""
    drop_from_bounding_set, dac_override, dac_read_search = 24, 1, 2
    for right in (dac_override, dac_read_search):
        if ctypes.CDLL(None).prctl(drop_from_bounding_set, right, 0, 0, 0):
            raise OSError("this right cannot be given up")


def interpreter(script: str) -> concurrent.futures.ProcessPoolExecutor:
    """Return a process with the limits of a script, in which `run_here` can run many scripts."""
    spawn = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(1, spawn, _prepare, (script,))


def _prepare(script: str) -> None:
    os.environ.update(environment())
    sys.path[:0] = [str(ROOT), str(ROOT / "render")]  # a script finds the modules beside it
    if sys.platform == "linux":
        limit(script)()


def run_here(script: str, arguments: list[str], cwd: Path) -> Ended:
    """Run a script in this process, which is killed if that takes too long."""
    faulthandler.dump_traceback_later(TIME_LIMIT_S, exit=True)
    os.chdir(cwd)
    sys.argv = [script, *arguments]
    texts = [io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace")]
    started = time.monotonic()
    with contextlib.redirect_stdout(texts[0]), contextlib.redirect_stderr(texts[1]):
        code = _exit_code(script)
        sys.stdout.flush()
        sys.stderr.flush()
    faulthandler.cancel_dump_traceback_later()
    out, err = (text.buffer.getvalue().decode("utf-8", "backslashreplace") for text in texts)
    return Ended(code, out, err, time.monotonic() - started)


def _exit_code(script: str) -> int | None:
    try:
        if script.endswith(".py"):
            runpy.run_path(str(ROOT / script), run_name="__main__")
        else:
            runpy.run_module(script, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return None
    return 0

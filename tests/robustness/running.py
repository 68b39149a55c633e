"""Runs the scripts on bad input: one in a process of its own, or many in one interpreter, with limits."""

import contextlib
import ctypes
import faulthandler
import io
import json
import os
import runpy
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIME_LIMIT_S = 20
MEMORY_LIMIT = {True: 12 << 30, False: 3 << 30}
"""Bytes of address space with torch and without; most of it is reserved by libraries and never touched."""

QUIET = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""No window is opened, and no thread reserves memory."""


@dataclass(frozen=True)
class Ended:
    """How a script ended."""

    code: int | None  # None: by an exception that is no SystemExit
    out: str
    err: str
    seconds: float

    @property
    def sentences(self) -> list[str]:
        """What was wrong, as told on stderr; progress bars and argparse's usage left out."""
        lines = self.err.replace("\r", "\n").split("\n")
        return [line for line in lines if line.startswith(("error: ", "failed: ")) or ": error: " in line]


def command_of(script: str, arguments: list[str]) -> list[str]:
    """Return the command line of a script, or of a module that is named with dots."""
    place = [str(ROOT / script)] if script.endswith(".py") else ["-m", script]
    return [sys.executable, *place, *arguments]


def environment() -> dict[str, str]:
    """Return the environment of a script: without a display, and with this project's modules at hand."""
    return {**os.environ, **QUIET, "PYTHONPATH": str(ROOT)}


def run(script: str, arguments: list[str], cwd: Path, **options: object) -> Ended:
    """Run a script as a user types it; `options` go to `subprocess.run`."""
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
    """Start a script in a session of its own; its output is thrown away."""
    return subprocess.Popen(
        command_of(script, arguments),
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        **options,
    )


def wait_for_the_end_of(leader: int, folder: Path) -> None:
    """Wait until nothing runs any more in a session, nor with a path in `folder` on its command line.

    Where the system does not tell (no /proc), return at once.
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
    """Read all files of a folder but those whose name begins with a dot: these are no results."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def needs_torch(script: str) -> bool:
    """Return whether a script imports torch, which takes seconds and much address space."""
    return script in ("train_rasgan.py", "rasgan.generate")


def limit(script: str):
    """Return a function that bounds the memory of the process that calls it."""

    def bound() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT[needs_torch(script)],) * 2)

    return bound


def give_up_rights() -> None:
    """Make the program that this process becomes, though root's, heed the permissions of files (Linux)."""
    drop_from_bounding_set, dac_override, dac_read_search = 24, 1, 2
    for right in (dac_override, dac_read_search):
        if ctypes.CDLL(None).prctl(drop_from_bounding_set, right, 0, 0, 0):
            raise OSError("this right cannot be given up")


def run_batch(jobs: list[tuple[str, list[str], Path]], notes: Path) -> list[Ended]:
    """Run many (script, arguments, folder) one after the other in one interpreter.

    A job on which that interpreter hangs or dies gets the code None, and the rest is run in a new one.
    """
    ended: list[Ended] = []
    while len(ended) < len(jobs):
        todo = [(script, arguments, str(cwd)) for script, arguments, cwd in jobs[len(ended) :]]
        done = subprocess.run(
            [sys.executable, __file__],
            input=json.dumps([str(notes), todo]).encode(),
            env=environment(),
            capture_output=True,
            timeout=TIME_LIMIT_S * 20,
            check=False,
            preexec_fn=limit(jobs[0][0]) if sys.platform == "linux" else None,
        )
        lines = notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []
        notes.unlink(missing_ok=True)
        ended += [Ended(**json.loads(line)) for line in lines]
        if len(lines) < len(todo):
            last_words = done.stderr.decode("utf-8", "backslashreplace")
            ended.append(Ended(None, "", f"died with {done.returncode}:\n{last_words}", TIME_LIMIT_S))
    return ended


def _work(notes: Path, todo: list[tuple[str, list[str], str]]) -> None:
    sys.path[:1] = [str(ROOT), str(ROOT / "render")]  # a script finds the modules beside it
    for script, arguments, cwd in todo:
        faulthandler.dump_traceback_later(TIME_LIMIT_S, exit=True)
        os.chdir(cwd)
        sys.argv = [script, *arguments]
        out, err = (
            io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace")
        )
        started = time.monotonic()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _run_here(script)
        out.flush()
        err.flush()
        texts = (stream.buffer.getvalue().decode("utf-8", "backslashreplace") for stream in (out, err))
        result = Ended(code, *texts, time.monotonic() - started)
        with notes.open("a", encoding="utf-8") as file:
            file.write(json.dumps(vars(result)) + "\n")


def _run_here(script: str) -> int | None:
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


if __name__ == "__main__":
    _notes, _todo = json.load(sys.stdin)
    _work(Path(_notes), _todo)

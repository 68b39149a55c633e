"""Start Blender on scene.py and yield the pictures that it renders."""

import contextlib
import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from rasgan.errors import UserError
from rasgan.training.signals import StopRequest, stop_requests
from scene import SHADOW_SUFFIX, picture_path

SCENE = Path(__file__).resolve().with_name("scene.py")
SCENE_FAILED = 9  # Blender's exit code when the scene raises; by default it is 0
REPORT = "render_class_view: "  # starts the lines in which scene.py reports a picture
LEAST_S, PATHS_A_SECOND = 300, 40_000
"""Time limit of a view: seconds for reading the model, and light paths traced a second.

Blender 3.4 traces 4 million a second on two cores, so a machine a hundred times slower is in time.
"""


def is_picture(path: Path, size: int) -> bool:
    """Return whether a file is a complete PNG of `size` x `size` pixels."""
    if not path.is_file():
        return False
    data = path.read_bytes()
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", size, size)
    return data.startswith(header) and b"IEND" in data[-12:]


def find_program(name: str) -> str:
    """Return the full path of a program named by its path or found on PATH."""
    found = shutil.which(name)
    if found is None:
        raise UserError(f"{name}: no such program; install Blender (https://www.blender.org), or correct -b.")
    return str(Path(found).absolute())  # not resolved: a launcher may go by the name of its link


def time_limit(job: dict) -> float:
    """Return how many seconds Blender may take for one view of a model."""
    return LEAST_S + (1 + job["shadow"]) * job["samples"] * job["size"] ** 2 / PATHS_A_SECOND


def render(
    program: str, models: Sequence[Path], job: dict, step: Callable[[], object]
) -> Iterator[tuple[Path, list[Path] | str, int]]:
    """Render every model from every azimuth in one start of Blender; call `step` after every picture.

    `job` is what scene.py reads, the same for all models. However this ends, by SIGTERM or SIGHUP too,
    Blender is ended and the temporary folder is removed.

    Yields
    ------
    model, result, lost : Path, list of Path or str, int
        As each model is finished: its pictures in the order of the azimuths, which last until the next one
        is asked for, or why there are none; and how many faces Blender left out.

    Raises
    ------
    UserError
        If Blender cannot be started, ends early, does not write its pictures or exceeds the time limit, or
        if a signal stops this process.
    """
    last_lines: deque[str] = deque(maxlen=5)
    finished, code, is_late = 0, 0, threading.Event()
    with stop_requests(StopRequest(), _stop), tempfile.TemporaryDirectory(prefix="render-") as folder:
        files = [str(model.resolve()) for model in models]
        job = {**job, "models": files, "folder": folder, "report": REPORT}
        with _started(program, job) as process:
            for model, view, lost in _reports(process, time_limit(job), is_late, last_lines):
                if view is None:
                    finished += 1
                    problem = f"{models[model]}: Blender could not render it.{_quote(last_lines)}"
                    yield models[model], problem, lost
                    continue
                pictures = [picture_path(folder, model, number) for number in range(view + 1)]
                if not is_picture(pictures[-1], job["size"]):
                    break
                step()
                if len(pictures) == len(job["azimuths"]):
                    finished += 1
                    yield models[model], pictures, lost
                    for picture in pictures:
                        picture.unlink()
                        picture.with_suffix(SHADOW_SUFFIX).unlink(missing_ok=True)
            else:
                code = process.wait()
    if is_late.is_set():
        raise UserError(
            f"{models[finished]}: one view took more than {time_limit(job) / 60:.0f} minutes, so Blender was "
            f"stopped. Use fewer --samples, a smaller --size or a model with fewer faces.{_quote(last_lines)}"
        )
    if finished < len(models):
        problem = f"ended with exit code {code}" if code else "ended without writing the picture"
        done = f" after {finished} of {len(models)} models" if len(models) > 1 else ""
        raise UserError(f"{program}: {problem}{done}; is it Blender 3.3 or later?{_quote(last_lines)}")


def _stop() -> NoReturn:
    raise UserError("Stopped. Pictures that were written are complete.")


@contextlib.contextmanager
def _started(program: str, job: dict) -> Iterator[subprocess.Popen]:
    """Start Blender on a job; it ends with the block."""
    path = Path(job["folder"], "job.json")
    path.write_text(json.dumps(job), encoding="utf-8")
    ours = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    command = [program, "--background", "--factory-startup"]
    command += ["--python-exit-code", str(SCENE_FAILED), "--python", str(SCENE), "--"]  # in this order
    command.append(json.dumps(str(path)))  # ASCII only: a path in any script survives any locale
    try:
        process = subprocess.Popen(  # noqa: S603 - an argument list
            command,
            env={**ours, "PYTHONUTF8": "1"},  # so that it can print any path, also on Windows
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # a group of processes, where the system has them: see `_end`
        )
    except OSError as error:
        raise UserError(
            f"{program}: cannot be started ({error.strerror}); give Blender's path with -b."
        ) from error
    with process:
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen) -> None:
    """End Blender, also where the program is a script that started it."""
    if hasattr(os, "killpg") and process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it ended just now
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _reports(
    process: subprocess.Popen, limit_s: float, is_late: threading.Event, last: deque[str]
) -> Iterator[tuple[int, int | None, int]]:
    """Yield model, view and lost faces of each report of the scene; add other lines to `last`.

    If a report takes longer than `limit_s` seconds, end Blender and set `is_late`.
    """

    def end_late() -> None:
        is_late.set()
        _end(process)

    def start_timer() -> threading.Timer:
        timer = threading.Timer(limit_s, end_late)
        timer.start()
        return timer

    timer = start_timer()
    try:
        for line in process.stdout:
            if line.startswith(REPORT):
                timer.cancel()
                found = json.loads(line.removeprefix(REPORT))
                yield found["model"], found["view"], found["lost"]
                timer = start_timer()
            elif line.strip():
                last.append(line.strip())
    finally:
        timer.cancel()


def _quote(last: Iterable[str]) -> str:
    """Quote the end of what a program printed."""
    return " Its last lines:\n  " + "\n  ".join(last) if last else " It printed nothing."

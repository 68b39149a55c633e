"""Start Blender on scene.py and read the pictures that it renders."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from rasgan.errors import UserError
from rasgan.training.signals import StopRequest, stop_requests
from scene import SHADOW_SUFFIX, picture_path

SCENE = Path(__file__).resolve().with_name("scene.py")
SCENE_FAILED = 9  # Blender's exit code if the scene raises; by default it is 0
REPORT = "render_class_view: "  # prefix of the lines in which scene.py reports a picture
SHADOW_OPACITY = 0.7  # of the rendered shadow, which no indirect light brightens
LEAST_S, PATHS_A_SECOND = 300, 40_000
"""Time limit of a view: seconds for reading the model, and light paths traced per second.

Blender 3.4 traces 4 million per second on two cores, so a machine may be a hundred times slower.
"""


def time_limit(job: dict) -> float:
    """Return the time limit of one view of a model, in seconds."""
    return LEAST_S + (1 + job["shadow"]) * job["samples"] * job["size"] ** 2 / PATHS_A_SECOND


def render(program: str, models: Sequence[Path], job: dict) -> Iterator[tuple[Path, Image.Image | str, int]]:
    """Render every model from every azimuth in one Blender process.

    `job` is what scene.py reads, except for the models and the folder. However this ends, SIGTERM and SIGHUP
    included, Blender is stopped and the temporary folder is removed.

    Yields
    ------
    model, view, lost : Path, RGBA image or str, int
        Each view of each model in order, or the reason why Blender cannot render the model, and the number of
        faces that Blender left out.

    Raises
    ------
    UserError
        If Blender cannot be started, ends early, does not write its pictures or exceeds the time limit, or if
        a signal stops this process.
    """
    last_lines: deque[str] = deque(maxlen=5)
    finished, code, is_late = 0, 0, threading.Event()
    request, is_started = StopRequest(), threading.Event()

    def stop() -> None:
        if is_started.is_set():  # an exception inside Popen would leave Blender running
            raise UserError("Stopped. Pictures that were written are complete.")

    with stop_requests(request, stop), tempfile.TemporaryDirectory(prefix="render-") as folder:
        files = [str(model.resolve()) for model in models]
        job = {**job, "models": files, "folder": folder, "report": REPORT}
        with _started(program, job) as process:
            is_started.set()
            if request.is_made:
                stop()
            for number, view, lost in _reports(process, time_limit(job), is_late, last_lines):
                model = models[number]
                if view is None:
                    finished += 1
                    yield model, f"{model}: Blender could not render it.{_quote(last_lines)}", lost
                    continue
                picture = _read(picture_path(folder, number, view), job["size"])
                if picture is None:
                    break
                finished += view + 1 == len(job["azimuths"])
                yield model, picture, lost
            else:
                code = process.wait()
    if is_late.is_set():
        raise UserError(
            f"{models[finished]}: one view took more than {time_limit(job) / 60:.0f} minutes, so Blender was "
            f"stopped. Use fewer --samples, a smaller --size or a model with fewer faces.{_quote(last_lines)}"
        )
    if finished < len(models):
        problem = f"ended with exit code {code}" if code else "ended without writing the picture"
        raise UserError(f"{program}: {problem}; is it Blender 3.3 or later?{_quote(last_lines)}")


def _read(path: Path, size: int) -> Image.Image | None:
    """Read a view on its shadow, and delete both; None if it is not a complete picture of this size."""
    shadow = path.with_suffix(SHADOW_SUFFIX)
    try:
        layers = [_open(layer) for layer in (path, shadow) if layer.exists()]
    except (OSError, SyntaxError):  # PIL's errors for damaged files
        return None
    path.unlink(missing_ok=True)
    shadow.unlink(missing_ok=True)
    if not layers or layers[0].size != (size, size):
        return None
    if len(layers) == 2:
        layers[1].putalpha(layers[1].getchannel("A").point(lambda alpha: SHADOW_OPACITY * alpha))
        layers[0] = Image.alpha_composite(layers[1], layers[0])
    return layers[0]


def _open(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGBA")


@contextlib.contextmanager
def _started(program: str, job: dict) -> Iterator[subprocess.Popen]:
    """Start Blender on a job, and stop it at the end of the block."""
    path = Path(job["folder"], "job.json")
    path.write_text(json.dumps(job), encoding="utf-8")
    ours = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    command = [program, "--background", "--factory-startup"]
    command += ["--python-exit-code", str(SCENE_FAILED), "--python", str(SCENE), "--"]  # in this order
    command.append(json.dumps(str(path)))  # ASCII, for paths that the locale cannot encode
    try:
        process = subprocess.Popen(  # noqa: S603 - an argument list
            command,
            env={**ours, "PYTHONUTF8": "1"},  # so that any path can be printed, also on Windows
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # a process group, on systems that have them; see `_end`
        )
    except OSError as error:
        fault = (
            f"cannot be started ({error.strerror}); install Blender (https://www.blender.org) or correct -b"
        )
        raise UserError(f"{program}: {fault}.") from error
    with process:
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen) -> None:
    """Kill Blender, including a Blender that was started by a script."""
    if hasattr(os, "killpg") and process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has just ended
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _reports(
    process: subprocess.Popen, limit_s: float, is_late: threading.Event, last: deque[str]
) -> Iterator[tuple[int, int | None, int]]:
    """Yield model, view and lost faces of each report of the scene; append other lines to `last`.

    If a report takes longer than `limit_s` seconds, kill Blender and set `is_late`.
    """

    def end_late() -> None:
        is_late.set()
        _end(process)

    while True:
        timer = threading.Timer(limit_s, end_late)
        timer.start()
        try:
            report = _next_report(process, last)
        finally:
            timer.cancel()
        if report is None:
            return
        yield report["model"], report["view"], report["lost"]


def _next_report(process: subprocess.Popen, last: deque[str]) -> dict | None:
    for line in process.stdout:
        if line.startswith(REPORT):
            return json.loads(line.removeprefix(REPORT))
        if line.strip():
            last.append(line.strip())
    return None


def _quote(last: Iterable[str]) -> str:
    """Quote the last lines that a program printed."""
    return " Its last lines:\n  " + "\n  ".join(last) if last else " It printed nothing."

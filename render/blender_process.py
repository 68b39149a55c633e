"""Starts Blender, or a Python with Blender's module ``bpy``, on scene.py and yields what it renders."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from rasgan.errors import UserError
from scene import SHADOW_SUFFIX
from view_pictures import is_picture

SCENE = Path(__file__).resolve().with_name("scene.py")
SCENE_FAILED = 9
"""Blender's exit code when the scene raises; without asking for one that would be 0."""
REPORT = "render_class_view: "
"""Begins the lines in which scene.py reports a picture, among all that Blender prints."""
ANSWER_TIMEOUT_S = 120
HAS_BPY = "import importlib.util, sys; sys.exit(importlib.util.find_spec('bpy') is None)"


def find_program(name: str) -> str:
    """Return the full path of a program named by its path or found on PATH."""
    if Path(name).is_dir():
        raise UserError(f"{name}: a folder; give the Blender program in it with -b.")
    found = shutil.which(name)
    if found is None:
        raise UserError(
            f"{name}: no such program; install Blender (https://www.blender.org) and give its path with -b."
        )
    return str(Path(found).absolute())  # not resolved: a launcher may go by the name of its link


def scene_command(program: str) -> list[str]:
    """Return the command that runs scene.py in `program`; the path of the job is to be added.

    UserError if the program cannot be started or is a Python without ``bpy``.
    """
    if not _ask(program, "--version").stdout.startswith("Python "):
        command = [program, "--background", "--factory-startup"]
        return [*command, "--python-exit-code", str(SCENE_FAILED), "--python", str(SCENE), "--"]  # this order
    if _ask(program, "-c", HAS_BPY).returncode != 0:
        raise UserError(
            f"{program}: this Python has no bpy; install it there (python -m pip install bpy), "
            "or give the Blender program with -b."
        )
    return [program, str(SCENE), "--"]


def render(
    command: list[str], models: Sequence[Path], job: dict, step: Callable[[], object]
) -> Iterator[tuple[Path, list[Path] | str, int]]:
    """Render every model from every azimuth in one start of a program.

    UserError if the program ends early or does not write its pictures.

    Parameters
    ----------
    command : list of str
        As `scene_command` returns it.
    models : sequence of Path
        The .obj files.
    job : dict
        What scene.py reads, the same for all models; ``azimuths`` and ``size`` among it.
    step : callable
        Called after every picture.

    Yields
    ------
    model, result, lost : Path, list of Path or str, int
        As each model is finished: its pictures in the order of the azimuths, which last until the next one
        is asked for; or the sentence that says why there are none. And how many faces Blender left out.
    """
    last_lines = deque(maxlen=5)
    finished = code = 0
    with tempfile.TemporaryDirectory(prefix="render-") as folder:
        path, pictures = _write_job(Path(folder), models, job)
        # ASCII only: a path in any script survives any locale.
        with _started([*command, json.dumps(str(path), ensure_ascii=True)]) as process:
            for model, view, lost in _reports(process.stdout, last_lines):
                if view is None:
                    finished += 1
                    yield (
                        models[model],
                        f"{models[model]}: Blender could not render it.{_quote(last_lines)}",
                        lost,
                    )
                    continue
                if not is_picture(pictures[model][view], job["size"]):
                    break
                step()
                if view == len(pictures[model]) - 1:
                    finished += 1
                    yield models[model], pictures[model], lost
                    for picture in pictures[model]:
                        picture.unlink()
                        picture.with_suffix(SHADOW_SUFFIX).unlink(missing_ok=True)
            else:
                code = process.wait()
    if finished < len(models):
        problem = f"ended with exit code {code}" if code else "ended without writing the picture"
        done = f" after {finished} of {len(models)} models" if len(models) > 1 else ""
        raise UserError(
            f"{command[0]}: {problem}{done}; is it Blender 3.3 or later, or a Python with such a bpy?"
            f"{_quote(last_lines)}"
        )


def _write_job(folder: Path, models: Sequence[Path], job: dict) -> tuple[Path, list[list[Path]]]:
    """Write what scene.py is to do; return that file, and where each model's pictures will be."""
    # Blender expands some characters of a path, braces among them, so it renders to plain names.
    views = range(len(job["azimuths"]))
    pictures = [[folder / f"{model}-{view}.png" for view in views] for model in range(len(models))]
    work = [
        {"file": str(model.resolve()), "pictures": [str(path) for path in paths]}
        for model, paths in zip(models, pictures, strict=True)
    ]
    path = folder / "job.json"
    path.write_text(json.dumps({"models": work, "report": REPORT, **job}), encoding="utf-8")
    return path, pictures


def _ask(program: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run a program that ends at once and return what it printed."""
    try:
        return subprocess.run(  # noqa: S603 - an argument list
            [program, *arguments], **_piped(), timeout=ANSWER_TIMEOUT_S, check=False
        )
    except OSError as error:
        problem = f"cannot be started ({error.strerror})"
    except subprocess.TimeoutExpired:
        problem = "does not answer"
    raise UserError(f"{program}: {problem}; give Blender's path with -b.")


@contextlib.contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen]:
    """Start a program; it is ended with the block, Ctrl-C included."""
    with subprocess.Popen(command, **_piped()) as process:  # noqa: S603 - an argument list
        try:
            yield process
        finally:
            process.kill()


def _piped() -> dict:
    """Return how a program is started: its output in one pipe, without the settings of our Python."""
    ours = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {
        "env": {**ours, "PYTHONUTF8": "1"},  # so that it can print any path, also on Windows
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "encoding": "utf-8",
        "errors": "replace",
    }


def _reports(lines: Iterable[str], last: deque[str]) -> Iterator[tuple[int, int | None, int]]:
    """Yield model, view and lost faces of the scene's reports; keep in `last` what else was printed last."""
    for line in lines:
        if line.startswith(REPORT):
            report = json.loads(line.removeprefix(REPORT))
            yield report["model"], report["view"], report["lost"]
        elif line.strip():
            last.append(line.strip())


def _quote(last: Iterable[str]) -> str:
    """Quote the end of what a program printed."""
    return " Its last lines:\n  " + "\n  ".join(last) if last else " It printed nothing."

"""Every script works in notebooks, on servers and in containers, without a warning."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rasgan.voxel_io import write_raw
from tests.pages import text_of
from tests.untrained import save_run

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [*(path.name for path in sorted(ROOT.glob("*.py"))), "render/render_class_view.py"]
COMMANDS += [f"rasgan.{name}" for name in ("__main__", "demo", "evaluate", "generate")]
INLINE = "module://matplotlib_inline.backend_inline"
"""What notebooks set for the processes they start, even if that Python does not have it."""


def typed(folder, command, *options, backend=INLINE, **more):
    """Run a command without a home or a folder for settings, in an ASCII locale and a narrow terminal."""
    (folder / "a file").touch()
    known = {name: value for name, value in os.environ.items() if not name.startswith(("HOME", "XDG", "LC_"))}
    hostile = {"MPLBACKEND": backend, "MPLCONFIGDIR": str(folder / "a file" / "x"), "COLUMNS": "20"}
    ascii_only = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    env = {**known, **hostile, **ascii_only, "PYTHONPATH": str(ROOT), **more}
    program = [str(ROOT / command)] if command.endswith(".py") else ["-m", command]
    done = subprocess.run(
        [sys.executable, *program, *map(str, options)], env=env, cwd=folder, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_script_prints_help(tmp_path, command):
    assert b"python" in typed(tmp_path, command, "--help") or command == "download_data.py"


def ended(command, *flags, **options):
    """Return the exit code and the error output of ``COMMAND --help``."""
    program = [ROOT / command] if command.endswith(".py") else ["-m", command]
    line = [sys.executable, *flags, *program, "--help"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, **options)
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", set(COMMANDS) - {"rasgan.__main__"})
def test_a_missing_package_is_reported_with_the_command_that_installs_it(command):
    code, err = ended(command, "-S", "-E")  # without installed packages
    assert code == 1
    assert "is not installed; is the environment active?" in err
    assert err.splitlines()[1:] == [f'  python -m pip install -e "{ROOT}"']


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("raise KeyboardInterrupt", "Stopped by Ctrl-C.\n"),
        ("from rasgan import missing", "Traceback"),  # bugs
        ("import missing", "Traceback"),
        ("import numpy.missing", "Traceback"),
    ],
)
def test_ctrl_c_during_imports_is_one_line_and_bugs_keep_their_traceback(tmp_path, line, start):
    (tmp_path / "tqdm.py").write_text(line, encoding="utf-8")
    code, err = ended("train_rasgan.py", env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert code != 0
    assert err.startswith(start)
    assert start == "Traceback" or err == start


def test_the_required_packages_are_those_of_pyproject():
    lines = text_of(ROOT / "pyproject.toml").partition("\ndependencies = [\n")[2].partition("]\n")[0]
    names = {name.replace("-", "_") for name in re.findall(r'^ *"([\w-]+)', lines, re.MULTILINE)}
    code = "import rasgan.startup; print(*rasgan.startup.REQUIRED)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name.replace("PIL", "pillow") for name in done.stdout.split()} == names


@pytest.mark.parametrize("backend", [INLINE, "nonsense", "TkAgg"])
def test_graphs_are_drawn_with_any_backend(tmp_path, chair, backend):
    write_raw(tmp_path / "chair.raw", chair)
    typed(tmp_path, "convert_to_graph.py", "-f", "chair.raw", "--title", backend=backend)
    with Image.open(tmp_path / "3D_graphs" / "chair.png") as picture:
        assert picture.size == (640, 640)


def test_films_and_sheets_of_names_in_other_scripts_are_drawn(tmp_path, chair):
    """The fonts lack these characters, of which matplotlib would warn at length."""
    name = "椅子🪑שלום"
    (tmp_path / name).mkdir()
    for shape in ("椅子", "🪑"):
        write_raw(tmp_path / name / f"{shape}.raw", chair)
    for kind, written in [("--sheet", f"{name}-sheet.png"), ("--gif", f"{name}.gif")]:
        typed(tmp_path, "convert_to_graph.py", "-f", name, kind)
        assert (tmp_path / "3D_graphs" / written).is_file()


def test_shapes_are_converted_generated_and_trained_on(tmp_path, chair, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        write_raw(tmp_path / "data" / f"{number}.raw", np.kron(chair, np.ones((2, 2, 2), bool)))
    typed(tmp_path, "convert_to_obj.py", "-f", "data")
    save_run("椅子")
    typed(tmp_path, "rasgan.generate", "-n", "椅子", "--count", "1")
    tiny = ["--width", "8", "--resolution", "32", "-b", "2", "-e", "1", "--device", "cpu"]
    assert b"Epoch" in typed(tmp_path, "train_rasgan.py", "-n", "🪑", "-d", "data", *tiny)
    assert list(tmp_path.glob("savepoint/🪑/plots/*.png"))

"""Every command of the README, typed in its order in a copy of this project, with small data and networks."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rasgan.data.sample_chairs import write_sample_set
from tests.pages import README, ROOT, shell_lines, text_of

pytestmark = pytest.mark.slow

SKIPPED = {
    "git clone": "downloads; the copy stands where the clone would",
    "python3 -m venv": "this Python's own environment serves",
    ". .venv/bin/activate": "this Python's own environment serves",
    "python -m pip": "downloads",
    "python -m pytest": "would test itself",
}
NEEDS_BLENDER = "render_class_view.py"
SHORT = {  # added to what the page has: small networks, one epoch
    "train_rasgan.py": ["-e", "1", "--width", "8", "-b", "12", "--seed", "0", "--device", "cpu"],
    "rasgan.generate": ["--count", "2"],
    "rasgan.evaluate": ["--count", "4"],
    NEEDS_BLENDER: ["--samples", "1", "--size", "16"],
}
ANSWERS = {"download_data.py": "1\n"}  # ModelNet10, whose folder is put in
CLONE = "64-3D-RaSGAN-PyTorch"
LINES = shell_lines(text_of(README))


def copy_project(target: Path) -> None:
    """Copy what a clone has that the commands use, and put in what would be downloaded."""
    for path in ROOT.iterdir():
        if path.suffix in (".py", ".toml"):
            shutil.copy(path, target)
    for room in ("rasgan", "render"):
        shutil.copytree(ROOT / room, target / room, ignore=shutil.ignore_patterns("__pycache__", "renders"))
    write_sample_set(target / "ModelNet10", train=24, test=6)


def run_for_1000_epochs(folder: Path) -> None:
    """Put in the grid that a run of 1000 epochs would have written."""
    savepoint = folder / "savepoint" / "chair-1"
    grid = np.load(savepoint / "1.npy")
    grid[20:40, 20:40, 20:40] = 1.0  # after one epoch there may be no voxel yet, and so no mesh
    np.save(savepoint / "1000.npy", grid)


def test_typed_in_order_the_readme_works(tmp_path):
    clone = tmp_path / CLONE
    clone.mkdir()
    copy_project(clone)
    place, typed = tmp_path, []
    environment = {**os.environ, "PYTHONPATH": str(clone), "OMP_NUM_THREADS": "1", "DISPLAY": ""}
    for line in LINES:
        words = shlex.split(line)
        if line.startswith(tuple(SKIPPED)):
            continue
        if words[0] == "cd":
            place = (place / words[1]).resolve(strict=True)
            continue
        assert words[0] == "python", line
        if NEEDS_BLENDER in words:
            assert (place / NEEDS_BLENDER).is_file(), line
            assert (place / words[words.index("-m") + 1]).is_file(), line
            if not shutil.which("blender"):
                continue
        program = words[2] if words[1] == "-m" else Path(words[1]).name
        done = subprocess.run(
            [sys.executable, *words[1:], *SHORT.get(program, [])],
            cwd=place,
            env=environment,
            input=ANSWERS.get(words[1], ""),
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr, line
        typed.append(line)
        if "-n chair-1 " in line and "train_rasgan.py" in words:
            run_for_1000_epochs(clone)
    assert place == clone
    assert len(typed) >= 10
    assert (clone / "models" / "1000.obj").is_file()
    runs = {path.name for path in (clone / "savepoint").iterdir()}
    assert runs == {"demo", "pretrained-chairs", "chair-cpu", "chair-gpu", "chair-1"}


def test_what_is_skipped_is_on_the_page():
    assert [start for start in SKIPPED if not any(line.startswith(start) for line in LINES)] == []

"""Every command of README and docs, typed in its order in one copy of this project, small and short."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rasgan.data.sample_chairs import write_sample_set
from rasgan.voxel_io import write_npy
from tests.pages import PAGES, ROOT, shell_lines, text_of

pytestmark = pytest.mark.slow

SKIPPED = {
    "git clone": "downloads; the copy stands where the clone would",
    "python3 -m venv": "this Python's own environment serves",
    ". .venv/bin/activate": "this Python's own environment serves",
    "python -m pip": "downloads",
    "python -m pytest": "would test itself",
    "python -m benchmarks.studies": "trains for hours what is not in its results",
    "python -m benchmarks.speed.first_gpu": "takes half an hour of a GPU",
    "pre-commit": "is for contributors",
    "make": "is for contributors",
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
LINES = [line for page in PAGES for line in shell_lines(text_of(page))]  # the README first


def copy_project(target: Path) -> None:
    """Copy what a clone has that the commands use, and put in what would be downloaded."""
    for path in ROOT.iterdir():
        if path.suffix in (".py", ".toml"):
            shutil.copy(path, target)
    for room in ("rasgan", "render", "benchmarks"):
        shutil.copytree(ROOT / room, target / room, ignore=shutil.ignore_patterns("__pycache__", "renders"))
    write_sample_set(target / "ModelNet10", train=24, test=6)
    shutil.copytree(target / "ModelNet10" / "chair", target / "Guitars")
    for number in range(12):
        grid = np.zeros((32, 32, 32), bool)
        grid[4 : 8 + number, 4:20, 4:20] = True
        write_npy(target / f"ShapeNetVox32/03001627/{number}/model.npy", grid)


def put_in_longer_runs(clone: Path) -> None:
    """Put in what longer runs than these of one epoch would have written, where the pages name it."""
    chair = clone / "savepoint" / "chair-1"
    grid = np.load(chair / "1.npy")
    grid[20:40, 20:40, 20:40] = 1.0  # after one epoch there may be no voxel yet, and so no mesh
    for path in [*(chair / f"{epoch}.npy" for epoch in (1000, 2500, 2600)), *chair.glob("generated/*/*.npy")]:
        np.save(path, grid)
    for source, target in (
        (chair / "generated" / "1", chair / "generated" / "2500"),
        (clone / "ModelNet10" / "chair", clone / "ModelNet40" / "airplane"),
    ):
        if source.is_dir() and not target.exists():
            shutil.copytree(source, target)
    for pretrained in clone.glob("savepoint/pretrained-chairs/generated/*"):
        np.save(pretrained / "seed0-07.npy", grid)


def command_of(words: list[str]) -> tuple[str, list[str]]:
    """Return the program that a line starts, and the line as this Python starts it, with short options."""
    python, start = [sys.executable], words[1:]
    if words[0] == "torchrun":
        python, start = [sys.executable, "-m", "torch.distributed.run"], words[1:]
        program = Path(words[2]).name
    else:
        assert words[0] == "python", words
        program = words[2] if words[1] == "-m" else Path(words[1]).name
    short = [] if "--interpolate" in words else SHORT.get(program, [])
    if "--count" in words and program == "download_data.py":
        short = ["--count", "500"]
    return program, [*python, *start, *short]


def test_typed_in_order_the_pages_work(tmp_path):
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
        program, command = command_of(words)
        if program == NEEDS_BLENDER:
            assert (place / Path(words[1])).is_file(), line
            if not shutil.which("blender"):
                continue
        answer = ANSWERS.get(words[1], "")
        pipes = {"input": answer, "capture_output": True, "encoding": "utf-8", "timeout": 300}
        done = subprocess.run(command, cwd=place, env=environment, check=False, **pipes)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr, line
        typed.append(line)
        if (clone / "savepoint" / "chair-1" / "1.npy").is_file():
            put_in_longer_runs(clone)
    assert place == clone
    assert len(typed) >= 30
    assert (clone / "models" / "1000.obj").is_file()
    runs = {path.name for path in (clone / "savepoint").iterdir()}
    assert runs >= {"demo", "pretrained-chairs", "chair-cpu", "chair-gpu", "chair-1", "chair-two", "guitar-1"}


def test_what_is_skipped_is_on_the_page():
    assert [start for start in SKIPPED if not any(line.startswith(start) for line in LINES)] == []

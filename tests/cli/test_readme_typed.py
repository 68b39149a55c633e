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
from rasgan.metrics import mirror_iou
from rasgan.voxel_io import read_raw, write_npy
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
    "torchrun --standalone": "trains the run that docs/training.md trains",
    "torchrun --nnodes": "needs two machines",
    "#": "is of a script for SLURM",
    "srun": "is of a script for SLURM",
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
ANSWERS = {"python download_data.py": "3\n"}  # sample chairs: made, not downloaded
CLONE = "64-3D-RaSGAN-PyTorch"
LINES = [(page.name, line) for page in PAGES for line in shell_lines(text_of(page))]  # the README first


def copy_project(target: Path) -> None:
    """Copy what a clone has that the commands use, and put in what would be downloaded."""
    for path in ROOT.iterdir():
        if path.suffix in (".py", ".toml") or path.name == ".gitignore":
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
    for name, epochs in {"demo": (20,), "chair-1": (1000, 2600, 2500)}.items():
        run = clone / "savepoint" / name
        if not (run / "1.npy").is_file():
            continue
        grid = np.load(run / "1.npy")
        grid[8:24, 8:24, 8:24] = 1.0  # after one epoch there may be no voxel yet, and so no mesh
        generated = run / "generated" / f"{epochs[-1]}"
        generated.mkdir(parents=True, exist_ok=True)
        more = [generated / f"seed0-0{number}.npy" for number in range(4)]
        for path in [*more, *(run / f"{epoch}.npy" for epoch in epochs), *run.glob("generated/*/*.npy")]:
            np.save(path, grid)
    if not (clone / "ModelNet40").exists() and any(clone.glob("ModelNet10/chair/test/*.raw")):
        shutil.copytree(clone / "ModelNet10" / "chair", clone / "ModelNet40" / "airplane")
    for path in clone.glob("savepoint/pretrained-chairs/generated/*"):
        np.save(path / "seed0-07.npy", grid)


def git(clone: Path, *words: str) -> str:
    return subprocess.check_output(["git", *words], cwd=clone, encoding="utf-8")


def check_what_the_readme_left(clone: Path) -> None:
    """Look for files that git would add, and for sample chairs that are not centered."""
    assert git(clone, "status", "--porcelain") == ""
    assert (clone / "models" / "20.obj").is_file()
    grids = [read_raw(path) for path in clone.glob("SampleChairs/chair/*/*.raw")]
    assert len(grids) >= 600
    assert np.mean([mirror_iou(grid) for grid in grids[::20]]) > 0.9


def command_of(words: list[str]) -> tuple[str, list[str]]:
    """Return the program that a line starts, and the line as this Python starts it, with short options."""
    python = [sys.executable, *(["-m", "torch.distributed.run"] if words[0] == "torchrun" else [])]
    program = Path(next(word for word in words[1:] if not word.startswith("-"))).name
    short = [] if "--interpolate" in words else SHORT.get(program, [])
    if "--count" in words and program == "download_data.py":
        short = ["--count", "500"]
    return program, [*python, *words[1:], *short]


def test_typed_in_order_the_pages_work(tmp_path):
    clone = tmp_path / CLONE
    clone.mkdir()
    copy_project(clone)
    git(clone, "init", "-q")
    git(clone, "add", "-A", "-f")
    git(clone, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "clone")
    place, typed, was = tmp_path, [], "README.md"
    environment = {**os.environ, "PYTHONPATH": str(clone), "OMP_NUM_THREADS": "1", "DISPLAY": ""}
    for page, line in LINES:
        words = shlex.split(line)
        if page != was == "README.md":
            check_what_the_readme_left(clone)
        was = page
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
        pipes = {"input": ANSWERS.get(line, ""), "capture_output": True, "encoding": "utf-8"}
        done = subprocess.run(command, cwd=place, env=environment, check=False, **pipes)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr, line
        typed.append(line)
        put_in_longer_runs(clone)
    assert place == clone
    assert len(typed) >= 30
    runs = {path.name for path in (clone / "savepoint").iterdir()}
    assert runs >= {"demo", "pretrained-chairs", "chair-cpu", "chair-gpu", "chair-1", "chair-two", "guitar-1"}


def test_what_is_skipped_is_on_the_page():
    assert [start for start in SKIPPED if not any(line.startswith(start) for _, line in LINES)] == []

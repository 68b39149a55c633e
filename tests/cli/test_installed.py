"""The commands of the package as pip installs it, outside the clone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rasgan
from rasgan.voxel_io import write_raw

pytestmark = [pytest.mark.slow, pytest.mark.network]  # pip downloads setuptools to build it

ROOT = Path(rasgan.__file__).parents[1]
OURS = ("rasgan", "pyproject.toml", "README.md", "LICENSE")


def test_the_installed_commands_work_in_an_empty_folder(tmp_path_factory, tmp_path, rng):
    copy, installed = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("installed")
    for name in OURS:
        put = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        put(ROOT / name, copy / name)
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(installed), str(copy)]
    subprocess.run(command, check=True, capture_output=True)

    def run(*words):
        environment = {**os.environ, "PYTHONPATH": str(installed)}
        command = [sys.executable, "-m", *words]
        pipes = {"capture_output": True, "text": True, "check": False}
        done = subprocess.run(command, cwd=tmp_path, env=environment, **pipes)
        return done.returncode, done.stdout, done.stderr

    assert "python -m rasgan.generate" in run("rasgan")[1]
    assert run("rasgan.generate", "--pretrained", "chairs", "--count", "2", "--html")[0] == 0
    assert len(list(tmp_path.rglob("seed0-*.obj"))) == 2
    assert len(list(tmp_path.rglob("seed0.html"))) == 1
    for number in range(3):
        write_raw(tmp_path / "real" / f"{number}.raw", rng.random((64, 64, 64)) > 0.9)
    assert "1-NNA" in run("rasgan.evaluate", "--pretrained", "chairs", "--reference", "real")[1]
    code, _, err = run("rasgan.demo")
    assert (code, err.count("\n")) == (1, 1)
    assert "in a clone of the project" in err
    assert np.load(next(tmp_path.rglob("seed0-00.npy"))).shape == (64, 64, 64)

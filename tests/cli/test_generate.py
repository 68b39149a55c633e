"""python -m rasgan.generate on a run of one epoch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import train_rasgan
from rasgan import checkpoints, generate
from rasgan.checkpoints import Position
from rasgan.files import write_raw
from rasgan.runs import RunFolder

TINY = ["--width", "8", "--resolution", "32", "-b", "2", "--seed", "3", "--device", "cpu", "-e", "1"]


@pytest.fixture(params=["tutorial", "stable"])
def run(request, tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        write_raw(tmp_path / "data" / f"{number}.raw", rng.random((32, 32, 32)) > 0.5)
    assert train_rasgan.main(["-n", "run", "-d", "data", *TINY, "--recipe", request.param]) == 0
    return RunFolder("run")


def test_shapes_and_their_picture_are_written(run, capsys):
    assert generate.main(["-n", "run", "--count", "3", "--seed", "5"]) == 0
    folder = run.generated(Position(1))
    assert sorted(path.name for path in folder.iterdir()) == [
        "seed5-00.npy", "seed5-01.npy", "seed5-02.npy", "seed5.png",
    ]  # fmt: skip
    grid = np.load(folder / "seed5-02.npy")
    assert (grid.shape, grid.dtype) == ((32, 32, 32), np.float32)
    assert str(folder) in capsys.readouterr().out


def test_the_same_seed_gives_the_same_shapes_whatever_the_count(run):
    generator, _ = generate.load_generator(run.checkpoints)
    three, twenty, other = (generate.generate(generator, seed, n) for seed, n in ((5, 3), (5, 20), (6, 3)))
    np.testing.assert_allclose(three, twenty[:3], atol=1e-7)
    assert not np.allclose(three, other, atol=1e-6)


def test_the_averaged_generator_is_preferred_where_there_is_one(run):
    state = checkpoints.load_checkpoint(run.checkpoints, Position(1))
    generator, position = generate.load_generator(run.checkpoints, epoch=1)
    expected = state.get("averaged", state["generator"])
    assert torch.equal(generator.dense.weight, expected["dense.weight"])
    assert position == (1, 0)
    assert not generator.training


@pytest.mark.parametrize("argv", [["-n", "nobody"], ["-n", "run", "-le", "9"]])
def test_a_missing_run_or_epoch_is_one_sentence(run, capsys, argv):
    capsys.readouterr()
    assert generate.main(argv) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "nobody" in err or "epoch 9 was not saved; there are 1" in err


def test_the_command_runs_as_a_user_types_it(run):
    command = [sys.executable, "-m", "rasgan.generate", "--help"]
    root = Path(train_rasgan.__file__).parent
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    assert "--count" in done.stdout

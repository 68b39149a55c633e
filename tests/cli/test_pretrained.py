"""A run's generator as a model in the box, and the one that comes with the project."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import train_rasgan
from benchmarks.draw import pretrained
from rasgan import evaluate, generate, metrics, runs, sampling
from rasgan.runs import RunFolder
from rasgan.training import checkpoints
from rasgan.training.checkpoints import Position
from rasgan.voxel_io import write_raw
from rasgan.voxels import is_occupied, largest_piece

TINY = ["--width", "8", "--resolution", "32", "-b", "2", "--seed", "3", "--device", "cpu", "-save", "1"]


@pytest.fixture
def box(tmp_path, monkeypatch):
    """Keep models that tests make out of the project."""
    monkeypatch.setattr(runs, "MODELS", tmp_path / "models")
    monkeypatch.setattr(pretrained, "MODELS", tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture(params=["tutorial", "stable"])
def run(request, tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        write_raw(tmp_path / "data" / f"{number}.raw", rng.random((32, 32, 32)) > 0.5)
    assert train_rasgan.main(["-n", "run", "-d", "data", *TINY, "--recipe", request.param, "-e", "2"]) == 0
    return RunFolder("run")


def test_a_model_makes_the_shapes_of_its_run_without_its_files(run, box, capsys):
    assert pretrained.main(["-n", "run", "boxes"]) == 0
    assert "--pretrained boxes" in capsys.readouterr().out
    assert runs.pretrained_names() == ["boxes"]
    of_run, _ = sampling.load_generator(run.checkpoints)
    expected = sampling.generate(of_run, seed=4, count=2)
    model = checkpoints.load_checkpoint(box / "boxes", Position(2))
    assert model.discriminator is model.ema_generator is model.history is None
    for path in run.checkpoints.iterdir():
        path.unlink()
    assert generate.main(["--pretrained", "boxes", "--seed", "4", "--count", "2", "--no-obj"]) == 0
    made = Path("savepoint/pretrained-boxes/generated/2")
    np.testing.assert_array_equal(np.load(made / "seed4-01.npy"), expected[1])
    assert (made / "seed4.png").is_file()


def test_a_model_is_scored_like_a_run(run, box):
    assert pretrained.main(["-n", "run", "boxes"]) == 0
    assert evaluate.main(["--pretrained", "boxes", "--reference", "data"]) == 0
    assert Path("savepoint/pretrained-boxes/evaluation/2.json").is_file()


def test_a_new_model_takes_the_place_of_the_one_of_its_name(run, box):
    assert pretrained.main(["-n", "run", "boxes"]) == 0
    assert pretrained.main(["-n", "run", "-le", "1", "boxes"]) == 0
    assert [path.name for path in (box / "boxes").iterdir()] == ["1.pt"]


@pytest.mark.parametrize("options", [["-n", "absent", "boxes"], ["-n", "run", "../boxes"], ["-n", "run"]])
def test_what_cannot_be_a_model_is_refused(options, box, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        code = pretrained.main(options)
    except SystemExit as end:
        code = end.code
    assert code != 0
    assert capsys.readouterr().err
    assert not box.exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--pretrained", "tables"],
        ["--pretrained", "chairs", "-n", "run"],
        ["--pretrained", "chairs", "-le", "3"],
        [],
    ],
)
def test_contradictions_are_refused(options, capsys):
    for module in (generate, evaluate):
        extra = ["--reference", "data"] if module is evaluate else []
        with pytest.raises(SystemExit) as end:
            module.main([*options, *extra])
        assert end.value.code == 2


def test_the_chairs_in_the_box_are_chairs_small_and_various():
    (path,) = (runs.MODELS / "chairs").glob("*.pt")
    assert path.stat().st_size < 10e6
    generator, _ = sampling.load_generator(runs.MODELS / "chairs")
    shapes = is_occupied(sampling.generate(generator, seed=0, count=16))
    assert shapes.shape == (16, 64, 64, 64)
    assert metrics.diversity(shapes) > 0.6
    assert min(largest_piece(shape).sum() / shape.sum() for shape in shapes) > 0.5


def test_the_readmes_command_works_in_an_empty_folder(tmp_path):
    root = Path(generate.__file__).parents[1]
    command = [sys.executable, "-m", "rasgan.generate", "--pretrained", "chairs", "--count", "2"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True,
        text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("savepoint/pretrained-chairs/generated/*/*.obj"))) == 2

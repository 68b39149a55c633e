"""A run's generator as a model that comes with the project, and the one that does."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.draw import pack_pretrained
from rasgan import evaluate, generate, metrics, runs, sampling
from rasgan.training import checkpoints
from rasgan.training.checkpoints import Position
from rasgan.voxel_io import write_raw
from rasgan.voxels import is_occupied, largest_piece
from tests.pages import ROOT
from tests.untrained import save_run


@pytest.fixture
def box(tmp_path, monkeypatch):
    """Return the folder for models of a project of the test's own."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").touch()
    box = project / "rasgan" / "pretrained"
    monkeypatch.setattr(runs, "PRETRAINED", box)
    monkeypatch.chdir(tmp_path)
    return box


def test_a_model_makes_the_shapes_of_its_run_without_its_files_and_is_scored_like_it(box, rng, capsys):
    run = save_run("run", 2)
    of_run, _ = checkpoints.load_generator(run.checkpoints)
    expected = sampling.generate(of_run, seed=4, count=2)
    assert pack_pretrained.main(["-n", "run", "boxes"]) == 0
    assert "--pretrained boxes" in capsys.readouterr().out
    assert runs.pretrained_names() == ["boxes"]
    model = checkpoints.load_checkpoint(box / "boxes", Position(2))
    assert model.discriminator is model.ema_generator is model.history is None
    for path in run.checkpoints.iterdir():
        path.unlink()
    assert generate.main(["--pretrained", "boxes", "--seed", "4", "--count", "2", "--no-obj"]) == 0
    made = Path("savepoint/pretrained-boxes/generated/2")
    np.testing.assert_array_equal(np.load(made / "seed4-01.npy"), expected[1])
    for number in range(3):
        write_raw(Path("data", f"{number}.raw"), rng.random((32, 32, 32)) > 0.5)
    assert evaluate.main(["--pretrained", "boxes", "--reference", "data"]) == 0
    assert Path("savepoint/pretrained-boxes/evaluation/2.json").is_file()


def test_a_model_takes_the_place_of_another_only_where_that_is_typed(box, capsys):
    for epoch in (1, 2):
        save_run("run", epoch)
    assert pack_pretrained.main(["-n", "run", "boxes"]) == 0
    before = (box / "boxes" / "2.pt").read_bytes()
    assert pack_pretrained.main(["-n", "run", "-le", "1", "boxes"]) == 1
    assert "choose another name, or add --replace" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (box / "boxes").iterdir()} == {"2.pt": before}
    assert pack_pretrained.main(["-n", "run", "-le", "1", "boxes", "--replace"]) == 0
    assert [path.name for path in (box / "boxes").iterdir()] == ["1.pt"]


def test_what_cannot_be_a_model_is_refused(box, capsys):
    with pytest.raises(SystemExit):
        pack_pretrained.main(["-n", "run", "../boxes"])
    assert "use lower-case letters" in capsys.readouterr().err
    (box.parents[1] / "pyproject.toml").unlink()  # an installed package is left unchanged
    save_run("run")
    assert pack_pretrained.main(["-n", "run", "boxes", "--replace"]) == 1
    assert "git clone" in capsys.readouterr().err
    assert not box.exists()


def test_the_chairs_in_the_box_are_chairs_small_and_various():
    (path,) = (runs.PRETRAINED / "chairs").glob("*.pt")
    assert path.stat().st_size < 10e6
    shapes = is_occupied(sampling.generate(checkpoints.load_pretrained(), seed=0, count=16))
    assert shapes.shape == (16, 64, 64, 64)
    assert metrics.ShapeSet(shapes).diversity > 0.6
    assert min(largest_piece(shape).sum() / shape.sum() for shape in shapes) > 0.5


def test_both_commands_work_as_they_are_typed_in_an_empty_folder(tmp_path):
    (packed,) = (runs.PRETRAINED / "chairs").glob("*.pt")
    made = Path("savepoint/pretrained-chairs/generated", packed.stem)
    for words in (["generate", "--count", "2"], ["evaluate", "--reference", str(made)]):
        command = [sys.executable, "-m", f"rasgan.{words[0]}", "--pretrained", "chairs", *words[1:]]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob(f"{made}/*.obj"))) == 2

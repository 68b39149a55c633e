"""Tests of packing a pretrained model, and of the model that comes with the project."""

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
def folder(tmp_path, monkeypatch):
    """Return the folder of pretrained models in a temporary project."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").touch()
    folder = project / "rasgan" / "pretrained"
    monkeypatch.setattr(runs, "PRETRAINED", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_packed_model_works_without_the_files_of_its_run(folder, rng, capsys):
    run = save_run("run", 2)
    of_run, _ = checkpoints.load_generator(run.checkpoints)
    expected = sampling.generate(of_run, seed=4, count=2)
    assert pack_pretrained.main(["-n", "run", "boxes"]) == 0
    assert "--pretrained boxes" in capsys.readouterr().out
    assert runs.pretrained_names() == ["boxes"]
    model = checkpoints.load_checkpoint(folder / "boxes", Position(2))
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


def test_a_model_is_replaced_only_with_replace(folder, capsys):
    for epoch in (1, 2):
        save_run("run", epoch)
    assert pack_pretrained.main(["-n", "run", "boxes"]) == 0
    before = (folder / "boxes" / "2.pt").read_bytes()
    assert pack_pretrained.main(["-n", "run", "-le", "1", "boxes"]) == 1
    assert "choose another name, or add --replace" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (folder / "boxes").iterdir()} == {"2.pt": before}
    assert pack_pretrained.main(["-n", "run", "-le", "1", "boxes", "--replace"]) == 0
    assert [path.name for path in (folder / "boxes").iterdir()] == ["1.pt"]


def test_invalid_names_and_installed_packages_are_refused(folder, capsys):
    with pytest.raises(SystemExit):
        pack_pretrained.main(["-n", "run", "../boxes"])
    assert "use lower-case letters" in capsys.readouterr().err
    (folder.parents[1] / "pyproject.toml").unlink()  # an installed package is left unchanged
    save_run("run")
    assert pack_pretrained.main(["-n", "run", "boxes", "--replace"]) == 1
    assert "git clone" in capsys.readouterr().err
    assert not folder.exists()


def test_the_pretrained_model_is_small_and_generates_varied_chairs():
    (path,) = (runs.PRETRAINED / "chairs").glob("*.pt")
    assert path.stat().st_size < 10e6
    shapes = is_occupied(sampling.generate(checkpoints.load_pretrained(), seed=0, count=16))
    assert shapes.shape == (16, 64, 64, 64)
    assert metrics.ShapeSet(shapes).diversity > 0.6
    assert min(largest_piece(shape).sum() / shape.sum() for shape in shapes) > 0.5


def test_generate_and_evaluate_work_in_an_empty_folder(tmp_path):
    (packed,) = (runs.PRETRAINED / "chairs").glob("*.pt")
    made = Path("savepoint/pretrained-chairs/generated", packed.stem)
    for words in (["generate", "--count", "2"], ["evaluate", "--reference", str(made)]):
        command = [sys.executable, "-m", f"rasgan.{words[0]}", "--pretrained", "chairs", *words[1:]]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob(f"{made}/*.obj"))) == 2

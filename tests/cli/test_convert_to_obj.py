import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

import convert_to_obj
from rasgan.objfile import write_obj

SCRIPT = Path(convert_to_obj.__file__).resolve()


@pytest.fixture(autouse=True)
def run(tmp_path, monkeypatch):
    """Work in a folder with one run: an empty epoch, two voxels side by side, and a solid cube."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "savepoint" / "chair-1"
    folder.mkdir(parents=True)
    scores = np.full((8, 8, 8), -1, np.float32)
    np.save(folder / "0.npy", scores)
    scores[2, 3, 4:6] = 1
    np.save(folder / "10.npy", scores)
    np.save(folder / "20.npy", np.ones((8, 8, 8), np.float32))
    return folder


def load(path):
    # Unprocessed: trimesh would otherwise merge what touches at an edge only.
    return trimesh.load_mesh(path, process=False)


def test_a_file_becomes_a_closed_mesh_in_models(run, capsys):
    assert convert_to_obj.main(["-f", str(run / "10.npy")]) == 0
    mesh = load("models/10.obj")
    assert (len(mesh.vertices), len(mesh.faces)) == (12, 20)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(2e-6)
    assert mesh.bounds.ravel() == pytest.approx([0.05, 0.03, 0.04, 0.06, 0.04, 0.06])
    assert str(Path("models/10.obj")) in capsys.readouterr().out


def test_cubes_are_the_originals(run):
    assert convert_to_obj.main(["-f", str(run / "10.npy"), "--cubes"]) == 0
    mesh = load("models/10.obj")
    assert (len(mesh.vertices), len(mesh.faces)) == (16, 24)
    assert mesh.bounds.ravel() == pytest.approx([0.02, 0.03, 0.04, 0.03, 0.04, 0.06])


def test_threshold_decides_what_is_occupied(run):
    assert convert_to_obj.main(["-f", str(run / "10.npy"), "--threshold", "-2"]) == 0
    assert load("models/10.obj").volume == pytest.approx(8**3 * 1e-6)


def test_a_run_is_converted_and_only_what_is_missing(run, capsys):
    assert convert_to_obj.main(["-n", "chair-1"]) == 0
    captured = capsys.readouterr()
    assert "2 written, 0 already there, 1 empty, 0 failed" in captured.out
    assert "0.npy" in captured.err
    assert sorted(path.name for path in (run / "models").iterdir()) == ["10.obj", "20.obj"]

    (run / "models" / "10.obj").write_text("mine", encoding="utf-8")
    assert convert_to_obj.main(["-n", "chair-1"]) == 0
    assert "0 written, 2 already there, 1 empty, 0 failed" in capsys.readouterr().out
    assert (run / "models" / "10.obj").read_text(encoding="utf-8") == "mine"


def test_one_bad_file_does_not_stop_the_others(run, capsys):
    np.save(run / "15.npy", np.ones((4, 4)))
    assert convert_to_obj.main(["-n", "chair-1"]) == 1
    captured = capsys.readouterr()
    assert "15.npy" in captured.err
    assert "2 written, 0 already there, 1 empty, 1 failed" in captured.out


def test_an_empty_file_is_told_and_nothing_written(run, capsys):
    assert convert_to_obj.main(["-f", str(run / "0.npy")]) == 1
    error = capsys.readouterr().err
    assert "0.npy" in error
    assert "no voxel is above 0.3" in error
    assert not Path("models").exists()


def test_voxels_of_the_training_set_can_be_converted(run):
    voxels = np.zeros((8, 8, 8), np.uint8)
    voxels[1, 1, 1] = 255
    (run / "chair.raw").write_bytes(voxels.tobytes())
    assert convert_to_obj.main(["-f", str(run / "chair.raw")]) == 0
    assert load("models/chair.obj").volume == pytest.approx(1e-6)


@pytest.mark.parametrize("options", [["-n", "nobody"], ["-f", "nowhere.npy"], ["-f", "savepoint"]])
def test_problems_are_one_sentence_and_exit_code_1(options, capsys):
    assert convert_to_obj.main(options) == 1
    error = capsys.readouterr().err
    assert options[1] in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("options", [[], ["-n", "a", "-f", "b"], ["-f", "b", "--threshold", "x"]])
def test_wrong_usage_is_exit_code_2(options):
    with pytest.raises(SystemExit) as ended:
        convert_to_obj.main(options)
    assert ended.value.code == 2


def test_written_numbers_come_back(tmp_path, rng):
    vertices, faces = rng.standard_normal((6_000, 3)), rng.integers(0, 6_000, (110_000, 3))
    write_obj(tmp_path / "a.obj", vertices, faces)
    lines = (tmp_path / "a.obj").read_text(encoding="ascii").splitlines()
    read = [line.split() for line in lines]
    assert np.array([row[1:] for row in read if row[0] == "v"], float) == pytest.approx(vertices, rel=1e-8)
    assert np.array_equal(np.array([row[1:] for row in read if row[0] == "f"], int) - 1, faces)
    assert len(lines) == 116_000


def test_the_script_runs_without_torch(run, tmp_path):
    check = (
        "import runpy, sys\n"
        "sys.argv = sys.argv[1:]\n"
        "try:\n"
        "    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally:\n"
        "    assert 'torch' not in sys.modules\n"
    )
    command = [sys.executable, "-c", check, str(SCRIPT), "-n", "chair-1"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parent)}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert load(run / "models" / "20.obj").is_watertight

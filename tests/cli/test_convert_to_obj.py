"""Tests of convert_to_obj.py: meshes, pages and messages. Bad input is in tests/robustness."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

import convert_to_obj

ROOT = Path(convert_to_obj.__file__).resolve().parent


@pytest.fixture(autouse=True)
def run(tmp_path, monkeypatch):
    """Work in a folder with one run: an empty epoch, two adjacent voxels, and a solid cube."""
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
    return trimesh.load_mesh(path, process=False)  # do not merge vertices


def test_a_file_becomes_a_closed_mesh_in_models(run, capsys):
    assert convert_to_obj.main(["-f", str(run / "10.npy")]) == 0
    mesh = load("models/10.obj")
    assert (len(mesh.vertices), len(mesh.faces)) == (12, 20)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(2e-6)
    assert mesh.bounds.ravel() == pytest.approx([0.05, 0.03, 0.04, 0.06, 0.04, 0.06])
    assert str(Path("models/10.obj")) in capsys.readouterr().out


def test_cubes_writes_the_originals_mesh(run):
    assert convert_to_obj.main(["-f", str(run / "10.npy"), "--cubes"]) == 0
    mesh = load("models/10.obj")
    assert (len(mesh.vertices), len(mesh.faces)) == (16, 24)
    assert mesh.bounds.ravel() == pytest.approx([0.02, 0.03, 0.04, 0.03, 0.04, 0.06])


def test_an_existing_mesh_of_a_file_is_replaced(run, capsys):
    for done in ("wrote", "replaced"):
        assert convert_to_obj.main(["-f", str(run / "10.npy"), "--format", "stl", "--size", "50"]) == 0
        assert capsys.readouterr().out.startswith(f"{done} {Path('models/10.stl')}: 50 mm long")
    assert trimesh.load("models/10.stl").extents.max() == pytest.approx(50)


@pytest.mark.parametrize(
    ("file_format", "says"),
    [
        ("obj", ["0.02 mm long in a slicer, face down", "use --format 3mf"]),
        ("stl", ["0.02 mm long in a slicer", "add --size"]),
        ("3mf", ["80 mm long in a slicer\n"]),
        ("glb", ["10.glb\n"]),
    ],
)
def test_the_size_in_a_slicer_is_printed(run, file_format, says, capsys):
    assert convert_to_obj.main(["-f", str(run / "10.npy"), "--format", file_format]) == 0
    said = capsys.readouterr().out
    assert all(part in said for part in says)
    assert convert_to_obj.main(["-n", "chair-1", "--format", file_format]) == 0
    size = {"3mf": "80 mm", "glb": "none"}.get(file_format, "0.02 to 0.08 mm")
    assert (f"Each is {size} long in a slicer" in capsys.readouterr().out) == (file_format != "glb")


def test_a_run_is_converted_without_existing_meshes_of_the_format(run, capsys):
    def convert(*options):
        code = convert_to_obj.main(["-n", "chair-1", *options])
        return code, capsys.readouterr()

    np.save(run / "15.npy", np.ones((4, 4)))
    code, said = convert()
    assert code == 1
    assert "2 written, 0 already there, 1 empty, 1 failed\n" in said.out
    assert f"empty: {Path('savepoint/chair-1/0.npy')}: no voxel is above 0.3, no mesh written." in said.err
    assert "failed: " in said.err
    assert "15.npy" in said.err
    (run / "15.npy").unlink()
    (run / "models" / "10.obj").write_text("mine", encoding="utf-8")
    assert "2 written, 0 already there, 1 empty, 0 failed\n" in convert("--format", "stl")[1].out
    code, said = convert("--size", "9")
    assert code == 0
    assert "0 written, 2 already there, 1 empty, 0 failed\nTo regenerate them" in said.out
    assert (run / "models" / "10.obj").read_text(encoding="utf-8") == "mine"
    names = sorted(path.name for path in (run / "models").iterdir())
    assert names == ["10.obj", "10.stl", "20.obj", "20.stl"]


@pytest.fixture
def batch(run):
    """A batch of 2 x 2: a bar, nothing, the whole grid, and the bar again."""
    bar, nothing, full = (np.load(run / f"{epoch}.npy") for epoch in (10, 0, 20))
    np.save("batch.npy", np.stack([bar, nothing, full, bar]).reshape(2, 2, 8, 8, 8))


@pytest.mark.parametrize("options", [[], ["--format", "glb"], ["--cubes"]])
def test_every_shape_of_a_batch_is_converted_and_empty_shapes_are_reported(batch, options, capsys):
    suffix = "glb" if "glb" in options else "obj"
    for counts in ("3 written, 0 already there, 1 empty", "0 written, 0 already there, 3 replaced, 1 empty"):
        assert convert_to_obj.main(["-f", "batch.npy", *options]) == 0
        said = capsys.readouterr()
        assert said.out.splitlines()[0] == f"models: {counts}, 0 failed"
        assert said.err == "empty: batch.npy, shape 01: no voxel is above 0.3, no mesh written.\n"
    names = [f"models/batch-0{i}.{suffix}" for i in (0, 2, 3)]
    assert sorted(path.as_posix() for path in Path("models").iterdir()) == names
    first, second, third = (trimesh.load(name, force="mesh").volume for name in names)
    assert first == pytest.approx(third)
    assert first < second


def test_a_folder_is_converted_to_a_folder_of_the_same_name(batch, run, capsys):
    np.save(run / "b.npy", np.load("batch.npy"))
    (run / "x.npy").write_text("junk", encoding="utf-8")
    assert convert_to_obj.main(["-f", str(run)]) == 1
    said = capsys.readouterr()
    assert f"{Path('models/chair-1')}: 5 written, 0 already there, 2 empty, 1 failed\n" in said.out
    assert "failed: " in said.err
    assert "x.npy: " in said.err
    names = ["10.obj", "20.obj", "b-00.obj", "b-02.obj", "b-03.obj"]
    assert sorted(path.name for path in Path("models/chair-1").iterdir()) == names
    (run / "x.npy").unlink()
    assert convert_to_obj.main(["-f", str(run)]) == 0
    assert "0 written, 5 already there, 2 empty, 0 failed\n" in capsys.readouterr().out


def test_the_exit_code_is_1_if_all_shapes_are_empty(run, capsys):
    np.save("batch.npy", np.zeros((2, 8, 8, 8)))
    for source in ("batch.npy", str(run / "0.npy")):
        assert convert_to_obj.main(["-f", source]) == 1
        error = capsys.readouterr().err
        assert "no voxel is above 0.3" in error
        assert "lower --threshold" in error
    assert not Path("models").exists()


def test_largest_drops_small_components_and_prints_how_many_voxels(run, capsys):
    scores = np.load(run / "10.npy")
    scores[3, 4, 4] = scores[7, 7, 7] = 1  # touches the bar only along an edge; far away
    np.save(run / "10.npy", scores)
    assert convert_to_obj.main(["-f", str(run / "10.npy"), "--largest"]) == 0
    assert capsys.readouterr().out.endswith("--largest dropped 2 of 4 voxels (50.0%)\n")
    assert load("models/10.obj").volume == pytest.approx(2e-6)
    assert convert_to_obj.main(["-n", "chair-1", "--largest"]) == 0
    out = capsys.readouterr().out
    assert "--largest dropped 2 of 516 voxels (0.4%)\n" in out
    assert load(run / "models" / "20.obj").volume == pytest.approx(8**3 * 1e-6)
    assert convert_to_obj.main(["-n", "chair-1", "--largest"]) == 0
    assert "dropped" not in capsys.readouterr().out


WRONG = [f"--cubes {other}" for other in ("--format stl", "--size 5", "--largest")]
WRONG += ["--format html --size 80"]


@pytest.mark.parametrize("options", WRONG)
def test_invalid_combinations_exit_with_code_2(options):
    with pytest.raises(SystemExit) as ended:
        convert_to_obj.main(["-n", "chair-1", *options.split()])
    assert ended.value.code == 2


RUN_BOTH = """
import runpy, sys
scripts, sys.argv[1:] = sys.argv[1:], ["-n", "chair-1"]
for script in scripts:
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        assert ended.code == 0
assert not sys.modules.keys() & {"torch", "scipy.signal"}
"""


def test_both_scripts_run_without_torch_and_scipy_signal(run, tmp_path):
    """Their imports take seconds and are not needed."""
    command = [sys.executable, "-c", RUN_BOTH, *(ROOT / f"convert_to_{kind}.py" for kind in ("obj", "graph"))]
    where = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    ended = subprocess.run(command, **where, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert load(run / "models" / "20.obj").is_watertight
    assert sorted(path.name for path in (run / "3D_graphs").iterdir()) == ["0.png", "10.png", "20.png"]


# --- the page


def page_of(path):
    text = Path(path).read_text(encoding="utf-8")
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text)[1])


def test_the_page_of_a_run_shows_its_film_with_a_slider(run, capsys):
    assert convert_to_obj.main(["-n", "chair-1", "--format", "html"]) == 0
    path = Path("savepoint/chair-1/training.html")
    assert capsys.readouterr().out == f"wrote {path}: 3 of 3 shapes\n"
    data = page_of(path)
    assert (data["film"], data["title"]) == (True, "chair-1")
    assert data["captions"] == ["epoch 0", "epoch 10", "epoch 20"]
    assert not (run / "models").exists()
    (run / "film").mkdir()
    for epoch in (0, 10, 20):  # smaller than the other grids, to distinguish them
        np.save(run / "film" / f"{epoch}.npy", np.ones((4, 4, 4), np.float32))
    assert convert_to_obj.main(["-n", "chair-1", "--format", "html"]) == 0
    assert page_of(path)["edges"] == [4, 4, 4]


@pytest.mark.parametrize(
    ("source", "name", "title", "captions"),
    [
        ("savepoint/chair-1/10.npy", "10", "chair-1, 10", ["epoch 10"]),
        ("batch.npy", "batch", "batch", [f"batch, {i}" for i in range(4)]),
        ("savepoint/chair-1", "chair-1", "chair-1", ["epoch 0", "epoch 10", "epoch 20"]),
        ("savepoint/chair-1/generated/24", "chair-1-24", "chair-1-24", ["seed0-00"]),
    ],
)
def test_the_page_of_a_file_or_folder_shows_all_shapes(batch, run, source, name, title, captions):
    (run / "generated" / "24").mkdir(parents=True)
    shutil.copy(run / "10.npy", run / "generated" / "24" / "seed0-00.npy")
    assert convert_to_obj.main(["-f", source, "--format", "html"]) == 0
    data = page_of(f"models/{name}.html")
    assert (data["captions"], data["title"], data["film"]) == (captions, title, False)


def test_files_that_cannot_be_read_are_reported_and_left_out_of_the_page(run, capsys):
    (run / "5.npy").write_bytes(b"junk")
    assert convert_to_obj.main(["-n", "chair-1", "--format", "html", "--largest"]) == 1
    said = capsys.readouterr()
    assert "5.npy" in said.err
    assert "3 of 4 shapes\n--largest dropped 0 of 514 voxels" in said.out
    assert page_of(run / "training.html")["captions"] == ["epoch 0", "epoch 10", "epoch 20"]


def test_a_page_of_empty_shapes_is_refused(run, capsys):
    assert convert_to_obj.main(["-f", str(run / "0.npy"), "--format", "html"]) == 1
    assert "no voxel is above 0.3. Choose a later epoch" in capsys.readouterr().err
    assert not Path("models").exists()

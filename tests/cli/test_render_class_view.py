"""Tests of the renderer with programs that imitate Blender, and with the real one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image, ImageSequence
from scipy.spatial import ConvexHull

import scene
from rasgan.export.mesh_files import write_obj
from rasgan.export.surface import surface_mesh
from render_class_view import main

ROOT = Path(__file__).resolve().parents[2]
RENDER = ROOT / "render"
EDGE = 0.04  # of a voxel


@pytest.fixture
def voxels(chair):
    """Return a chair of 16³ with one arm, so that its mirror image differs."""
    chair[3:5, 8:11, 3:13] = True
    return chair


@pytest.fixture
def model(tmp_path, voxels):
    path = tmp_path / "models of mine" / "1000.obj"
    write_obj(path, *surface_mesh(voxels, edge=EDGE))
    return path


@pytest.fixture
def models(model, voxels):
    """Return three models, the second of which has no vertices."""
    second, third = model.with_name("1010.obj"), model.with_name("990.obj")
    second.write_text("f 1 2 3\n", encoding="utf-8")
    write_obj(third, *surface_mesh(voxels[:, :8], edge=EDGE))
    return [model, second, third]


STAND_IN_HEAD = """#!{python}
import json, os, pathlib, sys, time
from PIL import Image

job = json.loads(pathlib.Path(json.loads(sys.argv[-1])).read_text(encoding="utf-8"))
folder, views = pathlib.Path(job["folder"]), range(len(job["azimuths"]))
pictures = [[folder / f"{{model}}-{{view}}.png" for view in views] for model in range(len(job["models"]))]
first = pictures[0][0]
with open({starts!r}, "a", encoding="utf-8") as starts:
    print(json.dumps([sys.argv, job, os.getpid(), "PYTHONPATH" in os.environ]), file=starts)

def report(model, view, lost=0):
    print("\\n" + job["report"] + json.dumps({{"model": model, "view": view, "lost": lost}}), flush=True)

def render(models=None, color=(0, 0, 0, 0)):
    for number, views in enumerate(pictures):
        if models is None or number in models:
            for view, path in enumerate(views):
                Image.new("RGBA", (job["size"],) * 2, color).save(path)
                report(number, view)

"""


@pytest.fixture
def stand_in(tmp_path):
    """Return a function that writes a program that imitates Blender; its Python body can `report`."""
    if os.name == "nt":
        pytest.skip("scripts are not programs on Windows")

    def make(body="render()"):
        program = tmp_path / "Program Files" / "Blender Foundation" / "blender.exe"
        program.parent.mkdir(parents=True, exist_ok=True)
        head = STAND_IN_HEAD.format(python=sys.executable, starts=str(tmp_path / "starts"))
        program.write_text(head + body, encoding="utf-8")
        program.chmod(0o755)
        return str(program)

    return make


@pytest.fixture
def started(tmp_path):
    """Return a function that lists command, job, process and presence of PYTHONPATH of every start."""
    return lambda: [json.loads(line) for line in (tmp_path / "starts").read_text("utf-8").splitlines()]


@pytest.fixture
def draw(stand_in, model, tmp_path):
    """Return a function that renders models with an imitation of Blender, by default `model` to a.png."""

    def run(body="render()", *options, models=(model,)):
        size_and_place = ["--size", "20", "-o", str(tmp_path / "a.png")]
        return main(["-m", *map(str, models), "-b", stand_in(body), *size_and_place, *map(str, options)])

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_all_options_reach_the_scene(draw, started, model, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    options = ["-a", "-20", "-e", "10.5", "-t", "5", "-d", "3", "--samples", "8", "--size", "40"]
    options += ["--color", "#ff8000"]
    output = tmp_path / "new folder" / "a {picture} ü"  # a suffix is added
    assert draw("render()", "-o", output, *options) == 0
    ((command, job, _, knows_our_python),) = started()
    assert not knows_our_python
    assert command[-1].isascii()
    assert job["models"] == [str(model.resolve())]
    assert {name: job[name] for name in ("azimuths", "view", "distance", "samples", "size", "color")} == {
        "azimuths": [-20],
        "view": [10.5, 5],
        "distance": 3,
        "samples": 8,
        "size": 40,
        "color": pytest.approx([1, 128 / 255, 0]),
    }
    with Image.open(f"{output}.png") as picture:
        assert picture.size == (40, 40)
    assert names(output.parent) == [f"{output.name}.png"]
    assert capsys.readouterr().out == f"wrote {output}.png\n"


WITHOUT = "without writing the picture"
FAILING = {
    "the scene raises": ("print('Error: no scene'); sys.exit(9)", ["exit code 9", "no scene"]),
    "the model fails": ("print('Error: no faces'); report(0, None)", ["could not render", "no faces"]),
    "killed": ("os.kill(os.getpid(), 9)", ["exit code -9", "printed nothing"]),
    "another size": ("job['size'] += 1; render()", [WITHOUT, "is it Blender"]),
    "half a picture": (
        "size = job['size']; Image.new('RGBA', (size, size)).save(first);"
        "os.truncate(first, first.stat().st_size // 2); report(0, 0)",
        [WITHOUT],
    ),
    "strange bytes": ("sys.stdout.buffer.write(b'\\xff\\xfe bad\\n'); sys.exit(1)", ["bad"]),
}


@pytest.mark.parametrize("failure", FAILING)
def test_a_failure_of_blender_is_reported_with_its_last_lines(draw, tmp_path, capsys, failure):
    body, says = FAILING[failure]
    (tmp_path / "a.png").write_bytes(b"old")
    assert draw(body) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert all(part in error for part in says)
    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(os.name == "nt", reason="Windows asks what to do with such a program")
def test_a_program_that_cannot_be_started_is_reported(model, tmp_path, capsys):
    broken = tmp_path / "blender"
    broken.write_text("#!/no/such/interpreter\n", encoding="utf-8")
    broken.chmod(0o755)
    assert main(["-m", str(model), "-b", str(broken)]) == 1
    assert "cannot be started" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["b.obj", "-o", "a.png"], ["b.obj", "-o", "file"], ["1000.OBJ"]])
def test_several_models_need_a_folder_and_different_names(model, tmp_path, monkeypatch, capsys, wrong):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert main(["-m", str(model), *wrong, "-b", sys.executable]) == 1
    assert ("same name" if len(wrong) == 1 else "give -o a folder") in capsys.readouterr().err


# --- several models and runs


def test_several_models_are_rendered_by_one_process_despite_failures(
    stand_in, started, models, tmp_path, capsys
):
    empty, output = tmp_path / "empty.obj", tmp_path / "new" / "renders"
    empty.touch()
    program = stand_in("print('Error: bad'); report(1, None); render([0, 2])")
    options = ["-m", models[0], "-m", *models[1:], empty, tmp_path / "none.obj", "-o", output, "--size", "20"]
    assert main([*map(str, options), "-b", program]) == 1
    assert names(output) == ["1000.png", "990.png"]
    assert len(started()) == 1
    said = capsys.readouterr()
    assert f"failed: {empty}: contains no faces" in said.err
    assert "none.obj: no such file" in said.err
    assert f"failed: {models[1]}: Blender could not render it. Its last lines:\n  Error: bad\n" in said.err
    assert said.out == f"{output}: 2 written, 0 already there, 3 failed\n"


@pytest.fixture
def run(tmp_path, models, monkeypatch):
    """Work in a clone with the run chair-1, one of whose models was rendered before."""
    folder = tmp_path / "checkout" / "savepoint" / "chair-1"
    (folder / "renders").mkdir(parents=True)
    shutil.copytree(models[0].parent, folder / "models")
    (folder / "models" / ".1020-half.obj").write_text("f 1 2 3\n", encoding="utf-8")
    (folder / "renders" / "990.png").write_bytes(b"old")
    (tmp_path / "checkout" / "render").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    return folder


@pytest.mark.parametrize("place", [".", "render"])
def test_a_run_is_rendered_without_existing_pictures(stand_in, started, run, monkeypatch, capsys, place):
    monkeypatch.chdir(place)
    command = ["-n", "chair-1", "-b", stand_in(), "--size", "20"]
    assert main(command) == 0
    assert names(run / "renders") == ["1000.png", "1010.png", "990.png"]
    assert (run / "renders" / "990.png").read_bytes() == b"old"
    assert "renders: 2 written, 1 already there, 0 failed\n" in capsys.readouterr().out
    assert main(command) == 0
    assert len(started()) == 1  # no models were left
    assert "0 written, 3 already there, 0 failed" in capsys.readouterr().out
    assert main([*command, "--turntable", "2", "-o", "out"]) == 0
    assert [Path(model).stem for model in started()[-1][1]["models"]] == ["990", "1000", "1010"]
    assert names(Path("out")) == ["1000.gif", "1010.gif", "990.gif"]


# --- backgrounds and turntables


def test_a_turntable_is_a_looping_gif_on_white(stand_in, started, model, tmp_path, monkeypatch):
    body = """
for view, path in enumerate(pictures[0]):
    picture = Image.new("RGBA", (30, 30), (90, 0, 0, 0))
    picture.paste((200, 10 * view, 0, 255), (5 * view, 10, 5 * view + 5, 20))
    picture.save(path)
    report(0, view)
"""
    monkeypatch.chdir(tmp_path)
    options = ["-a", "-30", "--turntable", "5", "--size", "30"]
    assert main(["-m", str(model), "-b", stand_in(body), *options]) == 0
    assert started()[0][1]["azimuths"] == [-30, 42, 114, 186, 258]
    with Image.open("demo_img.gif") as film:
        assert film.info["loop"] == 0
        assert film.n_frames == 5
        assert film.info["duration"] == 800
        for view, frame in enumerate(ImageSequence.Iterator(film)):
            shown = np.asarray(frame.convert("RGB")).astype(int)
            square = np.zeros((30, 30), bool)
            square[10:20, 5 * view : 5 * view + 5] = True
            assert (shown[~square] == 255).all()
            assert np.abs(shown[square] - (200, 10 * view, 0)).max() <= 4


def test_faces_that_blender_leaves_out_are_reported(draw, capsys):
    body = "Image.new('RGBA', (20, 20), (9, 9, 9, 255)).save(first); report(0, 0, {})"
    assert draw(body.format(7), "-d", "fit") == 0
    assert "left out 7 faces of" in capsys.readouterr().err


def as_typed(*options, **environment):
    """Return arguments of `subprocess` that start the script in its folder, with the package on the path."""
    found = os.pathsep.join([str(ROOT), environment.pop("PYTHONPATH", "")])
    command = [sys.executable, "render_class_view.py", *map(str, options)]
    return {"args": command, "cwd": RENDER, "env": {**os.environ, "PYTHONPATH": found}, "text": True}


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_stops_blender_and_removes_the_temporary_folder(stand_in, started, model, tmp_path, name):
    temporary, script = tmp_path / "temporary", tmp_path / "blender.sh"
    temporary.mkdir()
    script.write_text(f'#!/bin/sh\n"{stand_in("time.sleep(60)")}" "$@"\n', encoding="utf-8")
    script.chmod(0o755)  # a script that starts Blender
    typed = as_typed("-m", model, "-b", script, TMPDIR=str(temporary))
    with subprocess.Popen(**typed, stderr=subprocess.PIPE) as process:
        deadline, starts = time.monotonic() + 120, tmp_path / "starts"
        while not (starts.exists() and starts.read_text("utf-8")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(getattr(signal, name))
        _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert error.startswith("error: Stopped.")
    assert list(temporary.iterdir()) == []
    assert has_ended(started()[0][2])


def has_ended(process):
    """Wait for up to 30 seconds for a process to end."""
    for _ in range(600):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_blender_is_stopped_if_a_view_takes_too_long(draw, started, models, tmp_path, monkeypatch, capsys):
    hangs = tmp_path / "hangs"

    class TimerUntilItHangs(threading.Timer):
        def run(self):
            while not self.finished.wait(0.05):
                if hangs.exists():
                    self.function()
                    return

    monkeypatch.setattr(threading, "Timer", TimerUntilItHangs)
    body = f"render([0]); print('Sample 3/64', flush=True); open({str(hangs)!r}, 'w'); time.sleep(60)"
    assert draw(body, "-o", tmp_path / "out", models=models) == 1
    assert names(tmp_path / "out") == ["1000.png"]
    error = capsys.readouterr().err
    assert all(part in error for part in (f"{models[1]}: ", "minutes", "--samples", "Sample 3/64"))
    assert has_ended(started()[0][2])


# --- with a real Blender


@pytest.fixture(scope="session")
def blender():
    """Return RASGAN_BLENDER or `blender`; if there is none, skip, or fail with RASGAN_REQUIRE_BLENDER=1."""
    found = shutil.which(os.environ.get("RASGAN_BLENDER", "blender"))
    if found is None and os.environ.get("RASGAN_REQUIRE_BLENDER") == "1":
        pytest.fail("RASGAN_REQUIRE_BLENDER=1, but there is no blender on PATH or at RASGAN_BLENDER")
    if found is None:
        pytest.skip("there is no blender on PATH or at RASGAN_BLENDER")
    return found


def silhouette(voxels, view, size):
    """Project every voxel and fill the convex hull of its corners: (size, size) bool."""
    places = np.argwhere(voxels)
    i, j, k = (places.min(axis=0) + places.max(axis=0) + 1) / 2
    middle = np.array([len(voxels) - i, -k, j]) * EDGE
    matrix = np.array(scene.camera_matrix(*view))
    rotation, position = matrix[:3, :3], middle + matrix[:3, 3]
    middles = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1).reshape(-1, 2)
    drawn = np.zeros(len(middles), bool)
    for voxel in places:
        i, j, k = (voxel + np.indices((2, 2, 2)).reshape(3, 8).T).T
        world = np.stack([len(voxels) - i, -k, j], axis=1) * EDGE  # the mesh, then Blender's z up
        right, up, back = rotation.T @ (world - position).T
        half = 0.5 * scene.SENSOR_MM / scene.LENS_MM
        pixels = size / 2 * (1 + np.stack([right, -up], axis=1) / (-back * half)[:, None])
        outline = pixels[ConvexHull(pixels).vertices]
        drawn |= mpl.path.Path(np.vstack([outline, outline[:1]])).contains_points(middles)
    return drawn.reshape(size, size)


def rendered(path):
    """Return the opaque pixels of a picture: (size, size) bool."""
    with Image.open(path) as picture:
        assert picture.mode == "RGBA"
        return np.asarray(picture)[..., 3] > 127


def overlap(first, second):
    """Return the intersection over union of two silhouettes."""
    assert min(first.sum(), second.sum()) > 500
    return (first & second).sum() / (first | second).sum()


@pytest.mark.blender
def test_a_real_render_has_the_silhouette_of_the_voxels(blender, model, voxels, tmp_path):
    output = tmp_path / "a {b} ü.png"
    command = ["-m", str(model), "-b", blender, "-o", str(output), "--samples", "8", "--size", "160"]
    assert main([*command, "-a=-100", "-e=-25", "-t=30", "-d=1.3"]) == 0
    assert overlap(rendered(output), silhouette(voxels, (-100, -25, 30, 1.3), 160)) > 0.98


@pytest.mark.blender
@pytest.mark.parametrize(
    "line",
    [b"mtllib pipe\n", b"mtllib colors.mtl\n", b"mtl\\\nlib pipe\n", b""],
    ids=["pipe", "texture", "two lines", "of the model's name"],
)
def test_materials_are_not_read(blender, model, tmp_path, line):
    """Blender would wait forever for a pipe in place of a material file."""
    for name in ("pipe", "1000.mtl"):
        os.mkfifo(model.with_name(name))
    model.with_name("colors.mtl").write_text("newmtl m\nmap_Kd pipe\n", encoding="utf-8")
    model.write_bytes(line + model.read_bytes().replace(b"f ", b"usemtl m\nf ", 1))
    options = ["-o", str(tmp_path / "a.png"), "--samples", "1", "--size", "40"]
    assert main(["-m", str(model), "-b", blender, *options]) == 0
    assert rendered(tmp_path / "a.png").any()


@pytest.mark.blender
def test_models_of_any_size_and_position_fill_the_picture_except_at_the_tutorials_size(
    blender, voxels, tmp_path
):
    """Large, small, far from the origin, with a loose line, and of the tutorial's size."""
    vertices, faces = surface_mesh(voxels, edge=EDGE)
    sizes = {"80": (125, 0), "small": (1 / 640, 0), "far": (10, 300), "stray": (10, 0), "own": (1, 0)}
    for name, (factor, shift) in sizes.items():
        write_obj(tmp_path / f"{name}.obj", vertices * factor + shift, faces)
    with (tmp_path / "stray.obj").open("a", encoding="utf-8") as file:
        file.write("v 900 900 900\nv 901 900 900\nl -1 -2\n")
    models = [str(tmp_path / f"{name}.obj") for name in sizes]
    options = ["--size", "120", "--samples", "4", "-o", str(tmp_path / "out")]
    assert main(["-m", *models, "-b", blender, *options]) == 0
    seen = {name: rendered(tmp_path / "out" / f"{name}.png") for name in sizes}
    assert overlap(seen["own"], silhouette(voxels, (50, 30, 0, 2.0), 120)) > 0.98
    for name in ("small", "far", "stray"):
        assert overlap(seen[name], seen["80"]) > 0.97
    drawn = np.argwhere(seen["80"])
    assert 0.5 < np.ptp(drawn, axis=0).max() / 120 < scene.FILL  # the bounding box is fitted
    assert seen["80"].mean() > 2 * seen["own"].mean()
    with (
        Image.open(tmp_path / "out" / "80.png") as large,
        Image.open(tmp_path / "out" / "small.png") as small,
    ):
        assert np.abs(np.asarray(large).astype(int) - np.asarray(small)).mean() < 3  # the light is the same


@pytest.mark.blender
def test_real_renders_of_several_models(blender, models, voxels, tmp_path, capsys):
    with models[2].open("a", encoding="utf-8") as file:
        file.write("f 1 2 999999\n")
    options = ["--size", "120", "--samples", "4", "-o", str(tmp_path / "out"), "-d", "1.5"]
    assert main(["-m", *map(str, models), "-b", blender, *options]) == 1
    error = capsys.readouterr().err
    assert f"failed: {models[1]}: Blender could not render it" in error
    assert f"990.png: Blender left out 1 face of {models[2]}" in error
    assert names(tmp_path / "out") == ["1000.png", "990.png"]
    for name, shape in [("1000.png", voxels), ("990.png", voxels[:, :8])]:
        assert overlap(rendered(tmp_path / "out" / name), silhouette(shape, (50, 30, 0, 1.5), 120)) > 0.98


@pytest.mark.blender
def test_a_real_turntable_shows_both_sides(blender, model, voxels, tmp_path):
    """The command is typed in the script's folder; PYTHONPATH does not reach Blender."""
    (tmp_path / "poison").mkdir()
    (tmp_path / "poison" / "bpy.py").write_text("raise ImportError('the wrong bpy')", encoding="utf-8")
    options = ["-m", model, "-b", blender, "-o", tmp_path / "turn.gif", "--turntable", "2", "-a", "20"]
    options += ["-d", "1.5", "--size", "120", "--samples", "4", "--background", "#00ff00", "-e", "-20"]
    typed = as_typed(*options, PYTHONPATH=str(tmp_path / "poison"))
    ended = subprocess.run(**typed, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    with Image.open(tmp_path / "turn.gif") as film:
        for azimuth, frame in zip((20, 200), ImageSequence.Iterator(film), strict=True):
            pixels = np.asarray(frame.convert("RGB")).astype(int)
            drawn = pixels[..., 1] - pixels[..., 0] < 128  # from below there is no shadow on the green
            assert overlap(drawn, silhouette(voxels, (azimuth, -20, 0, 1.5), 120)) > 0.98


@pytest.mark.blender
def test_a_real_shadow_lies_on_the_ground_and_not_on_the_model(blender, model, tmp_path):
    pictures = {}
    white = ["--background", "#ffffff"]
    for name, options in {"plain": [], "shaded": white, "below": [*white, "-e", "-20"]}.items():
        output = tmp_path / f"{name}.png"
        command = ["-m", str(model), "-b", blender, "-o", str(output), "--size", "120", "--samples", "4"]
        assert main([*command, "-d", "1.5", *options]) == 0
        with Image.open(output) as picture:
            pictures[name] = np.asarray(picture).astype(int)
    shaded, plain = pictures["shaded"], pictures["plain"]
    is_model = plain[..., 3] == 255
    assert np.array_equal(shaded[is_model], plain[is_model][:, :3])
    ground = shaded[plain[..., 3] == 0]
    assert (ground < 195).all(axis=1).sum() > 200
    assert np.ptp(ground, axis=1).max() < 8  # gray
    assert (pictures["below"] == 255).all(axis=2).mean() > 0.5  # the ground does not hide the model

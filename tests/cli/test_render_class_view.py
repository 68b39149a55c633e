import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
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
from render_class_view import build_parser, main

ROOT = Path(__file__).resolve().parents[2]
RENDER = ROOT / "render"


@pytest.fixture
def voxels():
    """A chair of 16³ with one arm, so that its mirror image differs."""
    grid = np.zeros((16, 16, 16), bool)
    grid[3:13, 6:8, 3:13] = True
    for i in (3, 11):
        for k in (3, 11):
            grid[i : i + 2, :6, k : k + 2] = True
    grid[3:13, 8:15, 11:13] = True
    grid[3:5, 8:11, 3:13] = True
    return grid


@pytest.fixture
def model(tmp_path, voxels):
    path = tmp_path / "models of mine" / "1000.obj"
    write_obj(path, *surface_mesh(voxels, edge=0.04))
    return path


@pytest.fixture
def models(tmp_path, model, voxels):
    """Three models, the second of which has no vertices."""
    second, third = model.with_name("1010.obj"), model.with_name("990.obj")
    second.write_text("f 1 2 3\n", encoding="utf-8")
    write_obj(third, *surface_mesh(voxels[:, :8], edge=0.04))
    return [model, second, third]


@pytest.fixture
def stand_in(tmp_path):
    """Make a program that stands in for Blender: its Python body sees `job` and can `report`, as scene.py."""
    if os.name == "nt":
        pytest.skip("a script is no program on Windows")

    def make(body, answers="Blender 4.2.0", name="blender.exe"):
        program = tmp_path / "Program Files" / "Blender Foundation" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        head = STAND_IN_HEAD.format(python=sys.executable, answers=answers)
        program.write_text(head + body, encoding="utf-8")
        program.chmod(0o755)
        return str(program)

    return make


STAND_IN_HEAD = """#!{python}
import json, os, pathlib, sys
from PIL import Image

if sys.argv[1] == "--version":
    print("{answers}")
    sys.exit()
if sys.argv[1] == "-c":
    sys.exit(0)
job = json.loads(pathlib.Path(json.loads(sys.argv[-1])).read_text(encoding="utf-8"))
first = pathlib.Path(job["models"][0]["pictures"][0])

def report(model, view):
    print("\\n" + job["report"] + json.dumps({{"model": model, "view": view}}), flush=True)

def render(models=None, color=(0, 0, 0, 0)):
    for number, model in enumerate(job["models"]):
        if models is None or number in models:
            for view, path in enumerate(model["pictures"]):
                Image.new("RGBA", (job["size"],) * 2, color).save(path)
                report(number, view)

"""


def test_defaults_are_the_pages():
    args = build_parser().parse_args(["-m", "a.obj", "-b", "blender"])
    assert (args.azimuth, args.elevation, args.tilt, args.distance) == (50, 30, 0, 2)
    assert args.output_img is None  # demo_img.png or, for a turntable, demo_img.gif


def test_all_options_reach_the_scene(stand_in, model, tmp_path, capsys):
    seen = tmp_path / "seen.json"
    body = f"pathlib.Path({str(seen)!r}).write_text(json.dumps([sys.argv, job])); render()"
    options = ["-a", "-20", "-e", "10.5", "-t", "5", "-d", "3", "--samples", "8", "--size", "40"]
    options += ["--color", "#ff8000", "--framing", "original"]
    output = tmp_path / "new folder" / "a {picture} ü.png"
    assert main(["-m", str(model), "-b", stand_in(body), "-o", str(output), *options]) == 0
    command, job = json.loads(seen.read_text(encoding="utf-8"))
    assert command[1:4] == ["--background", "--factory-startup", "--python-exit-code"]
    assert command[5:8] == ["--python", str(RENDER.resolve() / "scene.py"), "--"]
    assert command[8].isascii()
    (only,) = job["models"]
    assert only["file"] == str(model.resolve())
    assert "{" not in Path(only["pictures"][0]).name
    assert {name: job[name] for name in ("azimuths", "view", "samples", "size", "color", "framing")} == {
        "azimuths": [-20],
        "view": [10.5, 5, 3],
        "samples": 8,
        "size": 40,
        "color": pytest.approx([1, 128 / 255, 0]),
        "framing": "original",
    }
    with Image.open(output) as picture:
        assert picture.size == (40, 40)
    assert [path.name for path in output.parent.iterdir()] == [output.name]
    assert capsys.readouterr().out == f"wrote {output}\n"


def test_a_name_without_suffix_gets_one(stand_in, model, tmp_path):
    assert main(["-m", str(model), "-b", stand_in("render()"), "-o", str(tmp_path / "x")]) == 0
    assert (tmp_path / "x.png").is_file()


def test_our_python_settings_stay_out_of_blender(stand_in, model, tmp_path, monkeypatch):
    program = stand_in("assert 'PYTHONPATH' not in os.environ; render()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert main(["-m", str(model), "-b", program, "-o", str(tmp_path / "a.png")]) == 0


WITHOUT = "without writing the picture"
FAILING = {
    "the scene raises": ("print('Error: no scene'); sys.exit(9)", ["exit code 9", "no scene"]),
    "the model fails": ("print('Error: no faces'); report(0, None)", ["could not render", "no faces"]),
    "another exit code": ("print('bang', file=sys.stderr); sys.exit(3)", ["exit code 3", "bang"]),
    "killed": ("os.kill(os.getpid(), 9)", ["exit code -9", "printed nothing"]),
    "no picture": ("print('done')", [WITHOUT, "done"]),
    "no picture, but a report": ("print('done'); report(0, 0)", [WITHOUT, "done"]),
    "empty picture": ("first.touch(); report(0, 0)", [WITHOUT]),
    "not a PNG": ("first.write_bytes(b'GIF' * 99); report(0, 0)", [WITHOUT]),
    "another size": ("job['size'] += 1; render()", [WITHOUT]),
    "half a picture": (
        "size = job['size']; Image.new('RGBA', (size, size)).save(first);"
        "os.truncate(first, first.stat().st_size - 20); report(0, 0)",
        [WITHOUT],
    ),
    "strange bytes": ("sys.stdout.buffer.write(b'\\xff\\xfe bad\\n'); sys.exit(1)", ["bad"]),
}


@pytest.mark.parametrize("failure", FAILING)
def test_a_failing_blender_is_told_with_its_last_lines(stand_in, model, tmp_path, capsys, failure):
    body, says = FAILING[failure]
    output = tmp_path / "old.png"
    output.write_bytes(b"what was there")
    assert main(["-m", str(model), "-b", stand_in(body), "-o", str(output)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert all(part in error for part in says)
    assert "Traceback (most" not in error
    assert output.read_bytes() == b"what was there"
    assert not list(tmp_path.glob(".*"))


def test_a_program_that_cannot_be_started_is_told(model, tmp_path, capsys):
    if os.name == "nt":
        pytest.skip("Windows asks what to do with such a program")
    broken = tmp_path / "blender"
    broken.write_text("#!/no/such/interpreter\n", encoding="utf-8")
    broken.chmod(0o755)
    assert main(["-m", str(model), "-b", str(broken)]) == 1
    assert "cannot be started" in capsys.readouterr().err


def test_a_program_that_does_not_answer_is_told(model, monkeypatch, capsys):
    def wait_for_ever(command, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", wait_for_ever)
    assert main(["-m", str(model), "-b", sys.executable]) == 1
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("true") is None, reason="this system has no program `true`")
def test_a_wrong_program_is_told(model, capsys):
    assert main(["-m", str(model), "-b", "true"]) == 1
    assert "is it Blender" in capsys.readouterr().err


def test_bad_input_is_told_before_blender_starts(model, tmp_path, capsys):
    empty, junk, file = tmp_path / "empty.obj", tmp_path / "junk.obj", tmp_path / "file"
    empty.touch()
    file.touch()
    junk.write_bytes(b"\x00\xff no mesh\n")
    twin = tmp_path / f"{model.stem}.OBJ"
    program = sys.executable
    for options, says in [
        (["-m", str(tmp_path / "none.obj"), "-b", program], "none.obj"),
        (["-m", str(tmp_path), "-b", program], str(tmp_path)),
        (["-m", str(empty), "-b", program], "holds no faces"),
        (["-m", str(junk), "-b", program], "holds no faces"),
        (["-m", str(model), "-b", "no-such-blender"], "no such program"),
        (["-m", str(model), "-b", str(tmp_path)], "a folder"),
        (["-m", str(model), "-b", program, "-o", "a.jpg"], "ends in .png"),
        (["-m", str(model), "-b", program, "-o", "a.png", "--turntable", "4"], "ends in .gif"),
        (["-m", str(model), str(junk), "-b", program, "-o", "a.png"], "give -o a folder"),
        (["-m", str(model), str(junk), "-b", program, "-o", str(file)], "give -o a folder"),
        (["-m", str(model), str(twin), "-b", program], str(twin)),
    ]:
        assert main(options) == 1
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1


# --- several models and runs


@pytest.mark.parametrize("repeats_m", [False, True])
def test_several_models_are_rendered_in_one_start(stand_in, models, tmp_path, capsys, repeats_m):
    starts = tmp_path / "starts"
    body = f"open({str(starts)!r}, 'a').write('x'); print('Error: bad'); report(1, None); render([0, 2])"
    names = [str(path) for path in models]
    options = ["-m", names[0], "-m", *names[1:]] if repeats_m else ["-m", *names]
    output = tmp_path / "new" / "renders"
    assert main([*options, "-b", stand_in(body), "-o", str(output), "--size", "20"]) == 1
    assert sorted(path.name for path in output.iterdir()) == ["1000.png", "990.png"]
    assert starts.read_text() == "x"
    said = capsys.readouterr()
    assert f"failed: {models[1]}: Blender could not render it." in said.err
    assert "Error: bad" in said.err
    assert said.out == f"{output}: 2 written, 0 already there, 1 failed\n"


def test_models_that_cannot_be_read_do_not_stop_the_others(stand_in, model, tmp_path, capsys):
    empty = tmp_path / "empty.obj"
    empty.touch()
    options = ["-m", str(empty), str(tmp_path / "none.obj"), str(model), "-o", str(tmp_path / "out")]
    assert main([*options, "-b", stand_in("render()"), "--size", "20"]) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1000.png"]
    said = capsys.readouterr()
    assert f"failed: {empty}: holds no faces" in said.err
    assert "none.obj: no such file" in said.err
    assert "1 written, 0 already there, 2 failed" in said.out


def test_what_was_rendered_before_blender_died_is_kept(stand_in, models, tmp_path, capsys):
    options = ["-m", *map(str, models), "-o", str(tmp_path / "out"), "--size", "20"]
    assert main([*options, "-b", stand_in("render([0]); os.kill(os.getpid(), 9)")]) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1000.png"]
    assert "exit code -9 after 1 of 3 models" in capsys.readouterr().err


@pytest.fixture
def run(tmp_path, models, monkeypatch):
    """A checkout with the run chair-1, whose first model was rendered before; we stand in it."""
    folder = tmp_path / "checkout" / "savepoint" / "chair-1"
    (folder / "renders").mkdir(parents=True)
    shutil.copytree(models[0].parent, folder / "models")
    (folder / "models" / ".1020-half.obj").write_text("f 1 2 3\n", encoding="utf-8")
    (folder / "renders" / "990.png").write_bytes(b"old")
    (tmp_path / "checkout" / "render").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    return folder


@pytest.mark.parametrize("place", [".", "render"])
def test_a_run_is_rendered_where_nothing_is_yet(stand_in, run, monkeypatch, capsys, place):
    monkeypatch.chdir(place)
    command = ["-n", "chair-1", "-b", stand_in("render()"), "--size", "20"]
    assert main(command) == 0
    assert {path.name for path in (run / "renders").iterdir()} == {"990.png", "1000.png", "1010.png"}
    assert (run / "renders" / "990.png").read_bytes() == b"old"
    assert "renders: 2 written, 1 already there, 0 failed\n" in capsys.readouterr().out
    assert main([*command[:3], stand_in("sys.exit(1)")]) == 0  # nothing to do, so it is not started
    assert "0 written, 3 already there, 0 failed" in capsys.readouterr().out


def test_a_run_is_rendered_to_another_folder_by_epoch(stand_in, run, tmp_path, capsys):
    body = f"pathlib.Path({str(tmp_path / 'seen.json')!r}).write_text(json.dumps(job['models'])); render()"
    options = ["-o", str(tmp_path / "out"), "--size", "20", "--turntable", "2"]
    assert main(["-n", "chair-1", "-b", stand_in(body), *options]) == 0
    seen = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    assert [Path(model["file"]).stem for model in seen] == ["990", "1000", "1010"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"990.gif", "1000.gif", "1010.gif"}


def test_a_run_without_models_is_told(run, tmp_path, monkeypatch, capsys):
    shutil.rmtree(run / "models")
    monkeypatch.chdir("render")
    for name, says in [
        ("chair-1", "holds no .obj file yet; run convert_to_obj.py -n chair-1 first"),
        ("chair-2", "no run of this name; runs here: chair-1"),
        ("../chair-1", "cannot be a folder's name"),
    ]:
        assert main(["-n", name, "-b", sys.executable]) == 1
        assert says in capsys.readouterr().err


# --- backgrounds and turntables


@pytest.mark.parametrize(
    ("background", "expected"), [([], (255, 255, 255)), (["--background", "#0080fF"], (0, 128, 255))]
)
def test_a_turntable_is_a_looping_gif_on_a_flat_background(
    stand_in, model, tmp_path, monkeypatch, background, expected
):
    body = f"""
pathlib.Path({str(tmp_path / "seen.json")!r}).write_text(json.dumps(job))
for view, path in enumerate(job["models"][0]["pictures"]):
    picture = Image.new("RGBA", (30, 30), (90, 0, 0, 0))
    picture.paste((200, 10 * view, 0, 255), (5 * view, 10, 5 * view + 5, 20))
    picture.save(path)
    report(0, view)
"""
    monkeypatch.chdir(tmp_path)
    options = ["-a", "-30", "--turntable", "5", "--size", "30", *background]
    assert main(["-m", str(model), "-b", stand_in(body), *options]) == 0
    seen = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    assert seen["azimuths"] == [-30, 42, 114, 186, 258]
    with Image.open(tmp_path / "demo_img.gif") as film:
        assert film.info["loop"] == 0
        assert film.n_frames == 5
        assert film.info["duration"] == 800
        for view, frame in enumerate(ImageSequence.Iterator(film)):
            shown = np.asarray(frame.convert("RGB")).astype(int)
            square = np.zeros((30, 30), bool)
            square[10:20, 5 * view : 5 * view + 5] = True
            assert (shown[~square] == expected).all()
            assert np.abs(shown[square] - (200, 10 * view, 0)).max() <= 4


def test_a_picture_can_have_a_flat_background(stand_in, model, tmp_path):
    program = stand_in("render(color=(255, 0, 0, 128))")
    options = ["-o", str(tmp_path / "a.png"), "--size", "10", "--background", "#0000ff"]
    assert main(["-m", str(model), "-b", program, *options]) == 0
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "RGB"
        assert picture.getpixel((5, 5)) == (128, 0, 127)


# --- a Python with bpy


def test_a_python_with_bpy_runs_the_scene_itself(stand_in, model, tmp_path):
    seen = tmp_path / "seen.json"
    body = f"pathlib.Path({str(seen)!r}).write_text(json.dumps(sys.argv)); render()"
    program = stand_in(body, answers="Python 3.11.9", name="python")
    assert main(["-m", str(model), "-b", program, "-o", str(tmp_path / "a.png"), "--size", "10"]) == 0
    command = json.loads(seen.read_text(encoding="utf-8"))
    assert command[1:-1] == [str(RENDER.resolve() / "scene.py"), "--"]


@pytest.mark.skipif(importlib.util.find_spec("bpy") is not None, reason="this Python has bpy")
def test_a_python_without_bpy_is_told(model, capsys):
    assert main(["-m", str(model), "-b", sys.executable]) == 1
    error = capsys.readouterr().err
    assert "this Python has no bpy; install it there" in error
    assert error.count("\n") == 1


USABLE = ["-m", "a.obj", "-b", "blender"]
WRONG = ["-d 0", "-d -1", "-a nan", "-e inf", "--samples 0", "--size 0", "--size 70000", "--framing left"]
WRONG += ["--color #12345", "--background red", "-n chair-1", "--turntable 1", "--turntable 121"]


@pytest.mark.parametrize(
    "options",
    [[*USABLE, *wrong.split()] for wrong in WRONG] + [["-b", "blender"], ["-b", "blender", "-m"], USABLE[:2]],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(options):
    with pytest.raises(SystemExit) as ended:
        main(options)
    assert ended.value.code == 2


def as_typed(*options, **environment):
    """Return what starts the script from its own folder, with the package at hand as if installed."""
    found = os.pathsep.join([str(ROOT), environment.pop("PYTHONPATH", "")])
    command = [sys.executable, "render_class_view.py", *map(str, options)]
    return {"args": command, "cwd": RENDER, "env": {**os.environ, "PYTHONPATH": found}, "text": True}


def test_without_the_package_the_sentence_names_the_command():
    bare = [sys.executable, "-S", "-E"]  # sees no installed packages and no PYTHONPATH
    command = [*bare, str(RENDER / "render_class_view.py"), "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == (
        f'error: the package rasgan is not installed; type: python -m pip install -e "{ROOT}"\n'
    )


def test_ctrl_c_ends_blender_too(stand_in, model, tmp_path):
    started = tmp_path / "started"
    program = stand_in(
        f"import time; pathlib.Path({str(started)!r}).write_text(str(os.getpid())); time.sleep(60)"
    )
    with subprocess.Popen(**as_typed("-m", model, "-b", program), stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not (started.exists() and started.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "Stopped by Ctrl-C" in error
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


# --- with a real Blender


@pytest.fixture(scope="session")
def blender():
    """Find RASGAN_BLENDER or `blender`; without one skip, or fail where RASGAN_REQUIRE_BLENDER=1 says so."""
    found = shutil.which(os.environ.get("RASGAN_BLENDER", "blender"))
    if found is None and os.environ.get("RASGAN_REQUIRE_BLENDER") == "1":
        pytest.fail("RASGAN_REQUIRE_BLENDER=1, but there is no blender on PATH or at RASGAN_BLENDER")
    if found is None:
        pytest.skip("there is no blender on PATH or at RASGAN_BLENDER")
    return found


def own_silhouette(voxels, edge, matrix, size):
    """Project every voxel through the camera and fill the hull of its corners: (size, size) bool."""
    rotation, position = matrix[:3, :3], matrix[:3, 3]
    middles = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1).reshape(-1, 2)
    drawn = np.zeros(len(middles), bool)
    for voxel in np.argwhere(voxels):
        i, j, k = (voxel + np.indices((2, 2, 2)).reshape(3, 8).T).T
        world = np.stack([len(voxels) - i, -k, j], axis=1) * edge  # the mesh, then Blender's z up
        right, up, back = rotation.T @ (world - position).T
        half = 0.5 * scene.SENSOR_MM / scene.LENS_MM
        pixels = size / 2 * (1 + np.stack([right, -up], axis=1) / (-back * half)[:, None])
        outline = pixels[ConvexHull(pixels).vertices]
        drawn |= mpl.path.Path(np.vstack([outline, outline[:1]])).contains_points(middles)
    return drawn.reshape(size, size)


def camera_place(voxels, edge, view, framing="middle"):
    """Return the matrix of the camera that looks at the voxels' middle, or where the original looked."""
    places = np.argwhere(voxels)
    i, j, k = (places.min(axis=0) + places.max(axis=0) + 1) / 2
    middle = np.array([len(voxels) - i, -k, j]) * edge
    return np.array(scene.camera_matrix(scene.ORIGINAL_TARGET if framing == "original" else middle, *view))


def overlap(first, second):
    """Return the share of two silhouettes' common part in all that they cover."""
    assert min(first.sum(), second.sum()) > 500
    return (first & second).sum() / (first | second).sum()


@pytest.mark.blender
@pytest.mark.parametrize(
    ("view", "framing"),
    [((50, 30, 0, 2.0), "middle"), ((-100, -25, 30, 1.3), "middle"), ((50, 30, 0, 2.0), "original")],
)
def test_a_real_render_has_the_voxels_silhouette(blender, model, voxels, tmp_path, view, framing):
    size, edge = 160, 0.04
    options = [f"-a={view[0]}", f"-e={view[1]}", f"-t={view[2]}", f"-d={view[3]}", "--size", str(size)]
    output = tmp_path / "a {b} ü.png"
    command = ["-m", str(model), "-b", blender, "-o", str(output), "--samples", "8", "--framing", framing]
    assert main([*command, *options]) == 0
    with Image.open(output) as picture:
        assert picture.mode == "RGBA"
        rendered = np.asarray(picture)[..., 3] > 127

    place = camera_place(voxels, edge, view, framing)
    assert overlap(rendered, own_silhouette(voxels, edge, place, size)) > 0.98


@pytest.mark.blender
def test_real_renders_of_several_models(blender, models, voxels, tmp_path, capsys):
    size, edge = 120, 0.04
    options = ["--size", str(size), "--samples", "4", "-o", str(tmp_path), "-d", "1.5"]
    assert main(["-m", *map(str, models), "-b", blender, *options]) == 1
    assert f"failed: {models[1]}: Blender could not render it" in capsys.readouterr().err
    for model, shape in [(models[0], voxels), (models[2], voxels[:, :8])]:
        with Image.open(tmp_path / f"{model.stem}.png") as picture:
            rendered = np.asarray(picture)[..., 3] > 127
        place = camera_place(shape, edge, (50, 30, 0, 1.5))
        assert overlap(rendered, own_silhouette(shape, edge, place, size)) > 0.98
    assert not (tmp_path / f"{models[1].stem}.png").exists()


@pytest.mark.blender
def test_a_real_turntable_shows_every_side(blender, model, voxels, tmp_path):
    size, edge = 120, 0.04
    output = tmp_path / "turn.gif"
    options = ["-a", "20", "-d", "1.5", "--size", str(size), "--samples", "4", "--background", "#00ff00"]
    assert main(["-m", str(model), "-b", blender, "-o", str(output), "--turntable", "4", *options]) == 0
    with Image.open(output) as film:
        frames = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(film)]
    assert len(frames) == 4
    drawn = [frame[..., 1] - frame[..., 0] < 128 for frame in frames]  # the clay is never green
    sides = [
        own_silhouette(voxels, edge, camera_place(voxels, edge, (20 + 90 * view, 30, 0, 1.5)), size)
        for view in range(4)
    ]
    matches = np.array([[overlap(seen, side) for side in sides] for seen in drawn])
    assert np.diag(matches).min() > 0.98
    assert (matches - 2 * np.eye(4)).max() < 0.9  # no frame could be taken for another


@pytest.mark.blender
def test_a_real_blender_tells_a_broken_model(blender, tmp_path, capsys):
    model = tmp_path / "broken.obj"
    model.write_text("f 1 2 3\n", encoding="utf-8")
    assert main(["-m", str(model), "-b", blender, "-o", str(tmp_path / "a.png")]) == 1
    error = capsys.readouterr().err
    assert "could not render" in error
    assert "Traceback (most" not in error
    assert not (tmp_path / "a.png").exists()


@pytest.mark.blender
def test_the_script_runs_as_the_tutorial_types_it(blender, model, tmp_path):
    """From its own folder; Blender sees nothing of PYTHONPATH."""
    (tmp_path / "poison").mkdir()
    (tmp_path / "poison" / "bpy.py").write_text("raise ImportError('the wrong bpy')", encoding="utf-8")
    options = ["-m", model, "-b", blender, "-o", tmp_path / "test.png", "--size", "40", "--samples", "1"]
    typed = as_typed(*options, PYTHONPATH=str(tmp_path / "poison"))
    ended = subprocess.run(**typed, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    with Image.open(tmp_path / "test.png") as picture:
        assert picture.size == (40, 40)
        assert np.ptp(np.asarray(picture)[..., 3]) == 255

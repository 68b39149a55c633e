import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from scipy.spatial import ConvexHull

from rasgan.objfile import write_obj
from rasgan.voxels import surface_mesh

RENDER = Path(__file__).parents[2] / "render"


def load(name):
    spec = importlib.util.spec_from_file_location(name, RENDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script():
    before = sys.path.copy()
    yield load("render_class_view")
    sys.path[:] = before


@pytest.fixture
def voxels():
    """A chair of 16 cubed with one arm, so that its mirror image differs."""
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
def stand_in(tmp_path):
    """Make a program that stands in for Blender: its Python body sees `options`, as scene.py would."""
    if os.name == "nt":
        pytest.skip("a script is no program on Windows")

    def make(body):
        program = tmp_path / "Program Files" / "Blender Foundation" / "blender.exe"
        program.parent.mkdir(parents=True, exist_ok=True)
        head = f"#!{sys.executable}\nimport json, os, pathlib, sys\noptions = json.loads(sys.argv[-1])\n"
        program.write_text(head + body, encoding="utf-8")
        program.chmod(0o755)
        return str(program)

    return make


WRITES_PICTURE = """
from PIL import Image
Image.new("RGBA", (options["size"],) * 2).save(options["output"])
"""


def test_defaults_are_the_pages(script):
    args = script.build_parser().parse_args(["-m", "a.obj", "-b", "blender"])
    assert (args.azimuth, args.elevation, args.tilt, args.distance) == (50, 30, 0, 2)
    assert args.output_img == Path("demo_img.png")


def test_all_options_reach_the_scene(script, stand_in, model, tmp_path, capsys):
    body = WRITES_PICTURE + f"pathlib.Path({str(tmp_path / 'seen.json')!r}).write_text(json.dumps(sys.argv))"
    options = ["-a", "-20", "-e", "10.5", "-t", "5", "-d", "3", "--samples", "8", "--size", "40"]
    options += ["--color", "#ff8000", "--framing", "original"]
    output = tmp_path / "new folder" / "a {picture} ü.png"
    assert script.main(["-m", str(model), "-b", stand_in(body), "-o", str(output), *options]) == 0
    command = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    assert command[1:4] == ["--background", "--factory-startup", "--python-exit-code"]
    assert command[5:8] == ["--python", str(RENDER.resolve() / "scene.py"), "--"]
    seen = json.loads(command[8])
    assert "{" not in Path(seen.pop("output")).name
    assert seen == {
        "model": str(model.resolve()),
        "azimuth": -20,
        "elevation": 10.5,
        "tilt": 5,
        "distance": 3,
        "samples": 8,
        "size": 40,
        "color": pytest.approx([1, 128 / 255, 0]),
        "framing": "original",
    }
    with Image.open(output) as picture:
        assert picture.size == (40, 40)
    assert [path.name for path in output.parent.iterdir()] == [output.name]
    assert str(output) in capsys.readouterr().out


def test_a_name_without_suffix_gets_one(script, stand_in, model, tmp_path):
    assert script.main(["-m", str(model), "-b", stand_in(WRITES_PICTURE), "-o", str(tmp_path / "x")]) == 0
    assert (tmp_path / "x.png").is_file()


def test_our_python_settings_stay_out_of_blender(script, stand_in, model, tmp_path, monkeypatch):
    program = stand_in("assert 'PYTHONPATH' not in os.environ" + WRITES_PICTURE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert script.main(["-m", str(model), "-b", program, "-o", str(tmp_path / "a.png")]) == 0


FAILING = {
    "the scene raises": ("print('Error: no faces'); sys.exit(9)", ["could not render", "no faces"]),
    "another exit code": ("print('bang', file=sys.stderr); sys.exit(3)", ["exit code 3", "bang"]),
    "killed": ("os.kill(os.getpid(), 9)", ["exit code -9", "printed nothing"]),
    "no picture": ("print('done')", ["without writing the picture", "done"]),
    "empty picture": ("pathlib.Path(options['output']).touch()", ["without writing the picture"]),
    "not a PNG": (
        "pathlib.Path(options['output']).write_bytes(b'GIF' * 99)",
        ["without writing the picture"],
    ),
    "another size": ("options['size'] += 1" + WRITES_PICTURE, ["without writing the picture"]),
    "half a picture": (
        WRITES_PICTURE + "os.truncate(options['output'], os.path.getsize(options['output']) - 20)",
        ["without writing the picture"],
    ),
    "strange bytes": ("sys.stdout.buffer.write(b'\\xff\\xfe bad\\n'); sys.exit(1)", ["bad"]),
}


@pytest.mark.parametrize("failure", FAILING)
def test_a_failing_blender_is_told_with_its_last_lines(script, stand_in, model, tmp_path, capsys, failure):
    body, says = FAILING[failure]
    output = tmp_path / "old.png"
    output.write_bytes(b"what was there")
    assert script.main(["-m", str(model), "-b", stand_in(body), "-o", str(output)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert all(part in error for part in says)
    assert "Traceback (most" not in error
    assert output.read_bytes() == b"what was there"
    assert not list(tmp_path.glob(".*"))


def test_a_program_that_cannot_be_started_is_told(script, model, tmp_path, capsys):
    if os.name == "nt":
        pytest.skip("Windows asks what to do with such a program")
    broken = tmp_path / "blender"
    broken.write_text("#!/no/such/interpreter\n", encoding="utf-8")
    broken.chmod(0o755)
    assert script.main(["-m", str(model), "-b", str(broken)]) == 1
    assert "cannot be started" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("true") is None, reason="this system has no program `true`")
def test_a_wrong_program_is_told(script, model, capsys):
    assert script.main(["-m", str(model), "-b", "true"]) == 1
    assert "is it Blender" in capsys.readouterr().err


def test_bad_input_is_told_before_blender_starts(script, model, tmp_path, capsys):
    empty, junk = tmp_path / "empty.obj", tmp_path / "junk.obj"
    empty.touch()
    junk.write_bytes(b"\x00\xff no mesh\n")
    program = sys.executable
    for options, says in [
        (["-m", str(tmp_path / "none.obj"), "-b", program], "none.obj"),
        (["-m", str(tmp_path), "-b", program], str(tmp_path)),
        (["-m", str(empty), "-b", program], "holds no faces"),
        (["-m", str(junk), "-b", program], "holds no faces"),
        (["-m", str(model), "-b", "no-such-blender"], "no such program"),
        (["-m", str(model), "-b", str(tmp_path)], "a folder"),
        (["-m", str(model), "-b", program, "-o", "a.jpg"], "ends in .png"),
    ]:
        assert script.main(options) == 1
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-d", "0"],
        ["-d", "-1"],
        ["-a", "nan"],
        ["-e", "inf"],
        ["--samples", "0"],
        ["--size", "0"],
        ["--size", "70000"],
        ["--color", "red"],
        ["--color", "#12345"],
        ["--framing", "left"],
    ],
)
def test_wrong_usage_is_exit_code_2(script, options):
    required = ["-m", "a.obj", "-b", "blender"] if options else ["-m", "a.obj"]
    with pytest.raises(SystemExit) as ended:
        script.main([*required, *options])
    assert ended.value.code == 2


# --- with a real Blender


@pytest.fixture(scope="session")
def blender():
    """Find Blender on PATH; without one skip, or fail where RASGAN_REQUIRE_BLENDER=1 asks for it."""
    found = shutil.which("blender")
    if found is None and os.environ.get("RASGAN_REQUIRE_BLENDER") == "1":
        pytest.fail("RASGAN_REQUIRE_BLENDER=1, but there is no blender on PATH")
    if found is None:
        pytest.skip("there is no blender on PATH")
    return "blender"


def own_silhouette(voxels, edge, matrix, size):
    """Project every voxel through the camera and fill the hull of its corners: (size, size) bool."""
    scene = load("scene")
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


@pytest.mark.blender
@pytest.mark.parametrize(
    ("view", "framing"),
    [((50, 30, 0, 2.0), "middle"), ((-100, -25, 30, 1.3), "middle"), ((50, 30, 0, 2.0), "original")],
)
def test_a_real_render_has_the_voxels_silhouette(script, blender, model, voxels, tmp_path, view, framing):
    size, edge = 160, 0.04
    options = [f"-a={view[0]}", f"-e={view[1]}", f"-t={view[2]}", f"-d={view[3]}", "--size", str(size)]
    output = tmp_path / "a {b} ü.png"
    command = ["-m", str(model), "-b", blender, "-o", str(output), "--samples", "8", "--framing", framing]
    assert script.main([*command, *options]) == 0
    with Image.open(output) as picture:
        assert picture.mode == "RGBA"
        rendered = np.asarray(picture)[..., 3] > 127

    scene = load("scene")
    places = np.argwhere(voxels)
    low, high = places.min(axis=0), places.max(axis=0) + 1
    i, j, k = (low + high) / 2
    middle = np.array([len(voxels) - i, -k, j]) * edge
    target = scene.ORIGINAL_TARGET if framing == "original" else middle
    own = own_silhouette(voxels, edge, np.array(scene.camera_matrix(target, *view)), size)
    assert own.sum() > 1000
    assert (rendered & own).sum() / (rendered | own).sum() > 0.98


@pytest.mark.blender
def test_a_real_blender_tells_a_broken_model(script, blender, tmp_path, capsys):
    model = tmp_path / "broken.obj"
    model.write_text("f 1 2 3\n", encoding="utf-8")
    assert script.main(["-m", str(model), "-b", blender, "-o", str(tmp_path / "a.png")]) == 1
    error = capsys.readouterr().err
    assert "could not render" in error
    assert "Traceback (most" not in error
    assert not (tmp_path / "a.png").exists()


@pytest.mark.blender
def test_the_script_runs_from_its_folder_alone(blender, model, tmp_path):
    """As the tutorial types it, without the package on PYTHONPATH, which Blender must not see anyway."""
    (tmp_path / "poison").mkdir()
    (tmp_path / "poison" / "bpy.py").write_text("raise ImportError('the wrong bpy')", encoding="utf-8")
    command = [sys.executable, "render_class_view.py", "-m", str(model), "-b", blender]
    command += ["-o", str(tmp_path / "test.png"), "--size", "40", "--samples", "1"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "poison")}
    ended = subprocess.run(command, cwd=RENDER, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    with Image.open(tmp_path / "test.png") as picture:
        assert picture.size == (40, 40)

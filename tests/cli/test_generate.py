"""Tests of python -m rasgan.generate on an untrained run."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

import train_rasgan
from rasgan import generate, sampling
from rasgan.metrics import is_whole
from rasgan.runs import RunFolder
from rasgan.training import checkpoints
from rasgan.training.checkpoints import Position
from rasgan.voxel_io import write_raw
from tests.untrained import save_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return save_run("run")


def page_data(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text)[1])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def half_full(monkeypatch):
    """Generate nonempty shapes, as a trained generator does."""
    made(monkeypatch, lambda z: z[:32, None, None].numpy().repeat(32, 1).repeat(32, 2))


def made(monkeypatch, shape_of):
    monkeypatch.setattr(sampling, "decode_each", lambda generator, rows: map(shape_of, rows))


def test_shapes_meshes_and_a_sheet_are_written(run, half_full, capsys):
    assert generate.main(["-n", "run", "--count", "3", "--seed", "5"]) == 0
    folder = run.generated(Position(1))
    shapes = [f"seed5-0{i}" for i in range(3)]
    assert names(folder) == [f"{name}{suffix}" for name in shapes for suffix in (".npy", ".obj")] + [
        "seed5.png"
    ]
    grid = np.load(folder / "seed5-02.npy")
    assert (grid.shape, grid.dtype) == ((32, 32, 32), np.float32)
    mesh = trimesh.load_mesh(folder / "seed5-02.obj")
    assert mesh.volume == pytest.approx((grid > 0.3).sum() * 0.01**3)
    assert "Generating 3 shapes of run, epoch 1 ..." in capsys.readouterr().out


def test_largest_drops_small_components_and_prints_how_many_voxels(run, monkeypatch, capsys):
    grids = np.zeros((2, 8, 8, 8), np.float32)
    grids[:, 2:6, 2:6, 2:6] = 0.9
    grids[1, 7, 7, :3] = 0.7
    grids[1, 0, 0, 0] = 0.2  # not occupied, so kept
    waiting = iter(grids.copy())
    made(monkeypatch, lambda z: next(waiting))
    assert generate.main(["-n", "run", "--count", "2", "--largest"]) == 0
    assert "dropped 3 of 131 voxels (2.3%)" in capsys.readouterr().out
    folder = run.generated(Position(1))
    assert (folder / "seed0-largest.png").is_file()
    grids[1, 7, 7, :3] = 0
    for number in range(2):
        np.testing.assert_array_equal(np.load(folder / f"seed0-largest-0{number}.npy"), grids[number])


def one_in(every, monkeypatch):
    """Generate one standing table in `every` shapes; the others have loose parts, tip over or are empty."""
    table = np.zeros((32, 32, 32), np.float32)
    table[4:28, 12:16, 4:28] = table[14:18, :12, 14:18] = 0.9
    loose, tipping = table.copy(), np.zeros_like(table)
    loose[0, 31, 0] = 0.9
    tipping[4:28, 12:16, 4:28] = tipping[4:6, :12, 4:28] = 0.9
    others = itertools.cycle([loose, tipping, np.zeros_like(table)])
    count = itertools.count(1)
    made(monkeypatch, lambda z: table if next(count) % every == 0 else next(others))


def test_only_whole_keeps_the_numbers_of_the_shapes(run, monkeypatch, capsys):
    one_in(4, monkeypatch)
    assert generate.main(["-n", "run", "--count", "3", "--only-whole", "--html"]) == 0
    folder, kept = run.generated(Position(1)), ("03", "07", "11")
    expected = [f"seed0-whole-{number}{end}" for number in kept for end in (".npy", ".obj")]
    assert names(folder) == [*expected, "seed0-whole.html", "seed0-whole.png"]
    assert page_data(folder / "seed0-whole.html")["captions"] == ["seed 0, 3", "seed 0, 7", "seed 0, 11"]
    assert "3 of 12 generated shapes" in capsys.readouterr().out


def test_only_whole_stops_if_there_are_too_few_shapes(run, monkeypatch, capsys):
    monkeypatch.setattr(generate, "TRIES", 10)
    one_in(15, monkeypatch)
    assert generate.main(["-n", "run", "--count", "2", "--only-whole", "--no-obj"]) == 0
    assert names(run.generated(Position(1))) == ["seed0-whole-14.npy", "seed0-whole.png"]
    assert "1 of 20 generated shapes" in capsys.readouterr().out
    one_in(99, monkeypatch)
    assert generate.main(["-n", "run", "--count", "2", "--only-whole", "--seed", "1"]) == 1
    assert "0 of 20 generated shapes" in capsys.readouterr().err


def test_only_whole_does_not_change_the_shape_of_a_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert generate.main(["--pretrained", "chairs", "--count", "2", "--no-obj", "--only-whole"]) == 0
    whole = sorted(Path("savepoint/pretrained-chairs/generated").glob("*/seed0-whole-*.npy"))
    assert len(whole) == 2
    numbers = [int(path.stem.rpartition("-")[2]) for path in whole]
    shapes = sampling.generate(checkpoints.load_pretrained(), 0, numbers[-1] + 1)
    for number, shape in enumerate(shapes):
        assert is_whole(shape > 0.3) == (number in numbers)
    for number, path in zip(numbers, whole, strict=True):
        assert np.array_equal(np.load(path), shapes[number])


def test_shapes_are_written_before_the_next_is_generated(run, monkeypatch):
    folder, seen = run.generated(Position(1)), []

    def shape_of(z):
        seen.append(len(list(folder.glob("*.npy"))))
        return np.ones((8, 8, 8), np.float32)

    made(monkeypatch, shape_of)
    assert generate.main(["-n", "run", "--count", "4", "--no-obj"]) == 0
    assert seen == [0, 1, 2, 3]


def test_empty_shapes_are_reported_and_have_no_mesh(run, monkeypatch, capsys):
    made(monkeypatch, lambda z: np.zeros((8, 8, 8), np.float32))
    assert generate.main(["-n", "run", "--count", "1"]) == 0
    assert names(run.generated(Position(1))) == ["seed0-00.npy", "seed0.png"]
    assert "1 of the shapes are empty" in capsys.readouterr().out


def test_the_sheet_of_many_shapes_shows_the_first(run, half_full, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(generate, "contact_sheet", lambda path, grids, labels: shown.append(labels))
    assert generate.main(["-n", "run", "--count", "121", "--no-obj"]) == 0
    assert shown == [[str(number) for number in range(120)]]
    assert not list(run.generated(Position(1)).glob("*.obj"))
    assert "a picture of the first 120" in capsys.readouterr().out


def test_truncation_scales_z_and_names_the_files(run):
    assert generate.main(["-n", "run", "--count", "2", "--seed", "5", "--truncation", "0.5", "--no-obj"]) == 0
    folder = run.generated(Position(1))
    assert names(folder) == [f"seed5-truncation0.5{end}" for end in ("-00.npy", "-01.npy", ".png")]
    generator, _ = checkpoints.load_generator(run.checkpoints)
    shape = sampling.decode(generator, 0.5 * sampling.latents(5, 2)[1:])[0]
    assert np.array_equal(np.load(folder / "seed5-truncation0.5-01.npy"), shape)


def test_an_interpolation_is_a_batch_and_a_film_that_plays_forward_and_back(run, half_full):
    options = ["--steps", "5", "--truncation", "0.9"]
    assert generate.main(["-n", "run", "--interpolate", "3", "8", *options]) == 0
    folder, name = run.generated(Position(1)), "seed3-to-8-truncation0.9"
    assert names(folder) == [f"{name}.gif", f"{name}.npy"]
    generator, _ = checkpoints.load_generator(run.checkpoints)
    assert np.array_equal(np.load(folder / f"{name}.npy"), sampling.interpolate(generator, 3, 8, 5, 0.9))
    with Image.open(folder / f"{name}.gif") as film:
        assert (film.n_frames, film.info["loop"]) == (8, 0)  # forward and back


WRONG = [f"--interpolate 3 8 {other}" for other in ("--count 2", "--seed 0", "--only-whole", "--largest")]


@pytest.mark.parametrize("options", [*WRONG, "--largest --only-whole", "--steps 5"])
def test_invalid_combinations_exit_with_code_2(options):
    with pytest.raises(SystemExit) as ended:
        generate.main(["-n", "run", *options.split()])
    assert ended.value.code == 2


@pytest.mark.parametrize("recipe", ["tutorial", "stable"])
def test_the_averaged_generator_is_used_if_there_is_one(recipe, tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        write_raw(tmp_path / "data" / f"{number}.raw", rng.random((32, 32, 32)) > 0.5)
    tiny = ["--width", "8", "--resolution", "32", "-b", "2", "--seed", "3", "--device", "cpu", "-e", "1"]
    assert train_rasgan.main(["-n", "run", "-d", "data", *tiny, "--recipe", recipe]) == 0
    folder = RunFolder("run").checkpoints
    checkpoints.optimizers_path(folder, Position(1)).unlink()  # the weights are enough
    assert generate.main(["-n", "run", "--count", "1"]) == 0
    saved = checkpoints.load_checkpoint(folder, Position(1))
    assert (saved.ema_generator is not None) == (recipe == "stable")
    generator, position = checkpoints.load_generator(folder, epoch=1)
    expected = saved.ema_generator or saved.generator
    assert torch.equal(generator.dense.weight, expected["dense.weight"])
    assert position == (1, 0)
    assert not generator.training


def test_the_page_shows_each_shape_with_its_seed_and_number(run, half_full, capsys):
    assert generate.main(["-n", "run", "--count", "2", "--seed", "5", "--no-obj", "--html"]) == 0
    path = run.generated(Position(1)) / "seed5.html"
    data = page_data(path)
    assert (data["title"], data["captions"]) == ("run, epoch 1, seed5", ["seed 5, 0", "seed 5, 1"])
    assert data["film"] is False
    assert capsys.readouterr().out.endswith(f"open {path} in a browser\n")


def test_the_page_of_an_interpolation_has_a_slider(run, half_full, capsys):
    assert generate.main(["-n", "run", "--interpolate", "3", "8", "--steps", "3", "--html"]) == 0
    data = page_data(run.generated(Position(1)) / "seed3-to-8.html")
    assert (data["film"], data["captions"]) == (True, [f"seed 3 to 8: {share}%" for share in (0, 50, 100)])
    assert "seed3-to-8.html in a browser" in capsys.readouterr().out

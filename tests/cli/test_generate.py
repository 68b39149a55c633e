"""python -m rasgan.generate on a run of one epoch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

import train_rasgan
from rasgan import generate, sampling
from rasgan.runs import RunFolder
from rasgan.training import checkpoints
from rasgan.training.checkpoints import Position
from rasgan.voxel_io import write_raw

TINY = ["--width", "8", "--resolution", "32", "-b", "2", "--seed", "3", "--device", "cpu", "-e", "1"]


@pytest.fixture(params=["tutorial", "stable"])
def run(request, tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        write_raw(tmp_path / "data" / f"{number}.raw", rng.random((32, 32, 32)) > 0.5)
    assert train_rasgan.main(["-n", "run", "-d", "data", *TINY, "--recipe", request.param]) == 0
    return RunFolder("run")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def half_full(monkeypatch):
    """Shapes with something in them, which one epoch does not teach."""
    monkeypatch.setattr(
        sampling, "decode", lambda generator, z: np.repeat(z[:, :32, None, None].numpy(), 32, 2).repeat(32, 3)
    )


def test_shapes_meshes_and_their_picture_are_written(run, half_full, capsys):
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
    assert str(folder) in capsys.readouterr().out


def test_empty_shapes_have_no_mesh_and_are_told(run, monkeypatch, capsys):
    monkeypatch.setattr(sampling, "decode", lambda generator, z: np.zeros((len(z), 8, 8, 8), np.float32))
    assert generate.main(["-n", "run", "--count", "2"]) == 0
    assert names(run.generated(Position(1))) == ["seed0-00.npy", "seed0-01.npy", "seed0.png"]
    assert "2 of them empty" in capsys.readouterr().out


def test_a_sheet_of_very_many_shapes_shows_the_first(run, half_full, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(generate.plots, "contact_sheet", lambda path, grids: shown.append(len(grids)))
    assert generate.main(["-n", "run", "--count", "101", "--no-obj"]) == 0
    assert shown == [100]
    assert "a picture of the first 100" in capsys.readouterr().out


def test_meshes_can_be_left_out(run, half_full):
    assert generate.main(["-n", "run", "--count", "1", "--no-obj"]) == 0
    assert names(run.generated(Position(1))) == ["seed0-00.npy", "seed0.png"]


def test_the_weights_are_enough(run):
    optimizers = checkpoints.optimizers_path(run.checkpoints, Position(1))
    optimizers.unlink()
    assert generate.main(["-n", "run", "--count", "1"]) == 0


def test_the_same_seed_gives_the_same_shapes_whatever_the_count(run):
    generator, _ = sampling.load_generator(run.checkpoints)
    three, twenty, other = (sampling.generate(generator, seed, n) for seed, n in ((5, 3), (5, 20), (6, 3)))
    assert np.array_equal(three, twenty[:3])
    assert not np.allclose(three, other, atol=1e-6)


def test_every_run_of_the_command_gives_the_same_files(run):
    contents = []
    for _ in range(2):
        assert generate.main(["-n", "run", "--count", "2", "--seed", "9"]) == 0
        contents.append([path.read_bytes() for path in sorted(run.generated(Position(1)).iterdir())])
    assert contents[0] == contents[1]


def test_truncation_scales_z_and_names_the_files(run):
    generator, _ = sampling.load_generator(run.checkpoints)
    shape = sampling.generate(generator, 5, 2, truncation=0.5)[1]
    z = sampling.latents(5, 2)[1:]
    assert np.array_equal(shape, sampling.decode(generator, 0.5 * z)[0])
    assert generate.main(["-n", "run", "--count", "2", "--seed", "5", "--truncation", "0.5", "--no-obj"]) == 0
    folder = run.generated(Position(1))
    assert "seed5-truncation0.5.png" in names(folder)
    assert np.array_equal(np.load(folder / "seed5-truncation0.5-01.npy"), shape)


def test_an_interpolation_goes_from_one_seeds_shape_to_the_others(run, capsys):
    assert generate.main(["-n", "run", "--interpolate", "3", "8", "--steps", "4"]) == 0
    folder = run.generated(Position(1))
    assert names(folder) == ["seed3-to-8.gif", "seed3-to-8.npy"]
    frames = np.load(folder / "seed3-to-8.npy")
    generator, _ = sampling.load_generator(run.checkpoints)
    assert frames.shape == (4, 32, 32, 32)
    assert np.array_equal(frames[0], sampling.generate(generator, 3, 1)[0])
    assert np.array_equal(frames[3], sampling.generate(generator, 8, 5)[0])
    steps = [np.abs(frames[i + 1] - frames[i]).sum() for i in range(3)]
    assert max(steps) < np.abs(frames[3] - frames[0]).sum()
    assert "seed3-to-8.gif" in capsys.readouterr().out


def test_an_interpolation_film_has_a_frame_for_every_step(run, half_full):
    assert generate.main(["-n", "run", "--interpolate", "3", "8", "--steps", "5", "--truncation", "0.9"]) == 0
    with Image.open(run.generated(Position(1)) / "seed3-to-8-truncation0.9.gif") as film:
        assert film.n_frames == 5
        assert film.info["loop"] == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--interpolate", "3"],
        ["--interpolate", "3", "8", "--count", "2"],
        ["--interpolate", "3", "8", "--seed", "0"],
        ["--interpolate", "3", "8", "--steps", "1"],
        ["--steps", "5"],
        ["--truncation", "0"],
        ["--truncation", "1.1"],
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(options):
    with pytest.raises(SystemExit) as ended:
        generate.main(["-n", "run", *options])
    assert ended.value.code == 2


def test_the_averaged_generator_is_preferred_where_there_is_one(run):
    state = checkpoints.load_checkpoint(run.checkpoints, Position(1))
    generator, position = sampling.load_generator(run.checkpoints, epoch=1)
    expected = state.ema_generator or state.generator
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


def test_the_command_runs_as_a_user_types_it():
    command = [sys.executable, "-m", "rasgan.generate", "--help"]
    root = Path(train_rasgan.__file__).parent
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    assert "--count" in done.stdout

"""train_rasgan.py as a user types it, on four small shapes."""

import contextlib
import csv
import errno
import json
import re
import shlex
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import train_rasgan
from rasgan import files, generate
from rasgan.export import batch
from rasgan.runs import RunFolder
from rasgan.training import checkpoints, progress
from rasgan.training import run as training_run
from rasgan.training.checkpoints import Position
from rasgan.training.config import RECIPES
from rasgan.training.step import StepResult, train_step
from rasgan.voxel_io import read_raw, write_raw

TINY = ["--width", "8", "--resolution", "32", "-b", "2", "--seed", "3", "--device", "cpu"]


@pytest.fixture
def here(tmp_path, monkeypatch, rng):
    """Create an empty working folder with four boxes as voxel grids in data/ and two in test/."""
    monkeypatch.chdir(tmp_path)
    for folder, count in (("data", 4), ("test", 2)):
        for number in range(count):
            grid = np.zeros((32, 32, 32), dtype=bool)
            low, high = np.sort(rng.integers(0, 32, (2, 3)), axis=0)
            grid[low[0] : high[0] + 1, low[1] : high[1] + 1, low[2] : high[2] + 1] = True
            write_raw(tmp_path / folder / f"{number}.raw", grid)
    return tmp_path


def train(*argv):
    return train_rasgan.main(["-n", "run", "-d", "data", *TINY, *argv])


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def weights_of(epoch):
    saved = load(epoch)
    return {**saved.generator, **{f"d.{key}": value for key, value in saved.discriminator.items()}}


def load(epoch, folder="checkpoint/run"):
    return checkpoints.load_checkpoint(Path(folder), Position(epoch), with_optimizers=True)


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key


def test_two_epochs_write_every_documented_file(here, capsys):
    assert train("-e", "2", "-sample", "1", "-save", "1", "-graph", "1", "-graph3d", "1") == 0
    assert files_of(here / "checkpoint") == {
        "run/1.pt", "run/1.optim.pt", "run/2.pt", "run/2.optim.pt", "run/latest",
    }  # fmt: skip
    tracked = {"epochs", "track_d_loss", "track_g_loss", "track_d_validation_loss", "track_d_trained"}
    assert files_of(here / "savepoint/run") == {
        "options.json", "history.csv", "1.npy", "2.npy", "film/1.npy", "film/2.npy",
        "3D_graphs/1.png", "3D_graphs/2.png", "plots/1.png", "plots/2.png",
        *(f"plots/{name}.npy" for name in tracked),
    }  # fmt: skip
    grid = np.load("savepoint/run/2.npy")
    assert (grid.shape, grid.dtype) == ((32, 32, 32), np.float32)
    assert np.load("savepoint/run/plots/epochs.npy").tolist() == [0, 0.5, 1, 1.5]
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch:")]
    assert len(lines) == 2  # without a terminal, one line per epoch
    assert re.fullmatch(
        r"Epoch: \[ 2/2\] \[   2/2\] time: \d+\.\d{4}, d_loss: \d+\.\d{8}, g_loss: \d+\.\d{8}, "
        r"TrainD: (True|False), G/D train ratio: \d+",
        lines[-1],
    )


@pytest.mark.parametrize("recipe", ["tutorial", "stable"])
def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(here, recipe):
    options = ("--recipe", recipe, "-save", "1")
    assert train("-e", "4", *options) == 0
    whole, history = weights_of(4), np.load("savepoint/run/plots/track_g_loss.npy")
    optimizers = load(4).optimizers
    assert train("-le", "3") == 0
    assert_same(weights_of(4), whole)
    np.testing.assert_array_equal(np.load("savepoint/run/plots/track_g_loss.npy"), history)
    again = load(4).optimizers
    for before, after in zip(optimizers, again, strict=True):
        for old, new in zip(before["state"].values(), after["state"].values(), strict=True):
            assert_same(old, new)


def interrupt(monkeypatch, step, number=signal.SIGINT):
    """Send a signal during a step, counted from 0."""

    def interrupted_step(gan, batch, count, is_last):
        if count == step:
            signal.raise_signal(number)
        return train_step(gan, batch, count, is_last)

    monkeypatch.setattr(training_run, "train_step", interrupted_step)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("step", "where"), [(2, "epoch 2, step 1 of 2"), (3, "epoch 2")])
def test_run_stopped_by_a_signal_resumes_bit_for_bit(here, capsys, monkeypatch, number, step, where):
    assert train("-e", "3", "-save", "1") == 0
    expected, losses = weights_of(3), np.load("savepoint/run/plots/track_g_loss.npy")
    (here / "checkpoint/run").rename(here / "uninterrupted")
    capsys.readouterr()
    with monkeypatch.context() as patch:
        interrupt(patch, step, number)
        assert train("-e", "3", "-save", "3") == 1
    out, err = capsys.readouterr()
    assert f"Stopped and saved after {where}. To resume, type:" in out
    assert out.endswith("-e 3 -save 3 --load\n")
    assert err == ""
    assert train("-e", "3", "-l") == 0
    assert_same(weights_of(3), expected)
    np.testing.assert_array_equal(np.load("savepoint/run/plots/track_g_loss.npy"), losses)


def test_second_ctrl_c_prints_how_to_resume(here, capsys, monkeypatch):
    assert train("-e", "1") == 0
    capsys.readouterr()

    def interrupted_step(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training_run, "train_step", interrupted_step)
    says(capsys, train("-e", "3", "-le", "1"), "Ctrl-C", "To resume, type:\n  python", "-e 3 --load\n")


def stop_in_epoch_2(monkeypatch, *argv):
    """Train until Ctrl-C is pressed in the first step of epoch 2."""
    with monkeypatch.context() as patch:
        interrupt(patch, 2)
        assert train(*argv) == 1
    assert checkpoints.choose_position(Path("checkpoint/run"), None) == (1, 1)


def epochs_measured():
    return np.load("savepoint/run/plots/epochs.npy").tolist()


def box(path, low, high):
    grid = np.zeros((32, 32, 32), dtype=bool)
    grid[low:high, low:high, low:high] = True
    write_raw(path, grid)


@pytest.mark.parametrize("change", ["fewer", "more", "others"])
def test_other_data_need_new_data(here, capsys, monkeypatch, change):
    stop_in_epoch_2(monkeypatch, "-e", "3", "-save", "1")
    if change == "fewer":
        (here / "data/3.raw").unlink()
        (here / "data/2.raw").unlink()
    else:
        box(here / "data" / ("8.raw" if change == "more" else "3.raw"), 3, 9)
    capsys.readouterr()
    said = {"fewer": "2 in number, not 4", "more": "5 in number, not 4", "others": "other shapes"}[change]
    says(capsys, train("-l"), "not those that run was trained on", said, "--new-data")
    assert train("-l", "--new-data") == 0
    out = capsys.readouterr().out
    count = {"fewer": 2, "more": 5, "others": 4}[change]
    assert f"Other data from here on ({count} shapes, before 4)" in out
    assert "Epoch 2 starts again" in out
    assert "Resuming after epoch 1." in out
    steps = 1 if change == "fewer" else 2
    assert epochs_measured() == [0, 0.5, *(1 + number / steps for number in range(2 * steps))]
    assert load(3).data == (count, load(3).data.digest)
    assert train("-l", "-e", "4") == 0  # the run has new data now
    assert "Other data" not in capsys.readouterr().out


def test_changed_batch_size_restarts_the_epoch(here, capsys, monkeypatch):
    stop_in_epoch_2(monkeypatch, "-e", "3", "-save", "1", "--recipe", "stable")
    capsys.readouterr()
    assert train("-l", "-b", "4", "--connect", "0.5") == 0
    out = capsys.readouterr().out
    assert "batchsize is 4 from here on, before 2." in out
    assert "connect is 0.5 from here on, before 0.005." in out
    assert "Epoch 2 starts again" in out
    assert epochs_measured() == [0, 0.5, 1, 2]
    assert load(3).config.batchsize == 4
    assert train("-l", "-e", "4", "-b", "2") == 0
    assert "starts again" not in capsys.readouterr().out
    assert epochs_measured() == [0, 0.5, 1, 2, 3, 3.5]


def test_options_are_written_unless_the_start_is_refused(here):
    assert train("-e", "2", "-save", "1", "-glr", "0.01", "--discriminator_learning_rate", "3e-5") == 0
    path = here / "savepoint/run/options.json"
    options = json.loads(path.read_text(encoding="utf-8"))
    assert options["generator_learning_rate"] == 0.01
    assert options["discriminator_learning_rate"] == 3e-5
    assert (options["loss"], options["data"]) == ("rasgan", "data")
    before = {name: (here / name).read_bytes() for name in files_of(here)}
    for refused in (["-le", "1", "-b", "5"], ["-le", "1", "-n", "other"], ["-l", "--loss", "sgan"]):
        assert train(*refused) == 1
    assert {name: (here / name).read_bytes() for name in files_of(here)} == before


def test_failed_first_step_leaves_no_options(here, capsys, monkeypatch):
    def full(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(training_run, "train_step", full)
    says(capsys, train("-e", "1"), "memory is too small", "--batchsize 1")
    assert not (here / "savepoint/run/options.json").exists()


@pytest.mark.parametrize(
    ("variable", "typed"),
    [
        ("TORCHELASTIC_RESTART_COUNT", []),
        ("TORCHELASTIC_RESTART_COUNT", ["-le", "1"]),
        ("SLURM_RESTART_COUNT", ["-l"]),
    ],
)
def test_restart_resumes_if_there_is_a_checkpoint(here, capsys, monkeypatch, variable, typed):
    monkeypatch.setenv(variable, "1")
    assert train("-e", "2", "-save", "1", *typed) == 0
    assert "no checkpoint yet" in capsys.readouterr().out
    assert train("-e", "3", *typed) == 0
    assert "Resuming after epoch 2." in capsys.readouterr().out


@pytest.fixture
def no_torch(monkeypatch):
    """Make every import of a module that needs torch fail."""
    monkeypatch.setitem(sys.modules, "rasgan.training.distributed", None)


@pytest.mark.parametrize("typed", [["-l"], ["-le", "3"]])
def test_missing_checkpoint_is_refused_before_torch_is_imported(here, capsys, no_torch, typed):
    says(capsys, train(*typed), str(here / "checkpoint" / "run"), "no checkpoints")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("kind", ["checkpoint", "savepoint"])
def test_folder_can_be_trained_only_once_at_a_time(here, capsys, no_torch, kind):
    (here / kind / "run").mkdir(parents=True)
    (here / kind / "link").symlink_to("run")
    for name in ("run", "link"):
        with contextlib.ExitStack() as held:
            for lock in RunFolder(name).locks:
                held.enter_context(files.exclusive(lock, "taken"))
            says(capsys, train(), "already being trained")


def test_interval_0_means_never(here):
    written = {"options.json", "history.csv", "3D_graphs/1.png"}
    assert train("-e", "1", "-sample", "0", "-graph", "0", "--every", "0") == 0
    assert files_of(here / "savepoint/run") == written
    assert train("-e", "2", "-l", "-graph", "0", "-graph3d", "0") == 0
    assert files_of(here / "savepoint/run") == written | {"2.npy", "film/2.npy"}


def test_slow_cpu_prints_a_time_and_a_smaller_network(here, capsys, monkeypatch):
    monkeypatch.setattr(progress, "expected_step_s", lambda run: 16.0)
    monkeypatch.setattr(train_rasgan, "LONG_S", 40)
    assert train("-e", "1") == 0
    out = capsys.readouterr().out
    assert "days" not in out
    assert "a step takes about 16 s; the bar" in out
    monkeypatch.setattr(train_rasgan, "SHORT_STEPS", 1)
    assert train("-e", "300000", "-l", "--stop-ratio", "1") == 0
    out = capsys.readouterr().out
    assert "a step takes about 16 s and all 599,998 steps about 111 days" in out
    (command,) = re.findall(r"^  (python \S+ -n run-small .*)$", out, re.MULTILINE)
    assert train_rasgan.main([*shlex.split(command)[2:], "--device", "cpu"]) == 0


def test_new_data_needs_load(capsys):
    with pytest.raises(SystemExit):
        train("--new-data")
    assert "--new-data goes with --load" in capsys.readouterr().err


def test_results_later_than_the_resumed_epoch_are_moved(here, capsys):
    options = ("-e", "3", "-save", "1", "-sample", "1", "-graph", "1", "-graph3d", "1", "--every", "1")
    assert train(*options) == 0
    before = {name: (here / name).read_bytes() for name in files_of(here)}
    capsys.readouterr()
    assert train("-e", "2", "-le", "1", "-glr", "0.1", "-sample", "5", "-graph", "5", "-graph3d", "5") == 0
    folders = [Path("savepoint/run/replaced-1"), Path("checkpoint/run/replaced-1")]
    out = capsys.readouterr().out
    assert "later than epoch 1 were moved to {} and {}.".format(*folders) in out
    assert "Adam's moments start from zero" in out  # the older checkpoint has none
    assert files_of(folders[0]) == {
        "history.csv", "scores.csv", "2.npy", "3.npy", "film/2.npy", "film/3.npy",
        "plots/2.png", "plots/3.png", "3D_graphs/2.png", "3D_graphs/3.png",
    }  # fmt: skip
    assert files_of(folders[1]) == {"2.pt", "2.optim.pt", "3.pt", "3.optim.pt"}
    for folder in folders:
        for name in files_of(folder):
            assert (folder / name).read_bytes() == before[(folder.parent / name).as_posix()]
    assert [path.stem for path in batch.film_grids(RunFolder("run"))] == ["1", "2"]
    assert [row["epoch"] for row in history()] == [0, 0.5, 1, 1.5]
    assert len(Path("savepoint/run/scores.csv").read_text(encoding="ascii").splitlines()) == 2
    assert train("-l", "-e", "3") == 0
    assert "moved" not in capsys.readouterr().out


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"epoch;loss")])
def test_lost_history_is_reported_and_does_not_change_training(here, capsys, damage):
    assert train("-e", "3", "-save", "1") == 0
    whole, path = weights_of(3), Path("savepoint/run/history.csv")
    for name in ("3.pt", "3.optim.pt"):
        (here / "checkpoint/run" / name).unlink()
    damage(path)
    capsys.readouterr()
    assert train("-e", "3", "-l") == 0
    told = f"{path} is missing, or is not the file that checkpoint 2 was saved with. Training is not affected"
    assert told in capsys.readouterr().out
    assert_same(weights_of(3), whole)
    assert [row["epoch"] for row in history()] == [2, 2.5]
    assert train("-e", "4", "-l") == 0
    assert "Training is not affected" not in capsys.readouterr().out
    assert epochs_measured() == [2, 2.5, 3, 3.5]
    aside = Path("savepoint/run/replaced-1/history.csv")
    assert not aside.exists() or aside.read_bytes() == b"epoch;loss"


def test_validation_does_not_change_training(here):
    ended, losses = [], []
    for options in ([], ["-v", "test"], ["-v", "data"]):
        assert train("-e", "2", *options) == 0
        ended.append(weights_of(2))
        losses.append(np.load("savepoint/run/plots/track_d_validation_loss.npy"))
        shutil.rmtree("checkpoint/run")
    assert_same(ended[1], ended[0])
    assert np.isnan(losses[0]).all()
    assert np.isfinite(losses[1]).all()
    assert not np.array_equal(losses[1], losses[2])  # other shapes, so other losses


def says(capsys, code, *words):
    err = capsys.readouterr().err
    assert code == 1
    assert len(re.findall("^(?!  )", err, re.MULTILINE)) == 2, err  # one line, and indented ones: commands
    for word in words:
        assert word in err


def test_unusable_data_are_refused_and_nothing_is_written(here, capsys):
    write_raw(here / "void" / "a.raw", np.zeros((32, 32, 32), dtype=bool))
    before = files_of(here)
    says(capsys, train("-d", "void"), "void: no voxel is occupied", "--mode solid --overwrite")
    says(capsys, train("--resolution", "64"), "0.raw", "32³", "Train with --resolution 32")
    assert files_of(here) == before


def test_divergence_stops_the_run_and_keeps_the_last_checkpoint(here, capsys, monkeypatch):
    assert train("-e", "1") == 0
    capsys.readouterr()
    diverged = StepResult(float("nan"), 1.0, True, torch.zeros(1))
    monkeypatch.setattr(training_run, "train_step", lambda *_: diverged)
    says(capsys, train("-e", "3", "-l"), "diverged", "--load", "-glr")
    assert checkpoints.saved_positions(Path("checkpoint/run")) == [(1, 0)]
    says(capsys, train("-e", "3", "-n", "new"), "has no checkpoint yet", "lower learning rates")


def test_run_resumes_bit_for_bit_after_a_full_disk(here, capsys, monkeypatch):
    assert train("-e", "4", "-save", "1") == 0
    whole = weights_of(4)
    (here / "checkpoint/run").rename(here / "whole")
    save, room = torch.save, iter([True] * 5)

    def save_while_there_is_room(state, file):
        if not next(room, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        save(state, file)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", save_while_there_is_room)
        capsys.readouterr()
        says(capsys, train("-e", "4", "-save", "1"), "disk is full", "To resume, type:\n", "--load")
    assert checkpoints.choose_position(Path("checkpoint/run"), None) == (2, 0)
    assert train("-e", "4", "-save", "1", "-l") == 0
    assert_same(weights_of(4), whole)
    assert not [path for path in here.rglob(".*-*") if path.is_file()]


def history():
    with Path("savepoint/run/history.csv").open(encoding="ascii", newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_schedule_changes_the_rates_and_resumes_in_its_row(here, capsys):
    Path("mine.csv").write_text(
        "epochs,generator,discriminator\n0-1,0.1,0.01\n1-3,0.2,0.02\n3-4,0.3,0.03\n", encoding="utf-8"
    )
    assert train("--schedule", "mine.csv", "-save", "1") == 0
    assert "Epoch 1: learning rates are now 0.2 (generator) and 0.02" in capsys.readouterr().out
    rates = [row["generator_learning_rate"] for row in history()]
    assert rates == [0.1] * 2 + [0.2] * 4 + [0.3] * 2
    whole = weights_of(4)
    assert [group["lr"] for group in load(4).optimizers[0]["param_groups"]] == [0.3]
    shutil.rmtree("checkpoint/run")
    assert train("--schedule", "mine.csv", "-e", "2", "-save", "1") == 0
    assert "The schedule ends" not in capsys.readouterr().out
    assert train("-l", "-e", "4") == 0
    assert_same(weights_of(4), whole)
    assert [row["generator_learning_rate"] for row in history()] == rates


def test_cooldown_lowers_both_rates_and_resumes(here, monkeypatch):
    monkeypatch.setitem(RECIPES, "tutorial", {"cooldown": 0.5})
    assert train("-e", "4", "-glr", "0.1", "-dlr", "0.01", "-save", "1") == 0
    rates = [row["generator_learning_rate"] for row in history()]
    assert rates == pytest.approx([0.1] * 4 + [0.1, 0.075, 0.05, 0.025])
    assert [optimizer["param_groups"][0]["lr"] for optimizer in load(4).optimizers] == pytest.approx(
        [0.025, 0.0025]
    )
    whole = weights_of(4)
    assert train("-le", "3") == 0
    assert_same(weights_of(4), whole)


@pytest.mark.parametrize("axis", [None, 0, 2])
def test_shapes_are_mirrored_along_the_axis_of_the_training_shapes(here, capsys, axis):
    if axis is not None:
        for path in Path("data").iterdir():
            grid = read_raw(path)
            write_raw(path, grid | np.flip(grid, axis))
    assert train("-e", "1", "--recipe", "stable") == 0
    expected = "not mirrored: .* 0.8" if axis is None else f"mirrored: .* axis {axis} is 1.00"
    assert re.search(expected, capsys.readouterr().out)
    assert train("-e", "2", "-l", "--recipe", "stable") == 0  # is not measured again
    assert "mirror" not in capsys.readouterr().out
    assert generate.main(["-n", "run", "--count", "1", "--no-obj"]) == 0
    for made in ("2.npy", "generated/2/seed0-00.npy"):
        grid = np.load(f"savepoint/run/{made}")
        assert [np.array_equal(grid, np.flip(grid, k)) for k in (0, 2)] == [axis == 0, axis == 2]


def test_stable_run_at_64_grows_from_32_and_resumes(here):
    for path in Path("data").iterdir():
        write_raw(path, read_raw(path).repeat(2, 0).repeat(2, 1).repeat(2, 2))
    options = ["--recipe", "stable", "--resolution", "64", "--width", "16", "-save", "1", "-sample", "1"]
    assert train(*options, "-e", "4") == 0
    whole, losses = weights_of(4), [row["loss_g"] for row in history()]
    assert [load(epoch).generator["to_voxels.weight"].shape[0] for epoch in (1, 2, 3, 4)] == [4, 4, 2, 2]
    assert {np.load(f"savepoint/run/{epoch}.npy").shape for epoch in (1, 4)} == {(64, 64, 64)}
    for stop in (3, 2):
        assert train(*options, "-le", str(stop)) == 0
        assert_same(weights_of(4), whole)
        assert [row["loss_g"] for row in history()] == losses


@pytest.fixture
def shut_gate(monkeypatch):
    """Make every step measure losses that shut the gate."""

    def step_with_such_losses(gan, *args):
        result = replace(train_step(gan, *args), loss_d=0.1, loss_g=9.0)
        gan.gate.is_open = False
        gan.gate.steps_since_d = gan.gate.steps_since_d or 1
        return result

    monkeypatch.setattr(training_run, "train_step", step_with_such_losses)


def test_stop_ratio_ends_the_run_and_writes_everything(here, capsys, shut_gate):
    assert train("-e", "9", "--stop-ratio", "4") == 0
    out = capsys.readouterr().out
    assert "trained only every 4 steps or more: the run ends" in out
    (position,) = checkpoints.saved_positions(Path("checkpoint/run"))
    assert position.epoch < 9
    assert (here / f"savepoint/run/{position}.npy").exists()
    assert history()[-1]["ratio"] >= 4
    assert train("-l") == 0
    assert "was stopped by --stop-ratio" in capsys.readouterr().out
    assert train("-l", "--stop-ratio", "0", "-e", str(position.epoch + 1)) == 0
    assert checkpoints.saved_positions(Path("checkpoint/run"))[-1] == (position.epoch + 1, 0)


@pytest.mark.parametrize(
    "options",
    [
        ["--loss", "wgan-gp"],
        ["--precision", "bf16"],
        ["--occupied", "255"],
        ["--recipe", "stable", "--loss", "rasgan"],
    ],
)
def test_every_method_trains_and_resumes(here, options):
    assert train("-e", "1", *options) == 0
    assert train("-e", "2", "-l", *options) == 0
    assert all(torch.isfinite(value).all() for value in weights_of(2).values())


def test_scores_are_written_and_do_not_change_training(here, capsys):
    assert train("-e", "3", "--every", "2", "-save", "1") == 0
    said = re.findall(r"Epoch \d: 64 generated shapes .*(?:\n  .*)*", capsys.readouterr().out)
    assert len(said) == 2
    for lines in said:
        assert re.search(r"diversity \d\.\d\d \(\d\.\d\d\)", " ".join(lines.split()))
        assert "docs/troubleshooting.md#" in lines or "Healthy" in lines
        assert max(map(len, lines.splitlines())) <= 80
    with_scores = weights_of(3)

    def rows():
        text = Path("savepoint/run/scores.csv").read_text(encoding="ascii")
        return list(csv.DictReader(text.splitlines()))

    assert [row["epoch"] for row in rows()] == ["2", "3"]
    assert 1 <= int(rows()[0]["distinct_nearest"]) <= 4
    assert 0 <= float(rows()[0]["stands"]) <= 1
    assert train("-e", "4", "-le", "2", "--every", "1") == 0  # replaces the rows of repeated epochs
    assert [row["epoch"] for row in rows()] == ["2", "3", "4"]
    shutil.rmtree("checkpoint/run")
    assert train("-e", "3") == 0
    assert_same(weights_of(3), with_scores)

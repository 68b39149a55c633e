"""train_rasgan.py as a user types it, on four small shapes."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import train_rasgan
from rasgan import checkpoints
from rasgan.checkpoints import Position
from rasgan.files import write_raw
from rasgan.training import train_step

SCRIPT = Path(train_rasgan.__file__)
TINY = ["--width", "8", "--resolution", "32", "-b", "2", "--seed", "3", "--device", "cpu"]


@pytest.fixture
def here(tmp_path, monkeypatch, rng):
    """Work in an empty folder with four box-shaped voxel objects in data/ and two in test/."""
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
    state = checkpoints.load_checkpoint(Path("checkpoint/run"), Position(epoch))
    return {**state["generator"], **{f"d.{key}": value for key, value in state["discriminator"].items()}}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key


def test_two_epochs_leave_every_promised_file(here, capsys):
    assert train("-e", "2", "-sample", "1", "-save", "1", "-graph", "1", "-graph3d", "1") == 0
    assert files_of(here / "checkpoint") == {
        "run/1.pt", "run/1.optim.pt", "run/2.pt", "run/2.optim.pt", "run/latest",
    }  # fmt: skip
    tracked = {"epochs", "track_d_loss", "track_g_loss", "track_d_validation_loss", "track_d_trained"}
    assert files_of(here / "savepoint/run") == {
        "options.json", "1.npy", "2.npy", "3D_graphs/1.png", "3D_graphs/2.png", "plots/1.png", "plots/2.png",
        *(f"plots/{name}.npy" for name in tracked),
    }  # fmt: skip
    grid = np.load("savepoint/run/2.npy")
    assert (grid.shape, grid.dtype) == ((32, 32, 32), np.float32)
    assert np.load("savepoint/run/plots/epochs.npy").tolist() == [0, 0.5, 1, 1.5]
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch:")]
    assert len(lines) == 4
    assert re.fullmatch(
        r"Epoch: \[ 2/2\] \[   2/2\] time: \d+\.\d{4}, d_loss: \d+\.\d{8}, g_loss: \d+\.\d{8}, "
        r"TrainD: (True|False), G/D train ratio: \d+",
        lines[-1],
    )


def test_the_last_epoch_is_always_saved_sampled_and_drawn(here):
    assert train("-e", "3", "-sample", "2", "-save", "2", "-graph", "2", "-graph3d", "2") == 0
    assert checkpoints.saved_positions(Path("checkpoint/run")) == [(2, 0), (3, 0)]
    for name in ("{}.npy", "3D_graphs/{}.png", "plots/{}.png"):
        there = [(here / "savepoint/run" / name.format(epoch)).exists() for epoch in (1, 2, 3)]
        assert there == [False, True, True]


@pytest.mark.parametrize("recipe", ["tutorial", "stable"])
def test_a_resumed_run_equals_one_never_stopped_bit_for_bit(here, recipe):
    options = ("--recipe", recipe, "-save", "1")
    assert train("-e", "4", *options) == 0
    whole, history = weights_of(4), np.load("savepoint/run/plots/track_g_loss.npy")
    optimizers = checkpoints.load_optimizers(Path("checkpoint/run"), Position(4))
    (here / "checkpoint/run").rename(here / "whole")
    assert train("-e", "2", *options) == 0
    assert train("-e", "4", "-l", "-save", "1") == 0
    assert_same(weights_of(4), whole)
    np.testing.assert_array_equal(np.load("savepoint/run/plots/track_g_loss.npy"), history)
    again = checkpoints.load_optimizers(Path("checkpoint/run"), Position(4))
    for player in ("g", "d"):
        for old, new in zip(
            optimizers[player]["state"].values(), again[player]["state"].values(), strict=True
        ):
            assert_same(old, new)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("steps", [1, 2])
def test_ctrl_c_saves_and_the_resumed_run_equals_one_never_stopped(here, capsys, monkeypatch, number, steps):
    assert train("-e", "3", "-save", "1") == 0
    whole, history = weights_of(3), np.load("savepoint/run/plots/track_g_loss.npy")
    (here / "checkpoint/run").rename(here / "whole")
    taken = []

    def interrupted_step(*args):
        taken.append(1)
        if len(taken) == 2 + steps:  # the first or the second step of epoch 2
            signal.raise_signal(number)
        return train_step(*args)

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(train_rasgan, "train_step", interrupted_step)
        says(capsys, train("-e", "3", "-save", "3"), f"after epoch {'1+1' if steps == 1 else '2'};", "--load")
    assert train("-e", "3", "-l") == 0
    assert_same(weights_of(3), whole)
    np.testing.assert_array_equal(np.load("savepoint/run/plots/track_g_loss.npy"), history)


def test_a_second_ctrl_c_ends_at_once(here, capsys, monkeypatch):
    def impatient_step(*_):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(train_rasgan, "train_step", impatient_step)
    says(capsys, train("-e", "3"), "Ctrl-C")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_finished_run_says_so(here, capsys):
    assert train("-e", "1") == 0
    assert train("-l") == 0
    assert "--epochs asks for more" in capsys.readouterr().out


def test_le_goes_on_from_that_epoch_also_with_one_digit(here, capsys):
    assert train("-e", "3", "-save", "1", "--keep", "9") == 0
    whole = weights_of(3)
    (here / "checkpoint/run/3.pt").unlink()
    assert train("-e", "3", "-le", "1", "-save", "1") == 0
    assert "[ 2/3]" in capsys.readouterr().out
    assert_same(weights_of(3), whole)
    assert len(np.load("savepoint/run/plots/epochs.npy")) == 6


def test_an_epoch_without_optimisers_state_is_resumed_and_says_so(here, capsys):
    assert train("-e", "3", "-save", "1", "--keep", "1") == 0
    assert not (here / "checkpoint/run/1.optim.pt").exists()
    assert train("-e", "3", "-le", "1") == 0
    assert "Adam starts afresh" in capsys.readouterr().out


def test_the_validation_folder_is_measured_and_changes_nothing_else(here):
    assert train("-e", "2") == 0
    without = weights_of(2)
    assert np.isnan(np.load("savepoint/run/plots/track_d_validation_loss.npy")).all()
    (here / "checkpoint/run").rename(here / "without")
    assert train("-e", "2", "-v", "test") == 0
    assert_same(weights_of(2), without)
    losses_one = np.load("savepoint/run/plots/track_d_validation_loss.npy")
    assert np.isfinite(losses_one).all()
    (here / "checkpoint/run").rename(here / "with")
    assert train("-e", "2", "-v", "data") == 0  # other shapes, other losses: the folder given is the one read
    assert not np.array_equal(np.load("savepoint/run/plots/track_d_validation_loss.npy"), losses_one)


def test_the_options_are_written_before_the_first_step(here):
    assert train("-e", "1", "-glr", "0.01", "--discriminator_learning_rate", "3e-5") == 0
    options = json.loads((here / "savepoint/run/options.json").read_text(encoding="utf-8"))
    assert options["generator_learning_rate"] == 0.01
    assert options["discriminator_learning_rate"] == 3e-5
    assert options["loss"] == "rasgan"
    assert options["data"] == "data"


def test_the_same_seed_makes_the_same_run_and_another_one_does_not(here):
    runs = []
    for number, seed in enumerate(("3", "3", "4")):
        assert train("-e", "1", "--seed", seed) == 0
        runs.append(weights_of(1))
        (here / "checkpoint/run").rename(here / f"run-{number}")
    assert_same(runs[0], runs[1])
    assert not torch.equal(runs[0]["dense.weight"], runs[2]["dense.weight"])


def test_option_names_and_defaults_are_the_tutorials():
    parser = train_rasgan.build_parser()
    flags = {flag for action in parser._actions for flag in action.option_strings}
    assert flags >= {
        "--name", "-n", "--data", "-d", "--validation_data", "-v", "--epochs", "-e", "--batchsize", "-b",
        "-sample", "-save", "-graph", "-graph3d", "--load", "-l", "--load_epoch", "-le",
        "--generator_learning_rate", "-glr", "--discriminator_learning_rate", "-dlr",
    }  # fmt: skip
    args = parser.parse_args(["-n", "chair-1", "-d", "x"])
    assert (args.sample, args.save, args.graph, args.graph3d) == (10, 10, 10, 10)
    intervals = ["-sample", "1", "-save", "2", "-graph", "3", "-graph3d", "4"]
    args = parser.parse_args(["-n", "chair-1", "-d", "x", *intervals, "-l", "-le", "7"])
    assert (args.sample, args.save, args.graph, args.graph3d) == (1, 2, 3, 4)
    assert (args.load, args.load_epoch) == (True, 7)


def says(capsys, code, *words):
    err = capsys.readouterr().err
    assert code == 1
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def test_bad_input_gets_one_sentence_and_leaves_nothing_behind(here, capsys):
    before = files_of(here)
    (here / "empty").mkdir()
    write_raw(here / "big" / "a.raw", np.ones((48, 48, 48), dtype=bool))
    for argv, words in (
        (["-d", "nowhere"], ["nowhere", "no such folder"]),
        (["-d", "empty"], ["empty", "convert_data.py"]),
        (["-d", "big"], ["a.raw", "48 cubed", "--resolution"]),
        (["-b", "5"], ["data", "4 shapes", "--batchsize 4"]),
        (["-v", "nowhere"], ["nowhere"]),
        (["--width", "6"], ["--width 6", "multiple of 4"]),
        (["-l"], ["no checkpoints", "--load"]),
        (["-le", "3"], ["no checkpoints"]),
        (["-n", "../out"], ["folder's name"]),
    ):
        says(capsys, train(*argv), *words)
    assert files_of(here) - before == {"big/a.raw"}


def test_a_name_that_is_taken_is_not_trained_over(here, capsys):
    assert train("-e", "1") == 0
    before = {name: (here / name).read_bytes() for name in files_of(here)}
    capsys.readouterr()
    says(capsys, train("-e", "1"), "already", "--load", "--name")
    assert {name: (here / name).read_bytes() for name in files_of(here)} == before


def test_contradicting_a_checkpoint_is_told_option_by_option(here, capsys):
    assert train("-e", "1") == 0
    capsys.readouterr()
    says(
        capsys,
        train("-l", "--resolution", "64", "--loss", "sgan"),
        "--resolution 64 (the run has 32)",
        "--loss sgan",
    )


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_checkpoint(here, capsys, monkeypatch):
    assert train("-e", "1") == 0
    capsys.readouterr()
    monkeypatch.setattr(
        train_rasgan, "train_step", lambda *_: train_rasgan.StepResult(float("nan"), 1.0, True, None)
    )
    says(capsys, train("-e", "3", "-l"), "not a number", "--load", "-glr")
    assert checkpoints.saved_positions(Path("checkpoint/run")) == [(1, 0)]


@pytest.mark.parametrize(
    "argv",
    [[], ["-n", "a"], ["-d", "x"]]
    + [["-n", "a", "-d", "x", *wrong] for wrong in (["-e", "0"], ["-sample", "0"], ["-glr", "-1"])]
    + [["-n", "a", "-d", "x", *wrong] for wrong in (["--loss", "foo"], ["--nonsense"], ["--device", "tpu"])],
)
def test_wrong_usage_ends_with_2(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        train_rasgan.main(argv)
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_script_runs_as_a_user_types_it(here):
    command = [sys.executable, str(SCRIPT), "-n", "run", "-d", "data", *TINY, "-e", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("Epoch:") == 2
    assert (here / "savepoint/run/1.npy").exists()

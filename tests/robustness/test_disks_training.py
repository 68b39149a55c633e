"""Training on a disk that fills up, on one that is read-only, and with a clock that goes backwards."""

import json
import os
import subprocess

import numpy as np
import pytest
import torch

import train_rasgan
from rasgan.training import checkpoints
from rasgan.training.checkpoints import Position
from rasgan.voxel_io import write_raw

OPTIONS = ["-n", "run", "--width", "8", "--resolution", "32", "-b", "2", "--seed", "1", "--device", "cpu"]
CHORES = ["-save", "1", "-sample", "1", "-graph", "100", "-graph3d", "100"]


@pytest.fixture
def data(tmp_path, rng):
    """Give a folder with four shapes."""
    for number in range(4):
        write_raw(tmp_path / "data" / f"{number}.raw", rng.random((32, 32, 32)) > 0.9)
    return tmp_path / "data"


def mount_anew(folder, *options):
    command = ["mount", "-o", ",".join(["remount", *options]), str(folder)]
    subprocess.run(command, check=True)


def train(data, *options):
    return train_rasgan.main([*OPTIONS, *CHORES, "-d", str(data), *options])


def weights_of(folder, epoch):
    return checkpoints.load_checkpoint(folder / "checkpoint/run", Position(epoch)).generator


def test_a_full_disk_is_told_and_nothing_that_was_saved_is_lost(
    small_disk, data, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(small_disk)
    assert train(data, "-e", "30") == 1
    err = capsys.readouterr().err
    assert "disk is full" in err
    assert "Traceback" not in err
    position = checkpoints.choose_position(small_disk / "checkpoint/run", None)
    assert 1 <= position.epoch < 30
    for saved in checkpoints.saved_positions(small_disk / "checkpoint/run"):
        assert checkpoints.load_checkpoint(small_disk / "checkpoint/run", saved)
    assert not [path for path in small_disk.rglob(".*-*") if path.is_file()]

    mount_anew(small_disk, "size=200m")
    assert train(data, "-e", "30", "-l") == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert train(data, "-e", "30") == 0
    ended, alone = weights_of(small_disk, 30), weights_of(elsewhere, 30)
    assert all(torch.equal(ended[key], alone[key]) for key in alone)


def test_a_read_only_disk_is_told(small_disk, data, capsys, monkeypatch):
    monkeypatch.chdir(small_disk)
    assert train(data, "-e", "1") == 0
    mount_anew(small_disk, "ro")
    assert train(data, "-e", "2", "-l") == 1
    assert "choose a place that you may read and write" in capsys.readouterr().err
    mount_anew(small_disk, "rw")
    assert train(data, "-e", "2", "-l") == 0


def test_the_newest_checkpoint_is_not_found_by_the_clock(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train(data, "-e", "3") == 0
    for path in (tmp_path / "checkpoint/run").iterdir():
        os.utime(path, (2e9, 2e9) if path.stem == "1" else (1e9, 1e9))
    assert train(data, "-e", "4", "-l") == 0
    out = capsys.readouterr().out
    assert "[ 4/4]" in out
    assert json.loads((tmp_path / "savepoint/run/options.json").read_text(encoding="utf-8"))["epochs"] == 4
    assert len(np.load(tmp_path / "savepoint/run/plots/epochs.npy")) == 8

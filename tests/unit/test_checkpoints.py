import pickle
from pathlib import Path

import pytest
import torch

from rasgan import checkpoints
from rasgan.errors import UserError


def save(folder, epoch, keep=2):
    checkpoints.save_checkpoint(folder, epoch, {"x": torch.full((3,), epoch)}, {"moments": epoch}, keep)


def test_what_is_saved_is_loaded(tmp_path):
    save(tmp_path, 10)
    state = checkpoints.load_checkpoint(tmp_path, 10)
    assert state["x"].tolist() == [10, 10, 10]
    assert state["epoch"] == 10
    assert checkpoints.load_optimizers(tmp_path, 10) == {"moments": 10}


def test_only_the_newest_keep_the_optimisers_state(tmp_path):
    for epoch in (5, 10, 15, 100):
        save(tmp_path, epoch)
    assert checkpoints.saved_epochs(tmp_path) == [5, 10, 15, 100]
    assert [checkpoints.load_optimizers(tmp_path, e) is None for e in (5, 10, 15, 100)] == [
        True,
        True,
        False,
        False,
    ]


def test_the_newest_is_the_one_saved_last(tmp_path):
    for epoch in (50, 100, 60):  # a run that went back to 50
        save(tmp_path, epoch)
    assert checkpoints.choose_epoch(tmp_path, None) == 60
    (tmp_path / "60.pt").unlink()
    assert checkpoints.choose_epoch(tmp_path, None) == 100
    assert checkpoints.choose_epoch(tmp_path, 50) == 50


def test_a_damaged_note_of_the_latest_epoch_does_no_harm(tmp_path):
    save(tmp_path, 7)
    (tmp_path / checkpoints.LATEST).write_bytes(b"\xff?")
    assert checkpoints.choose_epoch(tmp_path, None) == 7


def test_missing_epochs_and_runs_are_told(tmp_path):
    with pytest.raises(UserError, match="no checkpoints of this run"):
        checkpoints.choose_epoch(tmp_path / "nobody", None)
    save(tmp_path, 7)
    with pytest.raises(UserError, match="epoch 8 was not saved; there are 7"):
        checkpoints.choose_epoch(tmp_path, 8)


class Evil:
    """Something that would run code if it were unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_foreign_code_is_refused_and_not_run(tmp_path):
    target = tmp_path / "was-run"
    torch.save({"format": 1, "evil": Evil(target)}, tmp_path / "1.pt")
    (tmp_path / "2.pt").write_bytes(pickle.dumps(Evil(target)))
    for epoch in (1, 2):
        with pytest.raises(UserError, match="not a whole checkpoint"):
            checkpoints.load_checkpoint(tmp_path, epoch)
    assert not target.exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_checkpoint_is_told(tmp_path, share):
    save(tmp_path, 3)
    whole = (tmp_path / "3.pt").read_bytes()
    (tmp_path / "3.pt").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"3\.pt: not a whole checkpoint"):
        checkpoints.load_checkpoint(tmp_path, 3)


def test_another_format_is_told(tmp_path):
    torch.save({"format": 99}, tmp_path / "4.pt")
    torch.save([1, 2], tmp_path / "5.pt")
    for epoch in (4, 5):
        with pytest.raises(UserError, match="not a checkpoint of this version"):
            checkpoints.load_checkpoint(tmp_path, epoch)


def test_a_failed_write_leaves_the_older_checkpoint_and_no_litter(tmp_path, monkeypatch):
    save(tmp_path, 1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full_disk(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, 2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

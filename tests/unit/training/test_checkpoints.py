import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from rasgan.errors import UserError
from rasgan.training import checkpoints
from rasgan.training.checkpoints import Checkpoint, Position
from rasgan.training.config import TrainConfig


def save(folder, epoch, step=0):
    weights = {"x": torch.full((3,), epoch)}
    checkpoint = Checkpoint(
        Position(epoch, step), TrainConfig(), weights, optimizers=({"moments": epoch}, {})
    )
    checkpoints.save_checkpoint(folder, checkpoint)


def has_moments(folder, epoch):
    return checkpoints.load_checkpoint(folder, Position(epoch), with_optimizers=True).optimizers is not None


def test_only_the_newest_keep_optimizer_state_and_nothing_is_removed_twice(tmp_path, monkeypatch):
    unlink, removed = Path.unlink, []
    monkeypatch.setattr(Path, "unlink", lambda path, **_: removed.append(path.name) or unlink(path))
    for epoch in (5, 10, 15, 100):
        save(tmp_path, epoch)
    assert [name for name in removed if not name.startswith(".")] == ["5.optim.pt", "10.optim.pt"]
    assert checkpoints.saved_positions(tmp_path) == [(5, 0), (10, 0), (15, 0), (100, 0)]
    assert [has_moments(tmp_path, e) for e in (5, 10, 15, 100)] == [False, False, True, True]


def test_files_locked_by_another_program_are_removed_later(tmp_path, monkeypatch):
    def refuse(path, missing_ok=False):
        raise PermissionError(13, "held", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        for position in ((1, 0), (1, 2), (2, 0)):
            save(tmp_path, *position)
    assert checkpoints.choose_position(tmp_path, None) == (2, 0)
    assert checkpoints.choose_position(tmp_path, 1) == (1, 0)
    save(tmp_path, 3)  # also removes the files that were locked
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == [
        "1.pt", "2.optim.pt", "2.pt", "3.optim.pt", "3.pt",
    ]  # fmt: skip


def test_checkpoint_within_an_epoch_is_replaced_by_the_next(tmp_path):
    for position in ((5, 0), (6, 0), (6, 3)):
        save(tmp_path, *position)
    assert checkpoints.choose_position(tmp_path, None) == (6, 3)
    assert checkpoints.choose_position(tmp_path, 6) == (6, 0)
    save(tmp_path, 7)
    assert checkpoints.choose_position(tmp_path, None) == (7, 0)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == [
        "5.pt", "6.optim.pt", "6.pt", "7.optim.pt", "7.pt",
    ]  # fmt: skip


def test_newest_checkpoint_is_the_one_saved_last(tmp_path):
    for epoch in (50, 100, 60):  # a run that went back to 50
        save(tmp_path, epoch)
    assert checkpoints.choose_position(tmp_path, None) == (60, 0)
    (tmp_path / "60.pt").unlink()
    assert checkpoints.choose_position(tmp_path, None) == (100, 0)
    assert checkpoints.choose_position(tmp_path, 50) == (50, 0)


def test_missing_epochs_and_runs_are_refused(tmp_path):
    with pytest.raises(UserError, match="no checkpoints of this run"):
        checkpoints.choose_position(tmp_path / "nobody", None)
    save(tmp_path, 7)
    with pytest.raises(UserError, match="epoch 8 was not saved; there are 7"):
        checkpoints.choose_position(tmp_path, 8)


def repack(path, entries, compression=zipfile.ZIP_STORED):
    """Rewrite a checkpoint with some entries changed."""
    with zipfile.ZipFile(path) as archive:
        before = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in before.items():
            archive.writestr(name, entries.get(name.split("/")[-1], content))


class Zeros:
    """A million zeros in a pickle of a few bytes."""

    def __reduce__(self):
        return bytearray, (10**6,)


@pytest.mark.parametrize(
    "swell",
    [
        lambda path, state: (torch.save(state | {"x": torch.zeros(10**6)}, path), repack(path, {}, 8)),
        lambda path, state: repack(path, {"data.pkl": pickle.dumps(Zeros(), 2)}),
        lambda path, state: torch.save(state | {"x": [torch.zeros(1).expand(10**6)]}, path),
        lambda path, state: torch.save(state | {"x": torch.zeros(10**6, device="meta")}, path),
    ],
    ids=["deflated", "zeros by their number", "a stride of 0", "no storage"],
)
def test_small_file_cannot_fill_the_memory(tmp_path, swell):
    save(tmp_path, 1)
    path = tmp_path / "1.pt"
    swell(path, torch.load(path, weights_only=True))
    assert path.stat().st_size < 10**5
    with pytest.raises(UserError, match=r"1\.pt: .* the file"):
        checkpoints.load_checkpoint(tmp_path, Position(1))


def test_full_disk_is_reported_as_such(tmp_path, monkeypatch):
    def hidden(state, file):
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 64") from None

    monkeypatch.setattr(torch, "save", hidden)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, 1)


def test_removed_setting_is_accepted_only_with_its_default(tmp_path):
    save(tmp_path, 1)
    path = checkpoints.weights_path(tmp_path, Position(1))
    for value in (0, 32):
        state = torch.load(path, weights_only=True)
        state["settings"]["discriminator_width"] = value
        torch.save(state, path)
        if value:
            with pytest.raises(UserError, match=r"discriminator_width = 32.*version 0\.1"):
                checkpoints.load_checkpoint(tmp_path, Position(1))
        else:
            assert checkpoints.load_checkpoint(tmp_path, Position(1)).config == TrainConfig()

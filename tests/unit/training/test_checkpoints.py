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


def test_what_is_saved_is_loaded(tmp_path):
    save(tmp_path, 10)
    whole = checkpoints.load_checkpoint(tmp_path, Position(10), with_optimizers=True)
    assert whole.generator["x"].tolist() == [10, 10, 10]
    assert whole.config == TrainConfig()
    assert whole.optimizers == ({"moments": 10}, {})
    assert checkpoints.load_checkpoint(tmp_path, Position(10)).optimizers is None


def test_only_the_newest_keep_the_optimizers_state_and_nothing_is_removed_twice(tmp_path, monkeypatch):
    unlink, removed = Path.unlink, []
    monkeypatch.setattr(Path, "unlink", lambda path, **_: removed.append(path.name) or unlink(path))
    for epoch in (5, 10, 15, 100):
        save(tmp_path, epoch)
    assert [name for name in removed if not name.startswith(".")] == ["5.optim.pt", "10.optim.pt"]
    assert checkpoints.saved_positions(tmp_path) == [(5, 0), (10, 0), (15, 0), (100, 0)]
    assert [has_moments(tmp_path, e) for e in (5, 10, 15, 100)] == [False, False, True, True]


def test_an_old_checkpoint_that_another_program_holds_ends_no_run(tmp_path, monkeypatch):
    def refuse(path, missing_ok=False):
        raise PermissionError(13, "held", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        for position in ((1, 0), (1, 2), (2, 0)):
            save(tmp_path, *position)
    assert checkpoints.choose_position(tmp_path, None) == (2, 0)
    assert checkpoints.choose_position(tmp_path, 1) == (1, 0)
    save(tmp_path, 3)  # the files that could not be removed are removed now
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == [
        "1.pt", "2.optim.pt", "2.pt", "3.optim.pt", "3.pt",
    ]  # fmt: skip


def test_a_stop_within_an_epoch_lasts_until_the_next_checkpoint(tmp_path):
    for position in ((5, 0), (6, 0), (6, 3)):
        save(tmp_path, *position)
    assert checkpoints.choose_position(tmp_path, None) == (6, 3)
    assert checkpoints.choose_position(tmp_path, 6) == (6, 0)
    save(tmp_path, 7)
    assert checkpoints.choose_position(tmp_path, None) == (7, 0)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == [
        "5.pt", "6.optim.pt", "6.pt", "7.optim.pt", "7.pt",
    ]  # fmt: skip


def test_the_newest_is_the_one_saved_last(tmp_path):
    for epoch in (50, 100, 60):  # a run that went back to 50
        save(tmp_path, epoch)
    assert checkpoints.choose_position(tmp_path, None) == (60, 0)
    (tmp_path / "60.pt").unlink()
    assert checkpoints.choose_position(tmp_path, None) == (100, 0)
    assert checkpoints.choose_position(tmp_path, 50) == (50, 0)


def test_a_damaged_note_of_the_latest_epoch_does_no_harm(tmp_path):
    save(tmp_path, 7)
    (tmp_path / checkpoints.LATEST).write_bytes(b"\xff?")
    assert checkpoints.choose_position(tmp_path, None) == (7, 0)


def test_missing_epochs_and_runs_are_told(tmp_path):
    with pytest.raises(UserError, match="no checkpoints of this run"):
        checkpoints.choose_position(tmp_path / "nobody", None)
    save(tmp_path, 7)
    with pytest.raises(UserError, match="epoch 8 was not saved; there are 7"):
        checkpoints.choose_position(tmp_path, 8)


class Evil:
    """Something that would run code if it were unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_foreign_code_is_refused_and_not_run(tmp_path):
    target = tmp_path / "was-run"
    torch.save({"format": checkpoints.FORMAT, "evil": Evil(target)}, tmp_path / "1.pt")
    (tmp_path / "2.pt").write_bytes(pickle.dumps(Evil(target)))
    for epoch in (1, 2):
        with pytest.raises(UserError, match="not a whole checkpoint"):
            checkpoints.load_checkpoint(tmp_path, Position(epoch))
    assert not target.exists()


def repack(path, entries, compression=zipfile.ZIP_STORED):
    """Write the entries of a checkpoint again, some of them changed."""
    with zipfile.ZipFile(path) as archive:
        before = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in before.items():
            archive.writestr(name, entries.get(name.split("/")[-1], content))


class Zeros:
    """A million zeros in a pickle of some bytes."""

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
def test_a_small_file_does_not_fill_the_memory(tmp_path, swell):
    save(tmp_path, 1)
    path = tmp_path / "1.pt"
    swell(path, torch.load(path, weights_only=True))
    assert path.stat().st_size < 10**5
    with pytest.raises(UserError, match=r"1\.pt: .* the file"):
        checkpoints.load_checkpoint(tmp_path, Position(1))


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_checkpoint_is_told(tmp_path, share):
    save(tmp_path, 3)
    whole = (tmp_path / "3.pt").read_bytes()
    (tmp_path / "3.pt").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"3\.pt: not a whole checkpoint"):
        checkpoints.load_checkpoint(tmp_path, Position(3))


def test_another_format_is_told(tmp_path):
    torch.save({"format": 99}, tmp_path / "4.pt")
    torch.save([1, 2], tmp_path / "5.pt")
    for epoch in (4, 5):
        with pytest.raises(UserError, match="not a checkpoint of this version"):
            checkpoints.load_checkpoint(tmp_path, Position(epoch))


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


def test_torchs_own_error_gives_way_to_the_systems_behind_it(tmp_path, monkeypatch):
    def hidden(state, file):
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 64") from None

    monkeypatch.setattr(torch, "save", hidden)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, 1)

    def strange(state, file):
        raise RuntimeError("unexpected pos 64")

    monkeypatch.setattr(torch, "save", strange)
    with pytest.raises(RuntimeError, match="unexpected pos"):
        save(tmp_path, 1)


def test_of_many_epochs_the_last_eight_are_named(tmp_path):
    for epoch in range(1, 9):
        save(tmp_path, epoch)
    with pytest.raises(UserError, match=r"there are 1, 2, 3, 4, 5, 6, 7, 8\."):
        checkpoints.choose_position(tmp_path, 99)
    save(tmp_path, 9)
    with pytest.raises(UserError, match=r"there are \.\.\., 2, 3, 4, 5, 6, 7, 8, 9\."):
        checkpoints.choose_position(tmp_path, 99)


def test_a_removed_setting_is_accepted_with_its_default_only(tmp_path):
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

"""The files of a run, and which runs exist."""

import contextlib
import re
import shutil

import pytest

from rasgan import files
from rasgan.errors import UserError
from rasgan.runs import Position, RunFolder, parse_position, saved_positions


def test_paths_are_those_of_the_tutorial():
    run = RunFolder("chair-1")
    assert run.grid(1000).as_posix() == "savepoint/chair-1/1000.npy"
    assert run.models.as_posix() == "savepoint/chair-1/models"
    assert run.graphs.as_posix() == "savepoint/chair-1/3D_graphs"
    assert run.checkpoints.as_posix() == "checkpoint/chair-1"


@pytest.mark.parametrize("name", ["aux", "CON", "nul", "com1", "con.txt", "LPT9.a.b", "prn .x", "com²"])
def test_names_of_windows_devices_are_refused(name):
    with pytest.raises(UserError, match="on Windows"):
        RunFolder(name)
    for longer in (f"{name[:3]}x", f"x{name}", f"{name[:3]}-1"):
        assert RunFolder(longer)


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "a\\b", "a:b", "tail ", "a\nb", 101 * "x"])
def test_names_that_cannot_be_folders_are_refused(name):
    with pytest.raises(UserError, match="use at most 100 letters"):
        RunFolder(name)
    assert RunFolder(100 * "x")


@pytest.mark.parametrize(
    ("find", "file"), [("existing", "savepoint/b/1.npy"), ("trained", "checkpoint/b/1.pt")]
)
def test_a_missing_run_names_the_others(find, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no runs here yet"):
        getattr(RunFolder("a"), find)()
    others = [
        "checkpoint/c/10.optim.pt",
        "checkpoint/d/.1-0a1b2c3d.pt",
        "checkpoint/.e/1.pt",
        "savepoint/.f/x",
    ]
    for path in (file, *others, "savepoint/pretrained-chairs/generated/12/seed0.npy", "savepoint/notes.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert getattr(RunFolder("b"), find)().name == "b"
    with pytest.raises(UserError, match=r"runs here: b\.$"):
        getattr(RunFolder("a"), find)()
    (tmp_path / "render").mkdir()
    monkeypatch.chdir("render")
    with pytest.raises(UserError, match=r"you are in render, .* Type: cd \.\.$"):
        getattr(RunFolder("b"), find)()


def test_positions_round_trip_through_text():
    assert str(Position(12)) == "12"
    assert str(Position(12, 7)) == "12+7"
    assert parse_position("12+7") == (12, 7)
    for text in ("", "x", "1.optim", "+1", "1+", "-1", "1" * 30, "²", "01", "1+0"):
        assert parse_position(text) is None


def test_only_complete_files_of_weights_are_checkpoints(tmp_path):
    others = ("11.optim.pt", ".12-0a1b2c3d.pt", ".1.optim-0a1b2c3d.pt", "07.pt")
    for name in ("10.pt", "9+3.pt", "9.pt", *others):
        (tmp_path / name).touch()
    assert saved_positions(tmp_path) == [(9, 0), (9, 3), (10, 0)]


KEPT = [
    "checkpoint/a/4.pt", "savepoint/a/4.npy", "savepoint/a/film/4.npy", "savepoint/a/plots/epochs.npy",
    "savepoint/a/models/seed0-07.obj", "savepoint/a/chairs.png",
    "savepoint/a/history.csv",
]  # fmt: skip
LATER = [
    "checkpoint/a/4+1.pt", "checkpoint/a/4+1.optim.pt", "checkpoint/a/10.pt", "checkpoint/a/10.optim.pt",
    "savepoint/a/10.npy", "savepoint/a/film/5.npy", "savepoint/a/models/10.obj", "savepoint/a/plots/10.png",
    "savepoint/a/generated/4+1/seed0-00.npy", "savepoint/a/evaluation/10.json",
]  # fmt: skip


def fill(folder):
    for name in (*KEPT, *LATER):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="ascii")
    return RunFolder("a", folder)


def contents(folder):
    files_there = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="ascii") for path in files_there}


@pytest.mark.parametrize("killed_after", [0, 1, 4, 10, 99])
def test_later_files_are_moved_even_if_the_process_is_killed(tmp_path, monkeypatch, killed_after):
    run, left = fill(tmp_path), [killed_after]

    def until_killed(transfer):
        def transferred(*paths):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return transfer(*paths)

        return transferred

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(files, "replace", until_killed(files.replace))
        patch.setattr(shutil, "copy2", until_killed(shutil.copy2))
        run.move_aside(Position(4), [run.history, run.scores])
    run.move_aside(Position(4), [run.history, run.scores])
    there = contents(tmp_path)
    assert there.keys() >= {*KEPT, "checkpoint/a/latest"}
    assert there["checkpoint/a/latest"] == "4\n"
    moved = {re.sub("replaced-[12]/", "", name): name for name in there if "replaced-" in name}
    assert moved.keys() == {*LATER, "savepoint/a/history.csv"}
    assert all(there[moved[name]] == name for name in LATER)
    assert run.move_aside(Position(4), [run.history]) == []
    fill(tmp_path)
    assert len(run.move_aside(Position(4), [])) == 2

"""Where the files of a run lie, and which runs there are."""

import pytest

from rasgan.errors import UserError
from rasgan.runs import RunFolder


def test_names_are_the_tutorials():
    run = RunFolder("chair-1")
    assert run.grid(1000).as_posix() == "savepoint/chair-1/1000.npy"
    assert run.models.as_posix() == "savepoint/chair-1/models"
    assert run.graphs.as_posix() == "savepoint/chair-1/3D_graphs"
    assert run.checkpoints.as_posix() == "checkpoint/chair-1"


def test_a_long_name_is_told_how_long_it_may_be():
    assert RunFolder("x" * 100)
    with pytest.raises(UserError, match="it has 101 characters; use at most 100"):
        RunFolder("x" * 101)


@pytest.mark.parametrize("name", ["aux", "CON", "nul", "com1", "con.txt", "LPT9.a.b", "prn .x", "com²"])
def test_names_of_windows_devices_are_refused(name):
    with pytest.raises(UserError, match="on Windows"):
        RunFolder(name)
    for longer in (f"{name[:3]}x", f"x{name}", f"{name[:3]}-1"):
        assert RunFolder(longer)


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "a\\b", "../x", "a:b", "tail ", "a\nb"])
def test_names_that_are_no_folders_are_refused(name):
    with pytest.raises(UserError, match="folder's name"):
        RunFolder(name)


@pytest.mark.parametrize(
    ("find", "file"), [("existing", "savepoint/b/1.npy"), ("trained", "checkpoint/b/1.pt")]
)
def test_a_missing_run_names_the_others(find, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no runs here yet"):
        getattr(RunFolder("a"), find)()
    for path in (file, "savepoint/pretrained-chairs/generated/12/seed0.npy", "savepoint/notes.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert getattr(RunFolder("b"), find)().name == "b"
    with pytest.raises(UserError, match=r"runs here: b\.$"):  # what is no run is not named
        getattr(RunFolder("a"), find)()
    (tmp_path / "render").mkdir()
    monkeypatch.chdir("render")
    with pytest.raises(UserError, match=r"you are in render, .* Type: cd \.\.$"):
        getattr(RunFolder("b"), find)()

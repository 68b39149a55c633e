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


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "a\\b", "../x", "a:b", "x" * 101, "tail ", "a\nb"])
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
    for path in (file, "savepoint/pretrained-chairs/generated/125/seed0.npy", "savepoint/notes.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert getattr(RunFolder("b"), find)().name == "b"
    with pytest.raises(UserError, match=r"runs here: b\.$"):  # what is no run is not named
        getattr(RunFolder("a"), find)()

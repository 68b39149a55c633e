"""download_data.py as a user types it; a local server stands for the internet."""

import io
import sys
from pathlib import Path

import pytest

import download_data
from rasgan.data import sample_chairs
from tests.made_archives import MESHES, files_in, inside, make_small, meshes, zip_of
from tests.robustness import running
from tests.web_server import Server, cut

LITTER = [("ModelNet10/.DS_Store", b"x"), ("__MACOSX/ModelNet10/._chair", b"x")]
GOOD = zip_of([*inside(MESHES), *LITTER])
WHOLE = {f"ModelNet10/{name}": content for name, content in MESHES.items()}


@pytest.fixture
def server(monkeypatch):
    """Yield a server that has GOOD, which is the pinned ModelNet10 of these tests."""
    with Server(GOOD) as server:
        make_small(
            monkeypatch, urls=(server.url,), packed_bytes=len(GOOD), is_exact=True, unpacked_bytes=9000
        )
        yield server


@pytest.fixture
def small_sample(monkeypatch):
    """Make a sample set of three chairs."""

    def write(folder, train, progress):
        return write_sample_set(folder, train=train, test=1, progress=progress)

    write_sample_set = sample_chairs.write_sample_set
    monkeypatch.setattr(sample_chairs, "write_sample_set", write)
    monkeypatch.setattr(sample_chairs, "TRAIN", 2)
    monkeypatch.setattr(sample_chairs, "TEST", 1)


def run(place: Path, *options: object) -> int:
    return download_data.main([*map(str, options), "--dir", str(place)])


def get(place: Path, *options: object) -> int:
    return run(place, "--dataset", "modelnet10", "--yes", *options)


def answer(monkeypatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_downloads_unpacks_and_removes_the_archive(server, tmp_path, capsys):
    place = tmp_path / "data"
    assert get(place) == 0
    assert files_in(tmp_path / "data") == WHOLE
    assert [path.name for path in place.iterdir()] == ["ModelNet10"]
    assert f"Next:\n  python convert_data.py -m {place / 'ModelNet10' / 'chair'}\n" in capsys.readouterr().out


def test_a_data_set_that_is_there_is_left_alone_and_nothing_is_asked(server, tmp_path, capsys):
    mine = {"ModelNet10/chair/train/a.off": b"OFF", "ModelNet10.zip": GOOD}
    (tmp_path / "ModelNet10" / "chair" / "train").mkdir(parents=True)
    for name, content in mine.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / ".ModelNet10.lock").touch()  # as a killed run leaves it
    assert run(tmp_path, "--dataset", "modelnet10") == 0
    assert "already there: nothing to do" in capsys.readouterr().out
    assert files_in(tmp_path) == mine
    assert server.requests == []


@pytest.mark.parametrize("litter", [(), (".DS_Store",), (".DS_Store", "._ModelNet10")])
def test_a_folder_that_is_empty_but_for_litter_is_not_taken_for_a_data_set(server, tmp_path, litter):
    (tmp_path / "ModelNet10").mkdir()
    for name in litter:
        (tmp_path / "ModelNet10" / name).write_bytes(b"x")
    assert get(tmp_path) == 0
    assert files_in(tmp_path) == WHOLE


@pytest.mark.parametrize("name", ["readme.txt", "chair/a.off", "chair/train/a.txt", "chair/train/._a.off"])
def test_a_folder_of_something_else_is_told_and_left_alone(server, tmp_path, capsys, name):
    (tmp_path / "ModelNet10" / name).parent.mkdir(parents=True)
    (tmp_path / "ModelNet10" / name).write_bytes(b"mine")
    assert get(tmp_path) == 1
    error = capsys.readouterr().err
    assert f"{tmp_path / 'ModelNet10'}: holds no CLASS/train/*.off" in error
    assert "remove or rename it, then run the same command again" in error
    assert files_in(tmp_path) == {f"ModelNet10/{name}": b"mine"}
    assert server.requests == []


def test_asks_as_the_tutorial_does(server, tmp_path, monkeypatch, capsys):
    answer(monkeypatch, "", "7", "1", "y")
    assert run(tmp_path) == 0
    out = capsys.readouterr().out
    assert "Type 1, 2 or 3, then press Enter: Nothing was typed." in out
    assert "'7' is not one of them." in out
    assert "Download it? [y/N]" in out
    assert files_in(tmp_path) == WHOLE


@pytest.mark.parametrize("reply", ["n", "", "no", "perhaps"])
def test_only_a_yes_downloads(server, tmp_path, monkeypatch, capsys, reply):
    answer(monkeypatch, reply)
    assert run(tmp_path, "--dataset", "modelnet40") == 0
    out = capsys.readouterr().out
    assert "2.0 GB to download, up to 10.0 GB on disk" in out
    assert "Nothing was downloaded." in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [[], ["--dataset", "modelnet10"]])
def test_nobody_there_to_answer(server, tmp_path, monkeypatch, capsys, options):
    answer(monkeypatch)
    assert run(tmp_path, *options) == 1
    assert "--dataset modelnet10 --yes" in capsys.readouterr().err


def test_the_third_choice_makes_chairs_and_downloads_nothing(
    server, small_sample, tmp_path, monkeypatch, capsys
):
    answer(monkeypatch, "3")
    assert run(tmp_path) == 0
    assert sorted(files_in(tmp_path)) == [
        "SampleChairs/chair/test/chair_0003.off",
        "SampleChairs/chair/train/chair_0001.off",
        "SampleChairs/chair/train/chair_0002.off",
    ]
    assert "3 chairs made, 0 were already there" in capsys.readouterr().out
    assert run(tmp_path, "--dataset", "sample") == 0
    assert "0 chairs made, 3 were already there" in capsys.readouterr().out
    assert server.requests == []


def test_more_sample_chairs_to_train_on_leave_the_test_chairs_what_they_are(small_sample, tmp_path, capsys):
    assert run(tmp_path, "--dataset", "sample") == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.off")}
    assert run(tmp_path, "--dataset", "sample", "--count", "4") == 0
    assert "2 chairs made, 3 were already there" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in before} == before
    added = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.off")} - {
        path.relative_to(tmp_path).as_posix() for path in before
    }
    assert added == {f"SampleChairs/chair/train/chair_000{number}.off" for number in (4, 5)}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dataset", "modelnet10", "--count", "600"], "--count goes with --dataset sample"),
        (["--dataset", "sample", "--count", "20"], "must be at least"),
    ],
)
def test_a_count_that_cannot_be_is_refused(tmp_path, capsys, options, said):
    with pytest.raises(SystemExit):
        run(tmp_path, *options)
    assert said in capsys.readouterr().err


def test_the_question_after_archive_offers_no_sample(server, tmp_path, monkeypatch, capsys):
    archive = tmp_path / "mine.zip"
    archive.write_bytes(GOOD)
    answer(monkeypatch, "3", "1")
    assert run(tmp_path / "data", "--archive", archive) == 0
    out = capsys.readouterr().out
    assert "Type 1 or 2, then press Enter: '3' is not one of them." in out
    assert "Sample chairs" not in out
    assert files_in(tmp_path / "data") == WHOLE


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (GOOD, 0, ""),
        (GOOD[:300], 1, "mine.zip: damaged"),
        (zip_of(meshes({"Chair"}).items()), 1, "not ModelNet10: it has no class 'Chair'"),
        (
            zip_of(meshes(download_data.MODELNET40.classes.split()).items()),
            1,
            "not ModelNet10: it is ModelNet40. Choose the data set that it holds with --dataset.",
        ),
    ],
)
@pytest.mark.parametrize("is_named", [True, False])
def test_an_archive_of_the_users_is_unpacked_and_always_kept(
    server, tmp_path, capsys, content, code, says, is_named
):
    place = tmp_path / "data"
    place.mkdir()
    archive = tmp_path / "mine.zip" if is_named else place / "ModelNet10.zip"  # found by its name
    archive.write_bytes(content)
    assert get(place, *(["--archive", archive] if is_named else [])) == code
    error = capsys.readouterr().err
    assert says.removeprefix("mine.zip") in error
    assert error.count("\n") == code
    archive.rename(tmp_path / "kept")
    assert files_in(place) == ({} if code else WHOLE)
    assert (tmp_path / "kept").read_bytes() == content
    assert server.requests == []


def test_an_archive_of_modelnet10_is_not_taken_for_modelnet40(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 10**12}))
    (tmp_path / "mine.zip").write_bytes(GOOD)
    command = ["--dataset", "modelnet40", "--archive", tmp_path / "mine.zip"]
    assert run(tmp_path / "data", *command) == 1
    assert "not ModelNet40: it is ModelNet10" in capsys.readouterr().err
    assert list((tmp_path / "data").iterdir()) == []


def test_an_archive_of_some_of_the_classes_will_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 10**12}))
    (tmp_path / "mine.zip").write_bytes(zip_of(meshes({"lamp", "piano"}).items()))
    assert run(tmp_path / "data", "--dataset", "modelnet40", "--archive", tmp_path / "mine.zip") == 0
    said = capsys.readouterr().out
    assert "The archive lacks 38 of ModelNet40's 40 classes: airplane, bathtub, bed, " in said
    assert f"python convert_data.py -m {tmp_path / 'data' / 'ModelNet40' / 'lamp'}" in said


def test_a_download_that_turns_out_bad_is_not_left(server, tmp_path, capsys):
    server.body = GOOD[:5000] + bytes(100) + GOOD[5100:]
    assert get(tmp_path) == 1
    assert f"{tmp_path / 'ModelNet10.part' / 'ModelNet10.zip'}: damaged" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_download_of_another_length_than_the_pinned_one_is_refused(server, tmp_path, capsys):
    server.body = GOOD + b"x"
    assert get(tmp_path) == 1
    error = capsys.readouterr().err
    assert f"has {len(GOOD) + 1} bytes, not the {len(GOOD)} of the file that is wanted" in error
    assert error.endswith("Or get the file another way and name it with --archive.\n")
    assert get(tmp_path, "--url", server.url + ".own") == 0  # whose length nobody knows
    assert server.requests[-1]["path"] == "/ModelNet10.zip.own"


def test_the_same_command_goes_on_where_a_broken_download_stopped(server, tmp_path, capsys):
    server.always = cut(3000)
    assert get(tmp_path) == 1
    assert "(it goes on where this one stopped)" in capsys.readouterr().err
    server.requests.clear()
    server.always = Server.serve
    assert get(tmp_path) == 0
    assert server.ranges() == [3000]
    assert files_in(tmp_path) == WHOLE


@pytest.mark.parametrize(
    "options",
    [
        ["--dataset", "modelnet11"],
        ["--url", "ftp://example.org/a.zip"],
        ["--url", "http://example.org/a.zip", "--archive", "a.zip"],
        ["--dataset", "sample", "--url", "http://example.org/a.zip"],
        ["--dataset", "sample", "--archive", "a.zip"],
    ],
)
def test_wrong_usage(options, capsys):
    with pytest.raises(SystemExit) as caught:
        download_data.main(options)
    assert caught.value.code == 2
    assert "error" in capsys.readouterr().err


def test_an_archive_that_is_not_there(tmp_path, capsys):
    assert get(tmp_path, "--archive", tmp_path / "no.zip") == 1
    assert "no.zip: no such file; check the path given with --archive." in capsys.readouterr().err


def test_a_file_where_the_folder_goes(server, tmp_path, capsys):
    (tmp_path / "ModelNet10").write_bytes(b"mine")
    assert get(tmp_path) == 1
    assert "rename it" in capsys.readouterr().err
    assert files_in(tmp_path) == {"ModelNet10": b"mine"}


def test_a_disk_without_room_is_told_before_the_download_and_what_has_come_counts(
    server, tmp_path, monkeypatch, capsys
):
    free = 9000 + len(GOOD) - 1
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": free}))
    assert get(tmp_path) == 1
    assert capsys.readouterr().err.endswith("free some space. Or choose another place with --dir.\n")
    assert server.requests == []
    free += 1
    server.always = cut(3000)
    assert get(tmp_path) == 1
    server.always = Server.serve
    free -= 3000
    assert get(tmp_path) == 0


def test_the_addresses_and_the_lengths():
    for dataset in (download_data.MODELNET10, download_data.MODELNET40):
        assert len(set(dataset.urls)) == len(dataset.urls) >= 2
        assert all(url.startswith(("http://", "https://")) for url in dataset.urls)
        assert dataset.example in dataset.classes.split()
    assert download_data.MODELNET10.is_exact
    assert download_data.MODELNET10.packed_bytes == 473_402_300
    assert len(set(download_data.MODELNET10.classes.split())) == 10
    assert len(set(download_data.MODELNET40.classes.split())) == 40


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["--dataset", "modelnet10"], 1), (["--dir"], 2)]
)
def test_as_a_program(tmp_path, arguments, code):
    result = running.run("download_data.py", arguments, tmp_path)
    assert result.code == code
    assert "Traceback" not in result.err
    assert list(tmp_path.iterdir()) == []

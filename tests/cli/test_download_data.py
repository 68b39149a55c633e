"""download_data.py as a user types it, with a local server in place of the internet."""

import functools
import io
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

import convert_data
import download_data
from rasgan.data import sample_chairs
from rasgan.voxel_io import read_raw
from tests.made_archives import MESHES, files_in, inside, make_small, meshes, zip_of
from tests.robustness import running
from tests.web_server import Server, cut

GOOD = zip_of([*inside(MESHES), ("__MACOSX/ModelNet10/._chair", b"x")])
WHOLE = {f"ModelNet10/{name}": content for name, content in MESHES.items()}


@pytest.fixture
def server(monkeypatch):
    """Yield a server of GOOD, which is the expected ModelNet10 in these tests."""
    with Server(GOOD) as server:
        make_small(
            monkeypatch, urls=(server.url,), packed_bytes=len(GOOD), is_exact=True, unpacked_bytes=9000
        )
        yield server


@pytest.fixture
def small_sample(monkeypatch):
    """Make a sample set of three chairs."""

    write = functools.partial(sample_chairs.write_sample_set, test=1)
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
    assert f"convert_data.py -m {place / 'ModelNet10' / 'chair'}\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["ModelNet10/chair/train/._a.off", "ModelNet10"])
def test_something_else_in_the_place_of_the_data_set_is_refused(server, tmp_path, capsys, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"mine")
    assert get(tmp_path) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'ModelNet10'}: ")
    assert "delete or rename it" in error
    assert files_in(tmp_path) == {name: b"mine"}
    assert server.requests == []


def test_asks_as_the_tutorial_does(server, tmp_path, monkeypatch, capsys):
    answer(monkeypatch, "", "7", "1", "y")
    assert run(tmp_path) == 0
    out = capsys.readouterr().out
    assert "Type 1, 2, 3 or 4, then press Enter: " in out
    assert "'7' is not one of these numbers." in out
    assert "Download it? [y/N]" in out
    assert files_in(tmp_path) == WHOLE


@pytest.mark.parametrize("reply", ["n", "", "perhaps"])
def test_nothing_is_downloaded_without_a_yes(server, tmp_path, monkeypatch, capsys, reply):
    answer(monkeypatch, reply)
    assert run(tmp_path, "--dataset", "modelnet40") == 0
    out = capsys.readouterr().out
    assert "2.0 GB to download, up to 10.0 GB on disk" in out
    assert "Nothing was downloaded." in out
    assert list(tmp_path.iterdir()) == []


def test_questions_without_an_answer_end_with_the_options(server, tmp_path, monkeypatch, capsys):
    answer(monkeypatch)
    assert run(tmp_path) == 1
    assert "--dataset modelnet10 --yes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("choice", "kind", "options"), [("3", "chair", ()), ("4", "table", ("--class", "table"))]
)
def test_samples_are_generated_without_a_download(
    server, small_sample, tmp_path, monkeypatch, capsys, choice, kind, options
):
    answer(monkeypatch, choice)
    assert run(tmp_path) == 0
    assert sorted(files_in(tmp_path)) == [
        f"Sample{kind.title()}s/{kind}/{part}/{kind}_000{number}.off"
        for part, number in (("test", 3), ("train", 1), ("train", 2))
    ]
    assert f"3 {kind}s generated, 0 already existed" in capsys.readouterr().out
    assert run(tmp_path, "--dataset", "sample", *options) == 0
    assert f"0 {kind}s generated, 3 already existed" in capsys.readouterr().out
    assert server.requests == []


def test_the_test_chairs_are_the_same_for_every_number_of_training_chairs(small_sample, tmp_path):
    def made(count):
        assert run(tmp_path / str(count), "--dataset", "sample", "--count", count) == 0
        return files_in(tmp_path / str(count) / "SampleChairs" / "chair")

    few, many = made(1), made(4)
    assert sorted(few) == ["test/chair_0003.off", "train/chair_0001.off"]
    assert sorted(many) == ["test/chair_0003.off"] + [f"train/chair_000{k}.off" for k in (1, 2, 4, 5)]
    assert few.items() <= many.items()


def test_the_next_command_centers_the_chairs(small_sample, tmp_path, monkeypatch, capsys):
    """Only centered shapes can be mirror-symmetric; the pretrained model was trained on such chairs."""
    monkeypatch.chdir(tmp_path)
    assert download_data.main(["--dataset", "sample", "--count", "2"]) == 0
    command = capsys.readouterr().out.splitlines()[-1]
    assert convert_data.main([*shlex.split(command)[2:], "-j", "1"]) == 0
    for path in tmp_path.rglob("*.raw"):
        where = np.argwhere(read_raw(path))
        assert np.abs(where.min(axis=0) + where.max(axis=0) - 63).max() <= 1


def test_with_an_archive_the_question_offers_no_samples(server, tmp_path, monkeypatch, capsys):
    archive = tmp_path / "mine.zip"
    archive.write_bytes(GOOD)
    answer(monkeypatch, "3", "1")
    assert run(tmp_path / "data", "--archive", archive) == 0
    out = capsys.readouterr().out
    assert "Type 1 or 2, then press Enter: '3' is not one of these numbers." in out
    assert "Sample chairs" not in out
    assert files_in(tmp_path / "data") == WHOLE


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (GOOD, ""),
        (GOOD[:300], "mine.zip: damaged"),
        (zip_of(meshes(map(str, range(40))).items()), "it has 40 classes, not 10. Choose the right data set"),
    ],
)
def test_an_archive_of_the_user_is_unpacked_and_kept(server, tmp_path, capsys, content, says):
    archive = tmp_path / "mine.zip"
    archive.write_bytes(content)
    assert get(tmp_path / "data", "--archive", archive) == bool(says)
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == bool(says)
    assert files_in(tmp_path / "data") == ({} if says else WHOLE)
    assert archive.read_bytes() == content
    assert server.requests == []


def test_an_archive_may_have_fewer_classes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 10**12}))
    (tmp_path / "mine.zip").write_bytes(zip_of(meshes({"lamp", "piano"}).items()))
    assert run(tmp_path / "data", "--dataset", "modelnet40", "--archive", tmp_path / "mine.zip") == 0
    said = capsys.readouterr().out
    assert "The archive has only 2 of ModelNet40's 40 classes." in said
    assert f"convert_data.py -m {tmp_path / 'data' / 'ModelNet40' / 'lamp'}" in said


def test_a_download_with_another_length_or_content_is_refused(server, tmp_path, capsys):
    server.body = GOOD[:5000] + bytes(100) + GOOD[5100:]
    assert get(tmp_path) == 1
    assert f"{tmp_path / 'ModelNet10.part' / 'ModelNet10.zip'}: damaged" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    server.body = GOOD + b"x"
    assert get(tmp_path) == 1
    error = capsys.readouterr().err
    assert f"has {len(GOOD) + 1} bytes, not the expected {len(GOOD)}" in error
    assert error.endswith("Or get the file another way and name it with --archive.\n")
    assert get(tmp_path, "--url", server.url + ".own") == 0  # of unknown length
    assert server.requests[-1]["path"] == "/ModelNet10.zip.own"


@pytest.mark.parametrize(
    "options",
    [
        ["--url", "ftp://example.org/a.zip"],
        ["--url", "http://example.org/a.zip", "--archive", "a.zip"],
        ["--dataset", "sample", "--url", "http://example.org/a.zip"],
        ["--dataset", "modelnet10", "--count", "600"],
        ["--dataset", "sample", "--count", "9001"],
    ],
)
def test_wrong_usage(options, capsys):
    with pytest.raises(SystemExit) as caught:
        download_data.main(options)
    assert caught.value.code == 2
    assert "error" in capsys.readouterr().err


def test_a_disk_without_room_is_reported_before_the_download_and_partial_data_count(
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


def test_as_a_program(tmp_path):
    result = running.run("download_data.py", ["--archive", "no.zip"], tmp_path)
    assert result.code == 1
    assert result.err == "error: no.zip: no such file; check the path after --archive.\n"
    assert list(tmp_path.iterdir()) == []

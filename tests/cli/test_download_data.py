"""download_data.py as a user types it; a local server stands for the internet."""

import dataclasses
import http.server
import io
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

import download_data
from rasgan.data import download, sample_chairs

ROOT = Path(__file__).parents[2]


def make_zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


GOOD = make_zip(
    {
        "ModelNet10/chair/train/chair_0001.off": b"OFF\n" + b"0 " * 500,
        "ModelNet10/chair/test/chair_0890.off": b"OFF\n",
        "ModelNet10/.DS_Store": b"x",
        "__MACOSX/ModelNet10/._chair": b"x",
    }
)


@pytest.fixture
def server(monkeypatch):
    """Give a server that has GOOD at /ModelNet10.zip and nothing else, with `asked`, the paths asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            is_known = self.path == "/ModelNet10.zip"
            self.send_response(200 if is_known else 404)
            self.send_header("Content-Length", str(len(served.body) if is_known else 0))
            self.end_headers()
            self.wfile.write(served.body if is_known else b"")

        def log_message(self, *args):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asked = []
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.daemon_threads = True
    served.body, served.asked = GOOD, asked
    served.url = f"http://127.0.0.1:{served.server_address[1]}/ModelNet10.zip"
    threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
    small = {
        name: dataclasses.replace(dataset, urls=(served.url,), unpacked_bytes=10_000, packed_bytes=5_000)
        for name, dataset in download_data.DATASETS.items()
    }
    monkeypatch.setattr(download_data, "DATASETS", small)
    quick = download.Patience(connect_s=2, stall_s=2, tries=2, pause_s=0)
    monkeypatch.setattr(download, "Patience", lambda: quick)
    yield served
    served.shutdown()
    served.server_close()


@pytest.fixture
def small_sample(monkeypatch):
    """Make a sample set of three chairs."""

    def write(folder, progress):
        return sample_chairs_write(folder, train=2, test=1, progress=progress)

    sample_chairs_write = sample_chairs.write_sample_set
    monkeypatch.setattr(sample_chairs, "write_sample_set", write)
    monkeypatch.setattr(sample_chairs, "TRAIN", 2)
    monkeypatch.setattr(sample_chairs, "TEST", 1)


def answer(monkeypatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def contents(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


MESHES = ["ModelNet10/chair/test/chair_0890.off", "ModelNet10/chair/train/chair_0001.off"]


def test_downloads_unpacks_and_removes_the_archive(server, tmp_path, capsys):
    assert download_data.main(["--dataset", "modelnet10", "--yes", "--dir", str(tmp_path / "data")]) == 0
    assert contents(tmp_path / "data") == MESHES
    out = capsys.readouterr().out
    assert f"python convert_data.py -m {tmp_path / 'data' / 'ModelNet10' / 'chair'}" in out


def test_a_second_run_finds_it_there_and_asks_nothing(server, tmp_path, capsys):
    command = ["--dataset", "modelnet10", "--dir", str(tmp_path)]
    assert download_data.main([*command, "--yes"]) == 0
    assert download_data.main(command) == 0
    assert "already there" in capsys.readouterr().out
    assert len(server.asked) == 1


def test_an_empty_folder_is_not_taken_for_a_data_set(server, tmp_path):
    (tmp_path / "ModelNet10").mkdir()
    assert download_data.main(["--dataset", "modelnet10", "--yes", "--dir", str(tmp_path)]) == 0
    assert contents(tmp_path) == MESHES


def test_asks_as_the_tutorial_does(server, tmp_path, monkeypatch, capsys):
    answer(monkeypatch, "", "7", "1", "y")
    assert download_data.main(["--dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "Nothing was typed." in out
    assert "'7' is not one of them." in out
    assert "Download it? [y/N]" in out
    assert contents(tmp_path) == MESHES


@pytest.mark.parametrize("reply", ["n", "", "no", "perhaps"])
def test_only_a_yes_downloads(server, tmp_path, monkeypatch, capsys, reply):
    answer(monkeypatch, reply)
    assert download_data.main(["--dataset", "modelnet40", "--dir", str(tmp_path)]) == 0
    assert "Nothing was downloaded." in capsys.readouterr().out
    assert server.asked == []
    assert contents(tmp_path) == []


@pytest.mark.parametrize("options", [[], ["--dataset", "modelnet10"]])
def test_nobody_there_to_answer(server, tmp_path, monkeypatch, capsys, options):
    answer(monkeypatch)
    assert download_data.main([*options, "--dir", str(tmp_path)]) == 1
    assert "--dataset modelnet10 --yes" in capsys.readouterr().err


def test_the_third_choice_makes_chairs_and_downloads_nothing(
    server, small_sample, tmp_path, monkeypatch, capsys
):
    answer(monkeypatch, "3")
    assert download_data.main(["--dir", str(tmp_path)]) == 0
    assert contents(tmp_path) == [
        "SampleChairs/chair/test/chair_0003.off",
        "SampleChairs/chair/train/chair_0001.off",
        "SampleChairs/chair/train/chair_0002.off",
    ]
    assert "3 chairs made, 0 were already there" in capsys.readouterr().out
    assert download_data.main(["--dataset", "sample", "--dir", str(tmp_path)]) == 0
    assert "0 chairs made, 3 were already there" in capsys.readouterr().out
    assert server.asked == []


def test_an_archive_of_the_users_is_unpacked_and_kept(server, tmp_path):
    archive = tmp_path / "mine.zip"
    archive.write_bytes(GOOD)
    command = ["--dataset", "modelnet10", "--archive", str(archive), "--dir", str(tmp_path / "data")]
    assert download_data.main(command) == 0
    assert contents(tmp_path / "data") == MESHES
    assert archive.read_bytes() == GOOD
    assert server.asked == []


def test_a_damaged_archive_of_the_users_is_kept_too(server, tmp_path, capsys):
    archive = tmp_path / "mine.zip"
    archive.write_bytes(GOOD[:300])
    command = ["--dataset", "modelnet10", "--archive", str(archive), "--dir", str(tmp_path / "data")]
    assert download_data.main(command) == 1
    error = capsys.readouterr().err
    assert "mine.zip: damaged" in error
    assert error.count("\n") == 1
    assert archive.exists()
    assert contents(tmp_path / "data") == []


def test_an_archive_under_the_usual_name_is_used_and_kept(server, tmp_path):
    (tmp_path / "ModelNet10.zip").write_bytes(GOOD)
    assert download_data.main(["--dataset", "modelnet10", "--yes", "--dir", str(tmp_path)]) == 0
    assert contents(tmp_path) == ["ModelNet10.zip", *MESHES]
    assert server.asked == []


def test_a_run_killed_before_unpacking_is_finished_without_the_server(server, tmp_path):
    download.fetch([server.url], tmp_path / "ModelNet10.zip")
    assert download_data.main(["--dataset", "modelnet10", "--yes", "--dir", str(tmp_path)]) == 0
    assert contents(tmp_path) == MESHES
    assert len(server.asked) == 1


def test_a_download_that_turns_out_bad_is_not_left(server, tmp_path, capsys):
    server.body = make_zip({"../evil.off": b"x", "chair/train/a.off": b"x"})
    assert download_data.main(["--dataset", "modelnet10", "--yes", "--dir", str(tmp_path / "data")]) == 1
    assert "leads out of the folder" in capsys.readouterr().err
    assert contents(tmp_path) == []


def test_another_address(server, tmp_path, capsys):
    command = ["--dataset", "modelnet40", "--yes", "--dir", str(tmp_path)]
    assert download_data.main([*command, "--url", server.url + ".not"]) == 1
    assert "error 404" in capsys.readouterr().err
    assert download_data.main([*command, "--url", server.url]) == 0
    assert contents(tmp_path) == [name.replace("ModelNet10", "ModelNet40") for name in MESHES]


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
    assert download_data.main(["--dataset", "modelnet10", "--archive", str(tmp_path / "no.zip")]) == 1
    assert "no.zip: no such file" in capsys.readouterr().err


def test_a_file_where_the_folder_goes(server, tmp_path, capsys):
    (tmp_path / "ModelNet10").write_bytes(b"mine")
    assert download_data.main(["--dataset", "modelnet10", "--yes", "--dir", str(tmp_path)]) == 1
    assert "rename it" in capsys.readouterr().err
    assert contents(tmp_path) == ["ModelNet10"]


def test_a_disk_without_room_is_told_before_the_download(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 14_999}))
    assert download_data.main(["--dataset", "modelnet10", "--yes", "--dir", str(tmp_path)]) == 1
    assert "are free" in capsys.readouterr().err
    assert server.asked == []


def test_the_question_after_archive_offers_no_sample(server, tmp_path, monkeypatch, capsys):
    archive = tmp_path / "mine.zip"
    archive.write_bytes(GOOD)
    answer(monkeypatch, "3", "1")
    assert download_data.main(["--archive", str(archive), "--dir", str(tmp_path / "data")]) == 0
    assert "Sample chairs" not in capsys.readouterr().out
    assert contents(tmp_path / "data") == MESHES


def test_the_addresses_are_whole():
    for dataset in download_data.DATASETS.values():
        assert len(set(dataset.urls)) == len(dataset.urls) >= 2
        assert all(url.startswith(("http://", "https://")) for url in dataset.urls)


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["--dataset", "modelnet10"], 1), (["--dir"], 2)]
)
def test_as_a_program(tmp_path, arguments, code):
    command = [sys.executable, str(ROOT / "download_data.py"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert result.returncode == code
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convert_to_graph

SCRIPT = Path(convert_to_graph.__file__).resolve()


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Work in an empty folder, without a display."""
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


@pytest.fixture
def run(place):
    folder = place / "savepoint" / "chair-1"
    folder.mkdir(parents=True)
    for epoch in (2, 10):
        grid = np.zeros((8, 8, 8), np.float32)
        grid[2:5, : epoch // 2, 3] = 1
        np.save(folder / f"{epoch}.npy", grid)
    return folder


@pytest.fixture
def drawn(monkeypatch):
    """Record what is drawn instead of drawing it."""
    calls = []

    def draw(path, scores, title, colormap, threshold):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture")
        calls.append((path.as_posix(), scores.shape, title, colormap, threshold))

    monkeypatch.setattr(convert_to_graph, "draw_scatter", draw)
    return calls


def test_a_file_becomes_a_picture_in_3d_graphs(run, capsys):
    assert convert_to_graph.main(["-f", str(run / "10.npy")]) == 0
    with Image.open("3D_graphs/10.png") as image:
        assert image.size == (640, 640)
    assert str(Path("3D_graphs/10.png")) in capsys.readouterr().out


def test_only_the_last_suffix_is_exchanged(run, drawn):
    (run / "10.npy").rename(run / "run.v1.npy")
    assert convert_to_graph.main(["-f", str(run / "run.v1.npy")]) == 0
    assert drawn[0][0] == "3D_graphs/run.v1.png"


PAGES_COLORMAPS = ["copper", "viridis", "plasma", "winter", "cool", "ocean", "inferno", "coolwarm"]


@pytest.mark.parametrize(
    ("options", "colormap"),
    [([], "viridis"), *[(["-c", str(number)], name) for number, name in enumerate(PAGES_COLORMAPS)]],
)
def test_colormaps_are_the_pages(run, drawn, options, colormap):
    assert convert_to_graph.main(["-f", str(run / "10.npy"), *options]) == 0
    assert drawn == [("3D_graphs/10.png", (8, 8, 8), None, colormap, 0.3)]


def test_a_run_is_drawn_by_epoch_and_only_what_is_missing(run, drawn, capsys):
    assert convert_to_graph.main(["-n", "chair-1", "--title", "--threshold", "0.5"]) == 0
    folder = "savepoint/chair-1/3D_graphs"
    expected = [(f"{folder}/{epoch}.png", (8, 8, 8), f"epoch {epoch}", "viridis", 0.5) for epoch in (2, 10)]
    assert drawn == expected
    assert "2 drawn, 0 already there, 0 failed" in capsys.readouterr().out

    (run / "3D_graphs" / "2.png").unlink()
    (run / "3D_graphs" / "10.png").write_bytes(b"mine")
    assert convert_to_graph.main(["-n", "chair-1"]) == 0
    assert [call[0] for call in drawn[2:]] == [f"{folder}/2.png"]
    assert (run / "3D_graphs" / "10.png").read_bytes() == b"mine"

    assert convert_to_graph.main(["-n", "chair-1"]) == 0
    assert "rename or remove" in capsys.readouterr().out


def test_one_bad_file_does_not_stop_the_others(run, drawn, capsys):
    (run / "5.npy").write_bytes(b"junk")
    assert convert_to_graph.main(["-n", "chair-1"]) == 1
    assert len(drawn) == 2
    captured = capsys.readouterr()
    assert "5.npy" in captured.err
    assert "2 drawn, 0 already there, 1 failed" in captured.out
    assert not (run / "3D_graphs" / "5.png").exists()


def test_a_batch_gives_its_first_shape(run, drawn):
    np.save(run / "10.npy", np.zeros((3, 1, 8, 8, 8), np.float32))
    assert convert_to_graph.main(["-f", str(run / "10.npy")]) == 0
    assert drawn[0][1] == (8, 8, 8)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-n", "chair-2"], "runs here: chair-1, new"),
        (["-f", "nowhere.npy"], "nowhere.npy"),
        (["-f", "savepoint/chair-1"], "chair-1"),
        (["-n", "new"], "holds no .npy file yet"),
    ],
)
def test_problems_are_one_sentence_and_exit_code_1(run, options, says, capsys):
    (run.parent / "new").mkdir()
    assert convert_to_graph.main(options) == 1
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert not Path("3D_graphs").exists()


def test_without_any_run_the_sentence_says_so(capsys):
    assert convert_to_graph.main(["-n", "chair-1"]) == 1
    assert "no runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [[], ["-n", "a", "-f", "b"], ["-f", "b", "-c", "8"], ["-f", "b", "-c", "x"]]
)
def test_wrong_usage_is_exit_code_2(options):
    with pytest.raises(SystemExit) as ended:
        convert_to_graph.main(options)
    assert ended.value.code == 2


@pytest.fixture
def viewers(monkeypatch):
    """Record the viewers that would be started; any program is found."""
    started = []
    monkeypatch.setattr(convert_to_graph.subprocess, "Popen", lambda command, **_: started.append(command))
    monkeypatch.setattr(convert_to_graph.shutil, "which", lambda name: f"/bin/{name}")
    return started


def test_a_window_opens_with_a_display_only(run, drawn, viewers, monkeypatch):
    assert convert_to_graph.main(["-f", str(run / "10.npy")]) == 0
    assert viewers == []
    monkeypatch.setenv("DISPLAY", ":0")
    assert convert_to_graph.main(["-f", str(run / "10.npy")]) == 0
    assert viewers == [["/bin/xdg-open", str(Path("3D_graphs/10.png").resolve())]]
    assert convert_to_graph.main(["-n", "chair-1"]) == 0
    assert len(viewers) == 1


def test_a_missing_viewer_is_no_problem(run, drawn, viewers, monkeypatch):
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setattr(convert_to_graph.shutil, "which", lambda name: None)
    assert convert_to_graph.main(["-f", str(run / "10.npy")]) == 0
    assert viewers == []


def test_the_script_runs_without_torch(run, tmp_path):
    check = (
        "import runpy, sys\n"
        "sys.argv = sys.argv[1:]\n"
        "try:\n"
        "    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally:\n"
        "    assert 'torch' not in sys.modules\n"
    )
    command = [sys.executable, "-c", check, str(SCRIPT), "-n", "chair-1"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parent)}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in (run / "3D_graphs").iterdir()) == ["10.png", "2.png"]

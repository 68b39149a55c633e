import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convert_to_graph


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

    class Recorder:
        def __init__(self, colormap, threshold):
            self.look = colormap, threshold

        def draw(self, path, scores, title):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"picture")
            calls.append((path.as_posix(), scores.shape, title, *self.look))

    monkeypatch.setattr(convert_to_graph, "ScatterPlots", Recorder)
    return calls


@pytest.fixture
def overviews(monkeypatch):
    """Record what sheets and films are made of instead of making them."""
    calls = []

    def sheet(path, grids, columns, labels):
        calls.append((path.as_posix(), [int(grid.sum()) for grid in grids], columns, labels))

    def film(path, grids, captions, frame_ms):
        calls.append((path.as_posix(), [int(grid.sum()) for grid in grids], frame_ms, captions))

    monkeypatch.setattr(convert_to_graph, "contact_sheet", sheet)
    monkeypatch.setattr(convert_to_graph, "draw_film", film)
    return calls


@pytest.fixture
def long_run(place):
    """A run of 300 epochs; epoch 10 i has i voxels."""
    folder = place / "savepoint" / "long"
    folder.mkdir(parents=True)
    for i in range(1, 31):
        grid = np.zeros((8, 8, 8), np.float32)
        grid.ravel()[:i] = 1
        np.save(folder / f"{10 * i}.npy", grid)
    return folder


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


def test_every_shape_of_a_batch_is_drawn(run, drawn, viewers, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    np.save(run / "10.npy", np.zeros((2, 2, 8, 8, 8), np.float32))
    assert convert_to_graph.main(["-f", str(run / "10.npy"), "--title"]) == 0
    assert [call[0] for call in drawn] == [f"3D_graphs/10-0{i}.png" for i in range(4)]
    assert [call[2] for call in drawn] == [f"epoch 10, {i}" for i in range(4)]
    assert viewers == []  # no four windows


def test_a_batch_of_one_is_one_shape(run, drawn):
    np.save(run / "10.npy", np.zeros((1, 1, 8, 8, 8), np.float32))
    assert convert_to_graph.main(["-f", str(run / "10.npy")]) == 0
    assert [call[0] for call in drawn] == ["3D_graphs/10.png"]


def test_a_folder_of_voxel_files_is_drawn_and_what_is_there_kept(run, drawn, capsys):
    (run / "7.raw").write_bytes(bytes(8**3))
    (run / "notes.txt").write_text("not voxels", encoding="utf-8")
    (run / "5.npy").write_bytes(b"junk")
    assert convert_to_graph.main(["-f", str(run)]) == 1
    assert [call[0] for call in drawn] == [f"3D_graphs/chair-1/{epoch}.png" for epoch in (2, 7, 10)]
    assert "5.npy" in capsys.readouterr().err
    (run / "5.npy").unlink()
    assert convert_to_graph.main(["-f", str(run)]) == 0
    assert "0 drawn, 3 already there, 0 failed" in capsys.readouterr().out


def test_two_files_that_would_become_one_picture_are_refused(run, drawn, capsys):
    (run / "10.raw").write_bytes(bytes(8**3))
    assert convert_to_graph.main(["-f", str(run)]) == 1
    assert "'10'" in capsys.readouterr().err
    assert drawn == []


def test_epochs_restrict_the_plots(long_run, drawn):
    assert convert_to_graph.main(["-n", "long", "--epochs", "95-120"]) == 0
    assert [Path(call[0]).stem for call in drawn] == ["100", "110", "120"]
    assert convert_to_graph.main(["-n", "long", "--epochs", "30"]) == 0
    assert Path(drawn[3][0]).stem == "30"


# --- the sheet


def test_the_sheet_shows_ten_random_epochs_in_order(long_run, overviews):
    for options in (["--seed", "0"], [], ["--seed", "1"]):
        assert convert_to_graph.main(["-n", "long", "--sheet", *options]) == 0
    (path, voxels, columns, labels), again, other = overviews
    assert path == "savepoint/long/sheet.png"
    assert len(set(voxels)) == 10
    assert voxels == sorted(voxels)
    assert columns == 5
    assert labels == [f"epoch {10 * i}" for i in voxels]
    assert again[1] == voxels
    assert other[1] != voxels


def test_the_sheets_size_epochs_and_threshold(long_run, overviews):
    options = ["--sheet", "3X2", "--epochs", "110-200", "--threshold", "1.5"]
    assert convert_to_graph.main(["-n", "long", *options]) == 0
    ((path, voxels, columns, labels),) = overviews
    assert path == "savepoint/long/sheet-110-200.png"
    assert columns == 2
    assert len(labels) == 6
    assert all(110 <= int(label.split()[1]) <= 200 for label in labels)
    assert voxels == [0] * 6  # no score is above 1.5


def test_the_sheet_of_a_small_batch_shows_all_of_it(place, overviews, viewers, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    np.save("seed5.npy", np.tril(np.ones((8, 8)))[:3, None, None] * np.ones((8, 8, 1)))
    assert convert_to_graph.main(["-f", "seed5.npy", "--sheet"]) == 0
    assert overviews == [
        ("3D_graphs/seed5-sheet.png", [64, 128, 192], 5, ["seed5, 0", "seed5, 1", "seed5, 2"])
    ]
    assert viewers == [["/bin/xdg-open", str(Path("3D_graphs/seed5-sheet.png").resolve())]]


def test_a_real_sheet(run):
    assert convert_to_graph.main(["-n", "chair-1", "--sheet"]) == 0
    with Image.open(run / "sheet.png") as sheet:
        is_clay = np.ptp(np.asarray(sheet.convert("RGB")).astype(int), axis=2) > 40
    small, large = np.array_split(is_clay, 2, axis=1)
    assert 100 < small.sum() < large.sum()  # epochs 2 and 10


# --- the film


def test_the_film_shows_all_epochs_in_order(long_run, overviews):
    assert convert_to_graph.main(["-n", "long", "--gif"]) == 0
    ((path, voxels, frame_ms, captions),) = overviews
    assert path == "savepoint/long/training.gif"
    assert voxels == list(range(1, 31))
    assert captions == [f"epoch {10 * i}" for i in voxels]
    assert frame_ms == 330  # ten seconds in all


def test_a_film_of_few_shapes_is_slow(long_run, overviews):
    assert convert_to_graph.main(["-n", "long", "--gif", "--epochs", "100-130"]) == 0
    ((path, voxels, frame_ms, _),) = overviews
    assert path == "savepoint/long/training-100-130.gif"
    assert voxels == [10, 11, 12, 13]
    assert frame_ms == 500


def test_a_long_film_is_thinned_out_evenly_to_120_frames(run, overviews):
    for epoch in range(239):
        np.save(run / f"{epoch}.npy", np.arange(8**3).reshape(8, 8, 8) < epoch)
    assert convert_to_graph.main(["-n", "chair-1", "--gif"]) == 0
    ((_, voxels, frame_ms, _),) = overviews
    assert voxels == list(range(0, 239, 2))
    assert frame_ms == 80


def test_a_shape_that_cannot_be_read_is_left_out_of_the_film(long_run, overviews, capsys):
    (long_run / "50.npy").write_bytes(b"junk")
    assert convert_to_graph.main(["-n", "long", "--gif"]) == 1
    assert len(overviews[0][1]) == 29
    captured = capsys.readouterr()
    assert "50.npy" in captured.err
    assert "29 of 30 shapes" in captured.out


def test_a_real_film_of_a_folder(run):
    assert convert_to_graph.main(["-f", str(run), "--gif"]) == 0
    with Image.open("3D_graphs/chair-1.gif") as film:
        assert film.n_frames == 2


def test_one_shape_makes_no_film(run, capsys):
    assert convert_to_graph.main(["-f", str(run / "10.npy"), "--gif"]) == 1
    assert "two shapes or more" in capsys.readouterr().err
    assert not Path("3D_graphs/10.gif").exists()


# --- problems


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-n", "chair-2"], "runs here: chair-1, new"),
        (["-f", "nowhere.npy"], "nowhere.npy"),
        (["-f", "savepoint/new"], "holds no .raw, .npy, .binvox file"),
        (
            ["-n", "chair-1", "--epochs", "3-9"],
            "--epochs: no shape of an epoch from 3 to 9; those here go from 2 to 10",
        ),
        (["-f", "seed5.npy", "--epochs", "3-9"], "no file here is named by one"),
        (["-f", "junk.npy", "--sheet"], "junk.npy"),
        (["-n", "new"], "holds no .npy file; train longer"),
    ],
)
def test_problems_are_one_sentence_and_exit_code_1(run, options, says, capsys):
    (run.parent / "new").mkdir()
    np.save("seed5.npy", np.zeros((2, 8, 8, 8)))
    Path("junk.npy").write_bytes(b"junk")
    assert convert_to_graph.main(options) == 1
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert not Path("3D_graphs").exists()


def test_without_any_run_the_sentence_says_so(capsys):
    assert convert_to_graph.main(["-n", "chair-1"]) == 1
    assert "no runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-n", "a", "-f", "b"],
        *(["-n", "a", "-c", colormap] for colormap in ("8", "x")),
        *(["-n", "a", "--sheet", size] for size in ("2", "0x5", "2x21", "x")),
        *(["-n", "a", "--epochs", epochs] for epochs in ("9-3", "a", "3-", "-3")),
        ["-n", "a", "--sheet", "--gif"],
        ["-n", "a", "--sheet", "-c", "1"],
        ["-n", "a", "--gif", "--title"],
    ],
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

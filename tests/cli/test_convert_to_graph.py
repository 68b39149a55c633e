"""Tests of convert_to_graph.py: plots, sheets, films and file names. Bad input is in tests/robustness."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convert_to_graph
from rasgan import cli

main = convert_to_graph.main


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Work in an empty folder, without a display."""
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")


def make_run(voxels):
    """Create the run chair-1, given the number of voxels at each epoch."""
    folder = Path("savepoint", "chair-1").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for epoch, count in voxels.items():
        grid = np.arange(8**3, dtype=np.float32).reshape(8, 8, 8)
        np.save(folder / f"{epoch}.npy", (grid < count).astype(np.float32))
    return folder


@pytest.fixture
def run(place):
    return make_run({2: 8, 10: 64})


@pytest.fixture
def drawn(monkeypatch):
    """Record what is drawn instead of drawing it."""
    calls = []

    def record(path, scores, title, colormap, threshold):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture")
        calls.append((path.as_posix(), scores.shape, title, colormap, threshold))

    monkeypatch.setattr(convert_to_graph, "draw_scatter", record)
    return calls


@pytest.fixture
def overviews(monkeypatch):
    """Record the path, voxels, labels and columns or milliseconds of sheets and films."""
    calls = []

    def sheet(path, grids, columns=None, labels=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture")
        calls.append((path.as_posix(), [int(grid.sum()) for grid in grids], list(labels), columns))

    def film(path, grids, captions, frame_ms):
        sheet(path, grids, frame_ms, captions)

    monkeypatch.setattr(convert_to_graph, "contact_sheet", sheet)
    monkeypatch.setattr(convert_to_graph, "draw_film", film)
    return calls


@pytest.fixture
def viewers(monkeypatch):
    """Record viewers instead of starting them; there is a display, and every program is found."""
    started = []
    monkeypatch.setattr(cli.subprocess, "Popen", lambda command, **_: started.append(command))
    monkeypatch.setattr(cli.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setenv("DISPLAY", ":0")
    return started


def test_a_file_is_drawn_to_3d_graphs(run, capsys):
    (run / "10.npy").rename(run / "run.v1.npy")
    assert main(["-f", str(run / "run.v1.npy")]) == 0
    with Image.open("3D_graphs/run.v1.png") as image:
        assert image.size == (640, 640)
    assert capsys.readouterr().out == f"wrote {Path('3D_graphs/run.v1.png')}\n"


TUTORIAL_COLORMAPS = ["copper", "viridis", "plasma", "winter", "cool", "ocean", "inferno", "coolwarm"]


@pytest.mark.parametrize(
    ("options", "colormap"),
    [([], "viridis"), *[(["-c", str(number)], name) for number, name in enumerate(TUTORIAL_COLORMAPS)]],
)
def test_colormaps_have_the_numbers_of_the_tutorial(run, drawn, options, colormap):
    assert main(["-f", str(run / "10.npy"), *options]) == 0
    assert drawn == [("3D_graphs/10.png", (8, 8, 8), None, colormap, 0.3)]


def test_a_run_is_drawn_by_epoch_without_existing_plots(run, drawn, capsys):
    (run / "5.npy").write_bytes(b"junk")
    assert main(["-n", "chair-1", "--title", "--threshold", "0.5"]) == 1
    folder = "savepoint/chair-1/3D_graphs"
    expected = [(f"{folder}/{epoch}.png", (8, 8, 8), f"epoch {epoch}", "viridis", 0.5) for epoch in (2, 10)]
    assert drawn == expected
    said = capsys.readouterr()
    assert "2 drawn, 0 already there, 1 failed" in said.out
    assert "5.npy" in said.err

    (run / "5.npy").unlink()
    (run / "3D_graphs" / "2.png").unlink()
    (run / "3D_graphs" / "10.png").write_bytes(b"mine")
    assert main(["-n", "chair-1"]) == 0
    assert [call[0] for call in drawn[2:]] == [f"{folder}/2.png"]
    assert (run / "3D_graphs" / "10.png").read_bytes() == b"mine"

    assert main(["-n", "chair-1"]) == 0
    assert "rename or delete" in capsys.readouterr().out


@pytest.mark.parametrize("shapes", [4, 1])
def test_every_shape_of_a_batch_is_drawn(run, drawn, viewers, shapes):
    np.save(run / "10.npy", np.zeros((1, shapes, 8, 8, 8), np.float32))
    assert main(["-f", str(run / "10.npy"), "--title"]) == 0
    numbers = range(shapes) if shapes > 1 else []
    names = [f"10-0{i}" for i in numbers] or ["10"]
    assert [call[0] for call in drawn] == [f"3D_graphs/{name}.png" for name in names]
    assert [call[2] for call in drawn] == ([f"epoch 10, {i}" for i in numbers] or ["epoch 10"])
    assert len(viewers) == (shapes == 1)  # not four windows


@pytest.mark.parametrize(("epochs", "drawn_epochs"), [("95-120", [100, 110, 120]), ("100", [100])])
def test_epochs_selects_the_plots(drawn, epochs, drawn_epochs):
    make_run(dict.fromkeys(range(80, 150, 10), 1))
    assert main(["-n", "chair-1", "--epochs", epochs]) == 0
    assert [int(Path(call[0]).stem) for call in drawn] == drawn_epochs


# --- sheets and films


@pytest.fixture
def long_run(place):
    return make_run({10 * i: i for i in range(1, 31)})


def test_a_sheet_shows_ten_random_epochs_in_order(long_run, overviews):
    for options in (["--seed", "0"], [], ["--seed", "1"]):
        assert main(["-n", "chair-1", "--sheet", *options]) == 0
    first, again, other = overviews
    path, voxels, labels, columns = first
    assert (path, columns) == ("savepoint/chair-1/sheet.png", 5)
    assert len(set(voxels)) == 10
    assert voxels == sorted(voxels)
    assert labels == [f"epoch {10 * i}" for i in voxels]
    assert first == again != other


def test_a_sheet_has_the_requested_size_epochs_and_threshold(long_run, overviews):
    options = ["--sheet", "3X2", "--epochs", "110-200", "--threshold", "1.5"]
    assert main(["-n", "chair-1", *options]) == 0
    ((path, voxels, labels, columns),) = overviews
    assert (path, columns) == ("savepoint/chair-1/sheet-110-200.png", 2)
    assert len(labels) == 6
    assert all(110 <= int(label.split()[1]) <= 200 for label in labels)
    assert voxels == [0] * 6  # no score is above 1.5


def test_a_sheet_of_a_small_batch_shows_all_shapes(overviews, viewers):
    np.save("seed5.npy", np.tril(np.ones((8, 8)))[:3, None, None] * np.ones((8, 8, 1)))
    assert main(["-f", "seed5.npy", "--sheet"]) == 0
    path = "3D_graphs/seed5-sheet.png"
    assert overviews == [(path, [64, 128, 192], ["seed5, 0", "seed5, 1", "seed5, 2"], None)]
    assert viewers == [["/bin/xdg-open", str(Path(path).resolve())]]


@pytest.mark.parametrize(
    ("options", "name", "shown", "frame_ms"),
    [
        ([], "training.gif", range(1, 31), 330),  # ten seconds in all
        (["--epochs", "100-130"], "training-100-130.gif", range(10, 14), 500),  # short films are slow
    ],
)
def test_a_film_shows_all_epochs_in_order(long_run, overviews, options, name, shown, frame_ms):
    assert main(["-n", "chair-1", "--gif", *options]) == 0
    labels = [f"epoch {10 * i}" for i in shown]
    assert overviews == [(f"savepoint/chair-1/{name}", list(shown), labels, frame_ms)]


def test_a_film_shows_one_latent_vector_if_the_run_saved_it_at_every_epoch(overviews):
    run = make_run({1: 10, 2: 20})
    (run / "film").mkdir()
    for epoch, expected in ((1, [10, 20]), (2, [3, 3])):  # at first, epoch 2 is missing in film/
        grid = np.zeros((8, 8, 8), bool)
        grid.ravel()[:3] = True
        np.save(run / "film" / f"{epoch}.npy", grid)
        assert main(["-n", "chair-1", "--gif"]) == 0
        assert overviews[-1][1] == expected


# --- problems and windows


WRONG = [
    "--sheet 2",
    "--sheet 2x21",
    "--epochs a",
    "--epochs 3-",
    "--sheet --gif",
    "--sheet -c 1",
    "--gif --title",
]


@pytest.mark.parametrize("options", WRONG)
def test_invalid_options_exit_with_code_2(options):
    with pytest.raises(SystemExit) as ended:
        main(["-n", "a", *options.split()])
    assert ended.value.code == 2


def test_a_viewer_opens_only_for_a_single_file_with_a_display(run, drawn, viewers, monkeypatch):
    command = ["-f", str(run / "10.npy")]
    assert main(["-n", "chair-1"]) == 0
    monkeypatch.delenv("DISPLAY")
    assert main(command) == 0
    assert viewers == []
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert main(command) == 0
    assert viewers == [["/bin/xdg-open", str(Path("3D_graphs/10.png").resolve())]]
    monkeypatch.setattr(cli.shutil, "which", lambda name: None)
    assert main(command) == 0
    assert len(viewers) == 1

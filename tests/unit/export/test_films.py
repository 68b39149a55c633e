"""Films: size, order, timing, a camera that stands still, clean colors."""

import numpy as np
import pytest
from PIL import Image

from rasgan.errors import UserError
from rasgan.export.gif import draw_film, write_gif


def frames_of(path):
    with Image.open(path) as film:
        frames, durations = [], []
        for number in range(film.n_frames):
            film.seek(number)
            frames.append(np.asarray(film.convert("RGB")).astype(int))
            durations.append(film.info["duration"])
        assert film.info["loop"] == 0
    return np.array(frames), durations


@pytest.fixture
def growing():
    """Three towers in one place, each higher than the one before."""
    grids = np.zeros((3, 16, 16, 16), bool)
    for number in range(3):
        grids[number, 5:9, : 4 * (number + 1), 5:9] = True
    return grids


def is_clay(frames):
    return np.ptp(frames, axis=-1) > 50


def test_the_camera_stands_still(tmp_path, growing):
    draw_film(tmp_path / "film.gif", growing, ["a", "b", "c"], 120)
    frames, durations = frames_of(tmp_path / "film.gif")
    assert len(frames) == 3
    assert durations == [120, 120, 2000]
    tops, bottoms = zip(*[np.flatnonzero(clay.any(axis=1))[[0, -1]] for clay in is_clay(frames)], strict=True)
    assert len(set(bottoms)) == 1
    steps = -np.diff(tops)
    assert steps[0] == pytest.approx(steps[1], abs=1)
    assert steps[0] == pytest.approx(4 * 6 * 4 / 2, abs=1)  # voxels, pixels a voxel, scale, shrunk


def test_the_background_is_white_and_the_canvas_cropped(tmp_path, growing):
    draw_film(tmp_path / "film.gif", growing, ["", "", ""], 100)
    frames, _ = frames_of(tmp_path / "film.gif")
    assert (frames[:, :10] == 255).all()
    assert (frames[:, :, :10] == 255).all()
    drawn = (frames < 250).any(axis=(0, 3))
    assert np.flatnonzero(drawn.any(axis=1))[0] == pytest.approx(16, abs=1)
    assert np.flatnonzero(drawn.any(axis=0))[0] == pytest.approx(16, abs=1)


def test_captions_are_below_and_empty_frames_white(tmp_path, growing):
    growing[0] = False
    draw_film(tmp_path / "film.gif", growing, ["epoch 10", "", ""], 100)
    frames, _ = frames_of(tmp_path / "film.gif")
    dark = (frames < 128).all(axis=3)
    assert not dark[0, :-34].any()
    assert dark[0, -34:].sum() > 50
    assert not dark[1, -34:].any()
    assert (frames[0, :-34] == 255).all()


def test_a_film_of_nothing_is_white(tmp_path):
    draw_film(tmp_path / "film.gif", np.zeros((2, 8, 8, 8), bool), ["a", "b"], 100)
    frames, _ = frames_of(tmp_path / "film.gif")
    assert len(frames) == 2


@pytest.mark.parametrize(
    ("grids", "says"),
    [([np.ones((8, 8, 8), bool)], "two shapes"), ([np.ones((n, n, n), bool) for n in (8, 9)], "sizes")],
)
def test_what_makes_no_film_is_one_sentence(tmp_path, grids, says):
    with pytest.raises(UserError, match=says):
        draw_film(tmp_path / "film.gif", grids, ["a"] * len(grids), 100)
    assert list(tmp_path.iterdir()) == []


def test_few_colors_come_back_as_they_were(tmp_path, rng):
    colors = np.array([[255, 255, 255], [200, 40, 40], [0, 0, 255], [252, 252, 252]], np.uint8)
    frames = colors[rng.integers(4, size=(5, 30, 40))]
    frames[:, 0, 0] = np.arange(0, 250, 50)[:, None]  # no two frames alike
    write_gif(tmp_path / "film.gif", list(frames), [50] * 5)
    ours, durations = frames_of(tmp_path / "film.gif")
    assert durations == [50] * 5
    white = (frames == 255).all(axis=3)
    assert (ours[white] == 255).all()
    assert np.abs(ours - frames).max() <= 4  # six bits of a color


def test_a_failed_write_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="bad duration"):
        write_gif(tmp_path / "film.gif", [np.zeros((4, 4, 3), np.uint8)] * 2, Stubborn())
    assert list(tmp_path.iterdir()) == []


class Stubborn:
    """Durations that cannot be listed."""

    def __iter__(self):
        raise ValueError("bad duration")

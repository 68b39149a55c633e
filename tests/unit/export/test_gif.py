"""Tests of GIFs and of films of shapes."""

import numpy as np
import pytest
from PIL import Image

from rasgan.errors import UserError
from rasgan.export.gif import draw_film, write_gif

GREEN = (0, 200, 10)


def read(path):
    """Return the (f, h, w, 3) frames and how long each is shown, in milliseconds."""
    frames, durations = [], []
    with Image.open(path) as film:
        for number in range(film.n_frames):
            film.seek(number)
            frames.append(np.asarray(film.convert("RGB")).astype(int))
            durations.append(film.info["duration"])
        assert film.info["loop"] == 0  # forever
    return np.array(frames), durations


@pytest.fixture
def growing():
    """Return three towers of increasing height in the same place."""
    grids = np.zeros((3, 16, 16, 16), bool)
    for number in range(3):
        grids[number, 5:9, : 4 * (number + 1), 5:9] = True
    return grids


# --- any frames


def test_few_colors_and_the_durations_are_preserved(tmp_path, rng):
    colors = rng.integers(0, 256, (100, 3)).astype(np.uint8)
    frames = colors[rng.integers(0, 100, (3, 20, 30))]
    frames[:, :5] = 255
    frames[1:, 10:] = frames[0, 10:]
    write_gif(tmp_path / "film.gif", frames, [100, 200, 300])
    came, durations = read(tmp_path / "film.gif")
    assert durations == [100, 200, 300]
    assert np.abs(came - frames).max() <= 4  # Pillow looks up six bits of a color
    assert (came[:, :5] == 255).all()
    assert (came[:, 10:] == came[0, 10:]).all()


@pytest.mark.parametrize("background", [(255, 255, 255), GREEN])
def test_the_background_is_exact_among_ten_thousand_similar_colors(tmp_path, rng, background):
    frames = np.clip(np.array(background) + rng.integers(-15, 16, (4, 60, 60, 3)), 0, 255).astype(np.uint8)
    frames[:, :30] = background
    write_gif(tmp_path / "film.gif", list(frames), [50] * 4, background)
    came, _ = read(tmp_path / "film.gif")
    assert (came[:, :30] == background).all()
    assert (np.abs(came - frames).mean(axis=(1, 2, 3)) < 4).all()


# --- films of shapes


def test_the_camera_does_not_move(tmp_path, growing):
    draw_film(tmp_path / "film.gif", growing, ["a", "b", "c"], 120)
    frames, durations = read(tmp_path / "film.gif")
    assert durations == [120, 120, 2000]
    clay = np.ptp(frames, axis=-1) > 50
    tops, bottoms = zip(*[np.flatnonzero(rows)[[0, -1]] for rows in clay.any(axis=2)], strict=True)
    assert len(set(bottoms)) == 1
    step = 4 * 6 * 4 / 2  # voxels, pixels a voxel, scale, shrunk
    assert -np.diff(tops) == pytest.approx(step, abs=1)


def test_a_film_has_a_white_margin_and_its_captions_below(tmp_path, growing):
    growing[0] = False
    draw_film(tmp_path / "film.gif", growing, ["epoch 10", "", ""], 100)
    frames, _ = read(tmp_path / "film.gif")
    pictures, captions = frames[:, :-34], frames[:, -34:]
    drawn = (pictures < 250).any(axis=(0, 3))
    for axis in (0, 1):
        assert np.flatnonzero(drawn.any(axis=1 - axis))[0] == pytest.approx(16, abs=1)
    assert (pictures[0] == 255).all()
    dark = (captions < 128).all(axis=3).sum(axis=(1, 2))
    assert dark[0] > 50
    assert dark[1:].tolist() == [0, 0]


def test_a_film_of_empty_grids_is_white(tmp_path):
    draw_film(tmp_path / "film.gif", np.zeros((2, 8, 8, 8), bool), ["a", "b"], 100)
    frames, _ = read(tmp_path / "film.gif")
    assert len(frames) == 2
    assert (frames[:, :-34] == 255).all()


@pytest.mark.parametrize(
    ("grids", "says"),
    [([np.ones((8, 8, 8), bool)], "two shapes"), ([np.ones((n, n, n), bool) for n in (8, 9)], "sizes")],
)
def test_single_shapes_and_different_sizes_are_refused(tmp_path, grids, says):
    with pytest.raises(UserError, match=says):
        draw_film(tmp_path / "film.gif", grids, ["a"] * len(grids), 100)
    assert list(tmp_path.iterdir()) == []

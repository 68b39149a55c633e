import numpy as np
import pytest
from PIL import Image, ImageSequence

from rasgan.export.gif import write_gif

GREEN = (0, 200, 10)


def read(path):
    with Image.open(path) as film:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]
        return frames, film.info.get("loop")


def test_few_colors_come_back_exactly(tmp_path, rng):
    colors = rng.integers(0, 256, (100, 3)).astype(np.uint8)
    frames = colors[rng.integers(0, 100, (3, 20, 30))]
    frames[:, :5] = 255
    write_gif(tmp_path / "film.gif", frames, [100, 200, 300])
    came, loop = read(tmp_path / "film.gif")
    assert loop == 0  # for ever
    assert np.abs(np.array(came).astype(int) - frames).max() <= 4  # Pillow looks up six bits of a color
    assert all((frame[:5] == 255).all() for frame in came)
    with Image.open(tmp_path / "film.gif") as film:
        assert [film.seek(i) or film.info["duration"] for i in range(3)] == [100, 200, 300]


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), GREEN])
def test_the_background_stays_as_it_is_among_ten_thousand_near_colors(tmp_path, rng, background):
    frames = np.clip(np.array(background) + rng.integers(-15, 16, (4, 60, 60, 3)), 0, 255).astype(np.uint8)
    frames[:, :30] = background
    write_gif(tmp_path / "film.gif", list(frames), [50] * 4, background)
    for frame, came in zip(frames, read(tmp_path / "film.gif")[0], strict=True):
        assert (came[:30] == background).all()
        assert np.abs(came.astype(int) - frame).mean() < 4


def test_a_film_of_nothing_but_background(tmp_path):
    frames = [np.full((8, 8, 3), GREEN, np.uint8)] * 2
    write_gif(tmp_path / "film.gif", frames, [50, 50], GREEN)
    assert (read(tmp_path / "film.gif")[0][0] == GREEN).all()


def test_what_does_not_move_has_the_same_color_in_every_frame(tmp_path, rng):
    frames = rng.integers(0, 256, (5, 40, 40, 3)).astype(np.uint8)
    frames[1:, :20] = frames[0, :20]
    write_gif(tmp_path / "film.gif", list(frames), [50] * 5)
    came, _ = read(tmp_path / "film.gif")
    assert all((frame[:20] == came[0][:20]).all() for frame in came)


def test_a_failed_write_leaves_the_old_film(tmp_path):
    (tmp_path / "film.gif").write_bytes(b"old")
    frames = [np.zeros((8, 8, 3), np.uint8), np.ones((8, 8, 3), np.uint8)]
    with pytest.raises(TypeError):
        write_gif(tmp_path / "film.gif", frames, ["soon", "later"])
    assert (tmp_path / "film.gif").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["film.gif"]

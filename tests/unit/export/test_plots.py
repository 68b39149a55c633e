"""Pictures: that they appear whole, show what they should, and quickly."""

import time

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from rasgan.export import plots, shading
from rasgan.export.plots import (
    ScatterPlots,
    contact_sheet,
    draw_losses,
    draw_scatter,
)


@pytest.fixture
def chair():
    """A stool with a back: the back at high axis 2, so that the front is in view."""
    grid = np.zeros((16, 16, 16), bool)
    grid[3:13, 6:8, 3:13] = True
    for i in (3, 11):
        for k in (3, 11):
            grid[i : i + 2, :6, k : k + 2] = True
    grid[3:13, 8:15, 11:13] = True
    return grid


@pytest.fixture
def shown(monkeypatch):
    """Keep each figure as it is saved, so that a test can look at what is in it."""
    kept = []
    save = plots.save_figure

    def keep_and_save(figure, *args, **kwargs):
        kept.append(figure)
        save(figure, *args, **kwargs)

    monkeypatch.setattr(plots, "save_figure", keep_and_save)
    return kept


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


# --- the loss curves


@pytest.mark.parametrize("steps", [0, 1, 50, 51, 500])
def test_losses_are_smoothed_from_51_steps_on(tmp_path, shown, steps, rng):
    losses = 1 + rng.random(steps)
    draw_losses(tmp_path / "plots" / "1.png", np.arange(steps) / 10, losses, losses + 1)
    (axes,) = shown[0].axes
    assert len(axes.lines) == (4 if steps >= 51 else 2)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["discriminator", "generator"]
    assert pixels(tmp_path / "plots" / "1.png").shape == (540, 960, 3)


def test_losses_follow_the_original(tmp_path, shown, rng):
    epochs, losses_d, losses_g = np.arange(300) / 37, rng.random(300), 3 * rng.random(300)
    losses_validation = rng.random(300) + 1
    draw_losses(tmp_path / "1.png", epochs, losses_d, losses_g, losses_validation, (0.0025, 0.00005))
    (axes,) = shown[0].axes
    seen = np.concatenate([losses_d, losses_g, losses_validation])
    assert axes.get_ylim() == pytest.approx((0, 1.6 * np.percentile(seen, 99)))
    assert "0.0025" in axes.get_title()
    assert "5e-05" in axes.get_title()
    assert len(axes.lines) == 6
    raw = axes.lines[0]
    assert np.array_equal(raw.get_xdata(), epochs)
    assert np.array_equal(raw.get_ydata(), losses_d)


def test_losses_that_are_not_finite_leave_a_gap(tmp_path, shown):
    losses = np.ones(100)
    losses[[3, 50]] = np.nan, np.inf
    draw_losses(tmp_path / "1.png", np.arange(100), losses, np.ones(100), np.full(100, np.nan))
    (axes,) = shown[0].axes
    assert np.isnan(axes.lines[0].get_ydata()).sum() == 2
    assert np.isfinite(axes.lines[1].get_ydata()).all()
    assert axes.get_ylim() == pytest.approx((0, 1.6))


def test_negative_losses_are_in_the_picture(tmp_path, shown):
    losses = np.linspace(-10, -1, 60)
    draw_losses(tmp_path / "1.png", np.arange(60), losses, losses)
    low, high = shown[0].axes[0].get_ylim()
    assert low < -10
    assert high >= -1


def test_a_hundred_thousand_steps_take_seconds(tmp_path, rng):
    losses = rng.random(100_000)
    start = time.perf_counter()
    draw_losses(tmp_path / "1.png", np.arange(100_000) / 37, losses, losses + 1, losses + 2)
    assert time.perf_counter() - start < 10  # 0.6 s on an idle core


# --- the scatter plot


def test_scatter_shows_axes_0_2_1_colored_by_height(tmp_path, shown):
    scores = np.zeros((8, 8, 8))
    scores[1, 2, 3] = scores[6, 7, 5] = 1
    ScatterPlots("plasma").draw(tmp_path / "1.png", scores, title="epoch 10")
    (axes,) = shown[0].axes
    (points,) = axes.collections
    x, y, z = (np.asarray(part) for part in points._offsets3d)
    assert x.tolist() == [1.5, 6.5]
    assert y.tolist() == [3.5, 5.5]
    assert z.tolist() == [2.5, 7.5]
    assert points.get_array().tolist() == [2.5, 7.5]
    assert points.get_cmap().name == "plasma"
    assert axes.get_xlim() == axes.get_ylim() == axes.get_zlim() == (0, 8)
    assert [text.get_text() for text in shown[0].texts] == ["epoch 10"]


def test_scatter_of_nothing_says_so(tmp_path, shown):
    draw_scatter(tmp_path / "1.png", np.zeros((8, 8, 8)))
    assert [text.get_text() for text in shown[0].axes[0].texts] == ["no voxel is occupied"]
    assert shown[0].texts == []
    assert pixels(tmp_path / "1.png").shape == (640, 640, 3)


def test_scatter_takes_any_title(tmp_path):
    draw_scatter(tmp_path / "1.png", np.ones((4, 4, 4), bool), title="$5 a {chair")


def test_one_figure_draws_what_new_figures_would(tmp_path, chair):
    """Whatever was drawn before: another shape, size, title, or nothing at all."""
    plots = ScatterPlots("winter", threshold=0.6)
    big = np.linspace(0, 1, 24**3).reshape(24, 24, 24)
    for number, (grid, title) in enumerate(
        [(big, "a"), (chair, None), (0 * big, "b"), (chair, "c"), (big, None)]
    ):
        reused, new = tmp_path / f"{number}.png", tmp_path / f"new{number}.png"
        plots.draw(reused, grid, title)
        ScatterPlots("winter", threshold=0.6).draw(new, grid, title)
        assert reused.read_bytes() == new.read_bytes()


def test_a_scatter_plot_at_64_cubed_is_quick(tmp_path, chair):
    grid = chair.repeat(4, 0).repeat(4, 1).repeat(4, 2)
    plots = ScatterPlots()
    plots.draw(tmp_path / "1.png", grid)
    start = time.perf_counter()
    plots.draw(tmp_path / "1.png", grid)
    assert time.perf_counter() - start < 1.5  # 0.15 s on an idle core


# --- the contact sheet


@pytest.mark.parametrize(("shapes", "columns", "rows"), [(1, 1, 1), (5, 5, 1), (10, 5, 2), (11, 5, 3)])
def test_sheet_has_a_cell_for_every_shape(tmp_path, chair, shapes, columns, rows):
    contact_sheet(tmp_path / "one.png", [chair])
    contact_sheet(tmp_path / "all.png", [chair] * shapes)
    height, width, _ = pixels(tmp_path / "one.png").shape
    all_height, all_width, _ = pixels(tmp_path / "all.png").shape
    assert all_width == pytest.approx(columns * (width - 24) + 24, abs=1)
    assert all_height == pytest.approx(rows * (height - 24) + 24, abs=1)


def test_sheet_takes_scores_empty_grids_labels_and_mixed_sizes(tmp_path, chair, shown):
    grids = [chair.astype(np.float32) - 0.5, np.zeros((16, 16, 16)), np.ones((3, 3, 3), bool)]
    contact_sheet(tmp_path / "1.png", grids, labels=["a", "$b", "c"])
    assert [text.get_text() for text in shown[0].texts] == ["a", "empty", "$b", "c"]
    picture = pixels(tmp_path / "1.png")
    third = picture.shape[1] // 3
    clay = np.ptp(picture, axis=2) > 40
    assert clay[:, :third].sum() > 1000
    assert not clay[:, third : 2 * third].any()


def test_sheet_draws_a_shape_as_large_at_every_resolution(tmp_path, chair):
    sizes = []
    for times in (1, 2, 4, 8):
        grid = chair.repeat(times, 0).repeat(times, 1).repeat(times, 2)
        contact_sheet(tmp_path / "1.png", [grid])
        clay = np.ptp(pixels(tmp_path / "1.png"), axis=2) > 40
        sizes.append(np.ptp(np.argwhere(clay), axis=0))
    assert np.ptp(sizes, axis=0).max() <= 3


def test_ten_shapes_at_64_cubed_are_quick_and_small(tmp_path, chair):
    grid = chair.repeat(4, 0).repeat(4, 1).repeat(4, 2)
    start = time.perf_counter()
    contact_sheet(tmp_path / "1.png", [grid] * 10)
    assert time.perf_counter() - start < 15  # about 1 s on an idle core
    assert (tmp_path / "1.png").stat().st_size < 300_000


def test_long_labels_are_shortened_in_the_middle(tmp_path, shown, chair):
    label = "scan-of-the-old-chair-in-the-attic-0017"
    contact_sheet(tmp_path / "1.png", [chair] * 5, labels=[label] * 4 + ["short"])
    long, *_, short = (text for text in shown[0].texts)
    assert short.get_text() == "short"
    assert long.get_text().startswith("scan-of")
    assert long.get_text().endswith("-0017")
    picture = pixels(tmp_path / "1.png")
    extent = long.get_window_extent()
    assert extent.width < picture.shape[1] / 5


def test_sheets_of_specks_are_drawn_smaller_until_the_file_is_small(tmp_path, rng, chair, monkeypatch):
    shrinks = []
    draw = shading.smooth_picture
    monkeypatch.setattr(
        shading, "smooth_picture", lambda shape, shrink: shrinks.append(shrink) or draw(shape, shrink)
    )
    contact_sheet(tmp_path / "1.png", [chair] * 10)
    assert set(shrinks) == {2}
    contact_sheet(tmp_path / "2.png", list(rng.random((10, 32, 32, 32)) < 0.1))
    assert set(shrinks) > {2}
    assert (tmp_path / "2.png").stat().st_size <= 300_000


# --- the shaded picture of one shape


def slow_picture(grid):
    """Fill the three sides of every voxel, far ones first, with how bright each is in full light."""
    edges = shading.EDGES
    low = -np.minimum(edges, 0).T @ grid.shape
    width, height = np.abs(edges).T @ grid.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    middles = np.stack([columns + 0.5001, rows + 0.50003], axis=-1).reshape(-1, 2)  # on no outline
    shown = np.zeros(len(middles))
    for voxel in sorted(np.argwhere(grid).tolist(), key=lambda place: place[0] + place[1] - place[2]):
        for axis, loop in {0: [4, 5, 7, 6], 1: [2, 3, 7, 6], 2: [0, 2, 6, 4]}.items():
            corners = np.indices((2, 2, 2)).reshape(3, 8).T[loop]  # the sides at high 0, high 1 and low 2
            outline = (corners + voxel) @ edges + low
            path = mpl.path.Path(np.vstack([outline, outline[:1]]))
            shown[path.contains_points(middles)] = shading.TILT[axis]
    return shown.reshape(height, width)


def crop(picture):
    drawn = picture != 0
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@pytest.mark.parametrize("density", [0.02, 0.2, 0.9])
def test_every_pixel_shows_the_side_that_is_nearest(density, rng, monkeypatch):
    grid = rng.random((6, 7, 8)) < density
    monkeypatch.setattr(shading, "_light", lambda grid, reach: np.ones(grid.shape))
    picture = shading.picture(grid)
    brightness = (picture[..., 0] - shading.DARK[0]) / (shading.CLAY[0] - shading.DARK[0])
    brightness[np.ptp(picture, axis=2) < 0.02] = 0  # the ground is gray
    ours, slow = crop(brightness), crop(slow_picture(grid))
    assert ours.shape == pytest.approx(slow.shape, abs=1)
    height, width = np.minimum(ours.shape, slow.shape)
    differing = (np.abs(ours[:height, :width] - slow[:height, :width]) > 1e-6).mean()
    assert differing == 0


def test_the_front_is_nearer_than_the_back_and_up_is_up():
    (_, right_down), (up_right, up_down), (_, back_down) = shading.EDGES
    assert right_down > 0
    assert (up_right, np.sign(up_down)) == (0, -1)
    assert back_down < 0


def test_the_near_side_hides_the_far_side():
    solid = np.ones((6, 6, 6), bool)
    hollow = solid.copy()
    hollow[1:-1, 1:-1, 1:-1] = False
    outline = np.ptp(shading.picture(solid), axis=2) > 0.02
    assert np.array_equal(np.ptp(shading.picture(hollow), axis=2) > 0.02, outline)


@pytest.mark.parametrize("plane", [[1, 2], [0, 2], [0, 1]])
def test_the_pattern_of_a_side_tiles_and_interpolates(plane):
    first, second = shading.EDGES[plane]
    offsets, weights = shading._pattern(shading.EDGES[plane])
    assert len(offsets) == abs(np.linalg.det([first, second])).round()
    corners = np.array([[0, 0], first, second, first + second])
    assert weights.T @ corners == pytest.approx(offsets + 0.5, abs=1e-3)


def test_below_a_roof_it_is_darker_than_beside_it():
    grid = np.zeros((20, 12, 20), bool)
    grid[2:8, 8, 2:8] = True
    light = shading._light(grid, reach=1)
    assert light[6, 5, 6] < 0.8 * light[15, 5, 3]
    assert light[6, 11, 6] == pytest.approx(light[15, 11, 3], rel=0.05)


def test_top_is_brighter_than_front_and_front_than_side():
    size = 12
    picture = shading.picture(np.ones((size, size, size), bool))
    origin = np.argwhere(np.ptp(picture, axis=2) > 0.02).min(axis=0)[::-1]
    # middles of the three sides of the cube, from the top left of its outline, (right, down)
    right, up, back = shading.EDGES * size
    corner = origin - np.array([0, (back + up)[1]])  # the near bottom left, at index (0, 0, 0)
    top = picture[tuple((corner + up + (right + back) / 2).astype(int)[::-1])]
    front = picture[tuple((corner + (right + up) / 2).astype(int)[::-1])]
    side = picture[tuple((corner + right + (back + up) / 2).astype(int)[::-1])]
    assert top.sum() > front.sum() > side.sum()


def test_a_whole_box_keeps_every_shape_in_its_place(chair):
    far = np.roll(chair, 1, axis=0)
    here, there, empty = (
        shading.picture(grid, whole_box=True) for grid in (chair, far, np.zeros_like(chair))
    )
    assert here.shape == there.shape == empty.shape
    assert (empty == 1).all()
    right, down = shading.EDGES[0]
    clay = np.ptp(here, axis=2) > 0.2
    moved = np.roll(clay, (down, right), axis=(0, 1))
    assert np.array_equal(np.ptp(there, axis=2) > 0.2, moved)
    cropped = shading.picture(chair)
    assert (np.ptp(cropped, axis=2) > 0.2).sum() == clay.sum()


def test_an_empty_picture_is_no_pixel():
    assert shading.picture(np.zeros((5, 5, 5), bool)).shape == (0, 0, 3)


# --- the figure of the networks

"""Tests of loss curves, scatter plots and contact sheets."""

import re
import tracemalloc

import numpy as np
import pytest
from mpl_toolkits.mplot3d.proj3d import proj_transform
from PIL import Image

from rasgan.export import canvas, plots, shading
from rasgan.export.plots import columns_of, contact_sheet, draw_losses, draw_scatter, smooth


@pytest.fixture
def shown(monkeypatch):
    """Record each figure that is drawn."""
    kept = []
    draw = canvas.pixels_of

    def keep_and_draw(figure):
        kept.append(figure)
        return draw(figure)

    monkeypatch.setattr(canvas, "pixels_of", keep_and_draw)
    return kept


@pytest.fixture
def written(monkeypatch):
    """Record the texts on a sheet."""
    texts = []
    monkeypatch.setattr(plots, "write_text", lambda image, center, text, color: texts.append(text))
    return texts


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


# --- smoothing


def test_smoothing_is_a_least_squares_cubic_in_every_window(rng):
    values = rng.normal(size=120)
    offsets = np.arange(-25, 26)
    fitted = [np.polynomial.Polynomial.fit(offsets, values[i - 25 : i + 26], 3)(0) for i in range(25, 95)]
    np.testing.assert_allclose(smooth(values)[25:95], fitted)


# --- the loss curves


@pytest.mark.parametrize("steps", [0, 50, 51])
def test_losses_are_smoothed_from_51_steps_on(tmp_path, shown, steps, rng):
    losses = 1 + rng.random(steps)
    draw_losses(tmp_path / "plots" / "1.png", np.arange(steps) / 10, losses, losses + 1)
    (axes,) = shown[0].axes
    assert len(axes.lines) == (4 if steps >= 51 else 2)
    looks = ("every step", "smoothed over 51 steps")[: 2 if steps >= 51 else 1]
    named = [f"{network}, {look}" for network in ("discriminator", "generator") for look in looks]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == named
    assert pixels(tmp_path / "plots" / "1.png").shape == (540, 960, 3)


def test_a_long_curve_keeps_its_extremes_and_gaps(tmp_path, rng, shown):
    losses = rng.random(100_000)
    losses[[5, 99_999]] = 9, -9
    losses[50_000:60_000] = np.nan
    draw_losses(tmp_path / "1.png", np.arange(100_000) / 37, losses, losses)
    kept = shown[0].axes[0].lines[0].get_xydata()
    assert len(kept) < 5000
    assert (np.nanmin(kept[:, 1]), np.nanmax(kept[:, 1])) == (-9, 9)
    assert np.isnan(kept[:, 1]).mean() == pytest.approx(0.1, abs=0.01)
    assert (np.diff(kept[:, 0]) >= 0).all()


def test_the_loss_plot_has_the_limits_and_curves_of_the_original(tmp_path, shown, rng):
    epochs, losses_d, losses_g = np.arange(300) / 37, rng.random(300), 3 * rng.random(300)
    losses_validation = rng.random(300) + 1
    rates = np.repeat([[0.005, 0.00005], [0.0025, 0.00005]], 150, axis=0)
    draw_losses(tmp_path / "1.png", epochs, losses_d, losses_g, losses_validation, rates)
    (axes,) = shown[0].axes
    seen = np.concatenate([losses_d, losses_g, losses_validation])
    assert axes.get_ylim() == pytest.approx((0, 1.6 * np.percentile(seen, 99)))
    assert "0.0025" in axes.get_title()
    assert "5e-05" in axes.get_title()
    assert len(axes.lines) == 7
    assert set(axes.lines[6].get_xdata()) == {epochs[150]}  # where the rates change
    raw = axes.lines[0]
    assert np.array_equal(raw.get_xdata(), epochs)
    assert np.array_equal(raw.get_ydata(), losses_d)


def test_the_start_of_a_cooldown_is_marked(tmp_path, shown):
    rates = np.minimum(1, np.linspace(2, 0, 100, endpoint=False))[:, None] * [0.002, 0.001]
    draw_losses(tmp_path / "1.png", np.arange(100.0), np.ones(100), np.ones(100), learning_rates=rates)
    marks = [line.get_xdata()[0] for line in shown[0].axes[0].lines if line.get_linestyle() == ":"]
    assert marks == [51]


def test_losses_that_are_not_finite_leave_a_gap(tmp_path, shown):
    losses = np.ones(100)
    losses[[3, 50]] = np.nan, np.inf
    draw_losses(tmp_path / "1.png", np.arange(100), losses, np.ones(100), np.full(100, np.nan))
    (axes,) = shown[0].axes
    assert np.isnan(axes.lines[0].get_ydata()).sum() == 2
    assert np.isfinite(axes.lines[1].get_ydata()).all()
    assert axes.get_ylim() == pytest.approx((0, 1.6))


def test_the_loss_axis_includes_negative_losses(tmp_path, shown):
    draw_losses(tmp_path / "1.png", np.arange(60), np.linspace(-10, -1, 60), np.ones(60))
    assert shown[0].axes[0].get_ylim()[0] < -10


# --- the scatter plot


def test_the_scatter_plot_shows_axes_0_2_1_colored_by_height(tmp_path, shown):
    scores = np.zeros((8, 8, 8))
    scores[1, 2, 3] = scores[6, 7, 5] = 1
    draw_scatter(tmp_path / "1.png", scores, "epoch 10", "plasma")
    (axes,) = shown[0].axes
    (points,) = axes.collections
    projected = np.array(proj_transform([1.5, 6.5], [3.5, 5.5], [2.5, 7.5], axes.get_proj())[:2]).T
    assert np.sort(np.asarray(points.get_offsets()), axis=0) == pytest.approx(np.sort(projected, axis=0))
    assert sorted(points.get_array()) == [2.5, 7.5]
    assert points.get_cmap().name == "plasma"
    assert axes.get_xlim() == axes.get_ylim() == axes.get_zlim() == (0, 8)
    assert [text.get_text() for text in shown[0].texts] == ["epoch 10"]


@pytest.mark.parametrize("title", ["椅子", "a\tb", "नमस्ते", "\udcf0\udc9f"])
def test_titles_with_characters_that_the_font_lacks_are_drawn_without_a_warning(tmp_path, chair, title):
    draw_scatter(tmp_path / "with.png", chair, title)
    draw_scatter(tmp_path / "without.png", chair)
    assert (pixels(tmp_path / "with.png") != pixels(tmp_path / "without.png")).any()


def test_the_scatter_plot_of_an_empty_grid_says_that_it_is_empty(tmp_path, shown):
    draw_scatter(tmp_path / "1.png", np.zeros((8, 8, 8)))
    assert [text.get_text() for text in shown[0].axes[0].texts] == ["no voxel is occupied"]
    assert shown[0].texts == []
    assert pixels(tmp_path / "1.png").shape == (640, 640, 3)


# --- the contact sheet


def test_a_sheet_has_a_cell_for_every_shape(tmp_path, chair):
    contact_sheet(tmp_path / "one.png", [chair])
    contact_sheet(tmp_path / "all.png", [chair] * 11)
    height, width, _ = pixels(tmp_path / "one.png").shape
    expected = 3 * (height - 24) + 24, 4 * (width - 24) + 24, 3
    assert pixels(tmp_path / "all.png").shape == pytest.approx(expected, abs=1)


def test_the_last_row_of_a_sheet_never_has_a_single_shape():
    assert [columns_of(count) for count in (2, 3, 9, 10, 16, 17, 100)] == [2, 3, 3, 5, 4, 6, 10]
    for count in range(3, 1001):
        columns = columns_of(count)
        assert count % columns != 1
        assert columns - 3 < count**0.5 <= columns


def test_each_shape_of_a_sheet_takes_at_most_two_megabytes_of_memory(tmp_path, chair, monkeypatch):
    monkeypatch.setattr(shading, "smooth_picture", lambda shape, shrink: np.full((330, 330, 3), 0.5))
    peaks = []
    for count in (5, 25):
        tracemalloc.start()
        contact_sheet(tmp_path / "1.png", [chair] * count, 5, ["label"] * count)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 20 * 2e6


def test_a_sheet_accepts_scores_empty_grids_labels_and_mixed_sizes(tmp_path, chair, written):
    grids = [chair.astype(np.float32) - 0.5, np.zeros((16, 16, 16)), np.ones((3, 3, 3), bool)]
    contact_sheet(tmp_path / "1.png", grids, labels=["a", "$b", "c"])
    assert written == ["a", "empty", "$b", "c"]
    picture = pixels(tmp_path / "1.png")
    third = picture.shape[1] // 3
    clay = np.ptp(picture, axis=2) > 40
    assert clay[:, :third].sum() > 1000
    assert not clay[:, third : 2 * third].any()


def test_a_sheet_draws_a_shape_at_the_same_size_for_every_resolution(tmp_path, chair):
    sizes = []
    for times in (1, 2, 4, 8):
        grid = chair.repeat(times, 0).repeat(times, 1).repeat(times, 2)
        contact_sheet(tmp_path / "1.png", [grid])
        clay = np.ptp(pixels(tmp_path / "1.png"), axis=2) > 40
        sizes.append(np.ptp(np.argwhere(clay), axis=0))
    assert np.ptp(sizes, axis=0).max() <= 3


def test_long_labels_are_shortened_in_the_middle(tmp_path, written, chair):
    label = "scan-of-the-old-chair-in-the-attic-0017"
    contact_sheet(tmp_path / "1.png", [chair] * 5, labels=[label] * 4 + ["short"])
    assert re.fullmatch(r"scan-of.*….*-0017", written[0])
    assert written[4] == "short"


def test_labels_are_drawn_below_the_shapes(tmp_path, chair):
    for name, label in (("with", "chair\udcff"), ("without", "")):
        contact_sheet(tmp_path / f"{name}.png", [chair], labels=[label])
    differ = (abs(pixels(tmp_path / "with.png") - pixels(tmp_path / "without.png")) > 100).any(axis=2)
    assert np.flatnonzero(differ.any(axis=1)).min() > 0.8 * len(differ)

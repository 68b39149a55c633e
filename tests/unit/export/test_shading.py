"""Tests of shaded pictures: visibility, light and a fixed camera."""

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from rasgan.export import shading


def is_clay(picture):
    return np.ptp(picture, axis=2) > 0.02  # the ground and its shadow are gray


def slow_projection(grid):
    """Draw the three sides of every voxel, far voxels first, with their brightness in full light."""
    edges = shading.EDGES
    low = -np.minimum(edges, 0).T @ grid.shape
    width, height = np.abs(edges).T @ grid.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    middles = np.stack([columns + 0.5001, rows + 0.50003], axis=-1).reshape(-1, 2)  # on no outline
    shown = np.full(len(middles), np.nan)
    for voxel in sorted(np.argwhere(grid).tolist(), key=lambda place: place[0] + place[1] - place[2]):
        for axis, loop in {0: [4, 5, 7, 6], 1: [2, 3, 7, 6], 2: [0, 2, 6, 4]}.items():
            corners = np.indices((2, 2, 2)).reshape(3, 8).T[loop]  # the sides at high 0, high 1 and low 2
            outline = (corners + voxel) @ edges + low
            path = Outline(np.vstack([outline, outline[:1]]))
            shown[path.contains_points(middles)] = shading.TILT[axis]
    return shown.reshape(height, width)


@pytest.mark.parametrize("density", [0.02, 0.2, 0.9])
def test_every_pixel_shows_the_nearest_side(density, rng):
    grid = np.pad(rng.random((6, 7, 8)) < density, 1)
    ours = shading.project(grid, np.ones(grid.shape))
    np.testing.assert_allclose(ours, slow_projection(grid), rtol=1e-6)


def test_axis_0_points_right_axis_1_up_and_axis_2_back():
    def center(place):
        grid = np.zeros((9, 9, 9), bool)
        grid[place] = True
        return np.argwhere(~np.isnan(shading.project(grid, np.ones(grid.shape)))).mean(axis=0)

    down, right = (np.array([center(p) for p in [(6, 2, 2), (2, 6, 2), (2, 2, 6)]]) - center((2, 2, 2))).T
    assert right[0] > right[2] > right[1] == 0
    assert down[0] > 0 > down[2] > down[1]


def test_it_is_darker_below_a_roof():
    grid = np.zeros((20, 12, 20), bool)
    grid[2:8, 8, 2:8] = True
    light = shading.light_in(grid, reach=1)
    assert light[6, 5, 6] < 0.8 * light[15, 5, 3]
    assert light[6, 11, 6] == pytest.approx(light[15, 11, 3], rel=0.05)


def test_the_top_is_brighter_than_the_front_and_the_front_than_the_side():
    size = 12
    picture = shading.picture(np.ones((size, size, size), bool))
    origin = np.argwhere(is_clay(picture)).min(axis=0)[::-1]
    # middles of the three sides of the cube, from the top left of its outline, (right, down)
    right, up, back = shading.EDGES * size
    corner = origin - np.array([0, (back + up)[1]])  # the near bottom left, at index (0, 0, 0)
    middles = [up + (right + back) / 2, (right + up) / 2, right + (back + up) / 2]
    top, front, side = (picture[tuple((corner + middle).astype(int)[::-1])].sum() for middle in middles)
    assert top > front > side


def test_with_whole_box_the_position_of_a_shape_is_kept(chair):
    far = np.roll(chair, 1, axis=0)
    here, there, empty = (
        shading.picture(grid, whole_box=True) for grid in (chair, far, np.zeros_like(chair))
    )
    assert here.shape == there.shape == empty.shape
    assert (empty == 1).all()
    right, down = shading.EDGES[0]
    assert np.array_equal(is_clay(there), np.roll(is_clay(here), (down, right), axis=(0, 1)))
    assert is_clay(shading.picture(chair)).sum() == is_clay(here).sum()

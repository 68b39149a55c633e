"""Properties of the voxelizer for any mesh."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rasgan.data.voxelize import MODES, count_crossings, voxelize

BOX = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
BOX_FACES = np.array(
    [
        *([0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]),
        *([2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]),
    ]
)
N = 16
sides = st.integers(1, 24)
offsets = st.floats(-1000, 1000)
seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=40, deadline=None)


def random_mesh(seed):
    """Make random triangles of all sizes; no line through voxel centers meets an edge."""
    rng = np.random.default_rng(seed)
    vertices = rng.normal(size=(12, 3)) * rng.uniform(0.2, 2, size=3)
    return vertices, rng.integers(0, 12, size=(20, 3))


@quick
@given(st.tuples(sides, sides, sides), st.tuples(offsets, offsets, offsets))
def test_a_box_of_integer_size_gives_its_voxels(size, offset):
    n = max(size)
    occupied = voxelize(BOX * size + offset, BOX_FACES, n)
    x, y, z = size
    expected = np.zeros((n, n, n), dtype=bool)
    expected[:x, :z, :y] = True
    np.testing.assert_array_equal(occupied, expected)


@quick
@given(seeds, st.sampled_from(MODES))
def test_rotating_a_centered_mesh_rotates_its_voxels(seed, mode):
    vertices, faces = random_mesh(seed)
    grid = voxelize(vertices, faces, N, mode, center=True)
    x, y, z = vertices.T
    about_z = voxelize(np.stack([-y, x, z], axis=1), faces, N, mode, center=True)
    # new x = -y, new y = x: entry [i, j, k] comes from x index k, y index N - 1 - i
    np.testing.assert_array_equal(about_z, grid.transpose(2, 1, 0)[::-1])
    about_x = voxelize(np.stack([x, -z, y], axis=1), faces, N, mode, center=True)
    np.testing.assert_array_equal(about_x, grid.transpose(0, 2, 1)[:, :, ::-1])


@quick
@given(
    seeds, st.sampled_from(MODES), st.booleans(), st.floats(1e-3, 1e3), st.tuples(offsets, offsets, offsets)
)
def test_scaling_and_moving_change_nothing(seed, mode, center, scale, offset):
    vertices, faces = random_mesh(seed)
    moved = (vertices + offset) * scale
    np.testing.assert_array_equal(
        voxelize(moved, faces, N, mode, center), voxelize(vertices, faces, N, mode, center)
    )


@quick
@given(seeds, st.sampled_from(MODES))
def test_order_and_winding_of_faces_do_not_matter(seed, mode):
    vertices, faces = random_mesh(seed)
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(rng.permutation(faces), axis=1)
    np.testing.assert_array_equal(voxelize(vertices, shuffled, N, mode), voxelize(vertices, faces, N, mode))


@quick
@given(st.lists(st.tuples(*[st.integers(0, 16)] * 3), min_size=5, max_size=5), st.integers(0, 2))
def test_closed_meshes_are_crossed_an_even_number_of_times(corners, axis):
    # Two pyramids base to base, with corners on centers and borders of voxels: lines meet edges and corners,
    # where no crossing may count twice or be lost.
    faces = [[0, 1, 3], [1, 2, 3], [2, 0, 3], [1, 0, 4], [2, 1, 4], [0, 2, 4]]
    crossings = count_crossings(np.array(corners) / 2, np.array(faces), 8, axis)
    assert (crossings.sum(axis=2) % 2 == 0).all()

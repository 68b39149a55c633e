import gzip
import itertools

import numpy as np
import pytest
import trimesh

from rasgan.export.surface import cubes_mesh, surface_mesh
from rasgan.voxels import is_occupied, largest_piece, surface_mask, surface_points


def slow_surface_mask(scores, threshold):
    sizes = scores.shape
    mask = np.zeros(sizes, bool)
    for place in np.ndindex(sizes):
        around = [np.add(place, step) for step in itertools.product((-1, 0, 1), repeat=3)]
        full = all(
            all(0 <= a < size for a, size in zip(near, sizes, strict=True))
            and scores[tuple(near)] > threshold
            for near in around
        )
        mask[place] = scores[place] > threshold and not full
    return mask


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 3, 3), (4, 5, 6), (7, 7, 7)])
@pytest.mark.parametrize("threshold", [-1.5, 0.3])
def test_surface_mask_equals_a_triple_loop(shape, threshold, rng):
    scores = rng.standard_normal(shape)
    before = scores.copy()
    assert np.array_equal(surface_mask(scores, threshold), slow_surface_mask(scores, threshold))
    assert np.array_equal(scores, before)


def test_a_full_grid_has_its_border_as_surface():
    mask = surface_mask(np.ones((5, 5, 5)))
    assert mask.sum() == 5**3 - 3**3
    assert not mask[1:-1, 1:-1, 1:-1].any()


def test_a_diagonal_hole_makes_surface():
    grid = np.ones((5, 5, 5))
    grid[1, 1, 1] = 0
    assert surface_mask(grid)[2, 2, 2]


def test_surface_points_lists_the_mask():
    grid = np.zeros((4, 4, 4))
    grid[1, 2, 3] = grid[0, 0, 0] = 1
    assert surface_points(grid).tolist() == [[0, 0, 0], [1, 2, 3]]


@pytest.mark.parametrize("function", [surface_mask, surface_points, surface_mesh, cubes_mesh, largest_piece])
def test_other_than_three_axes_are_refused_with_the_shape(function):
    with pytest.raises(ValueError, match=r"\(1, 4, 4, 4\)"):
        function(np.zeros((1, 4, 4, 4)))


def test_nan_is_empty_and_bools_pass():
    assert is_occupied(np.array([np.nan, 0.3, 0.31, np.inf])).tolist() == [False, False, True, True]
    bools = np.array([True, False])
    assert is_occupied(bools, 5.0) is bools


def test_one_voxel_is_a_cube_of_8_vertices_and_12_faces_in_the_mended_place():
    occupied = np.zeros((64, 64, 64), bool)
    occupied[3, 40, 5] = True
    vertices, faces = surface_mesh(occupied)
    assert vertices.shape == (8, 3)
    assert faces.shape == (12, 3)
    assert vertices.min(axis=0) == pytest.approx([0.60, 0.40, 0.05])
    assert vertices.max(axis=0) == pytest.approx([0.61, 0.41, 0.06])
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(0.01**3)


def test_nothing_has_no_mesh():
    for vertices, faces in (surface_mesh(np.zeros((3, 3, 3), bool)), cubes_mesh(np.zeros((3, 3, 3)))):
        assert vertices.shape == faces.shape == (0, 3)


def test_two_neighbors_share_vertices_and_have_no_wall_between():
    vertices, faces = surface_mesh(np.ones((2, 1, 1), bool))
    assert (len(vertices), len(faces)) == (12, 20)


def test_the_mesh_is_the_original_turned_not_mirrored():
    """A chiral shape built in mesh axes x, y, z comes back by turning alone."""
    chiral = np.zeros((4, 4, 4), bool)  # mesh x, y, z
    chiral[0, 0, :4] = chiral[:3, 0, 0] = chiral[0, :2, 0] = True
    grid = chiral.transpose(0, 2, 1)  # a Binvox file's order: x, z, y
    vertices, _ = surface_mesh(grid, edge=1.0)
    # mesh frame (x, y, z) -> file frame (-x, z, y) + shift: a rotation, because its determinant is +1
    turn = np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert np.linalg.det(turn) == pytest.approx(1)
    x, y, z = np.nonzero(chiral)
    corners = {tuple(c) for i in np.stack([x, y, z], 1) for c in i + np.indices((2, 2, 2)).reshape(3, 8).T}
    turned = {tuple(turn @ corner + [4, 0, 0]) for corner in corners}
    assert {tuple(vertex) for vertex in vertices.astype(int)} == turned


def test_cubes_are_separate_closed_and_in_array_order():
    scores = np.zeros((4, 4, 4))
    scores[0, 1, 2] = scores[1, 1, 2] = 1
    vertices, faces = cubes_mesh(scores, edge=0.5)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert vertices.shape == (16, 3)
    assert faces.shape == (24, 3)
    assert vertices.min(axis=0) == pytest.approx([0, 0.5, 1.0])
    assert vertices.max(axis=0) == pytest.approx([1.0, 1.0, 1.5])
    assert len(mesh.split()) == 2
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(2 * 0.5**3)


def test_cubes_leave_out_the_inside():
    _, faces = cubes_mesh(np.ones((5, 5, 5)))
    assert len(faces) == 12 * (5**3 - 3**3)


def test_every_real_shape_has_a_closed_mesh(shared_data):
    for path in sorted((shared_data / "golden").glob("*.default.raw.gz")):
        occupied = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8).reshape(64, 64, 64) > 0
        mesh = trimesh.Trimesh(*surface_mesh(occupied), process=False)
        assert mesh.is_watertight, path.name
        assert mesh.is_winding_consistent, path.name
        assert mesh.volume == pytest.approx(occupied.sum() * 1e-6), path.name


def test_the_largest_piece_hangs_together_face_to_face():
    occupied = np.zeros((6, 6, 6), bool)
    occupied[0, 0, :3] = True  # first in array order, but smaller
    occupied[2:4, 2:4, 2] = True
    occupied[4, 4, 2] = occupied[1, 1, 3] = True  # at an edge and at a corner of it only
    before = occupied.copy()
    kept = np.zeros_like(occupied)
    kept[2:4, 2:4, 2] = True
    assert np.array_equal(largest_piece(occupied), kept)
    assert np.array_equal(occupied, before)


def test_of_equal_pieces_the_first_is_the_largest():
    occupied = np.zeros((3, 3, 3), bool)
    occupied[0, 0, 0] = occupied[2, 2, 2] = True
    assert np.argwhere(largest_piece(occupied)).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("whole", [np.zeros((3, 3, 3), bool), np.ones((3, 3, 3), bool)])
def test_one_piece_or_none_is_kept_whole(whole):
    assert np.array_equal(largest_piece(whole), whole)

"""The voxelizer compared with Binvox, a slow second implementation, and known shapes."""

import gzip
import statistics
import tracemalloc

import numpy as np
import pytest

from rasgan.data import voxelize as voxelizer
from rasgan.data.meshes import read_mesh
from rasgan.data.voxelize import GROWTH, MODES, count_crossings, place, surface, voxelize

BOX = np.array(
    [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], float
)
QUADS = np.array([[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]])
BOX_FACES = np.concatenate([QUADS[:, [0, 1, 2]], QUADS[:, [0, 2, 3]]])
TOP = [1, 7]  # rows of BOX_FACES that make up the upper side


def iou(a, b):
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


@pytest.mark.parametrize(
    ("golden", "mode", "center", "smallest"),
    [("default", "binvox", False, 0.98), ("cb", "binvox", True, 0.98), ("exact", "exact", False, 0.97)],
)
def test_equals_binvox_on_real_meshes(shared_data, golden, mode, center, smallest):
    agreement = []
    for path in sorted((shared_data / "modelnet").glob("*.off")):
        stored = (shared_data / "golden" / f"{path.stem}.{golden}.raw.gz").read_bytes()
        theirs = np.frombuffer(gzip.decompress(stored), dtype=np.uint8).reshape(64, 64, 64) == 255
        agreement.append(iou(voxelize(*read_mesh(path), mode=mode, center=center), theirs))
    assert len(agreement) >= 13
    assert statistics.median(agreement) >= 0.999
    assert min(agreement) >= smallest


def slow_fill(points, faces, n):
    """Carve or vote with simple loops and barycentric coordinates."""
    filled = np.zeros((n, n, n), dtype=bool)
    for index in np.ndindex(n, n, n):
        center = np.array(index) + 0.5
        carved, votes = True, 0
        for axis in range(3):
            others = [a for a in range(3) if a != axis]
            depths = []
            for face in faces:
                a, b, c = points[face]
                sides = np.array([b - a, c - a])[:, others].T
                if abs(np.linalg.det(sides)) < 1e-12:
                    continue
                s, t = np.linalg.solve(sides, (center - a)[others])
                if s >= 0 and t >= 0 and s + t <= 1:
                    depths.append(a[axis] + s * (b - a)[axis] + t * (c - a)[axis])
            before = sum(depth <= center[axis] for depth in depths)
            behind = len(depths) - before
            carved &= before > 0 and behind > 0
            votes += before % 2 + behind % 2
        filled[index] = carved or votes >= 3
    return filled


def slow_surface(points, faces, n):
    """Test thirteen separating axes for every voxel and triangle (Akenine-Möller 2001)."""
    touched = np.zeros((n, n, n), dtype=bool)
    for index in np.ndindex(n, n, n):
        for face in faces:
            corners = points[face] - (np.array(index) + 0.5)
            edges = np.roll(corners, -1, axis=0) - corners
            axes = [*np.eye(3), np.cross(edges[0], edges[1])]
            axes += [np.cross(unit, edge) for unit in np.eye(3) for edge in edges]
            for axis in axes:
                reach = (0.5 + GROWTH) * np.abs(axis).sum()
                shadow = corners @ axis
                if shadow.min() > reach or shadow.max() < -reach:
                    break
            else:
                touched[index] = True
    return touched


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("center", [False, True])
def test_equals_the_slow_reference(seed, center):
    rng = np.random.default_rng(seed)
    n = 5
    vertices = rng.normal(size=(7, 3)) * rng.uniform(0.3, 2.0, size=3)
    faces = rng.integers(0, 7, size=(9, 3))  # some without area
    points = place(vertices, n, center)
    filled, touched = slow_fill(points, faces, n), slow_surface(points, faces, n)
    assert touched.any()
    np.testing.assert_array_equal(voxelize(vertices, faces, n, "binvox", center), filled)
    np.testing.assert_array_equal(voxelize(vertices, faces, n, "exact", center), touched)
    np.testing.assert_array_equal(voxelize(vertices, faces, n, "solid", center), filled | touched)


def test_the_surface_of_faces_without_area_is_a_line():
    # Corners 0 and 1 set the scale; the faces collapse to a slanted line and to a point.
    vertices = np.array([[0, 0, 0], [6, 6, 6], [0.5, 0.75, 5.25], [4.5, 3.25, 0.25], [2.5, 2, 2.75]])
    faces = np.array([[2, 3, 4], [0, 0, 0]])
    expected = slow_surface(place(vertices, 6), faces, 6)
    assert 5 < expected.sum() < 20
    np.testing.assert_array_equal(voxelize(vertices, faces, 6, "exact"), expected)


def test_a_face_whose_area_is_a_rounding_error_is_a_line():
    vertices = np.array([[0, 0, 0], [6, 6, 6], [0.5, 0.7, 5.2], [4.1, 3.3, 0.4], [2.3, 2.0, 2.8]])
    assert np.any(np.cross(vertices[3] - vertices[2], vertices[4] - vertices[2]))
    line = voxelize(vertices, np.array([[2, 3, 3]]), 6, "exact")
    np.testing.assert_array_equal(voxelize(vertices, np.array([[2, 3, 4]]), 6, "exact"), line)


@pytest.mark.parametrize(("gap", "layers"), [(0.009, 2), (0.011, 1)])
def test_a_face_marks_voxels_up_to_a_hundredth_away(gap, layers):
    vertices = np.concatenate([BOX[:4] * 8 + [0, 0, 3 + gap], [[0, 0, 0], [8, 8, 8]]])
    occupied = voxelize(vertices, QUADS[:1, :3], 8, "exact")
    assert occupied.any(axis=(0, 2)).nonzero()[0].tolist() == [2, 3][-layers:]


def test_axes_are_x_up_y():
    vertices = np.concatenate([BOX * [8, 2, 4], BOX * 2 + [6, 0, 6]])  # low slab; a post at high x, high z
    faces = np.concatenate([BOX_FACES, BOX_FACES + 8])
    occupied = voxelize(vertices, faces, 8)
    expected = np.zeros((8, 8, 8), dtype=bool)
    expected[:, :4, :2] = True
    expected[6:, 6:, :2] = True
    np.testing.assert_array_equal(occupied, expected)


@pytest.mark.parametrize("without", [[], TOP], ids=["closed", "open"])
def test_hollow_shells_and_open_boxes_become_solid(without):
    inner = BOX * 0.5 + 0.25
    vertices, faces = np.concatenate([BOX, inner]), np.delete(BOX_FACES, without, axis=0)
    faces = np.concatenate([faces, BOX_FACES[:, ::-1] + 8])
    if not without:
        assert voxelize(vertices, faces, 8).all()
    else:
        assert voxelize(vertices, faces, 8)[2:6, 2:6, 2:6].all()


def test_thin_parts_vanish_unless_solid():
    board = BOX * [1, 1, 0.01] + [0, 0, 0.2]  # between two centers at 8 voxels a side
    vertices, faces = np.concatenate([board, [[0, 0, 0]]]), BOX_FACES
    assert not voxelize(vertices, faces, 8).any()
    np.testing.assert_array_equal(np.flatnonzero(voxelize(vertices, faces, 8, "solid").any(axis=(0, 2))), [1])


def test_a_shared_edge_through_centers_is_crossed_once():
    # The diagonals of a box's sides run through the centers of its voxels.
    crossings = count_crossings(place(BOX, 8), BOX_FACES, 8, axis=0)
    assert (crossings.sum(axis=2) == 2).all()
    assert (crossings[:, :, 0] == 1).all()
    assert (crossings[:, :, 8] == 1).all()


def many_triangles(rng):
    """Make 3000 triangles as large as the grid, with millions of cells at 64³."""
    return rng.random((9000, 3)), np.arange(9000).reshape(3000, 3)


def test_many_faces_give_the_sum_of_their_parts(rng):
    vertices, faces = many_triangles(rng)
    points, parts = place(vertices, 64), np.array_split(faces, 30)
    for axis in range(3):
        expected = sum(count_crossings(points, part, 64, axis) for part in parts)
        np.testing.assert_array_equal(count_crossings(points, faces, 64, axis), expected)
    some = np.concatenate([parts[0], parts[1][:3]])  # all 3000 touch every voxel
    touched = np.logical_or.reduce([surface(points, face[None], 64) for face in some])
    np.testing.assert_array_equal(surface(points, some, 64), touched)


@pytest.mark.parametrize("mode", MODES)
def test_memory_does_not_grow_with_the_number_of_faces(rng, mode):
    vertices, faces = many_triangles(rng)
    tracemalloc.start()
    voxelize(vertices, faces, 64, mode)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80e6  # all at once would take 100 to 300 MB


@pytest.mark.parametrize("mode", MODES)
def test_faces_that_cover_the_grid_too_often_are_refused(monkeypatch, mode):
    monkeypatch.setattr(voxelizer, "MOST_CROSSED", 10_000)
    monkeypatch.setattr(voxelizer, "MOST_TOUCHED", 10_000)
    faces = np.array([[0, 1, 6], [0, 6, 3]] * 90)
    voxelize(BOX, faces[:20], 16, mode)
    with pytest.raises(ValueError, match=r"cover the grid \d+ times; remove"):
        voxelize(BOX, faces, 16, mode)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_extreme_units(scale):
    assert voxelize(BOX * scale, BOX_FACES, 8).all()

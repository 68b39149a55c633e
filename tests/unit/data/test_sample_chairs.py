"""The sample chairs: closed parts, chairs in one piece, and the intended share of each style."""

from collections import Counter

import numpy as np
import pytest
import trimesh
from scipy import ndimage

from rasgan.data import sample_chairs
from rasgan.data.sample_chairs import ARMS, BACKS, BASES, GRID, MIN_THICKNESS, SEATS
from rasgan.data.voxelize import count_crossings

NUMBERS = range(1, 31)


def chair_parts(rng: np.random.Generator) -> list[sample_chairs.Part]:
    return sample_chairs.make_parts(sample_chairs.draw_style(rng), rng)


def thickness(part: sample_chairs.Part) -> float:
    """Return the smallest distance from the middle of a face to the face behind it."""
    vertices, faces = part
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    edge_1, edge_2 = b - a, c - a
    normals = np.cross(edge_1, edge_2)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    starts, rays = (a + b + c) / 3, -normals
    with np.errstate(divide="ignore", invalid="ignore"):  # Möller-Trumbore; rows are rays, columns faces
        p = np.cross(rays[:, None], edge_2[None])
        determinant = np.einsum("rfk,fk->rf", p, edge_1)
        offset = starts[:, None] - a[None]
        u = np.einsum("rfk,rfk->rf", offset, p) / determinant
        q = np.cross(offset, edge_1[None])
        v = np.einsum("rk,rfk->rf", rays, q) / determinant
        distance = np.einsum("fk,rfk->rf", edge_2, q) / determinant
        is_hit = (u > -1e-9) & (v > -1e-9) & (u + v < 1 + 1e-9) & (distance > 1e-6)
    distance = np.where(is_hit, distance, np.inf)
    first = distance.argmin(axis=1)
    is_opposite = np.einsum("rk,rk->r", normals, normals[first]) < -0.7  # otherwise the ray left at a corner
    return float(distance.min(axis=1)[is_opposite].min())


def inside(part: sample_chairs.Part) -> np.ndarray:
    """Mark the voxels whose centers are inside: those behind an odd number of crossings."""
    vertices, faces = part
    points = vertices[:, [0, 2, 1]] + [GRID / 2, 0, GRID / 2]
    return count_crossings(points, faces, GRID, axis=1).cumsum(axis=2)[:, :, :-1] % 2 == 1


def pieces(parts: list[sample_chairs.Part]) -> int:
    """Count the connected components of a chair on the grid; every part must have voxels."""
    grids = [inside(part) for part in parts]
    assert all(grid.any() for grid in grids), "a part is lost between the voxel centers"
    return ndimage.label(np.logical_or.reduce(grids))[1]


@pytest.mark.parametrize("make_parts", [chair_parts, sample_chairs.make_table_parts])
@pytest.mark.parametrize("numbers", [NUMBERS, pytest.param(range(31, 601), marks=pytest.mark.slow)])
def test_parts_are_closed_and_thick_enough_and_form_one_piece(numbers, make_parts):
    for number in numbers:
        parts = sample_chairs.fit(make_parts(np.random.default_rng([0, number])))
        assert all(trimesh.Trimesh(*part).is_volume for part in parts), number
        assert min(map(thickness, parts)) >= MIN_THICKNESS, number
        assert pieces(parts) == 1, number


def test_size_and_orientation_are_those_of_modelnet():
    for number in NUMBERS:
        vertices, faces = sample_chairs.make_chair(np.random.default_rng([0, number]))
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        assert (high - low).max() == pytest.approx(GRID)
        assert low[2] == pytest.approx(0)
        assert (low + high)[:2] == pytest.approx([0, 0])
        assert vertices.dtype == np.float64
        assert faces.min() == 0
        assert faces.max() == len(vertices) - 1
        top = vertices[vertices[:, 2] > 0.9 * high[2]]
        assert top[:, 1].mean() > 0.1 * GRID


def test_the_final_fit_never_makes_a_part_thinner():
    for number in NUMBERS:
        rng = np.random.default_rng([0, number])
        vertices, _ = sample_chairs.join(sample_chairs.make_parts(sample_chairs.draw_style(rng), rng))
        assert np.ptp(vertices, axis=0).max() <= GRID


def test_every_style_has_its_share_of_the_training_set():
    styles = [sample_chairs.draw_style(np.random.default_rng([0, number])) for number in range(1, 501)]
    for field, kinds in {"base": BASES, "back": BACKS, "seat": SEATS, "arms": {"none": ARMS["none"]}}.items():
        counts = Counter(getattr(style, field) for style in styles)
        for kind, share in kinds.items():
            assert counts[kind] / 500 == pytest.approx(share, abs=0.07), kind
    assert {style.arms for style in styles} == {*ARMS, "wrap"}


def test_files_are_named_as_in_modelnet_and_existing_ones_are_skipped(tmp_path):
    seen = []
    assert sample_chairs.write_sample_set(tmp_path, seed=1, train=3, test=2, progress=seen.append) == 5
    assert seen == [1] * 5
    paths = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    names = ["test/chair_0501", "test/chair_0502", "train/chair_0001", "train/chair_0002", "train/chair_0003"]
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [f"chair/{n}.off" for n in names]
    kept, lost = paths[-2:]
    mesh, before = trimesh.load(lost, process=False), lost.read_bytes()
    vertices, faces = sample_chairs.make_chair(np.random.default_rng([1, 3]))
    np.testing.assert_allclose(mesh.vertices, vertices, atol=1e-3)
    np.testing.assert_array_equal(mesh.faces, faces)
    kept.write_bytes(b"mine")
    lost.unlink()
    assert sample_chairs.write_sample_set(tmp_path, seed=1, train=3, test=2) == 1
    assert kept.read_bytes() == b"mine"
    assert lost.read_bytes() == before

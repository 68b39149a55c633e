"""Sampling and interpolation of shapes."""

import inspect
import textwrap

import numpy as np
import pytest
import trimesh

import rasgan
from rasgan import sampling
from rasgan.errors import UserError
from rasgan.networks import Generator
from rasgan.sampling import slerp
from rasgan.training.checkpoints import load_pretrained


@pytest.fixture
def generator():
    return Generator(8, 32)


def test_directions_and_lengths_change_evenly_between_exact_ends(rng):
    ends = rng.standard_normal((2, 200)).astype(np.float32)
    ends[0, 0], ends[1, 1] = 1e-30, -1e-30  # would be lost by rounding in a sum
    points = slerp(*ends, np.array([0, 0.5, 1]))
    assert points.dtype == np.float32
    assert np.array_equal(points[[0, 2]], ends)
    a, b = ends.astype(float)
    t = np.linspace(0, 1, 7)[:, None]
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    angle = np.arccos(a @ b / (lengths[0] * lengths[1]))
    arc = (np.sin((1 - t) * angle) * a / lengths[0] + np.sin(t * angle) * b / lengths[1]) / np.sin(angle)
    expected = ((1 - t) * lengths[0] + t * lengths[1]) * arc
    np.testing.assert_allclose(slerp(a, b, t[:, 0]), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("sign", "turned"), [(1, [0] * 5), (-1, [0, 45, 90, 135, 180])])
@pytest.mark.parametrize("a", [[3.0, 0.0, 4.0], [1.0, 2.0, 3.0]])
def test_parallel_and_opposite_vectors(a, sign, turned):
    a = np.array(a)
    b = 2.0 * sign * a
    points = slerp(a, b, np.linspace(0, 1, 5))
    assert np.array_equal(points[[0, 4]], [a, b])
    lengths = np.linalg.norm(points, axis=1)
    assert lengths == pytest.approx(np.linalg.norm(a) * np.array([1, 1.25, 1.5, 1.75, 2]))
    cosines = points @ a / (lengths * np.linalg.norm(a))
    assert np.degrees(np.arccos(np.clip(cosines, -1, 1))) == pytest.approx(turned, abs=1e-5)
    assert np.array_equal(points, slerp(a, b, np.linspace(0, 1, 5)))


def test_shapes_of_a_seed_do_not_depend_on_the_count(generator):
    three, twenty, other = (sampling.generate(generator, seed, n) for seed, n in ((5, 3), (5, 20), (6, 3)))
    assert (three.shape, three.dtype) == ((3, 32, 32, 32), np.float32)
    assert np.array_equal(three, twenty[:3])
    assert not np.allclose(three, other, atol=1e-6)


def test_an_interpolation_ends_at_the_shapes_of_both_seeds(generator):
    seen = []
    frames = sampling.interpolate(
        generator, 3, 8, 4, 0.9, lambda rows: (seen.append(row) or row for row in rows)
    )
    assert len(seen) == 4  # one call for each
    for frame, seed in ((0, 3), (3, 8)):
        assert np.array_equal(frames[frame], sampling.generate(generator, seed, 1, 0.9)[0])
    steps = [np.abs(frames[i + 1] - frames[i]).sum() for i in range(3)]
    assert max(steps) < np.abs(frames[3] - frames[0]).sum()


def test_an_unknown_pretrained_model_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="'tables' is not a pretrained model; choose from: chairs"):
        load_pretrained("tables")


def test_the_example_in_the_package_docstring_writes_a_chair(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = textwrap.dedent(inspect.getdoc(rasgan).split("::\n", 1)[1])
    names: dict = {}
    exec(compile(code, "rasgan/__init__.py", "exec"), names)
    mesh = trimesh.load_mesh(tmp_path / "chair.obj")
    assert mesh.volume == pytest.approx((names["grid"] > 0.3).sum() * 0.01**3)

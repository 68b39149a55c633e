"""Readers: writing then reading is identity; damaged files give a grid, a mesh or one clear sentence."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from rasgan.data.meshes import read_mesh, write_off
from rasgan.errors import UserError
from rasgan.voxel_io import read_raw, read_voxels, write_raw

OFF = b"OFF\n4 4 6\n0 0 0\n1 0 0\n0 2 0\n0 0 3.5\n3 0 2 1\n3 0 1 3 255 0 0\n3 0 3 2\n3 1 2 3\n"
BINVOX = b"#binvox 1\ndim 2 2 2\ntranslate 0 0 0\nscale 1\ndata\n\x00\x03\x01\x05"
NPY = (
    b"\x93NUMPY\x01\x00\x76\x00"
    + b"{'descr': '|b1', 'fortran_order': False, 'shape': (2, 2, 2), }".ljust(117)
    + b"\n"
)
NPY += bytes([0, 1] * 4)
quick = settings(max_examples=60, deadline=None)


@st.composite
def damaged(draw, whole):
    """Cut out, put in and overwrite a few stretches of a good file."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        stop = draw(st.integers(start, min(len(content), start + 8)))
        words = st.sampled_from(
            [b"-", b"\n", b" ", b"#", b"nan", b"1e999", b"99999999999999999999", b"OFF", b"."]
        )
        content[start:stop] = draw(st.one_of(words, st.binary(max_size=8)))
    return bytes(content)


def read(reader, name, content):
    """Give what the reader makes of a file, or None after a sentence that names it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        try:
            return reader(path)
        except UserError as error:
            sentence = str(error)
        assert str(path) in sentence
        assert "\n" not in sentence
        return None


def test_the_files_that_get_damaged_are_good():
    assert read(read_mesh, "a.off", OFF) is not None
    assert read(read_voxels, "a.binvox", BINVOX).sum() == 5
    assert read(read_voxels, "a.npy", NPY).sum() == 4


@settings(max_examples=200, deadline=None)
@given(damaged(OFF))
def test_a_damaged_off_gives_a_good_mesh_or_a_sentence(content):
    mesh = read(read_mesh, "a.off", content)
    if mesh is not None:
        vertices, faces = mesh
        assert np.isfinite(vertices).all()
        assert faces.size
        assert 0 <= faces.min() <= faces.max() < len(vertices)


@quick
@given(
    st.sampled_from([("a.binvox", BINVOX), ("a.npy", NPY)]).flatmap(
        lambda f: st.tuples(st.just(f[0]), damaged(f[1]))
    )
)
def test_a_damaged_grid_gives_a_cube_or_a_sentence(file):
    grid = read(read_voxels, *file)
    if grid is not None:
        assert grid.ndim == 3
        assert len(set(grid.shape)) == 1


@quick
@given(st.integers(1, 9).flatmap(lambda n: npst.arrays(bool, (n, n, n))))
def test_raw_round_trip(occupied):
    with tempfile.TemporaryDirectory() as folder:
        write_raw(Path(folder, "a.raw"), occupied)
        np.testing.assert_array_equal(read_raw(Path(folder, "a.raw")), occupied)


@quick
@given(npst.arrays(np.float64, (4, 3), elements=st.floats(-1e150, 1e150), unique=True))
def test_off_round_trip(vertices):
    faces = np.array([[0, 1, 2], [3, 2, 1]])
    with tempfile.TemporaryDirectory() as folder:
        write_off(Path(folder, "a.off"), vertices, faces, digits=17)
        read_vertices, read_faces = read_mesh(Path(folder, "a.off"))
    np.testing.assert_array_equal(read_vertices, vertices)
    np.testing.assert_array_equal(read_faces, faces)

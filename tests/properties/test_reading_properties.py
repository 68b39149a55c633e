"""Writing then reading is identity. What damaged files give: tests/robustness/test_fuzz_parsers.py."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from rasgan.data.meshes import read_mesh, write_off
from rasgan.voxel_io import read_raw, write_raw

quick = settings(max_examples=60, deadline=None)


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

"""Readers of untrusted files: for any input a result of the documented shape, or one sentence.

RASGAN_FUZZ_EXAMPLES=20000 tries that many inputs for each reader.
"""

import copy
import io
import os
import struct
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import render_class_view
from rasgan.data import archives
from rasgan.data.meshes import read_mesh
from rasgan.errors import UserError
from rasgan.voxel_io import LARGEST_SIDE, count_shapes, read_voxels
from tests.made_archives import meshes, tar_gz_of, tar_of, zip_of
from tests.made_meshes import Gltf, glb

EXAMPLES = int(os.environ.get("RASGAN_FUZZ_EXAMPLES", "60"))
fuzz = settings(
    max_examples=EXAMPLES, deadline=10_000, suppress_health_check=list(HealthCheck), database=None
)
MEMORY = 3 << 30

TETRAHEDRON = trimesh.Trimesh(
    [[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3.5]], [[0, 2, 1], [0, 1, 3], [0, 3, 2]]
)
NUMBERS = [*b"-1 0 3 255 65536 4294967295 9999999999 nan -inf 1e999".split(), b"9" * 30]
WORDS = [*b"# - . / OFF COFF ply list { [".split(), b" ", b"\n", b"\r", b"\t", b"\x00", b"\xff"]
BINARY = [struct.pack("<I", number) for number in (0, 1, 10**6, 2**31, 2**32 - 1)]
BINARY += [struct.pack("<f", np.nan)]


@pytest.fixture(scope="module", autouse=True)
def bounded_memory():
    """Make huge allocations fail instead of filling the memory."""
    if sys.platform != "linux":
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@st.composite
def damaged(draw, whole):
    """Cut a good file, or replace, duplicate or insert some of its bytes."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        stop = draw(st.integers(start, min(len(content), start + 12)))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            del content[start:]
        elif kind == 1:
            content[start:start] = content[start : start + draw(st.integers(0, 60))]
        else:
            content[start:stop] = draw(
                st.one_of(st.sampled_from(NUMBERS), st.sampled_from(WORDS + BINARY), st.binary(max_size=8))
            )
    return bytes(content)


def outcome(read, name, content):
    """Return the result of a reader; None after one sentence with the name of the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        try:
            return read(path)
        except UserError as error:
            sentence = str(error)
        except MemoryError:  # reported in one sentence by the scripts
            return None
        assert str(path) in sentence
        assert "\n" not in sentence
        return None


def check_mesh(mesh):
    if mesh is not None:
        vertices, faces = mesh
        assert vertices.shape == (len(vertices), 3)
        assert faces.shape == (len(faces), 3)
        assert vertices.dtype == np.float64
        assert faces.dtype == np.int64
        assert np.isfinite(vertices).all()
        assert 0 <= faces.min() <= faces.max() < len(vertices)


def check_grid(grid):
    if grid is not None:
        assert grid.ndim == 3
        assert len(set(grid.shape)) == 1
        assert grid.shape[0] <= LARGEST_SIDE
        assert grid.dtype.kind in "bf"


# --- meshes


def export(suffix, **options):
    data = TETRAHEDRON.export(file_type=suffix, **options)
    return data.encode() if isinstance(data, str) else data


OBJ = (
    b"v 0 0 0\nv 1 0 0 1\nv 1 1 0\n\tv .5 .2 0 # c\r\nv 0 1 0\nvn 0 0 1\n"
    b"f 1/1/1 2//1 3/1 4 -1\nv 0 0 1\nf 1 \\\n2 -1\ncurv 0 1 1 2\nl 1 2\n"
)
OFF_OF_ALL_KINDS = (
    b"COFF 5 2 0\n0 0 0 2 1\n2 0 0 2 1\n1 1 0 1\n.4 .2 0 1 1\n0 1 0 1 1\n5 0 1 2 3 4 9\n3 0 1 2 .1 .2 .3\n"
)
PLY_OF_ALL_KINDS = (
    b"ply\ncomment\nformat binary_big_endian 1.0\nelement edge 1\nproperty short a\nelement vertex 4\n"
    b"property float x\nproperty uchar y\nproperty list uchar char b\nproperty double z\nelement face 2\n"
    b"property list uchar int texcoord\nproperty list ushort uchar vertex_index\nend_header\n" + bytes(2)
    + b"".join(struct.pack(">fBB", x, y, k) + bytes(k) + struct.pack(">d", z)
               for k, (x, y, z) in enumerate([(0, 0, 0), (1, 0, 0), (0, 2, 0), (0, 0, 3.5)]))
    + struct.pack(">BH3B", 0, 3, 0, 2, 1) + struct.pack(">BiH4B", 1, 7, 4, 0, 1, 2, 3)
)  # fmt: skip
VALUES = [-1, 0, 1, 2, 5126, 2**31, 2**64, 0.5, float("inf"), None, True, "", "a", "data:,", [], {}, [0]]
VALUES.append([0] * 16)


def places(tree):
    """List every (container, key) of a JSON tree."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, value in pairs for place in [(tree, key), *places(value)]]


def gltf_of_everything():
    """Build a file with quantized numbers, a line and two nodes; return its tree and numbers."""
    file = Gltf()
    position = file.numbers(TETRAHEDRON.vertices, "i1", normalized=True)
    file.mesh(file.primitive(position, TETRAHEDRON.faces), file.primitive(position, [0, 1], mode=1))
    file.nodes({"mesh": 0, "children": [1], "rotation": [0, 0, 1, 1]}, {"mesh": 0, "scale": [1, 2, -1]})
    return file.finished(), file.data


MESHES = {
    "x.off": export("off"),
    "all.off": OFF_OF_ALL_KINDS,
    "x.obj": OBJ,
    "all.ply": PLY_OF_ALL_KINDS,
    "x.stl": export("stl"),
    "text.stl": export("stl_ascii"),
    "x.ply": export("ply"),
    "text.ply": export("ply", encoding="ascii"),
    "x.glb": export("glb"),
    "all.glb": glb(*gltf_of_everything()),
}
small = st.one_of(st.integers(-2, 9).map(lambda number: b"%d" % number), st.sampled_from(NUMBERS))


@pytest.mark.parametrize("name", MESHES)
@fuzz
@given(data=st.data())
def test_any_damaged_mesh_is_read_or_refused(name, data):
    check_mesh(outcome(read_mesh, name, data.draw(damaged(MESHES[name]))))


def test_undamaged_files_are_read():
    assert all(outcome(read_mesh, name, content) is not None for name, content in MESHES.items())
    assert all(outcome(read_voxels, f"x.{suffix}", content).any() for suffix, content in GRIDS.items())


@fuzz
@given(data=st.data())
def test_any_value_in_a_gltf_description_is_read_or_refused(data):
    tree, numbers = gltf_of_everything()
    for _ in range(data.draw(st.integers(1, 3))):
        all_places = places(tree)
        if all_places:
            container, key = data.draw(st.sampled_from(all_places))
            value = data.draw(st.sampled_from(["left out", *VALUES]))
            if value == "left out":
                del container[key]
            else:
                container[key] = copy.deepcopy(value)
    check_mesh(outcome(read_mesh, "x.glb", glb(tree, numbers)))


ARCHIVES = {"x.zip": zip_of, "x.tar": tar_of, "x.tar.gz": tar_gz_of}


@pytest.mark.parametrize("name", ARCHIVES)
@fuzz
@given(data=st.data())
def test_any_damaged_archive_is_unpacked_or_refused(name, data):
    def unpack(path):
        archives.unpack(path, path.parent / "ModelNet10", path.parent / "staging", 1)
        return archives.classes_in(path.parent / "ModelNet10")

    whole = ARCHIVES[name](meshes({"chair"}).items())
    found = outcome(unpack, name, data.draw(damaged(whole)))
    assert found is None or len(found) == 1


# --- grids


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def lying_npy(shape, dtype, is_fortran, version, size):
    text = f"{{'descr': '{dtype}', 'fortran_order': {is_fortran}, 'shape': {tuple(shape)}, }}\n".encode()
    length = len(text).to_bytes(2 if version == b"\1\0" else 4, "little")
    return b"\x93NUMPY" + version + length + text + bytes(size)


SIDES = st.integers(-3, 9) | st.sampled_from([512, 513, 10**5, 10**10, 10**20, 2**63, 2**64])
DTYPES = ["<f4", ">f8", "<f2", "|b1", "|u1", "<i8", "<c8", "|O", "<U9", "|V4", "<M8[s]", "f16", "x"]


def npz(method, contents):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.npy", content)
    return file.getvalue()


GRIDS = {
    "npz": npz(zipfile.ZIP_STORED, [npy(np.eye(9).reshape(3, 3, 9)[..., :3]), npy(np.arange(3))]),
    "packed.npz": npz(zipfile.ZIP_DEFLATED, [npy(np.ones((2, 3, 3, 3), bool))]),
    "raw": bytes([0, 255, 255] * 9),
    "npy": npy(np.eye(9).reshape(1, 3, 3, 9)[..., :3]),
    "binvox": b"#binvox 1\ndim 4 4 4\ntranslate 0 0 0\nscale 1\ndata\n" + bytes([0, 30, 1, 34]),
}
LYING_NPY = st.builds(
    lying_npy,
    shape=st.lists(SIDES, max_size=6),
    dtype=st.sampled_from(DTYPES),
    is_fortran=st.sampled_from(["True", "False", "1", "None", "[]"]),
    version=st.sampled_from([b"\1\0", b"\2\0", b"\3\0", b"\4\0", b"\0\0", b"\xff\xff"]),
    size=st.integers(0, 600),
)
LIES = {
    "npz": st.builds(
        npz,
        st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
        st.lists(LYING_NPY, max_size=3),
    ),
    "raw": st.binary(max_size=600)
    | st.integers(0, 8).flatmap(lambda n: st.binary(min_size=n**3, max_size=n**3)),
    "npy": LYING_NPY,
    "binvox": st.builds(
        lambda sides, data: b"#binvox 1\ndim " + b" ".join(sides) + b"\ndata\n" + data,
        st.lists(small, min_size=1, max_size=4),
        st.binary(max_size=200),
    ),
}


@pytest.mark.parametrize("suffix", GRIDS)
@pytest.mark.parametrize(
    "kind",
    [lambda suffix: damaged(GRIDS[suffix]), lambda suffix: LIES[suffix.removeprefix("packed.")]],
    ids=["damaged", "lies"],
)
@fuzz
@given(data=st.data())
def test_any_damaged_or_lying_grid_is_read_or_refused(suffix, kind, data):
    content = data.draw(kind(suffix))
    check_grid(outcome(read_voxels, f"x.{suffix}", content))
    count = outcome(count_shapes, f"x.{suffix}", content)
    assert count is None or count >= 1


# --- the renderer, which looks for faces before it starts Blender


@fuzz
@given(damaged(MESHES["x.obj"]) | st.binary(max_size=300))
def test_any_model_has_faces_or_a_sentence_says_that_it_has_none(content):
    passed = outcome(lambda path: render_class_view.check_faces(path) is None, "x.obj", content)
    assert bool(passed) == any(line.lstrip()[:2] in (b"f ", b"f\t") for line in content.split(b"\n"))

"""Mesh files with the variations that ModelNet has, and with faults."""

import struct

import numpy as np
import pytest
import trimesh

from rasgan.data.meshes import SUFFIXES, read_mesh, write_off
from rasgan.errors import UserError
from tests.made_meshes import OBJ, POINTS, TRIANGLES, ply_head
from tests.made_meshes import OFF as PLAIN

VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3.5]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


@pytest.fixture
def write(tmp_path):
    """Return a function that writes text or bytes to a mesh file."""

    def write(content, suffix=".off"):
        path = tmp_path / f"mesh{suffix}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    "text",
    {
        "plain": PLAIN,
        "glued header": PLAIN.replace("OFF\n", "OFF"),
        "CRLF": PLAIN.replace("\n", "\r\n"),
        "old Mac line ends": PLAIN.replace("\n", "\r"),
        "padded": PLAIN.rstrip() + "\x1a\0\0",
        "byte order mark": "\N{ZERO WIDTH NO-BREAK SPACE}" + PLAIN,
        "comments": "# by hand\n"
        + PLAIN.replace("4 4 6", "# counts\n4 4 6 # 4 faces").replace("1 0 0", "1 0 0#b"),
        "tabs and spaces": PLAIN.replace(" ", " \t ").replace("\n", "  \n  "),
        "no keyword": PLAIN.replace("OFF\n", ""),
        "counts on the keyword's line": PLAIN.replace("OFF\n", "OFF "),
        "all on one line": "OFF 4 4 6\n" + (POINTS + TRIANGLES).replace("\n", " "),
        "face colors": PLAIN.replace("0 2 1", "0 2 1 255 0 0").replace("1 2 3", "1 2 3 0.5 0.5 0.5 1"),
        "small letters": PLAIN.replace("OFF", "off"),
        "a number a line": PLAIN.replace(" ", "\n"),
    }.items(),
    ids=lambda item: item[0],
)
def test_variations_of_off(write, text):
    vertices, faces = read_mesh(write(text[1]))
    np.testing.assert_array_equal(vertices, VERTICES)
    np.testing.assert_array_equal(faces, FACES)
    assert vertices.dtype == np.float64
    assert faces.dtype == np.int64


@pytest.mark.parametrize(
    "text",
    {
        "large": PLAIN.replace("3.5", "1e300"),
        "small": "OFF\n3 1 0\n0 0 0\n1e-300 0 0\n0 1e-300 0\n3 0 1 2\n",
        "without area": "OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n",
    }.items(),
    ids=lambda item: item[0],
)
def test_extreme_meshes_are_read(write, text):
    vertices, faces = read_mesh(write(text[1]))
    assert np.ptp(vertices, axis=0).max() > 0
    assert len(faces)


START, SHORT = "does not start like", "fewer corners than it announces"
NUMBERS, WHOLE = "is not a number", "not integers"


@pytest.mark.parametrize(
    ("text", "fault"),
    {
        "surplus face": (PLAIN + "3 0 2 1\n", "4 vertices and 4 faces, one per line, but has 9 lines"),
        "polygons in other lines": (PLAIN.replace("3 0 2 1", "4 0 2 1\n3"), "has 9 lines"),
        "numbers without blanks": (PLAIN.replace("1 0 0", "1 0-1 0 9"), NUMBERS),
        "cut in the counts": ("OFF\n4 ", START),
        "huge counts": ("OFF\n999999999999 99999999999999999 0\n" + POINTS, "announces 9{12} .* 9{17} faces"),
        "cut within the last face": (PLAIN[:-3], SHORT),
        "short face": (PLAIN.replace("3 0 1 3", "4 0 1 3"), SHORT),
        "face of 10^9 corners": (PLAIN.replace("3 1 2 3", "1000000000 1 2 3"), SHORT),
        "words": (PLAIN.replace("1 0 0", "1 zero 0"), NUMBERS),
        "NaN coordinate": (PLAIN.replace("1 0 0", "1 nan 0"), "vertex 1 .* not a finite number"),
        "index too high": (PLAIN.replace("3 1 2 3", "3 1 2 4"), "face 3 .* missing vertex"),
        "no faces": ("OFF\n4 0 0\n" + POINTS, "no faces"),
        "equal points": ("OFF\n3 1 0\n1 1 1\n1 1 1\n1 1 1\n3 0 1 2\n", "at one point"),
    }.values(),
)
def test_faults_of_off_are_reported_with_the_file(write, text, fault):
    refused(write(text), fault)


@pytest.mark.parametrize("keyword", ["OFF BINARY", "COFF binary", "4OFF", "STC4nOFF 3", "nOFF"])
def test_unsupported_kinds_of_off_are_refused_by_name(write, keyword):
    with pytest.raises(UserError, match=r"(binary|4n?OFF|nOFF).* not supported; export it as [\w ]+\.$"):
        read_mesh(write(keyword.encode() + b"\r\n" + b"\0\0\0\4" * 30))


def refused(path, fault):
    """Expect one sentence with the file, the fault, and what to do."""
    with pytest.raises(UserError, match=fault or None) as error:
        read_mesh(path)
    assert str(error.value).startswith(f"{path}: ")
    assert str(error.value).endswith("; download or export it again.")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".obj", ".stl", ".ply", ".glb", ".OBJ"])
def test_other_formats_give_the_same_triangles(tmp_path, suffix):
    path = tmp_path / f"mesh{suffix}"
    trimesh.Trimesh(VERTICES, FACES).export(path, file_type=suffix[1:].lower())
    vertices, faces = read_mesh(path, up="z")
    if suffix == ".glb":  # y is up in glTF, by its definition
        np.testing.assert_array_equal(read_mesh(path)[0], read_mesh(path, up="y")[0])
    corners = {tuple(map(tuple, np.sort(triangle, axis=0))) for triangle in vertices[faces].round(6)}
    assert corners == {tuple(map(tuple, np.sort(triangle, axis=0))) for triangle in VERTICES[FACES]}


STL_HEAD = bytes(80) + struct.pack("<I", 2)
SIGNALING_NAN = b"\1\0\x80\x7f"  # of which numpy warns when it becomes a float64
JUNK = {"no bytes": b"", "junk": b"\x00\xff" * 300, "text": b"solid a\nendsolid"}
FAULTS = {  # what is wrong with a format alone: test_obj.py and so on
    **{f"{suffix}, {name}": (content, "") for name, content in JUNK.items() for suffix in SUFFIXES[1:]},
    ".obj, NaN": (OBJ.replace("v 1", "v nan"), "not a finite number"),
    ".stl, all points equal": (STL_HEAD + bytes(100), "one point"),
    ".stl, signaling NaN": (STL_HEAD + 2 * (12 * SIGNALING_NAN + b"00"), "not a finite number"),
    ".ply, signaling NaN": (
        ply_head(3, 1, "binary_little_endian").encode() + 9 * SIGNALING_NAN + struct.pack("<B3i", 3, 0, 1, 2),
        "not a finite number",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_other_formats_are_reported_with_the_file(write, name):
    content, fault = FAULTS[name]
    refused(write(content, name.split(",")[0]), fault)


def test_unknown_suffix(tmp_path):
    with pytest.raises(UserError, match=r"mesh\.fbx: not a supported mesh format"):
        read_mesh(tmp_path / "mesh.fbx")


def test_missing_file_stays_an_os_error(tmp_path):
    for suffix in (".off", ".obj"):
        with pytest.raises(FileNotFoundError):
            read_mesh(tmp_path / f"mesh{suffix}")


def test_a_y_up_mesh_is_rotated_not_mirrored(write):
    path = write(PLAIN)
    turned, faces = read_mesh(path, up="y")
    np.testing.assert_array_equal(turned, [[0, 0, 0], [1, 0, 0], [0, 0, 2], [0, -3.5, 0]])
    assert trimesh.Trimesh(turned, faces).volume == pytest.approx(trimesh.Trimesh(VERTICES, FACES).volume)


def test_written_off_is_read_back(tmp_path, rng):
    vertices, faces = rng.normal(size=(50, 3)) * 10, rng.integers(0, 50, size=(80, 3))
    write_off(tmp_path / "new" / "a.off", vertices, faces)
    read_vertices, read_faces = read_mesh(tmp_path / "new" / "a.off")
    np.testing.assert_allclose(read_vertices, vertices, rtol=5e-6)
    np.testing.assert_array_equal(read_faces, faces)
    assert (tmp_path / "new" / "a.off").read_bytes().startswith(b"OFF\n50 80 0\n")

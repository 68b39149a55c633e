"""Mesh files with the quirks that ModelNet's have, and with faults."""

import os

import numpy as np
import pytest
import trimesh

from rasgan.data.meshes import read_mesh, write_off
from rasgan.errors import UserError

VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3.5]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
POINTS = "0 0 0\n1 0 0\n0 2 0\n0 0 3.5\n"
TRIANGLES = "3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
PLAIN = "OFF\n4 4 6\n" + POINTS + TRIANGLES


@pytest.fixture
def off(tmp_path):
    """Give a function that writes text or bytes to an .off file."""

    def write(text):
        path = tmp_path / "mesh.off"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    "text",
    {
        "plain": PLAIN,
        "glued header": PLAIN.replace("OFF\n", "OFF"),
        "glued header, CRLF": PLAIN.replace("OFF\n", "OFF").replace("\n", "\r\n"),
        "CRLF": PLAIN.replace("\n", "\r\n"),
        "old Mac line ends": PLAIN.replace("\n", "\r"),
        "no last line end": PLAIN.rstrip(),
        "comments": "# by hand\n"
        + PLAIN.replace("4 4 6", "# counts\n4 4 6 # 4 faces").replace("1 0 0", "1 0 0#b"),
        "blank lines": "\n\n" + PLAIN.replace("\n", "\n\n \t\n"),
        "tabs and spaces": PLAIN.replace(" ", " \t ").replace("\n", "  \n  "),
        "no edge count": PLAIN.replace("4 4 6", "4 4"),
        "no keyword": PLAIN.replace("OFF\n", ""),
        "counts on the keyword's line": PLAIN.replace("OFF\n", "OFF "),
        "all on one line": "OFF 4 4 6\n" + (POINTS + TRIANGLES).replace("\n", " "),
        "face colors": PLAIN.replace("0 2 1", "0 2 1 255 0 0").replace("1 2 3", "1 2 3 0.5 0.5 0.5 1"),
        "vertex colors": "COFF\n4 4 6\n" + POINTS.replace("\n", " 255 255 255 255\n") + TRIANGLES,
        "exponents": PLAIN.replace("3.5", "35.0e-1"),
        "edges and points among the faces": PLAIN.replace("4 4 6", "4 6 6") + "2 0 1\n1 3\n",
        "lines after the last face": PLAIN.replace("3 0 2 1", "3 0 2 1 9") + "2 0 1\n",
    }.items(),
    ids=lambda item: item[0],
)
def test_off_quirks(off, text):
    vertices, faces = read_mesh(off(text[1]))
    np.testing.assert_array_equal(vertices, VERTICES)
    np.testing.assert_array_equal(faces, FACES)
    assert vertices.dtype == np.float64
    assert faces.dtype == np.int64


def test_polygons_become_fans(off):
    path = off("OFF\n5 3 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n.5 .5 1\n4 0 1 2 3 200 0 0\n3 0 1 4\n5 0 1 2 3 4\n")
    np.testing.assert_array_equal(
        read_mesh(path)[1], [[0, 1, 2], [0, 2, 3], [0, 1, 4], [0, 1, 2], [0, 2, 3], [0, 3, 4]]
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    {
        "no bytes": ("", "does not begin as"),
        "other text": ("<html>Not found</html>", "does not begin as"),
        "binary": (bytes(range(256)) * 9, "does not begin as"),
        "binary OFF": (b"OFF BINARY\n\0\0\0\4", "does not begin as"),
        "keyword alone": ("OFF\n", "does not begin as"),
        "negative count": ("OFF\n-4 4 0\n" + POINTS + TRIANGLES, "does not begin as"),
        "header alone": ("OFF\n4 4 6\n", "holds 0 lines"),
        "huge counts": ("OFF\n999999999999 999999999999 0\n" + POINTS, "announces 999999999999"),
        "cut between lines": (PLAIN[:-8], "holds 7 lines"),
        "cut within the last face": (PLAIN[:-3], "shorter than it announces"),
        "cut within the vertices": ("OFF\n4 4 6\n0 0 0\n1 0", "holds 2 lines"),
        "short vertex": (PLAIN.replace("1 0 0", "1 0"), "fewer than three"),
        "short face": (PLAIN.replace("3 0 1 3", "4 0 1 3"), "shorter than it announces"),
        "words": (PLAIN.replace("1 0 0", "1 zero 0"), "where numbers belong"),
        "NaN coordinate": (PLAIN.replace("1 0 0", "1 nan 0"), "vertex 1 .* no finite number"),
        "infinite coordinate": (PLAIN.replace("3.5", "1e999"), "vertex 3 .* no finite number"),
        "index too high": (PLAIN.replace("3 1 2 3", "3 1 2 4"), "face 3 .* vertex that is not there"),
        "index negative": (PLAIN.replace("3 0 2 1", "3 0 2 -1"), "face 0 .* vertex that is not there"),
        "index NaN": (PLAIN.replace("3 0 2 1", "3 0 2 nan"), "whole numbers"),
        "index broken": (PLAIN.replace("3 0 2 1", "3 0 2 0.5"), "whole numbers"),
        "index enormous": (PLAIN.replace("3 0 2 1", "3 0 2 1e300"), "whole numbers"),
        "face size NaN": (PLAIN.replace("3 0 2 1", "nan 0 2 1"), "whole numbers"),
        "no faces": ("OFF\n4 0 0\n" + POINTS, "no faces"),
        "no vertices": ("OFF\n0 0 0\n", "no faces"),
        "edges only": ("OFF\n4 1 0\n" + POINTS + "2 0 1\n", "no faces"),
        "one point": ("OFF\n3 1 0\n1 1 1\n1 1 1\n1 1 1\n3 0 1 2\n", "in one point"),
        "too far apart": ("OFF\n3 1 0\n-1e308 1 1\n1e308 1 1\n1 1 1\n3 0 1 2\n", "too far apart"),
    }.values(),
)
def test_off_faults_are_told_with_the_file(off, text, fault):
    path = off(text)
    with pytest.raises(UserError, match=fault) as error:
        read_mesh(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".obj", ".stl", ".ply", ".glb", ".OBJ"])
def test_other_formats_give_the_same_triangles(tmp_path, suffix):
    path = tmp_path / f"mesh{suffix}"
    trimesh.Trimesh(VERTICES, FACES).export(path, file_type=suffix[1:].lower())
    vertices, faces = read_mesh(path)
    corners = {tuple(map(tuple, np.sort(triangle, axis=0))) for triangle in vertices[faces].round(6)}
    assert corners == {tuple(map(tuple, np.sort(triangle, axis=0))) for triangle in VERTICES[FACES]}


def test_gltf_with_its_buffer_beside_it(tmp_path):
    scene = trimesh.Scene(trimesh.Trimesh(VERTICES, FACES))
    for name, content in trimesh.exchange.gltf.export_gltf(scene).items():
        (tmp_path / name).write_bytes(content)
    vertices, faces = read_mesh(tmp_path / "model.gltf")
    assert sorted(map(tuple, vertices)) == sorted(map(tuple, VERTICES))
    assert len(faces) == 4


def test_unused_vertices_survive_other_formats(tmp_path):
    path = tmp_path / "mesh.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 9 9 9\nf 1 2 3\n", encoding="utf-8")
    assert read_mesh(path)[0].max() == 9


@pytest.mark.parametrize("suffix", [".obj", ".stl", ".ply", ".glb", ".gltf"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 300, b"solid a\nendsolid"], ids=["0", "junk", "text"])
def test_faults_in_other_formats_are_told_with_the_file(tmp_path, suffix, content):
    path = tmp_path / f"mesh{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match="download or export it again") as error:
        read_mesh(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_point_cloud_is_no_mesh(tmp_path):
    path = tmp_path / "cloud.ply"
    trimesh.PointCloud(VERTICES).export(path)
    with pytest.raises(UserError, match=r"cloud\.ply"):
        read_mesh(path)


def test_what_is_no_ordinary_file(tmp_path):
    (tmp_path / "folder.off").mkdir()
    with pytest.raises(UserError, match=r"folder\.off: not an ordinary file"):
        read_mesh(tmp_path / "folder.off")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.off")
    with pytest.raises(UserError, match="not an ordinary file"):
        read_mesh(tmp_path / "pipe.off")


def test_a_huge_file_is_refused(off, monkeypatch):
    path = off(PLAIN)
    monkeypatch.setattr("rasgan.data.meshes.LARGEST_FILE", len(PLAIN))
    read_mesh(path)
    monkeypatch.setattr("rasgan.data.meshes.LARGEST_FILE", len(PLAIN) - 1)
    with pytest.raises(UserError, match=r"mesh\.off: larger than"):
        read_mesh(path)


def test_unknown_suffix(tmp_path):
    with pytest.raises(UserError, match=r"mesh\.fbx: not a mesh format"):
        read_mesh(tmp_path / "mesh.fbx")


def test_missing_file_stays_an_os_error(tmp_path):
    for suffix in (".off", ".obj"):
        with pytest.raises(FileNotFoundError):
            read_mesh(tmp_path / f"mesh{suffix}")


def test_y_up_is_turned_not_mirrored(off):
    path = off(PLAIN)
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

    write_off(tmp_path / "b.off", vertices, faces, digits=17)
    np.testing.assert_array_equal(read_mesh(tmp_path / "b.off")[0], vertices)

"""glTF: transforms and data, features that are refused by name, and faults."""

import base64
import json
import re
import struct

import numpy as np
import pytest

from rasgan.data.meshes import gltf, read_mesh
from rasgan.errors import UserError
from tests.made_meshes import Gltf, glb

VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 4.0]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
SHIFTED = VERTICES + np.array([10, 0, 0])


@pytest.fixture
def write(tmp_path):
    """Return a function that writes bytes, a built file or a tree to a mesh file."""

    def write(content, name="mesh.glb"):
        if isinstance(content, Gltf):
            content = content.glb()
        if isinstance(content, dict):
            content = json.dumps(content).encode()
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


def triangles(vertices, faces):
    """Sort triangles, so that only their winding matters, not their order or first corner."""
    corners = np.round(vertices[faces], 4) + 0.0
    turned = [min(tuple(map(tuple, np.roll(one, turn, axis=0))) for turn in range(3)) for one in corners]
    return sorted(turned)


def check(path, *parts, notes=()):
    """Expect the triangles of some (vertices, faces), and these words in the notes."""
    said = []
    vertices, faces = read_mesh(path, "z", said)
    assert triangles(vertices, faces) == sorted(one for part in parts for one in triangles(*part))
    assert len(said) == len(notes)
    assert all(words in one for words, one in zip(notes, said, strict=True))


def refused(path, fault):
    with pytest.raises(UserError, match=fault) as error:
        read_mesh(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def one(*arguments, node=None, **more):
    """Build a file of one mesh of one part at one node."""
    file = Gltf()
    file.mesh(file.primitive(*arguments, **more))
    return file.nodes({"mesh": 0, **(node or {})})


def test_indices_of_every_kind_and_none(write):
    for kind in ("u1", "u2", "u4"):
        check(write(one(VERTICES, FACES, kind)), (VERTICES, FACES))
    check(write(one(VERTICES[FACES].reshape(-1, 3))), (VERTICES, FACES))


def test_triangles_with_repeated_corners_are_dropped(write):
    check(write(one(VERTICES, [0, 1, 2, 1, 1, 3])), (VERTICES, np.array([[0, 1, 2]])))


@pytest.mark.parametrize(
    ("node", "accessor", "part", "fault"),
    [
        ({}, {}, {"mode": 5}, r"strips and fans \(mode 5\)"),
        ({}, {}, {"mode": 6}, r"\(mode 6\)"),
        ({}, {"sparse": {"count": 1}}, {}, "sparse accessors"),
        ({"extensions": {"EXT_mesh_gpu_instancing": {"attributes": {}}}}, {}, {}, "GPU instances"),
    ],
)
def test_unsupported_features_are_refused_by_name(write, node, accessor, part, fault):
    file = one(VERTICES, FACES, node=node, **part)
    file.tree["accessors"][0] |= accessor
    with pytest.raises(UserError, match=rf"{fault}.* not supported; export it [\w ]+\.$"):
        read_mesh(write(file))


def test_interleaved_vertices(write):
    file = Gltf()
    rows = np.hstack([np.full((4, 2), np.nan), VERTICES, np.full((4, 1), 7)]).astype("<f4")
    view = file.view(rows.tobytes(), byteStride=24)
    file.mesh(file.primitive(file.numbers(VERTICES, bufferView=view, byteOffset=8), FACES))
    check(write(file.nodes({"mesh": 0})), (VERTICES, FACES))


@pytest.mark.parametrize(
    ("kind", "normalized", "scale"),
    [
        ("i2", True, 32767),
        ("i1", True, 127),
        ("u1", True, 255),
        ("u2", False, 1),
    ],
)
def test_quantized_positions(write, kind, normalized, scale):
    file = Gltf()
    stored = np.rint(VERTICES / 4 * scale) if normalized else VERTICES
    size = 4 if normalized else 1
    position = file.numbers(stored, kind, normalized=normalized)
    file.mesh(file.primitive(position, FACES))
    file.tree["extensionsRequired"] = ["KHR_mesh_quantization"]
    expected = np.rint(VERTICES / size * scale) / scale * size
    check(write(file.nodes({"mesh": 0, "scale": [size] * 3})), (expected, FACES))


HALF = np.sqrt(0.5)
TURN = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])  # a quarter about z


@pytest.mark.parametrize(
    ("nodes", "expected"),
    {
        "turned": ([{"mesh": 0, "rotation": [0, 0, HALF, HALF]}], [VERTICES @ TURN.T]),
        "a matrix": ([{"mesh": 0, "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 10, 0, 0, 1]}], [SHIFTED]),
        "scaled, turned, then moved": (
            [{"mesh": 0, "translation": [1, 2, 3], "rotation": [0, 0, HALF, HALF], "scale": [2, 3, 4]}],
            [(VERTICES * [2, 3, 4]) @ TURN.T + [1, 2, 3]],
        ),
        "a node below another": (
            [{"children": [1], "scale": [2, 2, 2]}, {"mesh": 0, "translation": [5, 0, 0]}],
            [SHIFTED * [1, 1, 1] + VERTICES],
        ),
        "a mesh at two nodes": (
            [{"mesh": 0, "children": [1]}, {"mesh": 0, "translation": [10, 0, 0]}],
            [VERTICES, SHIFTED],
        ),
        "hung deeply": (
            [{"children": [k + 1], "translation": [0.01, 0, 0]} for k in range(1000)] + [{"mesh": 0}],
            [SHIFTED],
        ),
    }.values(),
)
def test_transforms(write, nodes, expected):
    file = one(VERTICES, FACES)
    check(write(file.nodes(*nodes)), *((vertices, FACES) for vertices in expected))


def test_mirrored_parts_keep_their_orientation(write):
    check(write(one(VERTICES, FACES, node={"scale": [-1, 1, 1]})), (VERTICES * [-1, 1, 1], FACES[:, ::-1]))


def test_only_the_default_scene_is_read(write):
    file = one(VERTICES, FACES).nodes({"mesh": 0}, {"mesh": 0, "translation": [10, 0, 0]}, {})
    file.tree |= {"scenes": [{"nodes": [0]}, {"nodes": [1]}, {"nodes": [2]}], "scene": 1}
    check(write(file), (SHIFTED, FACES))
    del file.tree["scene"]
    check(write(file), (VERTICES, FACES))
    file.tree["scene"] = 2
    refused(write(file), "no triangles")
    del file.tree["scenes"]
    refused(write(file), "scenes is missing")


def test_what_is_ignored_is_noted(write):
    file = Gltf()
    lines = [file.primitive(SHIFTED * 9, [0, 1, 2, 3], mode=mode) for mode in (0, 1, 2, 3)]
    part = file.primitive(np.vstack([VERTICES, [[99, 99, 99]]]), FACES)  # and a vertex that is not used
    file.mesh(*lines, part, weights=[0, 0.5])
    hidden = {"mesh": 0, "extensions": {"KHR_node_visibility": {"visible": False}}}
    file.nodes({"mesh": 0, "skin": 0, "children": [1]}, hidden)
    check(write(file), (VERTICES, FACES), notes=["skeleton", "morph targets", "points and lines", "hidden"])
    file = Gltf()
    file.mesh(file.primitive(VERTICES, [0, 1], mode=1))
    refused(write(file.nodes({"mesh": 0})), "no triangles; points and lines were ignored")


@pytest.mark.parametrize(
    ("uri", "name"),
    {
        "a space": ("a%20b.bin", "a b.bin"),
        "not ASCII": ("st%C3%BChle.bin", "stühle.bin"),
        "in a folder, encoded": ("./parts%2Fa.bin", "parts/a.bin"),
    }.values(),
)
def test_data_in_another_file(write, tmp_path, uri, name):
    file = one(VERTICES, FACES)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(file.data)
    check(write(file.finished(uri=uri), "mesh.gltf"), (VERTICES, FACES))


def test_data_uris(write):
    file = one(VERTICES, FACES)
    text = base64.b64encode(file.data).decode()
    for uri in (f"data:application/octet-stream;base64,{text}", f"DATA:;BASE64,{text.replace('=', '%3D')}"):
        check(write(file.finished(uri=uri), "mesh.gltf"), (VERTICES, FACES))


def test_containers(write):
    """The form follows from the first bytes, not from the suffix; bytes after the end are ignored."""
    file = one(VERTICES, FACES)
    whole = file.glb()
    check(write(whole, "mesh.gltf"), (VERTICES, FACES))
    uri = f"data:;base64,{base64.b64encode(file.data).decode()}"
    check(write(b"\xef\xbb\xbf" + json.dumps(file.finished(uri=uri)).encode(), "b.glb"), (VERTICES, FACES))
    check(write(whole + b"more"), (VERTICES, FACES))
    longer = whole + struct.pack("<I4s", 4, b"MORE") + b"more"
    check(write(longer[:8] + struct.pack("<I", len(longer)) + longer[12:]), (VERTICES, FACES))
    check(write(glb(file.finished(), file.data + bytes(3))), (VERTICES, FACES))


def test_extensions_that_do_not_change_the_shape(write):
    file = one(VERTICES, FACES)
    names = ["KHR_materials_unlit", "KHR_texture_transform", "EXT_texture_webp", "KHR_lights_punctual"]
    file.tree["extensionsRequired"] = [*names, "KHR_xmp_json_ld"]
    check(write(file), (VERTICES, FACES))


@pytest.mark.parametrize("name", ["KHR_mesh_something", "EXT_primitive_voxels", "", "KHR_gaussian_splatting"])
def test_other_required_extensions_are_refused_by_name(write, name):
    file = one(VERTICES, FACES)
    file.tree["extensionsUsed"] = [name]
    check(write(file), (VERTICES, FACES))
    file.tree["extensionsRequired"] = [name]
    refused(write(file), f"the extension '{name}' is not supported")


@pytest.mark.parametrize(("name", "fault"), gltf.UNREAD.items())
def test_required_compression_is_refused_by_name(write, name, fault):
    file = one(VERTICES, FACES)
    file.tree["extensionsUsed"] = [name]  # beside uncompressed data
    check(write(file), (VERTICES, FACES))
    file.tree["extensionsRequired"] = [name]
    refused(write(file), re.escape(fault))


def changed(path, value):
    """Return a valid file in which the value at a dotted path is replaced, or deleted if None."""
    file = one(VERTICES, FACES)
    tree = file.finished()
    place = tree
    *keys, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in keys:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return glb(tree, file.data)


INVALID = "its description is invalid"


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("asset.version", "1.0", "glTF 1.0, .*; export it as glTF 2.0"),
        ("asset", None, "KeyError: 'asset'"),
        ("scenes.0.nodes", [7], "nodes is missing"),
        ("nodes.0.mesh", 1, "meshes is missing"),
        ("nodes.0.children", [0], "two parents"),
        ("nodes.0.scale", [1, 1], "3 finite numbers"),
        ("nodes.0.rotation", [0, 0, 0, 0], "not a quaternion"),
        ("nodes.0.scale", [1e308, 1e308, 1e308], "not a finite number"),
        ("meshes.0.primitives.0.mode", 9, r"\(mode 9\)"),
        ("meshes.0.primitives.0.attributes", None, INVALID),
        ("meshes.0.primitives.0.attributes.POSITION", 9, "accessors is missing"),
        ("meshes.0.primitives.0.attributes.POSITION", 1, "type SCALAR, not VEC3"),
        ("accessors.0.componentType", 5124, INVALID),
        ("accessors.0.count", 5, "announces 5 VEC3"),
        ("accessors.0.count", -1, "is not a count"),
        ("accessors.0.count", 3, "missing vertex"),
        ("accessors.0.bufferView", None, "KeyError: 'bufferView'"),
        ("accessors.1.count", 11, "has 11 indices"),
        ("accessors.1.componentType", 5126, "cannot contain|not integers"),
        ("bufferViews.0.byteLength", 10**6, "ends at byte 1000000 of"),
        ("bufferViews.0.byteStride", 4, "cannot contain"),
        ("buffers.0.byteLength", 10**6, "buffer 0 announces 1000000 bytes"),
    ],
)
def test_faults(write, path, value, fault):
    refused(write(changed(path, value)), fault)


def test_vertices_that_are_not_finite_are_refused_without_a_warning(write):
    for odd in (np.nan, np.inf, 3e38):
        path = write(one(VERTICES + np.float32(odd), FACES, node={"scale": [1e300, 0, 1]}))
        refused(path, "not a finite number")


@pytest.mark.parametrize(
    ("uri", "fault"),
    {
        "missing": ("gone.bin", "the file 'gone.bin' is missing"),
        "above, encoded": ("%2e%2e%2fa.bin", "is missing"),
        "too long": ("a" * 5000, "the file 'a{80}' is missing"),
        "on the web": ("https://example.org/a.bin", "elsewhere .* not downloaded"),
        "no base64": ("data:;base64,@@@", "data URI is damaged"),
        "too short": ("data:;base64,AAAA", "announces 72 bytes, but has 3"),
    }.values(),
)
def test_missing_data(write, tmp_path, uri, fault):
    (tmp_path.parent / "a.bin").write_bytes(bytes(72))
    refused(write(one(VERTICES, FACES).finished(uri=uri), "mesh.gltf"), fault)


def test_the_size_of_other_files_is_limited(write, tmp_path, monkeypatch):
    monkeypatch.setattr("rasgan.data.meshes.LARGEST_FILE", 10_000)
    file = one(VERTICES, FACES)
    (tmp_path / "a.bin").write_bytes(file.data + bytes(10_000))
    refused(write(file.finished(uri="a.bin"), "mesh.gltf"), "the file 'a.bin' is too large")


@pytest.mark.parametrize(
    ("content", "fault"),
    {
        "cut": (lambda whole: whole[:-20], r"truncated: it announces \d+ bytes"),
        "cut in the head": (lambda whole: whole[:15], "truncated: it has 15 bytes"),
        "a part too long": (
            lambda whole: whole[:12] + b"\xff\xff\xff\x7f" + whole[16:],
            "its first chunk",
        ),
        "glTF 1.0": (lambda whole: whole[:4] + b"\1\0\0\0" + whole[8:], "it is glTF 1.0"),
        "no description": (lambda whole: whole[:16] + b"BIN\0" + whole[20:], "its first chunk"),
        "nested too deeply": (lambda whole: glb(b"[" * 100_000), "not valid JSON"),
        "text": (lambda whole: b"solid a", "not valid JSON"),
    }.values(),
)
def test_damaged_containers(write, content, fault):
    refused(write(content(one(VERTICES, FACES).glb())), fault)


def test_repeated_parts_are_limited(write, monkeypatch):
    part = one(VERTICES, FACES)
    part.tree["meshes"][0]["primitives"] *= 4
    for file in (one(VERTICES, FACES).nodes(*[{"mesh": 0}] * 7, roots=range(7)), part):
        path = write(file)
        monkeypatch.setattr(gltf, "MOST_REPEATED", 110 - path.stat().st_size // 2)
        assert len(read_mesh(path)[1]) in (16, 28)
        monkeypatch.setattr(gltf, "MOST_REPEATED", 75 - path.stat().st_size // 2)
        refused(path, "too many nodes, parts or repeated parts")


def test_the_description_is_limited(write, monkeypatch):
    monkeypatch.setattr(gltf, "MOST_VALUES", 20)
    refused(write(one(VERTICES, FACES)), "more than 20 values")


FAR = SHIFTED * 7


@pytest.mark.parametrize(
    "node",
    [{"scale": [0, 0, 0], "translation": [9, 0, 0]}, {"scale": [3, 0, 0]},
     {"scale": [0, 2, 0], "rotation": [1, 2, 3, 4], "translation": [9, 0, 0]}],
)  # fmt: skip
def test_parts_without_area_do_not_widen_the_box(write, node):
    file = one(VERTICES, FACES)
    file.mesh(file.primitive(FAR, FACES))
    file.nodes({"mesh": 0}, {"mesh": 1, **node}, roots=(0, 1))
    check(write(file), (VERTICES, FACES), notes=["without area"])


def test_triangles_without_area_do_not_widen_the_box(write):
    lines = [[0, 1, 4], [4, 4, 2], [0, 4, 5]]
    vertices = np.vstack([VERTICES, [[7, 0, 0], [3, 0, 0]]])
    check(write(one(vertices, np.vstack([FACES, lines]))), (VERTICES, FACES), notes=["without area"])
    inside = np.vstack([FACES, [[0, 1, 4]]])  # is kept
    vertices[4, 0] = 0.5
    check(write(one(vertices[:5], inside)), (vertices, inside))

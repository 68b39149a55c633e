"""glTF 2.0, .glb and .gltf. Files with unsupported features are refused by name.

Specification: Khronos, glTF 2.0, registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, and the extensions at
github.com/KhronosGroup/glTF/tree/main/extensions/2.0.
"""

import base64
import binascii
import contextlib
import json
import re
import struct
import urllib.parse
from pathlib import Path

import numpy as np

from rasgan.data.meshes.polygons import has_area
from rasgan.data.meshes.text import UnsupportedError

# Work beyond the size of the file, in triangles: a file has at most one for every two bytes, which is counted
# when it is read and when it is placed. A node, or a part of a mesh, takes about 0.1 ms.
MOST_REPEATED, PART = 10**6, 5
MOST_VALUES = 2 * 10**6  # of the JSON, as brackets and commas: Python's objects take about 100 bytes each

INSTANCES = "EXT_mesh_gpu_instancing"
UNREAD = {
    "KHR_draco_mesh_compression": "Draco compression is not supported; export it uncompressed",
    "EXT_meshopt_compression": "meshopt compression is not supported; export it uncompressed",
    "KHR_meshopt_compression": "meshopt compression is not supported; export it uncompressed",
    INSTANCES: "GPU instances are not supported; export it without them",
}
# Required extensions that are supported, or do not change the triangles.
HARMLESS = re.compile(
    r"\w+_(materials|texture|lights|xmp|animation|camera)_\w+|(KHR|EXT)_(xmp|texture|animation)\w*"
    r"|KHR_mesh_quantization|KHR_techniques_webgl|KHR_node_\w+|EXT_(mesh|instance)_features"
    r"|EXT_structural_metadata|EXT_mesh_manifold|CESIUM_(RTC|primitive_outline)|VRMC?(_\w+)?"
)

COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3}
TRIANGLES = 4

Mesh = tuple[np.ndarray, np.ndarray]


def read_gltf(path: Path, largest_file: int, notes: list[str]) -> Mesh:
    """Read the default scene of a .glb or .gltf file: vertices (v, 3) float64 and triangles (f, 3) int64.

    All nodes are read with their transforms. Vertices that no triangle uses are dropped, as in every viewer.
    What else was ignored is added to `notes`. Files that it refers to may have `largest_file` bytes in
    total. Raises ValueError if it is damaged, and UnsupportedError if it uses an unsupported feature.
    """
    try:
        tree, numbers = _open_container(path.read_bytes())
        file = _Gltf(path, tree, numbers, largest_file, notes)
        file.check_extensions()
        parts = file.parts()
        if not parts:
            raise ValueError("; ".join(["its scene contains no triangles", *notes]))
        starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
        faces = [faces + start for (_, faces), start in zip(parts, starts[:-1], strict=True)]
        return file.without_lines(np.concatenate([vertices for vertices, _ in parts]), np.concatenate(faces))
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        words = " ".join(str(error).split())[:100]
        raise ValueError(f"its description is invalid ({type(error).__name__}: {words})") from error


def _open_container(content: bytes) -> tuple[dict, bytes | None]:
    """Return the JSON tree of a file, binary or text, and the binary data of a binary one."""
    text, numbers = _split_chunks(content) if content.startswith(b"glTF") else (content, None)
    if sum(text.count(mark) for mark in (b"[", b"{", b",")) > MOST_VALUES:
        fault = f"its description has more than {MOST_VALUES} values"
        raise ValueError(f"{fault}; merge its parts, or export it as .ply")
    try:
        tree = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its description is not valid JSON ({str(error)[:80]})") from error
    _check_version(str(tree["asset"]["version"]))
    return tree, numbers


def _check_version(version: str) -> None:
    if not version.startswith("2."):
        fault = f"it is glTF {version[:20]}, and only glTF 2.0 is supported"
        raise UnsupportedError(f"{fault}; export it as glTF 2.0, or convert it with gltf-pipeline")


def _split_chunks(content: bytes) -> tuple[bytes, bytes | None]:
    """Return the JSON chunk and the binary chunk. Bytes after the announced length are ignored."""
    if len(content) < 20:
        raise ValueError(f"it is truncated: it has {len(content)} bytes")
    version, length = struct.unpack_from("<2I", content, 4)
    _check_version(f"{version}.0")
    if length > len(content):
        raise ValueError(f"it is truncated: it announces {length} bytes, but has {len(content)}")
    size, kind = struct.unpack_from("<I4s", content, 12)
    if kind != b"JSON" or 20 + size > length:
        raise ValueError("it is damaged: its first chunk is not a complete description")
    binary = content[20 + size : length]
    return content[20 : 20 + size], binary[8:] if binary[4:8] == b"BIN\0" else None


class _Gltf:
    """A glTF tree and its numbers."""

    def __init__(
        self, path: Path, tree: dict, numbers: bytes | None, largest_file: int, notes: list[str]
    ) -> None:
        self.path, self.tree, self.numbers, self.notes = path, tree, numbers, notes
        self.room = largest_file  # bytes that may still be read from other files
        self.triangles, self.most_triangles = 0, MOST_REPEATED + path.stat().st_size // 2
        self.buffers: dict[int, np.ndarray] = {}
        self.meshes: dict[int, list[Mesh]] = {}

    def check_extensions(self) -> None:
        """Raise UnsupportedError if an unsupported extension is required."""
        for name in self.tree.get("extensionsRequired", []):
            if not HARMLESS.fullmatch(name):
                fault = f"the extension {name[:80]!r} is not supported; export it without this extension"
                raise UnsupportedError(UNREAD.get(name, fault))

    def note(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)

    def parts(self) -> list[Mesh]:
        """Return every mesh of the default scene, moved to its place."""
        parts, seen = [], set()
        scene = self.item("scenes", self.tree.get("scene", 0))
        todo = [(root, np.eye(4)) for root in scene.get("nodes", [])]
        while todo:
            index, above = todo.pop()
            if index in seen:
                raise ValueError(f"node {index} (counted from 0) has two parents or is its own ancestor")
            seen.add(index)
            self.count(PART)
            node = self.item("nodes", index)
            extensions = node.get("extensions", {})
            if extensions.get("KHR_node_visibility", {}).get("visible") is False:
                self.note("hidden parts were ignored")
                continue
            if INSTANCES in extensions:
                raise UnsupportedError(UNREAD[INSTANCES])
            here = above @ _local(node)
            todo += [(child, here) for child in reversed(node.get("children", []))]
            if "mesh" in node:
                if "skin" in node:
                    self.note("the pose of its skeleton was ignored")
                parts += self.placed(node["mesh"], here, node.get("weights"))
        return parts

    def placed(self, mesh: int, matrix: np.ndarray, weights: list | None) -> list[Mesh]:
        """Return the primitives of a mesh, moved by a (4, 4) matrix."""
        if any(weights or self.item("meshes", mesh).get("weights") or []):
            self.note("its morph targets were ignored")
        if mesh not in self.meshes:
            found = [self.primitive(each) for each in self.item("meshes", mesh)["primitives"]]
            self.meshes[mesh] = [part for part in found if part is not None]
        is_mirrored = np.linalg.det(matrix[:3, :3]) < 0
        placed = []
        for vertices, faces in self.meshes[mesh]:
            self.count(PART)
            self.count(len(faces))
            there = vertices @ matrix[:3, :3].T + matrix[:3, 3]
            placed.append((there, faces[:, ::-1] if is_mirrored else faces))
        return placed

    def count(self, triangles: int) -> None:
        """Raise ValueError if these triangles are too many."""
        self.triangles += triangles
        if self.triangles > self.most_triangles:
            raise ValueError(
                "it has too many nodes, parts or repeated parts; merge them, or export it as .ply"
            )

    def without_lines(self, vertices: np.ndarray, faces: np.ndarray) -> Mesh:
        """Drop triangles without area, such as parts hidden by a scale of 0, if they widen the box."""
        kept = has_area(vertices, faces)
        if kept.all() or not kept.any():
            return vertices, faces
        mesh = _used(vertices, faces[kept])
        if np.array_equal(np.ptp(mesh[0], axis=0), np.ptp(vertices, axis=0)):
            return vertices, faces
        self.note("parts without area were ignored")
        return mesh

    def primitive(self, primitive: dict) -> Mesh | None:
        """Read the used vertices and the triangles of a primitive; None if it consists of points or lines."""
        self.count(PART)
        mode = primitive.get("mode", TRIANGLES)
        if mode in (0, 1, 2, 3):
            self.note("points and lines were ignored")
            return None
        if mode != TRIANGLES:
            raise UnsupportedError(
                f"strips and fans (mode {str(mode)[:20]}) are not supported; export it as triangles"
            )
        vertices = self.accessor(primitive["attributes"]["POSITION"], "VEC3")
        if "indices" in primitive:
            corners = self.accessor(primitive["indices"], "SCALAR")[:, 0]
        else:
            corners = np.arange(len(vertices))
        self.count(len(corners) // 3 + len(vertices) // 1000)
        return _used(vertices, _triangles(corners))

    def item(self, kind: str, index: int) -> dict:
        """Return an item of one of the tree's lists. Raises ValueError if it is missing."""
        items = self.tree.get(kind, [])
        if type(index) is not int or not 0 <= index < len(items):
            raise ValueError(f"item {str(index)[:20]} of its {kind} is missing: it has {len(items)}")
        return items[index]

    def accessor(self, index: int, form: str) -> np.ndarray:
        """Read (n, `WIDTHS[form]`) numbers, as stored or, if marked as normalized, scaled to floats."""
        accessor = self.item("accessors", index)
        if "sparse" in accessor:
            raise UnsupportedError("sparse accessors are not supported; export it without them")
        if accessor["type"] != form:
            raise ValueError(f"accessor {index} has the type {str(accessor['type'])[:20]}, not {form}")
        kind, count = np.dtype(COMPONENTS[accessor["componentType"]]), _whole(accessor["count"])
        data, stride = self.view(accessor["bufferView"])
        offset, size = _whole(accessor.get("byteOffset", 0)), kind.itemsize * WIDTHS[form]
        stride = stride or size
        if stride < size or offset + stride * (count - 1) + size > len(data):
            raise ValueError(
                f"accessor {index} announces {count} {form}, which {len(data)} bytes cannot contain"
            )
        values = np.ndarray((count, WIDTHS[form]), kind, data, offset, (stride, kind.itemsize))
        if accessor.get("normalized") and kind.kind != "f":
            values = np.maximum(values / np.iinfo(kind).max, -1)
        return values

    def view(self, index: int) -> tuple[np.ndarray, int]:
        """Return the bytes of a buffer view and its stride, 0 if the numbers are contiguous."""
        view = self.item("bufferViews", index)
        data = self.buffer(view["buffer"])
        start, length = _whole(view.get("byteOffset", 0)), _whole(view["byteLength"])
        if start + length > len(data):
            raise ValueError(f"buffer view {index} ends at byte {start + length} of {len(data)}")
        return data[start : start + length], _whole(view.get("byteStride", 0))

    def buffer(self, index: int) -> np.ndarray:
        """Return the bytes of a buffer: inside the file, in its JSON, or in another file."""
        if index not in self.buffers:
            buffer = self.item("buffers", index)
            if "uri" in buffer:
                data = self.fetch(buffer["uri"])
            elif index == 0 and self.numbers is not None:
                data = self.numbers
            else:
                raise ValueError(f"buffer {index} (counted from 0) is missing")
            length = _whole(buffer["byteLength"])
            if length > len(data):
                raise ValueError(f"buffer {index} announces {length} bytes, but has {len(data)}")
            self.buffers[index] = np.frombuffer(data, np.uint8, length)
        return self.buffers[index]

    def fetch(self, uri: str) -> bytes:
        """Read a buffer from its URI: a data URI, or the name of a file in the folder of the mesh."""
        if uri[:5].lower() == "data:":
            try:
                return base64.b64decode(urllib.parse.unquote(uri.partition(",")[2]), validate=True)
            except binascii.Error as error:
                raise ValueError(f"a data URI is damaged ({error})") from error
        path = _beside(self.path.parent, uri)
        self.room -= path.stat().st_size
        self.most_triangles += path.stat().st_size // 2
        if self.room < 0:
            raise ValueError(f"the file {uri[:80]!r} is too large")
        return path.read_bytes()


def _beside(folder: Path, uri: str) -> Path:
    """Return the file that a URI names in `folder` or below. Raises ValueError if there is none."""
    if re.match(r"\w[\w+.-]+:", uri):
        raise ValueError(f"its data are elsewhere ({uri[:80]!r}) and are not downloaded")
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # no file can have such a name; link circles
        path = (folder / urllib.parse.unquote(uri)).resolve()
        if path.is_relative_to(folder.resolve()) and path.is_file():
            return path
    raise ValueError(f"the file {uri[:80]!r} is missing")


def _whole(number: object) -> int:
    """Return a count or an offset. Raises ValueError if it is not an integer of at least 0."""
    if isinstance(number, bool) or not isinstance(number, (int, float)) or number < 0 or number % 1:
        raise ValueError(f"{str(number)[:20]!r} is not a count")
    return int(number)


def _local(node: dict) -> np.ndarray:
    """Return the (4, 4) transform of a node relative to its parent."""
    if "matrix" in node:
        return _vector(node["matrix"], 16).reshape(4, 4).T
    rotation = _vector(node.get("rotation", [0, 0, 0, 1]), 4)
    length = np.sqrt((rotation**2).sum())
    if not 0 < length < np.inf:
        raise ValueError("a rotation is not a quaternion")
    x, y, z, w = rotation / length
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * _vector(node.get("scale", [1, 1, 1]), 3)
    matrix[:3, 3] = _vector(node.get("translation", [0, 0, 0]), 3)
    return matrix


def _vector(values: list, size: int) -> np.ndarray:
    vector = np.array(values, float)
    if vector.shape != (size,) or not np.isfinite(vector).all():
        raise ValueError(f"the transform of a node does not have {size} finite numbers")
    return vector


def _triangles(corners: np.ndarray) -> np.ndarray:
    """Return the (f, 3) triangles of a list of corners.

    Those that repeat a corner are dropped: they draw nothing, but the voxelizer would mark their lines.
    """
    if corners.dtype.kind == "f":
        raise ValueError("its indices are not integers")
    if len(corners) % 3:
        raise ValueError(f"a part has {len(corners)} indices, not three per triangle")
    faces = corners.astype(np.int64).reshape(-1, 3)
    repeats = (faces[:, 0] == faces[:, 1]) | (faces[:, 1] == faces[:, 2]) | (faces[:, 2] == faces[:, 0])
    return faces[~repeats] if repeats.any() else faces


def _used(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    """Keep the vertices that a face uses, as float64. Raises ValueError if a face uses a missing one."""
    if not len(faces):
        return np.zeros((0, 3)), faces
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError("a triangle refers to a missing vertex")
    is_used = np.zeros(len(vertices), bool)
    is_used[faces] = True
    if is_used.all():
        return vertices.astype(float), faces
    return vertices[is_used].astype(float), (np.cumsum(is_used) - 1)[faces]

"""Mesh files made by hand, true and false ones."""

import copy
import json
import struct

import numpy as np

POINTS = "0 0 0\n1 0 0\n0 2 0\n0 0 3.5\n"
TRIANGLES = "3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
OFF = "OFF\n4 4 6\n" + POINTS + TRIANGLES
OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


def ply_head(vertices, faces, form="ascii"):
    """Announce so many vertices and faces."""
    head = f"ply\nformat {form} 1.0\nelement vertex {vertices}\n"
    head += "property float x\nproperty float y\nproperty float z\n"
    return head + f"element face {faces}\nproperty list uchar int vertex_indices\nend_header\n"


def gltf(count=3, view=None, **buffer):
    """Describe one mesh of `count` vertices and indices, in a buffer of 36 bytes unless told."""
    view = {"bufferView": 0} if view is None else view
    return {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [{**view, "componentType": 5126, "count": count, "type": "VEC3"},
                      {**view, "componentType": 5125, "count": count, "type": "SCALAR"}],
        "bufferViews": [{"buffer": 0, "byteOffset": 0, "byteLength": 36}],
        "buffers": [{"byteLength": 36, **buffer}],
    }  # fmt: skip


def glb(tree, data=b""):
    """Build a .glb file from its JSON and its numbers."""
    text = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


KINDS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}


class Gltf:
    """A glTF tree under construction: numbers are appended to its one buffer."""

    def __init__(self):
        self.data = b""
        self.tree = {"asset": {"version": "2.0"}, "meshes": [], "bufferViews": [], "accessors": []}

    def view(self, data, **more):
        """Append bytes, and 4-byte alignment, as a buffer view; return its index."""
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data), **more}
        self.tree["bufferViews"].append(view)
        self.data += data + bytes(-len(data) % 4)
        return len(self.tree["bufferViews"]) - 1

    def numbers(self, array, kind="f4", **more):
        """Append an array of one or more columns as an accessor; return its index."""
        array = np.asarray(array).astype(np.dtype("<" + kind))
        if "bufferView" not in more:
            more = {"bufferView": self.view(array.tobytes()), **more}
        shape = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[1 if array.ndim == 1 else array.shape[1]]
        accessor = {"componentType": KINDS[kind], "count": len(array), "type": shape, **more}
        self.tree["accessors"].append(accessor)
        return len(self.tree["accessors"]) - 1

    def primitive(self, vertices, corners=None, kind="u2", **more):
        """Describe a part: vertices as an array or an accessor's index, corners as a flat list."""
        position = vertices if isinstance(vertices, int) else self.numbers(vertices)
        part = {"attributes": {"POSITION": position}, **more}
        return part if corners is None else {**part, "indices": self.numbers(np.ravel(corners), kind)}

    def mesh(self, *primitives, **more):
        self.tree["meshes"].append({"primitives": list(primitives), **more})
        return len(self.tree["meshes"]) - 1

    def nodes(self, *nodes, roots=(0,)):
        self.tree |= {"nodes": list(nodes), "scenes": [{"nodes": list(roots)}], "scene": 0}
        return self

    def finished(self, **buffer):
        return {**copy.deepcopy(self.tree), "buffers": [{"byteLength": len(self.data), **buffer}]}

    def glb(self):
        return glb(self.finished(), self.data)

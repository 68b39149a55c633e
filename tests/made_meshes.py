"""Mesh files made by hand, true and false ones."""

import json
import struct

POINTS = "0 0 0\n1 0 0\n0 2 0\n0 0 3.5\n"
TRIANGLES = "3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
OFF = "OFF\n4 4 6\n" + POINTS + TRIANGLES
OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


def off_binary():
    """Write OFF in the binary form, the second face with a color."""
    points = struct.pack(">12f", *map(float, POINTS.split()))
    faces = [struct.pack(">4i", *map(int, line.split())) for line in TRIANGLES.splitlines()]
    colors = [struct.pack(">i", 0), struct.pack(">i3f", 3, 1, 0, 0.5), *2 * [struct.pack(">i", 0)]]
    rows = b"".join(face + color for face, color in zip(faces, colors, strict=True))
    return b"OFF BINARY\n" + struct.pack(">3i", 4, 4, 6) + points + rows


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

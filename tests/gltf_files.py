"""glTF files made by hand, true and false ones."""

import json
import struct


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

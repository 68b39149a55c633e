"""Recognize files that are not meshes by their first bytes."""

import codecs
import re

_BEGINNINGS = {
    rb"version https://git-lfs": "a Git LFS pointer (type: git lfs pull)",
    rb"(?i)\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body)": "a web page (HTML)",
    rb"(?i)\s*<(\?xml|!doctype|svg|x3d|amf|collada)": "an XML file",
    rb"PK\x03\x04|PK\x05\x06": "a ZIP archive",
    rb"\x1f\x8b": "a gzip archive",
    rb"Kaydara FBX|; FBX": "an FBX file",
    rb"BLENDER": "a Blender file",
    rb"#VRML|#Inventor": "a VRML file",
    rb"#usda|PXR-USDC": "a USD file",
    rb"ISO-10303-21": "a STEP file",
    rb"\x89HDF": "an HDF5 file",
    rb"MATLAB 5": "a MATLAB file",
    rb"\x93NUMPY": "a NumPy array",
    rb"#binvox": "a voxel grid (.binvox)",
}
_PATTERNS = [(re.compile(pattern, re.DOTALL), name) for pattern, name in _BEGINNINGS.items()]
_OTHER_MESHES = {
    rb"ply\s": (".ply",),
    rb"glTF": (".glb", ".gltf"),
    rb"(ST)?C?N?4?n?OFF\s": (".off",),
    rb"solid\s[^\n]*\n\s*facet\s": (".stl",),
}
SNIFFED = 512  # bytes, enough for every pattern


def foreign(start: bytes, suffix: str = "") -> str | None:
    """Describe a file that is not a mesh by its first `SNIFFED` bytes; None if it may be a mesh.

    With a mesh `suffix`, meshes of another format are described, too.
    """
    if not start:
        return "an empty file"
    if not start.strip(b"\0") and len(start) >= SNIFFED:
        return "nothing but zeros"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "text in UTF-16 (save it as UTF-8)"
    start = start.removeprefix(codecs.BOM_UTF8)
    for pattern, name in _PATTERNS:
        if pattern.match(start):
            return name
    if suffix not in (".gltf", ".glb") and re.match(rb'\s*(\{\s*["}]|\[\s*[\[{"])', start):
        return "a JSON file"
    for pattern, suffixes in _OTHER_MESHES.items():
        if suffix and suffix not in suffixes and re.match(pattern, start):
            return f"{suffixes[0]} under another name (rename it)"
    return None

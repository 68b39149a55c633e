"""Files that are not meshes are recognized, whatever their suffix."""

import itertools

import pytest

from rasgan.data.meshes import SUFFIXES, read_mesh
from rasgan.data.meshes.sniff import foreign
from rasgan.errors import UserError
from tests.made_meshes import OFF, glb, gltf, ply_head

FOREIGN = {
    "web page": [
        b"<!DOCTYPE html><html>404</html>",
        b"\n <HTML>",
        b"\xef\xbb\xbf<!-- a -->\n<!doctype HTML>",
    ],
    "Git LFS pointer": [b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"],
    "ZIP": [b"PK\3\4"],
    "gzip": [b"\x1f\x8b\b"],
    "XML": [b'<?xml version="1.0"?><X3D>', b"<svg xmlns=", b"<COLLADA>"],
    "JSON": [b'{"metadata": {"version": 4}}', b'[{"a": 1}]'],
    "FBX": [b"Kaydara FBX Binary  \0", b"; FBX 7.3.0 project file"],
    "Blender": [b"BLENDER-v300"],
    "VRML": [b"#VRML V2.0 utf8"],
    "USD": [b"#usda 1.0", b"PXR-USDC\0"],
    "STEP": [b"ISO-10303-21;\nHEADER;"],
    "NumPy": [b"\x93NUMPY\1\0"],
    "voxel grid": [b"#binvox 1\ndim 4 4 4\n"],
    "UTF-16": [OFF.encode("utf-16"), "v 0 0 0".encode("utf-16-be").join([b"\xfe\xff", b""])],
    "zeros": [bytes(600)],
    "empty": [b""],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_files_are_named(tmp_path, name):
    for content, suffix in itertools.product(FOREIGN[name], SUFFIXES):
        if name == "JSON" and suffix in (".glb", ".gltf"):
            continue  # they are JSON themselves: the reader reports what is missing
        path = tmp_path / f"a{suffix}"
        path.write_bytes(content)
        with pytest.raises(UserError) as error:
            read_mesh(path)
        assert str(error.value).startswith(f"{path}: it is ")
        assert name in str(error.value)
        assert "not a mesh" in str(error.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_mesh_with_the_wrong_suffix_is_reported(suffix):
    others = {".off": OFF, ".ply": ply_head(4, 4), ".stl": "solid a\nfacet normal 0 0 0", ".glb": glb(gltf())}
    for true, start in others.items():
        start = start if isinstance(start, bytes) else start.encode()
        expected = (
            None
            if suffix == true or (suffix, true) == (".gltf", ".glb")
            else f"{true} under another name (rename it)"
        )
        assert foreign(start, suffix) == expected

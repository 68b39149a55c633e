"""Mesh files: the usual formats can be read, and .off written. Each format has its own file."""

from pathlib import Path

import numpy as np

from rasgan.data.meshes.gltf import read_gltf
from rasgan.data.meshes.obj import parse_obj
from rasgan.data.meshes.off import parse_off, write_off
from rasgan.data.meshes.ply import parse_ply
from rasgan.data.meshes.sniff import SNIFFED, foreign
from rasgan.data.meshes.stl import holds_facets, parse_stl
from rasgan.data.meshes.text import UnsupportedError
from rasgan.errors import UserError
from rasgan.files import check_is_file

__all__ = ["LARGEST_FILE", "SUFFIXES", "UP_AXES", "read_mesh", "write_off"]

SUFFIXES = (".off", ".obj", ".stl", ".ply", ".glb", ".gltf")
UP_AXES = ("z", "y")
LARGEST_FILE = 1 << 30  # bytes, some 10**7 faces: reading takes a few times as much memory


def read_mesh(
    path: Path, up: str | None = None, notes: list[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read a mesh and check that it can be voxelized.

    `up` is the axis of the file that points up, by default y in glTF, as its specification says, and z in
    other formats. A y-up mesh is rotated about x, which keeps its handedness. What was ignored in the file is
    added to `notes`. Raises UserError, with the file's name, if it cannot be read.

    Returns
    -------
    vertices : (v, 3) float64 array
        Mesh x, y, z with z up, in the file's unit; all finite, not all equal.
    faces : (f, 3) int64 array
        Vertex indices, f > 0. Polygons are cut into triangles; faces of two vertices or fewer are skipped.
    """
    path, notes = Path(path), [] if notes is None else notes
    check_is_file(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: not a supported mesh format ({', '.join(SUFFIXES)}).")
    if path.stat().st_size > LARGEST_FILE:
        raise UserError(f"{path}: larger than {LARGEST_FILE >> 20} MB; reduce its number of faces first.")
    try:
        with np.errstate(all="ignore"):  # `_check` reports numbers that are not finite
            vertices, faces = _parse(path, suffix, notes)
            _check(vertices, faces)
    except UnsupportedError as error:
        raise UserError(f"{path}: {error}.") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}; download or export it again.") from error
    if (up or ("y" if suffix in (".glb", ".gltf") else "z")) == "y":
        vertices = vertices[:, [0, 2, 1]] * [1.0, -1.0, 1.0]
    return vertices, faces


def _parse(path: Path, suffix: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    with path.open("rb") as file:
        start = file.read(SNIFFED)
    # A binary .stl may start with any 80 bytes.
    is_binary_stl = suffix == ".stl" and holds_facets(start, path.stat().st_size)
    if not is_binary_stl and (found := foreign(start, suffix)):
        raise ValueError(f"it is {found}, not a mesh of this format")
    if suffix in (".glb", ".gltf"):
        return read_gltf(path, LARGEST_FILE, notes)
    if suffix == ".stl":
        return parse_stl(path.read_bytes(), notes)
    return {".off": parse_off, ".obj": parse_obj, ".ply": parse_ply}[suffix](path.read_bytes())


def _check(vertices: np.ndarray, faces: np.ndarray) -> None:
    """Raise ValueError if the mesh has no faces or cannot be scaled into a box."""
    if not len(faces):
        raise ValueError("it has no faces")
    if not np.isfinite(vertices).all():
        bad = int(np.argmin(np.isfinite(vertices).all(axis=1)))
        raise ValueError(f"vertex {bad} (counted from 0) has a coordinate that is not a finite number")
    longest = np.ptp(vertices, axis=0).max()
    if longest == 0 or not np.isfinite(longest):
        raise ValueError("its vertices are all at one point or too far apart to measure")

"""Mesh files: any of the usual formats in, .off in and out; a file for each format."""

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
    """Read a mesh and check that it can be measured; UserError, which names the file, if it cannot.

    `up` is the axis of the file that points up, by default y in glTF, by its definition, and else z. A y-up
    mesh is turned about x, which keeps its handedness. What was left out of the file is added to `notes`.

    Returns
    -------
    vertices : (v, 3) float64 array
        Mesh x, y, z with z up, in the file's unit; all finite, not all equal.
    faces : (f, 3) int64 array
        Vertex indices, f > 0; polygons are cut into triangles, faces of two vertices or fewer left out.
    """
    path, notes = Path(path), [] if notes is None else notes
    check_is_file(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: not a mesh format that is read here ({', '.join(SUFFIXES)}).")
    if path.stat().st_size > LARGEST_FILE:
        raise UserError(f"{path}: larger than {LARGEST_FILE >> 20} MB; reduce its number of faces first.")
    try:
        with np.errstate(all="ignore"):  # no warnings of numbers that are not finite: `_check` refuses them
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
    if suffix == ".stl" and holds_facets(start, path.stat().st_size):
        return parse_stl(path.read_bytes(), notes)  # whatever its first 80 bytes are, which are free
    found = foreign(start, suffix)
    if found is not None:
        raise ValueError(f"it is {found}, not a mesh of this format")
    if suffix in (".glb", ".gltf"):
        return read_gltf(path, LARGEST_FILE, notes)
    if suffix == ".stl":
        return parse_stl(path.read_bytes(), notes)
    return {".off": parse_off, ".obj": parse_obj, ".ply": parse_ply}[suffix](path.read_bytes())


def _check(vertices: np.ndarray, faces: np.ndarray) -> None:
    """Raise ValueError if the mesh cannot be scaled into a box or has no faces to look at."""
    if not len(faces):
        raise ValueError("the mesh has no faces")
    if not np.isfinite(vertices).all():
        bad = int(np.argmin(np.isfinite(vertices).all(axis=1)))
        raise ValueError(f"vertex {bad} (counted from 0) has a coordinate that is no finite number")
    longest = np.ptp(vertices, axis=0).max()
    if longest == 0 or not np.isfinite(longest):
        raise ValueError("its vertices all lie in one point or too far apart to measure")

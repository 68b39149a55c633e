"""Meshes as .obj, .stl, .ply and .glb files: each format has its own upward axis, front and unit."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rasgan.files import atomic_path

Write = Callable[[Path, np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class Format:
    """Axes and unit that programs expect of a format, and the function that writes it."""

    rotation: np.ndarray  # (3, 3) int: from `surface_mesh`'s axes to the file's; determinant +1
    millimeters: float  # in one unit of the file, where a length is asked for
    write: Write


def write_model(
    path: Path, vertices: np.ndarray, faces: np.ndarray, box: float, longest_mm: float | None = None
) -> None:
    """Write a mesh in the format that the suffix of `path` names; the file appears whole or not at all.

    Parameters
    ----------
    path : Path
        Its suffix is a key of `FORMATS`.
    vertices : (v, 3) float array
        y up, front towards low z, in the box [0, `box`]**3, as from `rasgan.export.surface.surface_mesh`.
    faces : (f, 3) int array
        Vertex indices, f > 0, counter-clockwise seen from outside.
    box : float
        Edge of the whole grid, in the unit of `vertices`.
    longest_mm : float, optional
        Scale the longest side of the object to this many millimeters, in the unit of the format, and move
        the lowest corner of its bounding box to the origin. Default: unit and place within the box are kept.
    """
    target = FORMATS[path.suffix]
    # The rotation turns the box onto itself: an axis that is reversed runs from `box` down to 0.
    vertices = vertices @ target.rotation.T + box * (target.rotation < 0).any(axis=1)
    if longest_mm is not None:
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        vertices = (vertices - low) * (longest_mm / target.millimeters / (high - low).max())
    target.write(path, vertices, faces)


def _write_with_trimesh(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write a .stl, .ply or .glb file: binary, with 32-bit floats."""
    import trimesh  # here: its import takes longer than writing most models

    mesh = trimesh.Trimesh(vertices, faces, process=False, validate=False)  # as it is: nothing merged
    if path.suffix == ".glb":  # without a material it would be metal by default, black in many viewers
        clay = trimesh.visual.material.PBRMaterial(
            baseColorFactor=[231, 231, 231, 255], metallicFactor=0.0, roughnessFactor=0.8
        )
        mesh.visual = trimesh.visual.TextureVisuals(material=clay)
    data = mesh.export(file_type=path.suffix[1:])
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write (v, 3) float vertices and (f, 3) int faces, indices from 0, as .obj, which counts from 1.

    Numbers have nine significant digits. The file appears whole or not at all; its folder is made if need be.
    """
    numbers, places = np.unique(vertices, return_inverse=True)  # voxels have few different coordinates
    coordinates = np.array([b" %.9g" % number for number in numbers.tolist()], dtype=bytes)
    counts = np.array([b" %d" % count for count in range(1, len(vertices) + 1)], dtype=bytes)
    with atomic_path(path) as temporary, temporary.open("wb") as out:
        _write_lines(out, b"v", coordinates, places.reshape(vertices.shape))
        _write_lines(out, b"f", counts, faces)


def _write_lines(
    out: BinaryIO, letter: bytes, words: np.ndarray, rows: np.ndarray, at_once: int = 100_000
) -> None:
    """Write a line for each of the (n, 3) int `rows`: the letter, then three of the `words`.

    Looking words up in an array takes half the time of formatting every line.
    """
    for start in range(0, len(rows), at_once):
        block = words[rows[start : start + at_once]]
        line = [np.full(len(block), letter), *block.T, np.full(len(block), b"\n")]
        text = np.rec.fromarrays(line).tobytes()
        out.write(text.replace(b"\0", b""))  # what fills words up to the length of the longest


_Y_UP_FRONT_LOW_Z = np.eye(3, dtype=int)
_Y_UP_FRONT_HIGH_Z = np.array([[-1, 0, 0], [0, 1, 0], [0, 0, -1]])  # glTF 2.0, 3.4: "the front faces +Z"
_Z_UP_FRONT_LOW_Y = np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]])  # ModelNet's own axes, and a print bed's

FORMATS = {
    ".obj": Format(_Y_UP_FRONT_LOW_Z, 1.0, write_obj),
    ".stl": Format(_Z_UP_FRONT_LOW_Y, 1.0, _write_with_trimesh),
    ".ply": Format(_Z_UP_FRONT_LOW_Y, 1.0, _write_with_trimesh),
    ".glb": Format(_Y_UP_FRONT_HIGH_Z, 1000.0, _write_with_trimesh),
}

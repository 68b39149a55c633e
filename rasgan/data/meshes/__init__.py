"""Mesh files: any of the usual formats in, .off in and out."""

import codecs
import json
import re
import struct
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rasgan.errors import UserError
from rasgan.files import atomic_path, check_is_file

SUFFIXES = (".off", ".obj", ".stl", ".ply", ".glb", ".gltf")
UP_AXES = ("z", "y")

LARGEST_FILE = 1 << 30
"""Mesh files beyond this many bytes (some 10**7 faces) are refused: reading takes a few times their size."""

MOST_ZEROS = 10**7
"""A glTF file may announce numbers without holding them; readers make them zeros. No real mesh needs any."""

Mesh = tuple[np.ndarray, np.ndarray]

# Keyword and counts of an .off file. ModelNet40 has files without the line break between the two; the
# keyword's prefixes announce texture, color and normal columns, which are ignored.
_OFF_HEADER = re.compile(rb"\s*(?:(?:ST)?C?N?OFF)?\s*(\d{1,18})[ \t]+(\d{1,18})[^\n]*\n?")


def read_mesh(path: Path, up: str = "z") -> Mesh:
    """Read a mesh and check that it can be measured.

    Parameters
    ----------
    path : Path
        A file with one of `SUFFIXES`, in upper or lower case.
    up : {"z", "y"}
        Which axis of the file points up. A y-up mesh is turned about x (it keeps its handedness).

    Returns
    -------
    vertices : (v, 3) float64 array
        Mesh x, y, z with z up, in the file's unit; all finite, not all equal.
    faces : (f, 3) int64 array
        Vertex indices, f > 0; polygons are cut into triangles, faces of two vertices or fewer left out.

    Raises
    ------
    UserError
        If the file is not such a mesh; the message names the file and the fault.
    """
    path = Path(path)
    check_is_file(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: not a mesh format that is read here ({', '.join(SUFFIXES)}).")
    if path.stat().st_size > LARGEST_FILE:
        raise UserError(f"{path}: larger than {LARGEST_FILE >> 20} MB; reduce its number of faces first.")
    try:
        vertices, faces = parse_off(path.read_bytes()) if suffix == ".off" else _read_with_trimesh(path)
        _check(vertices, faces)
    except ValueError as error:
        raise UserError(f"{path}: {error}; download or export it again.") from error
    if up == "y":
        vertices = vertices[:, [0, 2, 1]] * [1.0, -1.0, 1.0]
    return vertices, faces


def _check(vertices: np.ndarray, faces: np.ndarray) -> None:
    """Raise ValueError if the mesh cannot be scaled into a box or has no faces to look at."""
    if not len(faces):
        raise ValueError("the mesh has no faces")
    if vertices.shape[1:] != (3,) or faces.shape[1:] != (3,):
        raise ValueError("its vertices do not have three coordinates each")
    if not np.isfinite(vertices).all():
        bad = int(np.argmin(np.isfinite(vertices).all(axis=1)))
        raise ValueError(f"vertex {bad} (counted from 0) has a coordinate that is no finite number")
    if faces.min() < 0 or faces.max() >= len(vertices):
        bad = int(np.argmax(((faces < 0) | (faces >= len(vertices))).any(axis=1)))
        raise ValueError(f"face {bad} (counted from 0) names a vertex that is not there")
    with np.errstate(over="ignore"):
        longest = np.ptp(vertices, axis=0).max()
    if longest == 0 or not np.isfinite(longest):
        raise ValueError("its vertices all lie in one point or too far apart to measure")


def parse_off(text: bytes) -> Mesh:
    """Read the text of an .off file, with the liberties that ModelNet's files take.

    Glued headers, either line ending, comments, blank lines, extra columns, polygons and face colors are
    fine. The vertices (v, 3) and triangles (f, 3) come back as the file has them, indices checked only for
    being whole numbers.

    Raises
    ------
    ValueError
        If the text is not, or not all of, an .off file; the message says what is wrong with it.
    """
    text = text.removeprefix(codecs.BOM_UTF8)
    if b"#" in text:
        text = re.sub(rb"#[^\r\n]*", b"", text)
    if b"\n" not in text:
        text = text.replace(b"\r", b"\n")
    header = _OFF_HEADER.match(text)
    if header is None:
        raise ValueError("it does not begin as a text .off file does (OFF, then the counts)")
    vertex_count, face_count = int(header[1]), int(header[2])
    body = text[header.end() :]
    numbers = _parse_numbers(body)
    if numbers.size == 3 * vertex_count + 4 * face_count:
        faces = numbers[3 * vertex_count :].reshape(face_count, 4)
        if (faces[:, 0] == 3).all():
            return numbers[: 3 * vertex_count].reshape(vertex_count, 3), _as_indices(faces[:, 1:])
    return _parse_lines(body, numbers, vertex_count, face_count)


def _parse_numbers(body: bytes) -> np.ndarray:
    """Read all numbers of a text; ValueError if anything else stands there."""
    if not body.strip():
        return np.zeros(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how numpy reports the first odd word
        try:
            # Takes a third of the memory of body.split(), which matters for a million faces.
            return np.fromstring(body, dtype=np.float64, sep=" ")
        except (ValueError, DeprecationWarning):
            raise ValueError("it holds something else where numbers belong") from None


def _parse_lines(body: bytes, numbers: np.ndarray, vertex_count: int, face_count: int) -> Mesh:
    """Read vertices and faces line by line (polygons, colors and other extra columns), vectorized."""
    characters = np.frombuffer(body, dtype=np.uint8)
    blank = characters <= ord(" ")
    word_starts = np.flatnonzero(~blank & np.concatenate([[True], blank[:-1]]))
    line_of_word = np.cumsum(characters == ord("\n"), dtype=np.int64)[word_starts]
    line_starts = np.flatnonzero(np.diff(line_of_word, prepend=-1))
    line_lengths = np.diff(line_starts, append=numbers.size)
    if line_starts.size < vertex_count + face_count:
        raise ValueError(
            f"it announces {vertex_count} vertices and {face_count} faces but holds {line_starts.size} lines"
        )
    if (line_lengths[:vertex_count] < 3).any():
        raise ValueError("a vertex has fewer than three coordinates")
    vertices = numbers[line_starts[:vertex_count, None] + np.arange(3)]

    rows = slice(vertex_count, vertex_count + face_count)
    sizes = _as_indices(numbers[line_starts[rows]])
    if (sizes < 0).any():
        raise ValueError("a face announces fewer than no corners")
    if (sizes >= line_lengths[rows]).any():
        raise ValueError("a face is shorter than it announces")
    # A polygon a, b, c, d becomes the fan (a, b, c), (a, c, d).
    triangles = np.maximum(sizes - 2, 0)
    polygon = np.repeat(np.arange(face_count), triangles)
    corner = np.arange(polygon.size) - (np.cumsum(triangles) - triangles)[polygon]
    first = line_starts[rows][polygon] + 1
    return vertices, _as_indices(numbers[np.stack([first, first + corner + 1, first + corner + 2], axis=1)])


def _as_indices(numbers: np.ndarray) -> np.ndarray:
    """Turn floats into int64; ValueError if one is not a whole number of reasonable size."""
    if not (np.abs(numbers) < 2**53).all() or (numbers % 1).any():
        raise ValueError("a face holds something else than whole numbers")
    return numbers.astype(np.int64)


def _read_with_trimesh(path: Path) -> Mesh:
    """Read any other format; ValueError with trimesh's own words if it fails."""
    import trimesh  # here, because the import takes longer than most .off files take to convert

    suffix = path.suffix.lower()
    with path.open("rb") as file:  # what the system refuses is told in its own words
        try:
            if suffix in (".glb", ".gltf"):
                _check_gltf(file)
            mesh = trimesh.load(
                file,
                file_type=suffix[1:],
                resolver=_Beside(path.parent),
                force="mesh",
                process=False,
                maintain_order=True,  # keeps unused vertices
                skip_materials=True,
            )
            vertices = np.asarray(mesh.vertices, dtype=np.float64)
            faces = np.asarray(mesh.faces, dtype=np.int64)
            if suffix == ".ply":
                _check_ply(file, vertices, faces)
            return vertices, faces
        except MemoryError:
            raise
        except Exception as error:  # other people's parsers fail on bad files in every way there is
            words = " ".join(str(error).split())[:200]
            raise ValueError(f"it cannot be read as {suffix} ({type(error).__name__}: {words})") from error


class _Beside:
    """Gives trimesh the files that a mesh refers to: ordinary ones, from the mesh's own folder alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def get(self, name: str) -> bytes:
        path = (self.folder / name).resolve()
        if not (path.is_relative_to(self.folder) and path.is_file()) or path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"there is no file {name!r} beside it")
        return path.read_bytes()

    __getitem__ = get


def _check_gltf(file: BinaryIO) -> None:
    """Raise ValueError if numbers that a glTF file does not hold (zeros, that is) would fill the memory."""
    start = file.read(20)
    length = struct.unpack("<I", start[12:16])[0] if start.startswith(b"glTF") and len(start) == 20 else -1
    if length < 0:
        file.seek(0)
    accessors = json.loads(file.read(length)).get("accessors", [])
    zeros = sum(abs(int(accessor["count"])) for accessor in accessors if "bufferView" not in accessor)
    if zeros > MOST_ZEROS:
        raise ValueError(f"it announces {zeros} numbers that it does not hold")
    file.seek(0)


def _check_ply(file: BinaryIO, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Raise ValueError if a text .ply ends early, which trimesh passes over."""
    file.seek(0)
    header = file.read(1 << 16).partition(b"end_header")[0]
    for kind, read in ((b"vertex", vertices), (b"face", faces)):
        announced = re.search(rb"element\s+" + kind + rb"\s+(\d{1,18})\s", header)
        if announced is not None and len(read) < int(announced[1]):
            raise ValueError(f"of {int(announced[1])} {kind.decode()} lines only {len(read)} are whole")


def write_off(path: Path, vertices: np.ndarray, faces: np.ndarray, digits: int = 6) -> None:
    """Write (v, 3) vertices and (f, 3) faces as text .off; `digits` significant digits (17 are exact)."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        file.write(f"OFF\n{len(vertices)} {len(faces)} 0\n")
        np.savetxt(file, vertices, fmt=f"%.{digits}g")
        np.savetxt(file, faces, fmt="3 %d %d %d")

"""Text and binary .off: the format of ModelNet, described in the manual of Geomview (OFF Files)."""

import codecs
import re
from pathlib import Path

import numpy as np

from rasgan.data.meshes.polygons import triangulate
from rasgan.data.meshes.records import Bytes, Property, Rows, Words
from rasgan.data.meshes.text import as_indices, parse_numbers, word_starts
from rasgan.files import atomic_path

# The letters announce texture coordinates, colors, normals, a fourth coordinate to divide by, any dimension.
_KEYWORD = re.compile(rb"\s*(ST)?(C)?(N)?(4)?(n)?OFF")
_BINARY = re.compile(rb"[ \t]*BINARY[ \t]*\r?\n", re.IGNORECASE)
# ModelNet40 has files without the line break before the counts. The edges may lack or have their own line.
_COUNTS = re.compile(
    rb"\s*(\d{1,18})\s+(\d{1,18})(?!\S)(?:[ \t]+\d+(?!\S)|[ \t\r]*\n\s*\d+[ \t\r]*(?=\n|\Z))?([^\n]*)\n?"
)
_DIMENSION = re.compile(rb"\s*(\d{1,9})(?!\S)")
_WIDTHS = {"w": 1, "N": 3, "C": 4, "ST": 2}  # numbers of a vertex besides x, y, z, in the order they stand in
Polygons = tuple[np.ndarray, np.ndarray, np.ndarray]  # vertices (v, 3), (v, 4) of 4OFF; corners; sizes


def parse_off(text: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Read the bytes of an .off file, with the liberties that ModelNet's files take.

    Headers without a line break, in small letters or without keyword, any line ending, comments, blank lines,
    extra columns, rows broken over lines, polygons and face colors are fine; vertices (x, y, z, w) of 4OFF
    are divided by w; nOFF is read if it has three dimensions. Returns vertices (v, 3) and triangles (f, 3).
    ValueError, with what is wrong, if it is no .off file, or holds less or more than it announces.
    """
    text = text.removeprefix(codecs.BOM_UTF8)
    prefixes, start = _keyword(text)
    binary = _BINARY.match(text, start) if start else None
    if binary is not None:
        vertices, corners, sizes = _parse_binary(text, binary.end(), prefixes)
    else:
        vertices, corners, sizes = _parse_text(text)
    if vertices.shape[1] == 4:
        vertices = vertices[:, :3] / vertices[:, 3:]
    return vertices, triangulate(vertices, corners, sizes)


def _keyword(text: bytes) -> tuple[set[str], int]:
    """Return what the keyword announces (ST, C, N, w, n), and where it ends; 0 if there is none."""
    found = _KEYWORD.match(text) or _KEYWORD.match(text[:64].upper())
    if found is None:
        return set(), 0
    names = zip(("ST", "C", "N", "w", "n"), found.groups(), strict=True)
    return {name for name, group in names if group}, found.end()


def _check_dimension(dimension: int) -> None:
    """Raise ValueError if the vertices of an nOFF file are not x, y and z."""
    if dimension != 3:
        raise ValueError(f"its vertices have {dimension} dimensions, not three")


def _parse_text(text: bytes) -> Polygons:
    """Read a text from its keyword on."""
    if b"#" in text:
        text = re.sub(rb"#[^\r\n]*", b"", text)
    if b"\n" not in text:
        text = text.replace(b"\r", b"\n")
    prefixes, start = _keyword(text)
    if "n" in prefixes:
        dimension = _DIMENSION.match(text, start)
        _check_dimension(int(dimension[1]) if dimension else 0)
        start = dimension.end()
    header = _COUNTS.match(text, start)
    if header is None:
        raise ValueError("it does not begin as an .off file does (OFF, then the counts)")
    counts = int(header[1]), int(header[2])
    body = text[header.end() :]
    body = body if body.strip() else header[3]  # all on one line
    numbers = parse_numbers(body)
    width = 3 + ("w" in prefixes)
    if numbers.size == width * counts[0] + 4 * counts[1]:
        faces = numbers[width * counts[0] :].reshape(counts[1], 4)
        if (faces[:, 0] == 3).all():
            vertices = numbers[: width * counts[0]].reshape(counts[0], width)
            return vertices, as_indices(faces[:, 1:]).ravel(), np.full(counts[1], 3)
    try:
        return _parse_lines(body, numbers, counts, width)
    except ValueError as error:
        broken = _parse_broken(numbers, counts, prefixes)
        if broken is None:
            raise error from None
        return broken


def _parse_broken(numbers: np.ndarray, counts: tuple[int, int], prefixes: set[str]) -> Polygons | None:
    """Read rows that are not a line each; None unless they are faces and nothing else is there."""
    try:
        *polygons, end = _parse_rows(Words(numbers), 0, counts, prefixes, "=f8")
    except ValueError:
        return None
    _, corners, sizes = polygons
    sound = end == numbers.size and (sizes >= 3).all() and ((corners >= 0) & (corners < counts[0])).all()
    return tuple(polygons) if sound else None


def _parse_lines(body: bytes, numbers: np.ndarray, counts: tuple[int, int], width: int) -> Polygons:
    """Read line by line (polygons, colors and other extra columns), vectorized."""
    vertex_count, face_count = counts
    words, lengths = word_starts(body + b"\n")
    if words.size != numbers.size:
        raise ValueError("it holds something else where numbers belong")
    lengths = lengths[lengths > 0]
    starts = np.cumsum(lengths) - lengths
    if lengths.size != vertex_count + face_count:
        raise ValueError(
            f"it announces {vertex_count} vertices and {face_count} faces but holds {lengths.size} lines"
        )
    if (lengths[:vertex_count] < width).any():
        raise ValueError(f"a vertex has fewer than {'three' if width == 3 else 'four'} coordinates")
    vertices = numbers[starts[:vertex_count, None] + np.arange(width)]
    rows = slice(vertex_count, vertex_count + face_count)
    sizes = as_indices(numbers[starts[rows]])
    if (sizes < 0).any():
        raise ValueError("a face announces fewer than no corners")
    if (sizes >= lengths[rows]).any():
        raise ValueError("a face is shorter than it announces")
    first = np.repeat(starts[rows] + 1 - (np.cumsum(sizes) - sizes), sizes)
    return vertices, as_indices(numbers[first + np.arange(first.size)]), sizes


def _parse_rows(
    source: Words | Bytes, start: int, counts: tuple[int, int], prefixes: set[str], real: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Read row by row; return also where the last row ends. `real` is the kind of a float."""
    whole = real[0] + "i4"
    more = sum(width for name, width in _WIDTHS.items() if name in prefixes)
    columns = [Property(str(column), real) for column in range(3 + more)]
    vertices = Rows(source, start, counts[0], columns, "vertex")
    faces = [Property("corners", whole, whole)]
    if isinstance(source, Bytes):
        faces.append(Property("color", real, whole))  # in text its length is that of the line
    faces = Rows(source, vertices.end, counts[1], faces, "face")
    corners, sizes = faces.list("corners")
    read = [vertices.scalar(str(column)) for column in range(3 + ("w" in prefixes))]
    return np.stack(read, axis=1).astype(np.float64), as_indices(corners), sizes, faces.end


def _parse_binary(data: bytes, start: int, prefixes: set[str]) -> Polygons:
    """Read what follows the line OFF BINARY: int32 and float32, the most significant byte first."""
    end = start + 4 * (3 + ("n" in prefixes))
    head = np.frombuffer(data[start:end], ">i4").tolist() if len(data) >= end else [-1] * 4
    if "n" in prefixes:
        _check_dimension(head.pop(0))
    counts = head[0], head[1]
    if min(counts) < 0:
        raise ValueError("after OFF BINARY it does not go on with the counts")
    vertices, corners, sizes, end = _parse_rows(Bytes(data), end, counts, prefixes, ">f4")
    if data[end:].strip():
        raise ValueError(f"{len(data) - end} bytes follow the {counts[1]} faces that it announces")
    return vertices, corners, sizes


def write_off(path: Path, vertices: np.ndarray, faces: np.ndarray, digits: int = 6) -> None:
    """Write (v, 3) vertices and (f, 3) faces as text .off; `digits` significant digits (17 are exact)."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        file.write(f"OFF\n{len(vertices)} {len(faces)} 0\n")
        np.savetxt(file, vertices, fmt=f"%.{digits}g")
        np.savetxt(file, faces, fmt="3 %d %d %d")

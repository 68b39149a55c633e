"""Text .off: the format of ModelNet, described in the manual of Geomview (OFF Files)."""

import codecs
import re
from pathlib import Path

import numpy as np

from rasgan.data.meshes.polygons import triangulate
from rasgan.data.meshes.records import Property, Rows, Words
from rasgan.data.meshes.text import (
    PADDING,
    UnsupportedError,
    as_indices,
    odd_word,
    parse_numbers,
    substitute,
    word_starts,
)
from rasgan.files import atomic_path

# The letters announce texture coordinates, colors, normals, a fourth coordinate, any number of dimensions.
_KEYWORD = re.compile(rb"\s*(?P<ST>ST)?(?P<C>C)?(?P<N>N)?(?P<other>4?n?OFF)[ \t]*(?P<binary>(?i:BINARY))?")
_COMMENT = re.compile(rb"#[^\r\n]*")
_WIDTHS = {"ST": 2, "C": 4, "N": 3}  # numbers of a vertex besides x, y, z
# ModelNet40 has files without the line break before the counts. The edges may lack or have their own line.
_COUNTS = re.compile(
    rb"\s*(\d{1,18})\s+(\d{1,18})(?!\S)(?:[ \t]+\d+(?!\S)|[ \t\r]*\n\s*\d+[ \t\r]*(?=\n|\Z))?([^\n]*)\n?"
)
Polygons = tuple[np.ndarray, np.ndarray, np.ndarray]  # vertices (v, 3), corners (c,), sizes (f,)


def parse_off(text: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Read the bytes of an .off file, with the liberties that ModelNet's files take.

    Headers without a line break, in small letters or without keyword, any line ending, comments, blank lines,
    extra columns, rows broken over lines, polygons and face colors are supported. Returns vertices (v, 3) and
    triangles (f, 3). Raises UnsupportedError for a binary file and for vertices that are not x, y, z, and
    ValueError for a file that is not an .off file, or contains less or more than it announces.
    """
    text = text.removeprefix(codecs.BOM_UTF8).rstrip(PADDING)
    if b"#" in text:
        text = substitute(_COMMENT, b"", text)
    if b"\n" not in text:
        text = text.replace(b"\r", b"\n")
    start, extra = 0, 0
    keyword = _KEYWORD.match(text) or _KEYWORD.match(text[:64].upper())
    if keyword is not None:
        if keyword["binary"]:
            raise UnsupportedError("it is a binary .off file, which is not read; export it as text")
        if keyword["other"] != b"OFF":
            name = keyword["other"].decode()
            raise UnsupportedError(
                f"its vertices are not x, y, z ({name}), which is not read; export it as OFF"
            )
        start, extra = keyword.end(), sum(width for name, width in _WIDTHS.items() if keyword[name])
    header = _COUNTS.match(text, start)
    if header is None:
        raise ValueError("it does not begin as an .off file does (OFF, then the counts)")
    counts = int(header[1]), int(header[2])
    body = text[header.end() :]
    polygons = _polygons(body if body.strip() else header[3], counts, extra)
    return polygons[0], triangulate(*polygons)


def _polygons(body: bytes, counts: tuple[int, int], extra: int) -> Polygons:
    """Read what follows the counts; a vertex may have `extra` numbers besides x, y, z."""
    numbers = parse_numbers(body)
    if numbers.size == 3 * counts[0] + 4 * counts[1]:
        faces = numbers[3 * counts[0] :].reshape(counts[1], 4)
        if (faces[:, 0] == 3).all():
            vertices = numbers[: 3 * counts[0]].reshape(counts[0], 3)
            return vertices, as_indices(faces[:, 1:]).ravel(), np.full(counts[1], 3)
    try:
        return _parse_lines(body, numbers, counts)
    except ValueError as error:
        broken = _parse_broken(numbers, counts, extra)
        if broken is None:
            raise error from None
        return broken


def _parse_lines(body: bytes, numbers: np.ndarray, counts: tuple[int, int]) -> Polygons:
    """Read line by line (polygons, colors and other extra columns), vectorized."""
    vertex_count, face_count = counts
    words, lengths = word_starts(body + b"\n")
    if words.size != numbers.size:
        raise ValueError(f"it holds {odd_word(body)[1]} where a number belongs")
    lengths = lengths[lengths > 0]
    starts = np.cumsum(lengths) - lengths
    if lengths.size != vertex_count + face_count:
        raise ValueError(
            f"it announces {vertex_count} vertices and {face_count} faces but holds {lengths.size} lines"
        )
    if (lengths[:vertex_count] < 3).any():
        raise ValueError("a vertex has fewer than three coordinates")
    vertices = numbers[starts[:vertex_count, None] + np.arange(3)]
    rows = slice(vertex_count, vertex_count + face_count)
    sizes = as_indices(numbers[starts[rows]])
    if (sizes < 0).any():
        raise ValueError("a face announces fewer than no corners")
    if (sizes >= lengths[rows]).any():
        raise ValueError("a face is shorter than it announces")
    first = np.repeat(starts[rows] + 1 - (np.cumsum(sizes) - sizes), sizes)
    return vertices, as_indices(numbers[first + np.arange(first.size)]), sizes


def _parse_broken(numbers: np.ndarray, counts: tuple[int, int], extra: int) -> Polygons | None:
    """Read rows that are not a line each; None unless they are faces and nothing else is there."""
    columns = [Property(str(column), "=f8") for column in range(3 + extra)]
    try:
        vertices = Rows(Words(numbers), 0, counts[0], columns, "vertex")
        faces = Rows(vertices.source, vertices.end, counts[1], [Property("corners", "=f8", "=f8")], "face")
        corners, sizes = faces.list("corners")
        corners = as_indices(corners)
    except ValueError:
        return None
    if faces.end < numbers.size or (sizes < 3).any() or (corners < 0).any() or (corners >= counts[0]).any():
        return None
    return np.stack([vertices.scalar(axis) for axis in "012"], axis=1), corners, sizes


def write_off(path: Path, vertices: np.ndarray, faces: np.ndarray, digits: int = 6) -> None:
    """Write (v, 3) vertices and (f, 3) faces as text .off; `digits` significant digits (17 are exact)."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        file.write(f"OFF\n{len(vertices)} {len(faces)} 0\n")
        np.savetxt(file, vertices, fmt=f"%.{digits}g")
        np.savetxt(file, faces, fmt="3 %d %d %d")

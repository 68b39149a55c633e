"""Text .off: the format of ModelNet, described in the manual of Geomview (OFF Files)."""

import codecs
import re
from pathlib import Path

import numpy as np

from rasgan.data.meshes.polygons import triangulate
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
_KEYWORD = re.compile(rb"\s*(ST)?C?N?(?P<kind>4?n?OFF)[ \t]*(?P<binary>(?i:BINARY))?")
_COMMENT = re.compile(rb"#[^\r\n]*")
# ModelNet40 has files without the line break before the counts. The edges may lack or have their own line.
_COUNTS = re.compile(
    rb"\s*(\d{1,18})\s+(\d{1,18})(?!\S)(?:[ \t]+\d+(?!\S)|[ \t\r]*\n\s*\d+[ \t\r]*(?=\n|\Z))?([^\n]*)\n?"
)
Polygons = tuple[np.ndarray, np.ndarray, np.ndarray]  # vertices (v, 3), corners (c,), sizes (f,)


def parse_off(text: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Read the bytes of an .off file, with the liberties that ModelNet's files take.

    Headers without a line break, in small letters or without keyword, any line ending, comments, blank lines,
    extra columns, polygons and face colors are supported; triangles alone may be in any lines. Returns
    vertices (v, 3) and triangles (f, 3). Raises UnsupportedError for a binary file and for vertices that are
    not x, y, z, and ValueError if it is not an .off file or has less or more than it announces.
    """
    text = text.removeprefix(codecs.BOM_UTF8).rstrip(PADDING)
    if b"#" in text:
        text = substitute(_COMMENT, b"", text)
    if b"\n" not in text:
        text = text.replace(b"\r", b"\n")
    keyword = _KEYWORD.match(text) or _KEYWORD.match(text[:64].upper())
    if keyword is not None and keyword["binary"]:
        raise UnsupportedError("it is a binary .off file, which is not read; export it as text")
    if keyword is not None and keyword["kind"] != b"OFF":
        name = keyword["kind"].decode()
        raise UnsupportedError(f"its vertices are not x, y, z ({name}), which is not read; export it as OFF")
    header = _COUNTS.match(text, keyword.end() if keyword else 0)
    if header is None:
        raise ValueError("it does not begin as an .off file does (OFF, then the counts)")
    counts = int(header[1]), int(header[2])
    body = text[header.end() :]
    vertices, corners, sizes = _polygons(body if body.strip() else header[3], *counts)
    return vertices, triangulate(vertices, corners, sizes)


def _polygons(body: bytes, vertex_count: int, face_count: int) -> Polygons:
    """Read what follows the counts: at once if it is triangles alone, else line by line."""
    numbers = parse_numbers(body)
    if numbers.size == 3 * vertex_count + 4 * face_count:
        faces = numbers[3 * vertex_count :].reshape(face_count, 4)
        if (faces[:, 0] == 3).all():
            vertices = numbers[: 3 * vertex_count].reshape(vertex_count, 3)
            return vertices, as_indices(faces[:, 1:]).ravel(), np.full(face_count, 3)
    words, lengths = word_starts(body + b"\n")
    if words.size != numbers.size:
        raise ValueError(f"it holds {odd_word(body)[1]} where a number belongs")
    lengths = lengths[lengths > 0]
    starts = np.cumsum(lengths) - lengths
    if lengths.size != vertex_count + face_count:
        fault = f"it announces {vertex_count} vertices and {face_count} faces but holds {lengths.size} lines"
        raise ValueError(f"{fault}, and each takes one")
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


def write_off(path: Path, vertices: np.ndarray, faces: np.ndarray, digits: int = 6) -> None:
    """Write (v, 3) vertices and (f, 3) faces as text .off; `digits` significant digits (17 are exact)."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        file.write(f"OFF\n{len(vertices)} {len(faces)} 0\n")
        np.savetxt(file, vertices, fmt=f"%.{digits}g")
        np.savetxt(file, faces, fmt="3 %d %d %d")

"""Text .off, the format of ModelNet, as the Geomview manual describes it (OFF Files)."""

import re
from pathlib import Path

import numpy as np

from rasgan.data.meshes.polygons import triangulate
from rasgan.data.meshes.text import (
    UnsupportedError,
    as_indices,
    first_word,
    parse_numbers,
    plain_text,
    substitute,
    word_starts,
)
from rasgan.files import atomic_path

# The letters announce texture coordinates, colors, normals, a fourth coordinate, any number of dimensions.
_KEYWORD = re.compile(rb"\s*(ST)?C?N?(?P<kind>4?n?OFF)[ \t]*(?P<binary>(?i:BINARY))?")
# Some files of ModelNet40 have no line break before the counts. The number of edges may be missing, or have
# its own line.
_COUNTS = re.compile(
    rb"\s*(\d{1,18})\s+(\d{1,18})(?!\S)(?:[ \t]+\d+(?!\S)|[ \t]*\n\s*\d+[ \t]*(?=\n|\Z))?([^\n]*)\n?"
)


def parse_off(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Read the content of an .off file, with the variations that ModelNet's files have.

    Headers without a line break, in small letters or without keyword, any line ending, comments, blank lines,
    extra columns, polygons and face colors are supported. If all faces are triangles, numbers may be on any
    lines. Returns vertices (v, 3) and triangles (f, 3). Raises UnsupportedError for a binary file and for
    vertices that are not x, y, z, and ValueError if it is not an .off file or not as long as it announces.
    """
    text = plain_text(content)
    if b"#" in text:
        text = substitute(re.compile(rb"#[^\n]*"), b"", text)
    keyword = _KEYWORD.match(text) or _KEYWORD.match(text[:64].upper())
    if keyword is not None and keyword["binary"]:
        raise UnsupportedError("binary .off files are not supported; export it as text")
    if keyword is not None and keyword["kind"] != b"OFF":
        kind = keyword["kind"].decode()
        raise UnsupportedError(f"vertices other than x, y, z ({kind}) are not supported; export it as OFF")
    header = _COUNTS.match(text, keyword.end() if keyword else 0)
    if header is None:
        raise ValueError("it does not start like an .off file: OFF, then the counts")
    body = text[header.end() :]
    return _faces(body if body.strip() else header[3], int(header[1]), int(header[2]))


def _faces(body: bytes, vertex_count: int, face_count: int) -> tuple[np.ndarray, np.ndarray]:
    """Read what follows the counts: at once if all faces are triangles, otherwise line by line."""
    numbers = parse_numbers(body)
    if numbers.size == 3 * vertex_count + 4 * face_count:
        faces = numbers[3 * vertex_count :].reshape(face_count, 4)
        if (faces[:, 0] == 3).all():
            vertices = numbers[: 3 * vertex_count].reshape(vertex_count, 3)
            return vertices, triangulate(vertices, as_indices(faces[:, 1:]).ravel(), np.full(face_count, 3))
    words, lengths = word_starts(body + b"\n")
    if words.size != numbers.size:
        raise ValueError(f"{first_word(body)[1]} is not a number")
    lengths = lengths[lengths > 0]
    starts = np.cumsum(lengths) - lengths
    if lengths.size != vertex_count + face_count:
        announced = f"it announces {vertex_count} vertices and {face_count} faces, one per line"
        raise ValueError(f"{announced}, but has {lengths.size} lines")
    if (lengths[:vertex_count] < 3).any():
        raise ValueError("a vertex has fewer than three coordinates")
    vertices = numbers[starts[:vertex_count, None] + np.arange(3)]
    starts, lengths = starts[vertex_count:], lengths[vertex_count:]
    sizes = as_indices(numbers[starts])
    if ((sizes < 0) | (sizes >= lengths)).any():
        raise ValueError("a face has fewer corners than it announces")
    first = np.repeat(starts + 1 - (np.cumsum(sizes) - sizes), sizes)
    return vertices, triangulate(vertices, as_indices(numbers[first + np.arange(first.size)]), sizes)


def write_off(path: Path, vertices: np.ndarray, faces: np.ndarray, digits: int = 6) -> None:
    """Write (v, 3) vertices and (f, 3) faces as text, with `digits` significant digits (17 are exact)."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        file.write(f"OFF\n{len(vertices)} {len(faces)} 0\n")
        np.savetxt(file, vertices, fmt=f"%.{digits}g")
        np.savetxt(file, faces, fmt="3 %d %d %d")

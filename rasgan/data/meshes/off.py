"""Text .off, the format of ModelNet."""

import codecs
import re
import warnings
from pathlib import Path

import numpy as np

from rasgan.files import atomic_path

# Keyword and counts. ModelNet40 has files without the line break between the two; the keyword's prefixes
# announce texture, color and normal columns, which are ignored.
_HEADER = re.compile(rb"\s*(?:(?:ST)?C?N?OFF)?\s*(\d{1,18})[ \t]+(\d{1,18})[^\n]*\n?")


def parse_off(text: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Read the text of an .off file, with the liberties that ModelNet's files take.

    Headers without a line break, any line ending, comments, blank lines, extra columns, polygons and face
    colors are fine. Returns vertices (v, 3) and triangles (f, 3), whose indices are only checked for being
    whole numbers. ValueError, with what is wrong, if the text is not, or not all of, an .off file.
    """
    text = text.removeprefix(codecs.BOM_UTF8)
    if b"#" in text:
        text = re.sub(rb"#[^\r\n]*", b"", text)
    if b"\n" not in text:
        text = text.replace(b"\r", b"\n")
    header = _HEADER.match(text)
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


def _parse_lines(
    body: bytes, numbers: np.ndarray, vertex_count: int, face_count: int
) -> tuple[np.ndarray, np.ndarray]:
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


def write_off(path: Path, vertices: np.ndarray, faces: np.ndarray, digits: int = 6) -> None:
    """Write (v, 3) vertices and (f, 3) faces as text .off; `digits` significant digits (17 are exact)."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        file.write(f"OFF\n{len(vertices)} {len(faces)} 0\n")
        np.savetxt(file, vertices, fmt=f"%.{digits}g")
        np.savetxt(file, faces, fmt="3 %d %d %d")

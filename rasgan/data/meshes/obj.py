"""Wavefront .obj: vertices and faces (Object Files, appendix B1 of the Advanced Visualizer manual)."""

import io
import re
from array import array
from collections.abc import Iterator

import numpy as np

from rasgan.data.meshes.polygons import triangulate
from rasgan.data.meshes.text import plain_text, substitute

# Surfaces that are not faces, or are in another file.
UNREAD = (b"surf", b"bzp", b"bsp", b"cdp", b"call", b"fo")


def parse_obj(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Read the content of an .obj file: statements v and f with any number of corners.

    Corners v, v/vt, v//vn and v/vt/vn, negative indices (relative to the vertices read so far), indentation,
    tabs, any line ending, comments after a statement, statements continued after a backslash, and columns
    after x, y, z are supported. Points, lines, groups, materials, normals, texture and curves are skipped.

    Returns vertices (v, 3) and triangles (f, 3). Raises ValueError if it is not an .obj file, if a face
    refers to a missing vertex, or if it has surfaces that are not faces; usually with the line.
    """
    text = plain_text(content)
    if b"\0" in text:
        raise ValueError("not an .obj file: .obj files are text, but this one contains zero bytes")
    coordinates, corners, sizes = array("d"), array("q"), array("q")
    for number, statement, words in _statements(text):
        try:
            if statement == b"v":
                if len(words) < 3:
                    raise ValueError("a vertex has fewer than three coordinates")
                coordinates.extend(map(float, words[:3]))
            elif statement == b"f":
                indices = [int(word.partition(b"/")[0]) for word in words]
                if min(indices, default=1) < 1:
                    indices = _absolute(indices, len(coordinates) // 3)
                corners.extend(indices)
                sizes.append(len(indices))
            elif statement in UNREAD:
                raise ValueError(f"surfaces of this kind ({statement.decode()}) are not supported")
        except (ValueError, OverflowError) as error:
            raise ValueError(f"line {number}: {error}") from error
    vertices = np.array(coordinates).reshape(-1, 3)
    if not sizes:
        raise ValueError(f"it contains {len(vertices)} points but no faces")
    return vertices, triangulate(vertices, np.array(corners) - 1, np.array(sizes))


def _statements(text: bytes) -> Iterator[tuple[int, bytes, list[bytes]]]:
    """Yield the line number, the name in small letters and the other words of each statement."""
    lines = enumerate(io.BytesIO(substitute(re.compile(rb"#[^\n]*"), b"", text)), 1)
    for number, line in lines:
        name, *words = line.split() or [b""]
        # Only of numbers: the name of a file or a group may end in a backslash.
        while words and words[-1].endswith(b"\\") and name in b"vVfF":
            words[-1] = words[-1][:-1]
            words = [word for word in words if word] + next(lines, (0, b""))[1].split()
        yield number, name.lower(), words


def _absolute(indices: list[int], count: int) -> list[int]:
    """Make negative indices absolute, where `count` vertices were read before."""
    if 0 in indices:
        raise ValueError("a face refers to vertex 0, but .obj files count from 1")
    if min(indices) < -count:
        raise ValueError(f"a face refers to vertex {min(indices)}, but only {count} precede it")
    return [index if index > 0 else count + 1 + index for index in indices]

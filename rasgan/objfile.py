"""Triangle meshes as Wavefront .obj text."""

from pathlib import Path

import numpy as np

from rasgan.files import atomic_path


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write a triangle mesh as .obj; the file appears whole or not at all.

    Parameters
    ----------
    path : Path
        Its folder is made if need be.
    vertices : (v, 3) float array
        Written with nine significant digits.
    faces : (f, 3) int array
        Indices of vertices, from 0 (the file counts from 1).
    """
    with atomic_path(path) as temporary, temporary.open("wb") as out:
        _write_lines(out, b"v %.9g %.9g %.9g\n", vertices)
        _write_lines(out, b"f %d %d %d\n", faces + 1)


def _write_lines(out, line: bytes, rows: np.ndarray, at_once: int = 100_000) -> None:
    # One formatting of many lines takes a third of the time of a line at a time.
    for start in range(0, len(rows), at_once):
        block = rows[start : start + at_once]
        out.write(line * len(block) % tuple(block.ravel().tolist()))

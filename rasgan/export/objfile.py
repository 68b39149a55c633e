"""Triangle meshes as Wavefront .obj text."""

from pathlib import Path
from typing import BinaryIO

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

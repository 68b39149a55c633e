"""Triangle meshes on disk."""

from pathlib import Path

import numpy as np

from rasgan import files


def write_off(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write triangles as an .off file, whole or not at all.

    Parameters
    ----------
    path : Path
        The file; its folder is made if need be.
    vertices : (v, 3) float array
        Positions, kept to six significant digits.
    faces : (f, 3) int array
        Three vertex indices a triangle.
    """
    lines = ["OFF", f"{len(vertices)} {len(faces)} 0"]
    lines += [f"{x:.6g} {y:.6g} {z:.6g}" for x, y, z in vertices.tolist()]
    lines += [f"3 {a} {b} {c}" for a, b, c in faces.tolist()]
    with files.atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")

"""The mesh formats that trimesh reads: .obj and .ply."""

import re
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np


def read_with_trimesh(path: Path, largest_file: int) -> tuple[np.ndarray, np.ndarray]:
    """Read vertices (v, 3) and triangles (f, 3) of a mesh, as the file has them.

    Files that it refers to may have `largest_file` bytes. ValueError, with trimesh's own words, if it fails.
    """
    import trimesh  # here, because the import takes longer than most .off files take to convert

    suffix = path.suffix.lower()
    with path.open("rb") as file, warnings.catch_warnings():  # system errors keep their own words
        warnings.simplefilter("ignore")  # of trimesh, about numbers that `read_mesh` refuses by name
        try:
            mesh = trimesh.load(
                file,
                file_type=suffix[1:],
                resolver=_Beside(path.parent, largest_file),
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
    """Reads for trimesh the files that a mesh refers to: ordinary ones, from the mesh's own folder alone."""

    def __init__(self, folder: Path, largest_file: int) -> None:
        self.folder = folder.resolve()
        self.largest_file = largest_file

    def get(self, name: str) -> bytes:
        path = (self.folder / name).resolve()
        is_ours = path.is_relative_to(self.folder) and path.is_file()
        if not is_ours or path.stat().st_size > self.largest_file:
            raise ValueError(f"there is no file {name!r} beside it")
        return path.read_bytes()

    __getitem__ = get


def _check_ply(file: BinaryIO, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Raise ValueError if a text .ply ends early, which trimesh does not notice."""
    file.seek(0)
    header = file.read(1 << 16).partition(b"end_header")[0]
    for kind, read in ((b"vertex", vertices), (b"face", faces)):
        announced = re.search(rb"element\s+" + kind + rb"\s+(\d{1,18})\s", header)
        if announced is not None and len(read) < int(announced[1]):
            raise ValueError(f"of {int(announced[1])} {kind.decode()} lines only {len(read)} are whole")

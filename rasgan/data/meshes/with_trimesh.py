"""The mesh formats that trimesh reads: .stl, .glb and .gltf."""

import json
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np

MOST_ZEROS = 10**7  # that a glTF file may announce without holding them; no real mesh needs any


def read_with_trimesh(path: Path, largest_file: int) -> tuple[np.ndarray, np.ndarray]:
    """Read vertices (v, 3) and triangles (f, 3) of a mesh, as the file has them.

    Files that it refers to may have `largest_file` bytes. ValueError, with trimesh's own words, if it fails.
    """
    import trimesh  # here, because the import takes longer than most .off files take to convert

    suffix = path.suffix.lower()
    with path.open("rb") as file, warnings.catch_warnings():  # system errors keep their own words
        warnings.simplefilter("ignore")  # of trimesh, about numbers that `read_mesh` refuses by name
        try:
            if suffix in (".glb", ".gltf"):
                _check_gltf(file)
            mesh = trimesh.load(
                file,
                file_type=suffix[1:],
                resolver=_Beside(path.parent, largest_file),
                force="mesh",
                process=False,
                maintain_order=True,  # keeps unused vertices
                skip_materials=True,
            )
            return np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces, dtype=np.int64)
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


def _check_gltf(file: BinaryIO) -> None:
    """Raise ValueError if a glTF file announces too many numbers that it does not hold."""
    start = file.read(20)
    length = int.from_bytes(start[12:16], "little") if start.startswith(b"glTF") else -1
    if length < 0:
        file.seek(0)
    accessors = json.loads(file.read(length)).get("accessors", [])
    zeros = sum(abs(int(accessor["count"])) for accessor in accessors if "bufferView" not in accessor)
    if zeros > MOST_ZEROS:
        raise ValueError(f"it announces {zeros} numbers that it does not hold")
    file.seek(0)

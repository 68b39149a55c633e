"""Small tasks for the conversion scripts, about a second each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

from rasgan.data.meshes import write_off


@dataclass(frozen=True)
class Work:
    """A script, its arguments, and a function that fills a new folder to work in."""

    script: str
    arguments: list[str]
    prepare: Callable[[Path], None]


def meshes(folder: Path, count: int = 8) -> None:
    """Make a folder of balls, each stretched differently."""
    ball = trimesh.creation.icosphere(subdivisions=4)
    for number in range(count):
        write_off(folder / f"ball{number}.off", ball.vertices * [1, 1 + number / 4, 1], ball.faces)


def grids(folder: Path, count: int = 3) -> None:
    """Make a run with a few generated shapes."""
    rng = np.random.default_rng(0)
    (folder / "savepoint" / "run").mkdir(parents=True)
    for epoch in range(1, count + 1):
        scores = rng.random((16, 16, 16), dtype=np.float32) - 0.5
        np.save(folder / "savepoint" / "run" / f"{epoch}.npy", scores)


WORK = {
    "meshes to voxels": Work("convert_data.py", ["-m", ".", "-j", "1"], meshes),
    "meshes to voxels in two processes": Work("convert_data.py", ["-m", ".", "-j", "2"], meshes),
    "shapes to pictures": Work("convert_to_graph.py", ["-n", "run"], grids),
    "shapes to meshes": Work("convert_to_obj.py", ["-n", "run"], lambda folder: grids(folder, 12)),
}

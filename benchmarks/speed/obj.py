"""Measure mesh and .obj writing against a loop over voxels, as the original has it, on the same grids.

    python -m benchmarks.speed.obj
    python -m benchmarks.speed.obj --golden FOLDER

The shapes are sample chairs, voxelized in mode solid; with `--golden`, Binvox's own grids in that folder
(NAME.default.raw.gz). Both sides begin with a grid of float32 scores in memory, as it lies in a run's .npy
file, and end with a file on the disk. The loop is timed whole and, for its writing alone, with the surface
voxels handed to it. Everything runs on one core, in turns, so that other work on the machine hits all alike.

Ends with an error if the loop's geometry differs from that of ``convert_to_obj.py --cubes``.
"""

import argparse
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.speed.common import golden_grid, sample_grids, seconds
from rasgan.export.mesh_files import write_obj
from rasgan.export.surface import cubes_mesh, surface_mesh
from rasgan.voxels import OCCUPIED_ABOVE, is_occupied, surface_points

EDGE = 0.01
COLUMNS = {  # heading: how its numbers are shown
    "surface voxels": ".0f",
    "loop s": ".3f",
    "its writing s": ".3f",
    "ours s": ".4f",
    "times faster": ".1f",
    "than its writing": ".1f",
    "loop KB": ".0f",
    "ours KB": ".0f",
    "times smaller": ".1f",
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--golden", type=Path, help="folder of Binvox's grids, NAME.default.raw.gz")
    parser.add_argument(
        "--chairs", type=int, default=10, help="number of sample chairs (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=5, help="runs, of which the fastest counts")
    return parser


def loop_over_voxels(scores: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Find the surface voxels one by one: occupied, and a neighbor is empty or outside the grid."""
    n = len(scores)
    for i in range(n):
        for j in range(n):
            for k in range(n):
                if scores[i, j, k] > OCCUPIED_ABOVE:
                    around = scores[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2, max(k - 1, 0) : k + 2]
                    if (around > OCCUPIED_ABOVE).sum() < 27:
                        yield i, j, k


def loop_over_cubes(path: Path, voxels: Iterable[tuple[int, int, int]]) -> None:
    """Write eight vertices and twelve faces for each voxel, line by line."""
    # Corner c lies at bits x = c & 1, y = c >> 1 & 1, z = c >> 2; sides counter-clockwise from outside.
    sides = ((0, 4, 6, 2), (1, 3, 7, 5), (0, 1, 5, 4), (2, 6, 7, 3), (0, 2, 3, 1), (4, 5, 7, 6))
    vertices, faces = [], []
    for i, j, k in voxels:
        first = len(vertices) + 1
        for corner in range(8):
            x, y, z = i + (corner & 1), j + (corner >> 1 & 1), k + (corner >> 2)
            vertices.append((x * EDGE, y * EDGE, z * EDGE))
        for a, b, c, d in sides:
            faces.append((first + a, first + b, first + c))
            faces.append((first + a, first + c, first + d))
    with path.open("w", encoding="ascii") as out:
        for x, y, z in vertices:
            out.write(f"v {x:f} {y:f} {z:f}\n")
        for a, b, c in faces:
            out.write(f"f {a} {b} {c}\n")


def squares_of(path: Path) -> np.ndarray:
    """Read an .obj: for each triangle, sorted, the corners of its box and its normal's sign along each axis.

    Two files of squares, each cut along either diagonal, have equal arrays if the squares and the sides that
    they face are equal.
    """
    lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    vertices = np.array([line[1:] for line in lines if line[0] == "v"], float)
    triangles = vertices[np.array([line[1:] for line in lines if line[0] == "f"], int) - 1]
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    box = np.concatenate([triangles.min(axis=1), triangles.max(axis=1)], axis=1) / EDGE
    rows = np.concatenate([box, normals / EDGE**2], axis=1).round().astype(int)
    return rows[np.lexsort(rows.T)]


def measure(occupied: np.ndarray, folder: Path, repeats: int) -> list[float]:
    """Write one grid in both ways, and as cubes to compare; return the numbers of the table's row."""
    scores = occupied.astype(np.float32)
    points = [tuple(point) for point in surface_points(scores).tolist()]
    theirs, ours, cubes = (folder / f"{name}.obj" for name in ("loop", "ours", "cubes"))
    works = (
        lambda: loop_over_cubes(theirs, points),
        lambda: loop_over_cubes(theirs, loop_over_voxels(scores)),
        lambda: write_obj(ours, *surface_mesh(is_occupied(scores, OCCUPIED_ABOVE), EDGE)),
    )
    writing, whole, fast = seconds(works, repeats)
    write_obj(cubes, *cubes_mesh(scores, EDGE))
    if not np.array_equal(squares_of(theirs), squares_of(cubes)):
        raise AssertionError("--cubes writes another geometry than the loop")
    sizes = theirs.stat().st_size, ours.stat().st_size
    speed = [whole, writing, fast, whole / fast, writing / fast]
    return [len(points), *speed, sizes[0] / 1000, sizes[1] / 1000, sizes[0] / sizes[1]]


def print_row(name: str, row: list[float]) -> None:
    """Print one line of the table."""
    cells = [f"{value:{style}}" for value, style in zip(row, COLUMNS.values(), strict=True)]
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main() -> int:
    """Print the table."""
    args = build_parser().parse_args()
    if args.golden:
        grids = {
            path.name.partition(".")[0]: golden_grid(path)
            for path in sorted(args.golden.glob("*.default.raw.gz"))
        }
    else:
        grids = {f"sample {seed}": grid for seed, grid in enumerate(sample_grids(args.chairs))}
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}\n")
    print("| grid | " + " | ".join(COLUMNS) + " |\n|---|" + "---|" * len(COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for name, grid in grids.items():
            rows.append(measure(grid, Path(folder), args.repeats))
            print_row(name, rows[-1])
    for name, of in (("median", statistics.median), ("smallest", min)):
        print_row(name, [of(column) for column in zip(*rows, strict=True)])
    print("\nEvery file of the loop has the geometry that --cubes writes.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Benchmark the voxelizer: time per mesh, parsing compared with trimesh, scaling with processes, memory.

    python -m benchmarks.speed.voxelize -m FOLDER_OF_OFF_MESHES [--golden FOLDER]

`--golden` is a folder of the grids that Binvox wrote for the meshes (NAME.default.raw.gz, NAME.cb.raw.gz,
NAME.exact.raw.gz); it adds a table of how well the grids agree. Everything except scaling runs on one core.
"""

import argparse
import math
import multiprocessing
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import trimesh

from benchmarks.speed.common import golden_grid, peak_memory, seconds
from rasgan import cli
from rasgan.data.conversion import ConversionOptions, convert_mesh
from rasgan.data.meshes import read_mesh, write_off
from rasgan.data.voxelize import MODES, voxelize
from rasgan.voxel_io import read_raw
from rasgan.voxels import RESOLUTIONS

GOLDEN = {"default": ("binvox", False), "cb": ("binvox", True), "exact": ("exact", False)}


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("-m", "--model-dir", type=Path, required=True, help="folder of .off meshes")
    add("--golden", type=Path, help="folder of grids that Binvox wrote for these meshes")
    add("--jobs", type=int, nargs="+", default=[1, 2], help="numbers of processes to try")
    add("--copies", type=int, default=12, help="copies of each mesh for measuring the scaling")
    return parser


def table_of_times(meshes: list[Path]) -> None:
    """Print milliseconds per mesh: reading it with both parsers, and each mode at 64³."""
    print("| mesh | faces | read | trimesh reads | ratio | " + " | ".join(MODES) + " |")
    print("|---|---|---|---|---|" + "---|" * len(MODES))
    rows = []
    for path in meshes:
        mesh = read_mesh(path)
        ours, theirs, *modes = seconds(
            [
                partial(read_mesh, path),
                partial(trimesh.load, path, process=False),
                *(partial(voxelize, *mesh, mode=mode) for mode in MODES),
            ]
        )
        rows.append((len(mesh[1]), 1e3 * ours, 1e3 * theirs, theirs / ours, *(1e3 * s for s in modes)))
        print_row(path.stem, rows[-1])
    print_row("median", [statistics.median(column) for column in zip(*rows, strict=True)])
    print_row("largest", [max(column) for column in zip(*rows, strict=True)])


def print_row(name: str, row: Sequence[float]) -> None:
    """Print one line of `table_of_times`."""
    faces, *times = row
    print(f"| {name} | {faces:.0f} | " + " | ".join(f"{value:.1f}" for value in times) + " |", flush=True)


def table_of_resolutions(meshes: list[Path]) -> None:
    """Print the median milliseconds of each mode at each resolution."""
    loaded = [read_mesh(path) for path in meshes]
    print("\n| resolution | " + " | ".join(MODES) + " |\n|---|" + "---|" * len(MODES))
    for n in RESOLUTIONS:
        medians = [
            statistics.median(seconds([partial(voxelize, *mesh, n, mode) for mesh in loaded], 1))
            for mode in MODES
        ]
        print(f"| {n} | " + " | ".join(f"{1e3 * s:.1f}" for s in medians) + " |", flush=True)


def table_of_agreement(meshes: list[Path], golden: Path) -> None:
    """Print the IoU with the grids of Binvox, and how much of each surface two modes keep."""
    print("\n| mesh | " + " | ".join(GOLDEN) + " | surface kept: binvox | solid |\n|---|---|---|---|---|---|")
    rows = []
    for path in meshes:
        mesh = read_mesh(path)
        row = []
        for name, (mode, center) in GOLDEN.items():
            theirs = golden_grid(golden / f"{path.stem}.{name}.raw.gz")
            ours = voxelize(*mesh, mode=mode, center=center)
            row.append((ours & theirs).sum() / (ours | theirs).sum())
        shell = voxelize(*mesh, mode="exact")
        kept = [100 * voxelize(*mesh, mode=mode)[shell].mean() for mode in ("binvox", "solid")]
        rows.append(row)
        agreement = " | ".join(f"{value:.5f}" for value in row)
        print(f"| {path.stem} | {agreement} | {kept[0]:.0f} % | {kept[1]:.0f} % |", flush=True)
    for name, of in (("median", statistics.median), ("smallest", min)):
        print(f"| {name} | " + " | ".join(f"{of(c):.5f}" for c in zip(*rows, strict=True)) + " | | |")


def rows_on_scaling(meshes: list[Path], copies: int, jobs: list[int], rounds: int = 5) -> None:
    """Print how long convert_data.py takes for a folder, including its start."""
    with tempfile.TemporaryDirectory() as folder:
        for path in meshes:
            for copy in range(copies):
                shutil.copyfile(path, Path(folder, f"{path.stem}-{copy}.off"))
        print(f"\n| processes | seconds for {copies * len(meshes)} meshes parsed and written | speed-up |")
        print("|---|---|---|")
        took = dict.fromkeys(jobs, math.inf)
        for _ in range(
            rounds
        ):  # in turns, so that other load on the machine affects all alike; the fastest of each counts
            for count in jobs:
                # The command itself: workers spawned from here would import this module, trimesh included.
                command = [sys.executable, "convert_data.py", "-m", folder, "-j", str(count), "--overwrite"]
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                took[count] = min(took[count], time.perf_counter() - start)
        for count in jobs:
            print(f"| {count} | {took[count]:.2f} | {took[jobs[0]] / took[count]:.2f} |", flush=True)


def peak_of_conversion(path: Path, mode: str) -> tuple[float, float]:
    """Convert one mesh; return the seconds it took and this process's peak memory in MB."""
    (took,) = seconds([partial(convert_mesh, path, ConversionOptions(mode=mode))], 1)
    return took, peak_memory() / 1e6


def rows_on_a_million_faces() -> None:
    """Print time and peak memory for a sphere and a triangle soup of more than 10**6 faces."""
    rng = np.random.default_rng(0)
    sphere = trimesh.creation.icosphere(subdivisions=8)
    corners = rng.random((10**6, 1, 3)) + 0.05 * rng.standard_normal((10**6, 3, 3))
    soup = corners.reshape(-1, 3), np.arange(3 * 10**6).reshape(-1, 3)
    print("\n| 10^6 faces | mode | seconds, parsing included | peak MB of the process |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (vertices, faces) in {"sphere": (sphere.vertices, sphere.faces), "soup": soup}.items():
            path = Path(folder, f"{name}.off")
            write_off(path, vertices, faces)
            for mode in MODES:
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    took, peak = pool.apply(peak_of_conversion, (path, mode))
                share = 100 * read_raw(path.with_suffix(".raw")).mean()
                what = f"{name}, {len(faces)} faces, {share:.0f} % full"
                print(f"| {what} | {mode} | {took:.1f} | {peak:.0f} |", flush=True)


def main() -> int:
    """Print all tables."""
    args = build_parser().parse_args()
    meshes = sorted(args.model_dir.glob("*.off"))
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}\n")
    table_of_times(meshes)
    table_of_resolutions(meshes)
    if args.golden:
        table_of_agreement(meshes, args.golden)
    rows_on_scaling(meshes, args.copies, args.jobs)
    rows_on_a_million_faces()
    return 0


if __name__ == "__main__":
    sys.exit(main())

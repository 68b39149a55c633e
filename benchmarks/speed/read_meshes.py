"""Time the mesh readers against trimesh's, on the same files, in one run.

    python -m benchmarks.speed.read_meshes
    python -m benchmarks.speed.read_meshes --faces 20000 --repeats 3

A sphere of triangles is written in every format, and as .obj also with half its squares left whole. Both
sides read each file to vertices and triangles, in turns, the fastest of a few runs counts (seconds of this
process's own time, which other work on the machine hardly changes). A last row tells how long concave
polygons take.

Ends with an error if the triangles read are not those written.
"""

import argparse
import platform
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import trimesh

from benchmarks.speed.common import peak_memory, seconds
from rasgan.data.meshes import read_mesh, write_off
from rasgan.data.meshes.polygons import triangulate


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--faces", type=int, default=1_000_000, help="triangles of a file, at least (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the fastest counts")
    return parser


def sphere(faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (v, 3) and quads (q, 4), at least half as many as `faces`."""
    side = int(np.ceil(np.sqrt(faces / 2)))
    steps = np.linspace(0, 1, side + 1)
    across, up = np.meshgrid(2 * np.pi * steps, np.pi * steps * 0.98 + 0.03, indexing="ij")
    vertices = np.stack([np.cos(across) * np.sin(up), np.sin(across) * np.sin(up), np.cos(up)], axis=-1)
    at = np.arange((side + 1) ** 2).reshape(side + 1, side + 1)
    quads = np.stack([at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]], axis=-1)
    return vertices.reshape(-1, 3).astype(np.float32).astype(np.float64), quads.reshape(-1, 4)


def written(folder: Path, vertices: np.ndarray, quads: np.ndarray) -> dict[str, tuple[Path, np.ndarray]]:
    """Write the files; return each by its name in the table, with its triangles."""
    triangles = quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    files = {}
    for name, options in {
        "text.ply": {"encoding": "ascii"}, "binary.ply": {}, "text.stl": {"file_type": "stl_ascii"},
        "binary.stl": {}, "binary.glb": {},
    }.items():  # fmt: skip
        mesh.export(folder / name, **options)
        files[name] = (folder / name, triangles)
    write_off(folder / "text.off", vertices, triangles, digits=9)
    write_obj_lines(folder / "text.obj", vertices, [triangles], "{}")
    write_obj_lines(folder / "v_vt_vn.obj", vertices, [triangles], "{0}/{0}/{0}")
    write_obj_lines(folder / "mixed.obj", vertices, [quads[::2], triangles.reshape(-1, 6)[1::2, :3]], "{}")
    for name in ("text.off", "text.obj", "v_vt_vn.obj"):
        files[name] = (folder / name, triangles)
    some = [quads[::2][:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3), triangles.reshape(-1, 6)[1::2, :3]]
    files["mixed.obj"] = (folder / "mixed.obj", np.concatenate(some))
    return files


def write_obj_lines(path: Path, vertices: np.ndarray, polygons: list[np.ndarray], corner: str) -> None:
    """Write an .obj whose corners have the form `corner`, with normals and texture if that names them."""
    with path.open("w", encoding="ascii", newline="\n") as file:
        np.savetxt(file, vertices, fmt="v %.9g %.9g %.9g")
        if "/" in corner:
            np.savetxt(file, vertices, fmt="vn %.4f %.4f %.4f")
            np.savetxt(file, vertices[:, :2], fmt="vt %.4f %.4f")
        for rows in polygons:
            form = "f" + "".join(" " + corner.format(f"{{{k}}}") for k in range(rows.shape[1])) + "\n"
            file.writelines(form.format(*row) for row in (rows + 1).tolist())


def check(path: Path, vertices: np.ndarray, triangles: np.ndarray) -> None:
    """Raise SystemExit if reading a file does not give its triangles, in their order."""
    read_vertices, read_triangles = read_mesh(path, up="z")
    here, there = vertices[triangles], read_vertices[read_triangles]
    if here.shape != there.shape or not np.allclose(here, there, atol=1e-6):
        raise SystemExit(f"{path.name}: the triangles read are not those written")


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    args = build_parser().parse_args(argv)
    vertices, quads = sphere(args.faces)
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}\n")
    print("| file | triangles | MB | ours s | trimesh s | times faster |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (path, triangles) in written(Path(folder), vertices, quads).items():
            check(path, vertices, triangles)
            theirs = partial(trimesh.load, path, force="mesh", process=False, maintain_order=True)
            ours, other = seconds([partial(read_mesh, path), theirs], args.repeats, time.process_time)
            size = path.stat().st_size / 1e6
            print(
                f"| {name} | {len(triangles)} | {size:.0f} | {ours:.2f} | {other:.2f} | {other / ours:.2f} |"
            )
    darts = vertices[quads[: args.faces // 10]]
    darts[:, 2] = darts[:, 0] * 0.9 + darts[:, 2] * 0.1  # concave at the third corner
    corners = np.arange(4 * len(darts)).reshape(-1, 4)[:, [1, 2, 3, 0]].ravel()
    cut = partial(triangulate, darts.reshape(-1, 3), corners, np.full(len(darts), 4))
    (took,) = seconds([cut], args.repeats, time.process_time)
    print(f"| concave, in memory | {2 * len(darts)} | | {took:.2f} | | |")
    print(f"\nMost memory of this process: {peak_memory() / 1e6:.0f} MB.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A thousand conversions in one process need no more memory and no more open files than a hundred."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.robustness import running

CONVERT = """
import gc, sys
from pathlib import Path
import numpy as np, trimesh
from rasgan.data.conversion import ConversionOptions, convert_mesh
from rasgan.export.batch import Shape
from rasgan.export.plots import ScatterPlots
from rasgan.export.mesh_files import FORMATS, write_model
from rasgan.export.surface import surface_mesh

def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])

def handles():
    return len(list(Path("/proc/self/fd").iterdir()))

ball = trimesh.creation.icosphere(subdivisions=3)
names = [f"ball.{suffix}" for suffix in ("off", "obj", "stl", "ply", "glb")]
for name in names:
    ball.export(name)
plots = ScatterPlots()
READABLE = [suffix for suffix in FORMATS if suffix != ".3mf"]  # it is written only
for number in range(1000):
    name = names[number % len(names)]
    options = ConversionOptions(resolution=32, mode=("binvox", "solid")[number % 2])
    occupied = convert_mesh(Path(name), options).occupied
    assert occupied
    suffix = READABLE[number % len(READABLE)]
    write_model(Path(f"out{suffix}"), *surface_mesh(occupied), 0.32)
    if number % 5 == 0:
        plots.draw(Path("out.png"), Shape(Path("ball.raw")).read())
    if number in (199, 999):
        gc.collect()
        print(pages(), handles())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory in use from /proc")
def test_a_thousand_conversions_leave_memory_and_file_handles_flat(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CONVERT],
        cwd=tmp_path,
        env=running.environment(),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (pages_early, handles_early), (pages_late, handles_late) = (
        map(int, line.split()) for line in done.stdout.splitlines()
    )
    assert handles_late == handles_early
    assert pages_late - pages_early < 20 * 256  # 20 MB of pages of 4 KB

"""The measurements of mesh readers and of the scores."""

from pathlib import Path

import pytest

from benchmarks.speed import read_meshes as bench_read
from rasgan.data.meshes import SUFFIXES


def test_prints_a_row_for_everything_measured(capsys):
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == [
        "| quick scores, 3 x 3",
        "| scores, 3 x 3",
        "| everything, 3 x 3 x 3",
    ]
    assert all(float(row[1]) >= 0 for row in rows[2:])


def test_every_reader_is_timed_on_triangles_that_are_those_written(capsys):
    assert bench_read.main(["--faces", "500", "--repeats", "1"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert {Path(row[0][2:]).suffix for row in rows[1:-1]} == set(SUFFIXES) - {".gltf"}
    assert all(float(row[5].rstrip(" |")) > 0 for row in rows[1:-1])


def test_a_reader_that_loses_triangles_ends_the_benchmark(tmp_path):
    vertices, quads = bench_read.sphere(50)
    path, triangles = bench_read.written(tmp_path, vertices, quads)["text.off"]
    bench_read.check(path, vertices, triangles)
    for wrong in (triangles[:-1], triangles[::-1]):
        with pytest.raises(SystemExit, match="not those written"):
            bench_read.check(path, vertices, wrong)

"""Running Binvox, replaced by `tests/stand_in_binvox.py`: its options, results and failures."""

import os
from pathlib import Path

import numpy as np
import pytest

from rasgan.data.binvox import BinvoxError, find_binvox, run_binvox
from rasgan.data.voxelize import VoxelOptions
from rasgan.errors import UserError
from tests import stand_in_binvox
from tests.made_meshes import OFF as TETRAHEDRON
from tests.robustness import running

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-in is a script with a shebang line")


@pytest.fixture
def program(tmp_path):
    """Return the path of the stand-in, in a folder with a space."""
    return stand_in_binvox.install(tmp_path / "my programs" / "binvox")


@pytest.fixture
def mesh(tmp_path):
    path = tmp_path / "my meshes" / "a mesh.v2.off"
    path.parent.mkdir()
    path.write_text(TETRAHEDRON, encoding="utf-8")
    return path


def marks(grid):
    return np.flatnonzero(grid).tolist()


@pytest.mark.parametrize(
    ("mode", "center", "expected"),
    [("binvox", False, [0]), ("binvox", True, [0, 2]), ("exact", False, [0, 1]), ("solid", True, [0, 1, 2])],
)
def test_options_are_passed_on(program, mesh, mode, center, expected):
    grid = run_binvox(program, mesh, VoxelOptions(32, mode, center))
    assert grid.shape == (32, 32, 32)
    assert grid.dtype == bool
    assert marks(grid) == expected
    assert list(mesh.parent.iterdir()) == [mesh]


def test_binvox_gets_every_format_as_a_plain_off(program, mesh):
    mesh.write_text(TETRAHEDRON.replace("OFF\n", "OFF"), encoding="utf-8")
    assert marks(run_binvox(program, mesh)) == [0]
    obj = mesh.with_suffix(".obj")
    obj.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", encoding="utf-8")
    assert marks(run_binvox(program, obj, up="y")) == [0]


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("no display", "exit code 1 .*failed to open display.*Xvfb"),
        ("crash", "exit code -6 .*loading"),
        ("no file", "no valid grid of 64³ voxels .*could not write"),
        ("cut", "no valid grid"),
        ("odd bytes", "no valid grid"),
        ("other size", "no valid grid"),
    ],
)
def test_failures_are_reported_with_the_mesh_and_the_reason(program, mesh, monkeypatch, way, message):
    monkeypatch.setenv("STAND_IN", way)
    with pytest.raises(BinvoxError, match=message) as error:
        run_binvox(program, mesh)
    assert str(error.value).startswith(f"{mesh}: ")
    assert "\n" not in str(error.value)
    assert list(mesh.parent.iterdir()) == [mesh]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for stray processes in /proc")
def test_a_hanging_program_is_stopped_with_its_children(program, mesh, monkeypatch, tmp_path):
    pids = tmp_path / "pids"
    monkeypatch.setenv("STAND_IN", "hang")
    monkeypatch.setenv("STAND_IN_PIDS", str(pids))
    with pytest.raises(BinvoxError, match=r"more than 1\.5 s"):
        run_binvox(program, mesh, timeout_s=1.5)
    leader, _ = pids.read_text(encoding="utf-8").split()
    running.wait_for_the_end_of(int(leader), tmp_path)


def test_a_program_for_another_system_is_reported(tmp_path, mesh):
    program = tmp_path / "binvox.exe"
    program.write_bytes(b"MZ\x90\x00 not for this machine")
    program.chmod(0o755)
    with pytest.raises(BinvoxError, match=r"binvox\.exe: cannot be run .*this system"):
        run_binvox(find_binvox(str(program)), mesh)


def test_an_invalid_mesh_is_reported_before_binvox_starts(mesh):
    mesh.write_text("OFF\n4 4 0\n0 0 0\n", encoding="utf-8")
    with pytest.raises(UserError, match="announces 4 vertices"):
        run_binvox("not started", mesh)


def test_find_binvox(program, tmp_path, monkeypatch):
    assert find_binvox(program) == program
    monkeypatch.chdir(Path(program).parent)
    assert find_binvox("binvox") == program
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(program).parent))
    assert find_binvox("binvox") == program
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "plain").touch()
    for missing in ("binvox", "plain", str(tmp_path / "plain"), str(tmp_path), ""):
        with pytest.raises(BinvoxError, match="no such executable program"):
            find_binvox(missing)

"""convert_data.py as a user types it."""

import gzip
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh

import convert_data
from rasgan.data import meshes
from rasgan.data.meshes import write_off
from rasgan.export.mesh_files import FORMATS, write_model
from rasgan.export.surface import surface_mesh
from rasgan.voxel_io import read_raw, read_voxels, write_raw
from tests import stand_in_binvox
from tests.made_meshes import OFF
from tests.robustness import running

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and executables")


@pytest.fixture
def folder(tmp_path):
    """Return a folder as people have them: subfolders, upper case, litter, one damaged mesh."""
    box = trimesh.creation.box(extents=(1, 2, 4))
    folder = tmp_path / "chair"
    for name in ("train/chair_0001.off", "test/chair.v2.OFF", "test/__MACOSX/._chair.off", ".hidden/a.off"):
        write_off(folder / name, box.vertices, box.faces)
    (folder / "train" / "._chair_0001.off").write_bytes(b"\x00\x05\x16\x07")
    (folder / "train" / "notes.txt").write_text("not a mesh", encoding="utf-8")
    (folder / "train" / "glued.off").write_text(OFF.replace("OFF\n", "OFF"), encoding="utf-8")
    box.export(folder / "train" / "other.obj")
    return folder


@pytest.fixture
def slow_binvox(tmp_path, monkeypatch):
    """Return the path of a stand-in for Binvox that hangs and notes its process numbers in `pids`."""
    monkeypatch.setenv("STAND_IN", "hang")
    monkeypatch.setenv("STAND_IN_PIDS", str(tmp_path / "pids"))
    return stand_in_binvox.install(tmp_path / "binvox")


def raws(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.raw"))


def convert(folder, *arguments):
    """Run the script in this process, on one core."""
    return convert_data.main(["-m", str(folder), "-j", "1", *arguments])


def test_every_format_that_is_offered_can_be_written(tmp_path):
    box = trimesh.creation.box()
    write_off(tmp_path / "box.off", box.vertices, box.faces)
    (offered,) = [
        action.choices for action in convert_data.build_parser()._actions if action.dest == "format"
    ]
    for name in offered:
        assert convert(tmp_path, "--format", name, "--resolution", "32") == 0
        assert read_voxels(tmp_path / f"box.{name}").sum() > 0


def test_every_mesh_below_the_folder_gets_a_raw_beside_it(folder, capsys):
    assert convert(folder) == 0
    assert raws(folder) == ["test/chair.v2.raw", "train/chair_0001.raw", "train/glued.raw", "train/other.raw"]
    out, err = capsys.readouterr()
    assert out.startswith("4 converted, 0 already there (left as they are), 0 empty, 0 failed\n")
    assert out.endswith(f"  python train_rasgan.py -n NAME -d {folder / 'train'}\n")
    assert "4/4" in err
    grid = read_raw(folder / "train" / "chair_0001.raw")
    assert grid.shape == (64, 64, 64)
    assert grid[:16, :, :32].all()
    assert grid.sum() == 16 * 32 * 64
    np.testing.assert_array_equal(read_raw(folder / "train" / "other.raw"), grid)


def test_a_second_run_skips_what_is_there(folder, capsys):
    assert convert(folder) == 0
    before = {name: (folder / name).stat().st_mtime_ns for name in raws(folder)}
    (folder / "train" / "glued.raw").unlink()
    capsys.readouterr()
    assert convert(folder) == 0
    assert capsys.readouterr().out.startswith(
        "1 converted, 3 already there (left as they are), 0 empty, 0 failed\n"
    )
    del before["train/glued.raw"]
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == before


def test_options_reach_the_voxelizer(folder):
    train = folder / "train"
    arguments = ["--resolution", "32", "--mode", "exact", "--center", "--up", "y", "--jobs", "1"]
    assert convert_data.main(["--model_dir", str(train), *arguments]) == 0
    grid = read_raw(train / "chair_0001.raw")  # y up: 1 wide, 4 deep, 2 high
    where = np.argwhere(grid)
    assert grid.shape == (32, 32, 32)
    assert where.min(axis=0).tolist() == [11, 7, 0]  # the faces touch one voxel more on each side
    assert where.max(axis=0).tolist() == [20, 24, 31]
    assert not grid[15, 15, 15]


def test_one_bad_mesh_does_not_stop_the_rest(folder, capsys):
    bad = folder / "test" / "bad.off"
    bad.write_text("OFF\n8 12 0\n0 0 0\n", encoding="utf-8")
    assert convert(folder) == 1
    out, err = capsys.readouterr()
    assert out.startswith("4 converted, 0 already there")
    assert out.count("1 failed\n") == 1
    assert f"failed: {bad}: it announces 8 vertices and 12 faces but holds 1 lines" in err
    assert len(raws(folder)) == 4


def test_a_raw_of_another_size_is_kept_and_told(folder, capsys):
    raw = folder / "train" / "chair_0001.raw"
    raw.write_bytes(bytes(32**3))
    assert convert(folder) == 1
    out, err = capsys.readouterr()
    assert out.startswith("3 converted")
    told = "chair_0001.raw is already there but holds 32³ voxels, not 64³; delete it first."
    assert f"{told} Or use --overwrite." in err
    assert raw.stat().st_size == 32**3
    assert convert(folder, "--overwrite") == 0
    assert raw.stat().st_size == 64**3


def test_two_meshes_for_one_raw_are_told(folder, capsys):
    (folder / "train" / "glued.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", encoding="utf-8")
    assert convert(folder) == 1
    out, err = capsys.readouterr()
    assert out.startswith("3 converted, 0 already there (left as they are), 0 empty, 2 failed\n")
    assert "glued.obj and glued.off would all become glued.raw" in err
    assert "train/glued.raw" not in raws(folder)


def sheet(path):
    """Write a mesh without any thickness, of which Binvox's rule keeps nothing."""
    write_off(path, np.eye(3) * [1, 1, 0], np.array([[0, 1, 2]]))


@pytest.mark.parametrize("suffix", [".raw", ".binvox"])
def test_empty_grids_are_told_also_where_they_are_kept(tmp_path, capsys, suffix):
    sheet(tmp_path / "a b" / "sheet.off")
    sheet(tmp_path / "a b" / "solid.off")
    typed = ["--format", suffix[1:], "--center", "--up", "z", "--resolution", "32"]
    for words in ("2 converted, 0 already there", "0 converted, 2 already there"):
        assert convert(tmp_path / "a b", *typed) == 0
        out, err = capsys.readouterr()
        assert out.startswith(f"{words} (left as they are), 2 empty, 0 failed\n")
        assert "sheet.off: no voxel is occupied\n" in err
        assert "solid.off: no voxel is occupied\n" in err
        assert "train_rasgan" not in out  # nothing to train on
    command = out.splitlines()[-1]
    assert command.startswith("  python convert_data.py -m ")
    assert convert_data.main([*shlex.split(command)[2:], "-j", "1"]) == 0
    assert capsys.readouterr().out.startswith("2 converted, 0 already there (left as they are), 0 empty")
    assert read_voxels(tmp_path / "a b" / f"sheet{suffix}").any()
    assert [path.name for path in tmp_path.rglob("*.raw")] == [] or suffix == ".raw"


def test_kept_grids_of_other_options_are_told(folder, capsys):
    def told(*arguments):
        capsys.readouterr()
        assert convert(folder, *arguments) == 0
        return [line for line in capsys.readouterr().err.splitlines() if line.startswith("kept")]

    train = folder / "train"
    assert convert(train) == 0
    assert told() == []  # the other folder's mesh is new, these are kept
    assert told() == told("--up", "z") == []
    for options, words in {
        ("--mode", "solid"): "mode: binvox, not solid",
        ("--center",): "centered: no, not yes",
        ("--up", "y", "--mode", "exact"): "mode: binvox, not exact, up: z, not y",
    }.items():
        assert told(*options) == [
            f"kept: {folder / 'test' / 'chair.v2.raw'} and 3 others: made with other options ({words}); "
            "--overwrite makes them anew"
        ]
    (train / "glued.raw").unlink()
    assert convert(train, "--mode", "solid") == 0
    (line,) = told("--mode", "solid")
    assert "chair.v2.raw and 2 others: made with other options" in line
    (line,) = told()
    assert line.startswith(f"kept: {train / 'glued.raw'}: made with other options (mode: solid, not binvox)")
    assert told("--overwrite") == told() == []


def test_kept_grids_of_unknown_options_are_told(folder, capsys):
    assert convert(folder) == 0
    write_raw(folder / "train" / "glued.raw", np.ones((64, 64, 64), dtype=bool))  # exchanged
    (folder / "test" / ".conversion.json").unlink()
    for damage in (None, "{", "[]", '{"made": [{"options": 1, "grids": {}}]}', '{"made": {"a": 1}}'):
        if damage is not None:
            (folder / "test" / ".conversion.json").write_text(damage, encoding="utf-8")
        capsys.readouterr()
        assert convert(folder) == 0
        unknown = f"kept: {folder / 'test' / 'chair.v2.raw'} and 1 other: it is not known with which options"
        assert unknown in capsys.readouterr().err


def test_a_damaged_grid_that_is_there_is_told(folder, capsys):
    grid = folder / "train" / "glued.raw"
    grid.write_bytes(b"\7" * 64**3)
    assert convert(folder) == 1
    assert "glued.raw is already there but damaged: contains other bytes" in capsys.readouterr().err
    assert grid.read_bytes() == b"\7" * 64**3


def test_binvox_files_contain_the_same_voxels(folder, capsys):
    assert convert(folder) == 0
    assert convert(folder, "--format", "binvox") == 0
    out, err = capsys.readouterr()
    assert "The grids are the .binvox files beside the meshes. Next:\n" in out
    assert "kept" not in err  # the .raw files are none of its business
    for name in raws(folder):
        grid = read_voxels((folder / name).with_suffix(".binvox"))
        np.testing.assert_array_equal(grid, read_raw(folder / name))
    assert convert(folder, "--format", "binvox") == 0
    assert capsys.readouterr().out.startswith("0 converted, 4 already there")


def test_stray_vertices_are_told(folder, capsys):
    box = trimesh.creation.box(extents=(1, 2, 4))
    for name, far in {"far": 196, "near": 4}.items():
        vertices = np.vstack([box.vertices, [[0, 0, 2 + far]]])
        write_off(folder / "train" / f"{name}.off", vertices, box.faces)
    assert convert(folder) == 0
    stray = [line for line in capsys.readouterr().err.splitlines() if line.startswith("stray")]
    assert len(stray) == 2
    assert stray[0].startswith(f"stray: {folder / 'train' / 'far.off'}: vertices far off that no face uses")
    assert "to 2% of the grid's side; delete them, then convert it again with --overwrite" in stray[0]
    assert "near.off" in stray[1]
    assert "50%" in stray[1]


def test_what_of_a_mesh_was_left_out_is_told(folder, capsys):
    facets = trimesh.creation.box().export(file_type="stl")
    for name in ("a.stl", "b.stl"):
        (folder / "train" / name).write_bytes(facets + b"more")
    assert convert(folder) == 0
    told = "a.stl and 1 other: 4 bytes after the 12 facets that it announces are left out\n"
    assert told in capsys.readouterr().err


def test_other_3d_files_are_counted(folder, capsys):
    for name in ("a.dae", "b.FBX", "c.fbx", "d.step", "e.png", ".f.fbx"):
        (folder / "train" / name).touch()
    assert convert(folder) == 0
    assert (
        "skipped: 1 .dae, 2 .fbx: export them as .glb, .obj or .ply, for example from Blender; "
        "1 .step: export them as .stl from a CAD program.\n"
    ) in capsys.readouterr().err
    for mesh in [*folder.rglob("*.off"), *folder.rglob("*.OFF"), *folder.rglob("*.obj")]:
        mesh.unlink()
    assert convert(folder) == 1
    err = capsys.readouterr().err
    assert "no meshes (.off, " in err
    assert "in this folder that are read here, but 1 .dae, 2 .fbx: export them" in err


def test_own_models_come_back_as_the_voxels_they_were(tmp_path):
    """.stl, .ply and .glb as they stand; .obj with --up y, by half a turn about the upward axis."""
    grid = np.zeros((32, 32, 32), dtype=bool)  # no side of it is like another
    grid[:12, :, :4] = grid[:20, :6, :14] = grid[4:8, :10, :18] = True
    for suffix in set(FORMATS) - {".3mf"}:  # which is written for slicers, and not read
        write_model(tmp_path / f"a{suffix}", *surface_mesh(grid), 0.32)
        up = ["--up", "y"] if suffix == ".obj" else []
        assert convert(tmp_path, "--resolution", "32", "--overwrite", *up) == 0
        expected = np.zeros_like(grid)
        expected[:20, :, :18] = grid[19::-1, :, 17::-1] if suffix == ".obj" else grid[:20, :, :18]
        np.testing.assert_array_equal(read_raw(tmp_path / "a.raw"), expected)
        (tmp_path / f"a{suffix}").unlink()


def test_processes_give_the_same_files(folder):
    assert convert(folder) == 0
    alone = {name: (folder / name).read_bytes() for name in raws(folder)}
    (folder / "train" / "bad.off").write_text("OFF", encoding="utf-8")
    run = running.run("convert_data.py", ["-m", str(folder), "-j", "2", "--overwrite"], folder)
    assert run.code == 1
    assert run.out.startswith("4 converted, 0 already there (left as they are), 0 empty, 1 failed\n")
    assert "bad.off: it does not begin as" in run.err
    assert "Traceback" not in run.err
    assert {name: (folder / name).read_bytes() for name in raws(folder)} == alone


@pytest.mark.parametrize(("jobs", "processes"), [("100", 4), ("2", 2)])
def test_as_many_processes_as_wanted_and_no_more_than_meshes(folder, monkeypatch, jobs, processes):
    asked = []

    def run_tasks(work, tasks, count):
        asked.append(count)
        yield from map(work, tasks)

    monkeypatch.setattr("rasgan.data.conversion.run_tasks", run_tasks)
    assert convert_data.main(["-m", str(folder), "-j", jobs]) == 0
    assert asked == [processes]


def test_what_does_not_fit_into_memory_is_told_and_the_rest_is_converted(folder, monkeypatch, capsys):
    def read_mesh(path, up, notes):
        if path.name == "glued.off":
            raise MemoryError
        return meshes.read_mesh(path, up, notes)

    monkeypatch.setattr("rasgan.data.conversion.read_mesh", read_mesh)
    assert convert(folder) == 1
    out, err = capsys.readouterr()
    assert out.startswith("3 converted")
    assert "glued.off: does not fit into memory; reduce its number of faces. Or use fewer --jobs." in err


def test_golden_bytes(shared_data, tmp_path):
    source = (shared_data / "modelnet" / "chair_0003.off").read_bytes()
    (tmp_path / "chair_0003.off").write_bytes(source)
    assert convert(tmp_path) == 0
    golden = gzip.decompress((shared_data / "golden" / "chair_0003.default.raw.gz").read_bytes())
    assert (tmp_path / "chair_0003.raw").read_bytes() == golden


def test_torch_is_not_imported():
    check = "import sys, convert_data; sys.exit('torch' in sys.modules or 'trimesh' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], cwd=running.ROOT, timeout=60, check=True)


@posix_only
def test_binvox_is_run_for_every_mesh(folder, slow_binvox, monkeypatch, capsys):
    monkeypatch.setenv("STAND_IN", "")
    assert convert(folder, "--binvox_binary", slow_binvox, "--mode", "exact") == 0
    assert capsys.readouterr().out.startswith("4 converted")
    for name in raws(folder):
        assert np.flatnonzero(read_raw(folder / name)).tolist() == [0, 1]


@posix_only
def test_an_unreadable_subfolder_is_told(folder, capsys):
    locked = folder / "locked"
    locked.mkdir(mode=0)
    if os.access(locked, os.R_OK):
        pytest.skip("this user may read everything")
    assert convert(folder) == 1
    assert f"failed: {locked}: permission denied" in capsys.readouterr().err


@pytest.mark.slow
@posix_only
def test_a_killed_worker_is_told(folder, slow_binvox, monkeypatch):
    monkeypatch.setenv("STAND_IN", "kill")
    run = running.run("convert_data.py", ["-m", str(folder), "-b", slow_binvox, "-j", "2"], folder)
    assert run.code == 1
    assert "\nerror: A worker process was killed" in run.err
    assert run.err.endswith("Or use fewer --jobs.\n")
    assert "Traceback" not in run.err
    assert raws(folder) == []


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for stray processes in /proc")
@pytest.mark.parametrize(
    ("jobs", "end"),
    [
        (2, "SIGINT"),
        pytest.param(1, "SIGINT", marks=pytest.mark.slow),
        pytest.param(2, "SIGKILL", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_leaves_nothing_behind(folder, slow_binvox, tmp_path, jobs, end):
    arguments = ["-m", str(folder), "-b", slow_binvox, "-j", str(jobs)]
    run = running.start("convert_data.py", arguments, folder, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "pids").exists() and run.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)
    run.send_signal(signal.Signals[end])
    _, err = run.communicate(timeout=30)
    running.wait_for_the_end_of(run.pid, tmp_path)
    if end == "SIGINT":
        assert run.returncode == 1
        assert "\nStopped by Ctrl-C." in err
        assert err.endswith("type the same command again.\n")
        assert "Traceback" not in err
    assert raws(folder) == []
    assert [path for path in folder.rglob(".*") if path.suffix == ".raw"] == []

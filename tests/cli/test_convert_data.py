"""convert_data.py as a user types it."""

import errno
import gzip
import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh

import convert_data
import train_rasgan
from rasgan.data.meshes import SUFFIXES, write_off
from rasgan.errors import UserError
from rasgan.voxel_io import read_raw
from tests import stand_in_binvox
from tests.made_meshes import OFF
from tests.robustness import running

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and executables")


@pytest.fixture
def folder(tmp_path):
    """Return a folder with subfolders, upper case, hidden files and several formats."""
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
    """Return the path of a stand-in for Binvox that hangs and writes its process ids to `pids`."""
    monkeypatch.setenv("STAND_IN", "hang")
    monkeypatch.setenv("STAND_IN_PIDS", str(tmp_path / "pids"))
    return stand_in_binvox.install(tmp_path / "binvox")


def raws(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.raw"))


def convert(folder, *arguments):
    """Run the script in this process, on one core."""
    return convert_data.main(["-m", str(folder), "-j", "1", *arguments])


def test_every_mesh_below_the_folder_is_converted(folder, capsys):
    assert convert(folder) == 0
    assert raws(folder) == ["test/chair.v2.raw", "train/chair_0001.raw", "train/glued.raw", "train/other.raw"]
    out, err = capsys.readouterr()
    assert out.startswith("4 converted, 0 already there (skipped), 0 empty, 0 failed\n")
    assert len(err.splitlines()) == 1  # no bar outside a terminal
    grid = read_raw(folder / "train" / "chair_0001.raw")
    assert grid.shape == (64, 64, 64)
    assert grid[:16, :, :32].all()
    assert grid.sum() == 16 * 32 * 64
    np.testing.assert_array_equal(read_raw(folder / "train" / "other.raw"), grid)


def test_a_second_run_skips_existing_grids(folder, capsys):
    assert convert(folder) == 0
    before = {name: (folder / name).stat().st_mtime_ns for name in raws(folder)}
    (folder / "train" / "glued.raw").unlink()
    capsys.readouterr()
    assert convert(folder) == 0
    assert capsys.readouterr().out.startswith("1 converted, 3 already there (skipped), 0 empty, 0 failed\n")
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


def test_failures_are_reported_and_do_not_stop_the_rest(folder, capsys):
    train = folder / "train"
    bad, small, damaged = folder / "test" / "bad.off", train / "chair_0001.raw", train / "other.raw"
    bad.write_text("OFF\n8 12 0\n0 0 0\n", encoding="utf-8")
    (train / "glued.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", encoding="utf-8")
    small.write_bytes(bytes(32**3))
    damaged.write_bytes(b"\7" * 64**3)
    assert convert(folder) == 1
    out, err = capsys.readouterr()
    assert out.startswith("1 converted, 0 already there (skipped), 0 empty, 5 failed\n")
    assert f"failed: {bad}: it announces 8 vertices and 12 faces, one per line, but has 1 lines" in err
    assert "glued.obj: another mesh would become glued.raw" in err
    assert f"failed: {small}: contains 32³ voxels, not 64³; delete it first. Or use --overwrite.\n" in err
    assert f"failed: {damaged}: contains bytes other than" in err
    assert small.stat().st_size == 32**3
    assert damaged.read_bytes() == b"\7" * 64**3
    assert raws(folder) == ["test/chair.v2.raw", "train/chair_0001.raw", "train/other.raw"]
    assert convert(folder, "--overwrite") == 1
    assert small.stat().st_size == 64**3


def sheet_of_one():
    """Return a mesh without thickness, which Binvox's rule loses."""
    return np.eye(3) * [1, 1, 0], np.array([[0, 1, 2]])


def test_empty_grids_are_reported_even_if_they_existed(tmp_path, capsys):
    for name in ("sheet.off", "solid.off"):
        write_off(tmp_path / "a b" / name, *sheet_of_one())
    typed = ["--center", "--up", "z", "--resolution", "32"]
    for words in ("2 converted, 0 already there", "0 converted, 2 already there"):
        assert convert(tmp_path / "a b", *typed) == 0
        out, err = capsys.readouterr()
        assert out.startswith(f"{words} (skipped), 2 empty, 0 failed\n")
        assert "sheet.off: no voxel is occupied\n" in err
        assert "solid.off: no voxel is occupied\n" in err
        assert "train_rasgan" not in out  # nothing to train on
    command = out.splitlines()[-1]
    assert command.startswith("  python convert_data.py -m ")
    assert convert_data.main([*shlex.split(command)[2:], "-j", "1"]) == 0
    assert capsys.readouterr().out.startswith("2 converted, 0 already there (skipped), 0 empty")
    assert read_raw(tmp_path / "a b" / "sheet.raw").any()


def test_grids_with_different_options_are_not_mixed(folder, tmp_path, capsys):
    def refused(*arguments):
        capsys.readouterr()
        before = running.visible_files(folder)
        assert convert(folder, *arguments) == 1
        assert running.visible_files(folder) == before
        return capsys.readouterr().err

    train = folder / "train"
    assert convert(train) == 0
    assert convert(folder) == 0  # converts the other folder's mesh
    for options, words in {
        ("--mode", "solid"): "mode: binvox, not solid",
        ("--center",): "center: False, not True",
        ("--resolution", "32"): "resolution: 64, not 32",
        ("--up", "y", "--mode", "exact"): "mode: binvox, not exact",
    }.items():
        error = refused(*options)
        assert words in error
        assert "--output" not in error  # the printed command is the one that was typed
    assert convert(folder, "--center", "-o", str(tmp_path / "other")) == 0
    command = refused("--mode", "solid").splitlines()[-1]
    capsys.readouterr()
    assert convert_data.main(shlex.split(command)[2:]) == 0
    assert convert(folder, "--mode", "solid") == 0
    assert "mode: solid, not binvox" in refused()


def test_existing_grids_with_unknown_options_are_reported_until_all_are_converted_again(folder, capsys):
    def is_reported():
        capsys.readouterr()
        assert convert(folder, "--center") == 0
        return f"kept: {folder / 'test'}" in capsys.readouterr().err

    assert convert(folder) == 0
    record = folder / "test" / ".conversion.json"
    (folder / "train" / ".conversion.json").unlink()
    for damage in (None, "{", "[]", "{}", '{".raw": 1}', "[" * 100_000):
        record.unlink() if damage is None else record.write_text(damage, encoding="utf-8")
        assert is_reported()
    write_off(folder / "test" / "new.off", *sheet_of_one())
    assert is_reported()
    assert is_reported()  # the new grid is beside one with unknown options
    assert convert(folder, "--center", "--overwrite") == 0
    assert not is_reported()


def test_overwriting_that_fails_or_is_stopped_leaves_no_wrong_record(folder, monkeypatch, capsys):
    assert convert(folder / "test") == 0
    for fault in (UserError("bad"), KeyboardInterrupt()):

        def fail(*args, fault=fault):
            raise fault

        with monkeypatch.context() as patches:
            patches.setattr("rasgan.data.conversion.read_mesh", fail)
            assert convert(folder / "test", "--center", "--overwrite") == 1
        capsys.readouterr()
        assert convert(folder / "test", "--center") == 0
        assert "kept: " in capsys.readouterr().err


def test_records_of_earlier_versions_are_read(folder, capsys):
    assert convert(folder / "test") == 0
    record = folder / "test" / ".conversion.json"
    options = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({".raw": options | {"suffix": ".raw"}}), encoding="utf-8")
    assert convert(folder / "test") == 0
    assert "kept: " not in capsys.readouterr().err
    assert convert(folder / "test", "--center") == 1


def test_output_has_the_same_subfolders_and_nothing_is_written_beside_the_meshes(folder, tmp_path, capsys):
    before = sorted(folder.rglob("*"))
    assert convert(folder) == 0
    beside = {name: (folder / name).read_bytes() for name in raws(folder)}
    for path in sorted(set(folder.rglob("*")) - set(before)):
        path.unlink()
    output = tmp_path / "new" / "grids"
    assert convert(folder, "-o", str(output)) == 0
    assert {name: (output / name).read_bytes() for name in raws(output)} == beside
    assert sorted(folder.rglob("*")) == before
    assert f"-d {output / 'train'}" in capsys.readouterr().out
    assert convert(folder, "--output", str(output)) == 0
    assert capsys.readouterr().out.startswith("0 converted, 4 already there")
    (tmp_path / "a file").touch()
    assert convert(folder, "-o", str(tmp_path / "a file")) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'a file'}: a file is in the way")


def test_a_folder_that_cannot_be_written_to_is_reported_once_before_the_first_mesh(
    folder, monkeypatch, capsys
):
    def refuse(**options):
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("rasgan.data.conversion.read_mesh", None)  # must not be called
    assert convert(folder) == 1
    reason = f"error: {folder}: the disk is read-only; choose a place that you may read and write."
    assert capsys.readouterr().err == f"{reason} Or write the grids to another folder with --output.\n"


@pytest.mark.parametrize(("options", "count"), [((), 3), (("--resolution", "32", "--center"), 30)])
def test_the_printed_commands_can_be_typed(tmp_path, monkeypatch, capsys, options, count):
    """The name of the run is free, and the batch is no larger than the data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoint" / "my-chair-1").mkdir(parents=True)
    box = trimesh.creation.box(extents=(1, 2, 4))
    for number in range(count):
        write_off(tmp_path / "my chair" / "train" / f"{number}.off", box.vertices, box.faces)
    assert convert(Path("my chair"), *options) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  python ")]
    parsed = [train_rasgan.build_parser().parse_args(shlex.split(line)[2:]) for line in lines]
    assert len(parsed) == 3
    for args in parsed:
        assert (args.name, args.data) == ("my-chair-2", Path("my chair/train"))
        assert getattr(args, "batchsize", 24) <= count
        assert getattr(args, "resolution", 64) == (32 if options else 64)
    assert Path(shlex.split(lines[0])[1]).resolve() == running.ROOT / "train_rasgan.py"


def test_stray_vertices_are_noted(folder, capsys):
    box = trimesh.creation.box(extents=(1, 2, 4))
    for name, far in {"far": 196, "near": 4}.items():
        vertices = np.vstack([box.vertices, [[0, 0, 2 + far]]])
        faces = [*box.faces, [8, 8, 8], [8, 0, 0]] if name == "near" else box.faces  # two without area
        write_off(folder / "train" / f"{name}.off", vertices, np.array(faces))
    assert convert(folder) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert len(notes) == 2
    assert any("far.off: vertices far away" in note and "to 2% of the grid" in note for note in notes)
    assert any("near.off: vertices far away" in note and "to 50% of the grid" in note for note in notes)


def test_other_3d_files_and_ignored_parts_of_meshes_are_reported(folder, capsys):
    for name in ("a.dae", "b.FBX", "c.fbx", "d.step", "e.png", ".f.fbx"):
        (folder / "train" / name).touch()
    for name in ("a.stl", "b.stl"):
        (folder / "train" / name).write_bytes(trimesh.creation.box().export(file_type="stl") + b"more")
    assert convert(folder) == 0
    err = capsys.readouterr().err
    assert "skipped: 1 .dae, 2 .fbx, 1 .step: export them as .glb, .obj, .ply or .stl, " in err
    assert "a.stl and 1 other: 4 bytes after the 12 announced facets" in err
    for mesh in [path for path in folder.rglob("*.*") if path.suffix.lower() in SUFFIXES]:
        mesh.unlink()
    assert convert(folder) == 1
    err = capsys.readouterr().err
    assert "no meshes (.off, " in err
    assert "in this folder, but 1 .dae, 2 .fbx, 1 .step: export them" in err


def test_several_processes_write_the_same_files(folder):
    assert convert(folder) == 0
    alone = {name: (folder / name).read_bytes() for name in raws(folder)}
    (folder / "train" / "bad.off").write_text("OFF", encoding="utf-8")
    run = running.run("convert_data.py", ["-m", str(folder), "-j", "2", "--overwrite"], folder)
    assert run.code == 1
    assert run.out.startswith("4 converted, 0 already there (skipped), 0 empty, 1 failed\n")
    assert "bad.off: it does not start like" in run.err
    assert "Traceback" not in run.err
    assert {name: (folder / name).read_bytes() for name in raws(folder)} == alone


def test_a_mesh_that_does_not_fit_into_memory_is_reported(folder, monkeypatch, capsys):
    def read_mesh(path, up, notes):
        raise MemoryError

    monkeypatch.setattr("rasgan.data.conversion.read_mesh", read_mesh)
    assert convert(folder) == 1
    told = "glued.off: does not fit into memory; reduce its number of faces. Or use fewer --jobs."
    assert told in capsys.readouterr().err


def test_the_bytes_are_those_of_binvox(shared_data, tmp_path):
    source = (shared_data / "modelnet" / "chair_0003.off").read_bytes()
    (tmp_path / "chair_0003.off").write_bytes(source)
    assert convert(tmp_path) == 0
    golden = gzip.decompress((shared_data / "golden" / "chair_0003.default.raw.gz").read_bytes())
    assert (tmp_path / "chair_0003.raw").read_bytes() == golden


@posix_only
def test_binvox_is_run_for_every_mesh(folder, slow_binvox, monkeypatch, capsys):
    monkeypatch.setenv("STAND_IN", "")
    assert convert(folder, "--binvox_binary", slow_binvox, "--mode", "exact") == 0
    assert capsys.readouterr().out.startswith("4 converted")
    for name in raws(folder):
        assert np.flatnonzero(read_raw(folder / name)).tolist() == [0, 1]


@posix_only
def test_an_unreadable_subfolder_is_reported(folder, capsys):
    locked = folder / "locked"
    locked.mkdir(mode=0)
    if os.access(locked, os.R_OK):
        pytest.skip("this user may read everything")
    assert convert(folder) == 1
    assert f"failed: {locked}: permission denied" in capsys.readouterr().err


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
        assert "Stopped by Ctrl-C." in err
        assert err.endswith("type the same command again.\n")
        assert "Traceback" not in err
    assert raws(folder) == []
    assert [path for path in folder.rglob(".*") if path.suffix == ".raw"] == []

"""A table of bad inputs: for each, the script, the exit code, and words of its one-line error.

A row has a name, the script, a function that writes the bad input to an empty folder, the arguments, and the
expected words. Rows that must succeed have the code 0 and name the files that are written.
"""

import os
import pickle
import re
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.made_meshes import OBJ as OBJ_TEXT
from tests.made_meshes import OFF, glb, gltf, ply_head
from tests.robustness import running

DATA, GRAPH, OBJ = "convert_data.py", "convert_to_graph.py", "convert_to_obj.py"
RENDER, TRAIN, GENERATE = "render/render_class_view.py", "train_rasgan.py", "rasgan.generate"

Make = Callable[[Path], object]


@dataclass(frozen=True)
class Row:
    """A bad input and its result."""

    name: str
    script: str
    make: Make
    arguments: Sequence[str]
    says: Sequence[str]
    code: int = 1
    writes: Sequence[str] = ()
    is_alone: bool = False  # in its own process, as a user runs it, not in a shared one
    unless: str = ""  # why it is skipped on this system, if it is


def maker(put: Callable[..., object]) -> Callable[..., Make]:
    """Split a function of a folder and arguments: the arguments come first, the folder later."""
    return lambda *args: lambda folder: put(folder, *args)


@maker
def both(folder: Path, *makes: Make) -> None:
    for make in makes:
        make(folder)


@maker
def file(folder: Path, name: str, content: str | bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


@maker
def array(folder: Path, name: str, values: np.ndarray) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    np.save(folder / name, values, allow_pickle=True)


@maker
def link(folder: Path, name: str, target: str) -> None:
    (folder / name).symlink_to(target)


@maker
def holes(folder: Path, name: str, header: bytes, size: int) -> None:
    """Make a large sparse file."""
    file(name, header)(folder)
    os.truncate(folder / name, size)


@maker
def cut(folder: Path, name: str) -> None:
    """Cut a file in the middle."""
    os.truncate(folder / name, (folder / name).stat().st_size // 2)


nothing = both()
folder_named = maker(lambda folder, name: (folder / name).mkdir(parents=True))
pipe = maker(lambda folder, name: os.mkfifo(folder / name))  # reading it would wait forever

no_posix = "" if os.name == "posix" else "needs links, pipes and names of POSIX"
no_holes = "" if os.name == "posix" else "this system would fill the disk"
no_strange_names = "" if sys.platform == "linux" else "this system accepts only names in Unicode"
A_FOLDER = "a folder is in the way of a file" if os.name == "posix" else "permission denied"
not_linux = "" if sys.platform == "linux" else "needs the devices of Linux"

# --- convert_data.py. Faults inside mesh files are tested in tests/unit/data

AGAIN = "download or export it again"


def mesh(name: str, make: Make | str | bytes, *says: str, **options: object) -> Row:
    """Make a row of a bad mesh; its name starts with the suffix."""
    file_name = f"x.{name.split(',')[0]}"
    make = make if callable(make) else file(file_name, make)
    return Row(name, DATA, make, ["-m", "."], (f"{file_name}: ", *says), **options)


def named(name: str, file_name: str, told: str = "", content: str = OFF, **options: object) -> Row:
    """Make a row of an .off file with a strange name: with an error that contains `told`, or converted."""
    made = [file_name.replace(".off", ".raw"), ".conversion.json"]
    says, code, writes = ((told, AGAIN), 1, ()) if told else ((), 0, made)
    return Row(f"off, {name}", DATA, file(file_name, content), ["-m", "."], says, code, writes, **options)


MESH_ROWS = [
    mesh("off, cut", OFF[:-3], "fewer corners than it announces", AGAIN, is_alone=True),
    mesh("off, a link to nothing", link("x.off", "gone"), "no such file", "check the path", unless=no_posix),
    mesh("off, a named pipe", pipe("x.off"), "not an ordinary file", "give", unless=no_posix),
    mesh("off, an endless device", link("x.off", "/dev/zero"), "not an ordinary file", unless=not_linux),
    mesh("off, 2 GB", holes("x.off", b"OFF\n4 4 6\n", 2 << 30), "larger than",
         "reduce its number of faces", unless=no_holes),
    mesh("stl, 10^9 triangles", bytes(80) + struct.pack("<I", 10**9) + bytes(50), AGAIN),
    mesh("ply, 10^10 vertices", ply_head(10**10, 4, "binary_little_endian") + "\0" * 99, AGAIN),
    mesh("glb, 10^8 numbers from nowhere", glb(gltf(10**8, {}), bytes(36)), AGAIN),
    named("a name that is not UTF-8", os.fsdecode(b"\xff\xfe.off"), r"\udcff\udcfe.off: it does not", "OFF",
          unless=no_strange_names),
    named("a name that would clear the screen", "\x1b[2J.off", r"\x1b[2J.off: it does not", "OFF",
          unless=no_posix),
    named("a name in Chinese", "椅子.off"),
    named("a name that is not UTF-8 and is good", os.fsdecode(b"\xff\xfe.off"), unless=no_strange_names),
    Row("meshes, a folder with a mesh's name", DATA, folder_named("x.off"), ["-m", "."],
        ("no meshes", "check the path")),
    Row("meshes, no such folder", DATA, nothing, ["-m", "gone"], ("gone: not a folder", "check the path")),
    Row("meshes, a folder for the .raw", DATA, both(file("x.off", OFF), folder_named("x.raw")), ["-m", "."],
        ("x.raw: ", A_FOLDER)),
    Row("meshes, no such Binvox", DATA, file("x.off", OFF), ["-m", ".", "-b", "gone"],
        ("gone: no such executable", "leave out -b")),
    Row("meshes, a Binvox that is none", DATA, file("x.off", OFF), ["-m", ".", "-b", sys.executable],
        ("x.off: Binvox failed", "leave out -b")),
]  # fmt: skip

# --- convert_to_obj.py and convert_to_graph.py. Faults inside voxel files are tested in
# tests/unit/test_voxel_io.py

ONES, SMALLER = np.ones((4, 4, 4), np.float32), np.ones((2, 2, 2), np.float32)
PICTURE = "3D_graphs/x.png"


def npy_header(shape: str) -> bytes:
    """Build the header of an .npy file of bools."""
    text = f"{{'descr': '|b1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


def grid(name: str, make: Make | bytes, *says: str, script: str = OBJ, **options: object) -> Row:
    """Make a row of a bad voxel file; its name starts with the suffix."""
    file_name = f"x.{name.split(',')[0]}"
    make = file(file_name, make) if isinstance(make, bytes) else make
    says = () if options.get("code") == 0 else (file_name, *says)
    return Row(name, script, make, ["-f", file_name], says, **options)


RAW_AGAIN, NPY_AGAIN = "convert the mesh again", "save or download it again"

GRID_ROWS = [
    grid("raw, one byte too few", bytes(64**3 - 1), "262143 bytes", RAW_AGAIN, script=GRAPH, is_alone=True),
    grid("raw, a folder", folder_named("x.raw"), "x.raw: contains no .raw", "choose another folder"),
    grid("raw, a pipe", pipe("x.raw"), "not an ordinary file", unless=no_posix),
    grid("raw, an endless device", link("x.raw", "/dev/zero"), "not an ordinary file", unless=not_linux),
    grid("raw, nothing occupied", bytes(27), "no voxel is above 0.3", "--threshold"),
    grid("npy, 10^10 numbers", holes("x.npy", npy_header("(2155, 2155, 2155)"), 2155**3 + 128),
         script=GRAPH, unless=no_holes),
    grid("npy, NaN", array("x.npy", ONES * np.nan), "no voxel is above 0.3", "--threshold"),
    grid("npy, a batch", array("x.npy", ONES[None, None]), code=0, writes=["models/x.obj"], is_alone=True),
    grid("npy, missing", nothing, "no such file", "check the path"),
    grid("npy, a link in a circle", link("x.npy", "x.npy"), "link", unless=no_posix),
    grid("txt, not a voxel file", b"1 2 3", "not a voxel file", ".raw, .binvox, .npy"),
    grid("mat", b"MATLAB 5.0", ".mat files are not read"),
]  # fmt: skip

X_NPY = array("x.npy", ONES)
RUN = both(array("savepoint/run/1.npy", ONES), file("savepoint/run/2.npy", b"junk"))


def usage(script: str, required: Sequence[str], *wrong: str, make: Make = nothing) -> list[Row]:
    """Make a row for each wrong use of a script's options, which argparse reports by name."""
    says = {options: re.split("[ =]", options)[0] or "required" for options in wrong}
    return [
        Row(f"{script} {options}", script, make, [*required, *options.split()], [says[options]], 2)
        for options in wrong
    ]


def made(name: str, script: str, make: Make, *says: str, **options: object) -> Row:
    """Make a row of something in the way of the result for x.npy."""
    return Row(f"output, {name}", script, both(X_NPY, make), ["-f", "x.npy"], says, **options)


UNPRINTABLE = os.fsdecode(b"\xff")

PLACE_ROWS = [
    Row("run, unknown, to mesh", OBJ, RUN, ["-n", "chair"], ("no run of this name", "runs here: run")),
    Row("run, unknown, to picture", GRAPH, nothing, ["-n", "chair"], ("no run", "train one first")),
    Row("run, only generated", OBJ, folder_named("savepoint/run/generated/9"), ["-n", "run"],
        ("contains no .npy", "a folder of shapes generated")),
    *(Row(f"run, one grid bad, to {result}", script, both(RUN, array("savepoint/run/3.npy", ONES)),
          ["-n", "run", *more], ("2.npy", NPY_AGAIN), 1, [f"savepoint/run/{name}" for name in writes])
      for result, script, more, writes in (
          ("mesh", OBJ, [], ["models/1.obj", "models/3.obj"]),
          ("picture", GRAPH, [], ["3D_graphs/1.png", "3D_graphs/3.png"]),
          ("film", GRAPH, ["--gif"], ["training.gif"]),
          ("sheet", GRAPH, ["--sheet"], ["sheet.png"]))),
    Row("run, no such epochs", GRAPH, RUN, ["-n", "run", "--epochs", "8-9"], ("--epochs", "from 1 to 2")),
    Row("run, grids of two sizes to film", GRAPH, both(array("f/1.npy", ONES), array("f/2.npy", SMALLER)),
        ["-f", "f", "--gif"], ("f.gif", "choose grids of one size")),
    made("a file for the folder", OBJ, file("models", "x"), "models: ", "a file", "folder"),
    made("a folder for the mesh", OBJ, folder_named("models/x.obj"), "x.obj: ", A_FOLDER),
    made("a link in a circle", OBJ, link("models", "models"), "models: ",
         "a file is in the way of a folder", unless=no_posix),
    Row("output, a name that cannot be printed, drawn", GRAPH, array(UNPRINTABLE + ".npy", ONES),
        ["-f", UNPRINTABLE + ".npy", "--title"], (), 0, [f"3D_graphs/{UNPRINTABLE}.png"],
        unless=no_strange_names),
    Row("output, title in mathematics", GRAPH, array("$\\x{$.npy", ONES), ["-f", "$\\x{$.npy", "--title"],
        (), 0, ["3D_graphs/$\\x{$.png"], unless=no_posix),
    Row("output, a size no format can hold", OBJ, X_NPY, ["-f", "x.npy", "--format", "stl", "--size", "1e39"],
        ("--size", "at most"), 2),
    *usage(DATA, ["-m", "."], "--resolution 48", "--mode hull", "-j 0", "-j 1e400", "--up x"),
    *usage(GRAPH, ["-f", "x.npy"], "-c 8", "--threshold nan", "--epochs 9-3", "--epochs 1-" + "9" * 5000,
           "--sheet 0x5", "--sheet 999x999", "--seed -1", make=X_NPY),
    *usage(OBJ, ["-f", "x.npy"], "--threshold=-inf", "--size 0", "--size 1e400", "--format off", make=X_NPY),
    *(row for script in (DATA, GRAPH, OBJ, TRAIN) for row in usage(script, [], "")),
]  # fmt: skip

# --- the renderer: what is checked before Blender starts

PYTHON = ["-b", sys.executable]


def model(name: str, make: Make, *says: str, arguments: Sequence[str] = (), **options: object) -> Row:
    """Make a row of a bad model."""
    return Row(f"render, {name}", RENDER, make, ["-m", "x.obj", *PYTHON, *arguments], says, **options)


NO_FACES = ("x.obj: contains no faces", "convert the shape again")
X_OBJ = file("x.obj", OBJ_TEXT)

RENDER_ROWS = [
    model("missing", nothing, "x.obj: no such file", "check the path"),
    model("0 bytes", file("x.obj", b""), *NO_FACES, is_alone=True),
    model("binary junk", file("x.obj", bytes(range(256)) * 99), *NO_FACES),
    model("a pipe", pipe("x.obj"), "x.obj: not an ordinary file", unless=no_posix),
    model("an endless device", link("x.obj", "/dev/zero"), "x.obj: not an ordinary file", unless=not_linux),
    model("4 GB without a line end", holes("x.obj", b"", 4 << 30), "x.obj: ", "1024 MB", unless=no_holes),
    model("a link in a circle", link("x.obj", "x.obj"), "x.obj: ", "link", unless=no_posix),
    *(Row(f"render, {name}", RENDER, file(name, OBJ_TEXT), ["-m", name, *PYTHON], (f"{name}: ", *says))
      for name, *says in [("x.stl", "only .obj"), ("x.GLB", "only .obj"), ("x", "only .obj"),
                          ("a x.npy", "only .obj", "convert_to_obj.py")]),
    model("a program that is not Blender", X_OBJ, "exit code 2; is it Blender 3.3 or later?"),
    model("no such Blender", X_OBJ, "gone: cannot be started", "-b", arguments=["-b", "gone"]),
    model("another picture format", X_OBJ, "a.jpg", "ends in .png", arguments=["-o", "a.jpg"]),
    *usage(RENDER, ["-m", "x.obj", *PYTHON], "-a nan", "-e inf", "-t 1e400", "-d 0", "--samples 0",
           "--size 65536", "--turntable 1", "--turntable 121", "--color #12345", make=X_OBJ),
    *usage(RENDER, ["-m", "x.obj"], ""),
]  # fmt: skip

# --- training and generating


def grids(folder: Path) -> None:
    """Write four small grids to data/."""
    for number in range(4):
        file(f"data/{number}.raw", bytes([0, 255] * (32**3 // 2)))(folder)


TINY = ["-n", "run", "-d", "data", "--device", "cpu", "--resolution", "32", "--width", "8", "-b", "2"]
TINY += ["-e", "1", "--seed", "0"]


def train(name: str, make: Make, arguments: Sequence[str], *says: str, **options: object) -> Row:
    """Make a row of a training that cannot start."""
    return Row(f"train, {name}", TRAIN, make, [*TINY, *arguments], says, **options)


@maker
def checkpoint(folder: Path, change: Callable[[dict], object] = lambda state: None, name: str = "1") -> None:
    """Write grids and a checkpoint of epoch 1, with a change to the content of ``1.NAME.pt``.

    `change` modifies the dictionary, or returns what is saved instead: an object, or bytes.
    """
    import torch

    from rasgan.runs import RunFolder
    from rasgan.training.checkpoints import Position
    from rasgan.training.config import TrainConfig
    from rasgan.training.dataset import Shapes
    from rasgan.training.loop import save
    from rasgan.training.resuming import begin
    from rasgan.voxel_folders import read_grids

    grids(folder)
    config = TrainConfig(resolution=32, width=8, batchsize=2, epochs=1)
    run = begin(RunFolder("run", folder), config, Shapes(read_grids(folder / "data", 32)[0]))
    run.position = Position(1)
    save(run)
    path = folder / f"checkpoint/run/{name}.pt"
    state = torch.load(path, weights_only=True)
    changed = change(state)
    if isinstance(changed, bytes):
        path.write_bytes(changed)
    else:
        torch.save(state if changed is None else changed, path)


class RunsCode:
    """An object that writes a file when it is unpickled."""

    def __reduce__(self) -> tuple:
        return open, ("was-run", "w")


def setting(**values: object) -> Callable[[dict], None]:
    """Change settings in a checkpoint."""
    return lambda state: state["settings"].update(values)


def reshape_moments(state: dict) -> None:
    """Give Adam's moments of the first parameter another shape."""
    import torch

    state["g"]["state"][0] = dict.fromkeys(("step", "exp_avg", "exp_avg_sq"), torch.zeros(1))


def dropped(*names: str) -> Callable[[dict], dict]:
    """Remove entries of a checkpoint."""
    return lambda state: {name: value for name, value in state.items() if name not in names}


def resumed(name: str, make: Make, *says: str) -> Row:
    """Make a row of a training that cannot resume."""
    return Row(f"train, {name}", TRAIN, make, [*RESUMED, "-e", "2", "-l"], ["1.", *says])


def shown(name: str, make: Make, *says: str) -> Row:
    """Make a row of a run that cannot generate shapes."""
    return Row(f"generate, {name}", GENERATE, make, ["-n", "run"], ["1.pt", *says])


RESUMED = ["-n", "run", "-d", "data", "--device", "cpu"]
INCOMPLETE = ("not a complete checkpoint", "-le")
OTHER_VERSION = ("not a checkpoint of this version",)
INVALID = ("not a valid checkpoint", "-le")
DAMAGED = {  # by fault: the change and the expected words
    "of 0 bytes": (lambda state: b"", INCOMPLETE),
    "a pickle that runs code": (lambda state: pickle.dumps(RunsCode()), INCOMPLETE),
    "that runs code inside": (lambda state: {**state, "extra": RunsCode()}, INCOMPLETE),
    "an empty zip archive": (lambda state: b"PK\x05\x06" + bytes(18), INCOMPLETE),
    "that is a list": (lambda state: [1, 2], OTHER_VERSION),
    "of a newer version": (lambda state: state.update(format=99), OTHER_VERSION),
    "without its settings": (dropped("settings"), INVALID),
    "without its generator": (dropped("generator"), INVALID),
    "with settings that are a list": (lambda state: state.update(settings=[1]), INVALID),
    "of another width": (setting(width=16), INVALID),
    "of a width that is text": (setting(width="8"), INVALID),
    "of networks that fit no memory": (setting(width=2**20), INVALID),
    "of a million mapping layers": (setting(mapping_layers=10**6), INVALID),
    "of an unknown end": (setting(output="tanh"), INVALID),
    "of numbers for weights": (lambda state: state["generator"].update({"dense.bias": 1}), INVALID),
}
UNFIT = {
    "without its gate": (dropped("gate"), INVALID),
    "without its place in the schedule": (dropped("pace"), INVALID),
    "without its history": (dropped("history"), INVALID),
    "with a history of another shape": (
        lambda state: state.update(history=state["generator"]["dense.bias"]),
        INVALID,
    ),
    "of an unknown loss": (setting(loss="best"), INVALID),
    "with a setting from elsewhere": (setting(color=1), INVALID),
}

TRAIN_ROWS = [
    *(resumed(f"a checkpoint {name}", checkpoint(change), *says)
      for name, (change, says) in {**DAMAGED, **UNFIT}.items()),
    resumed("a checkpoint cut off", both(checkpoint(), cut("checkpoint/run/1.pt")), *INCOMPLETE),
    resumed("Adam's state cut off", both(checkpoint(), cut("checkpoint/run/1.optim.pt")), *INCOMPLETE),
    resumed("Adam's state of one network", checkpoint(dropped("d"), "1.optim"), *INVALID),
    resumed("Adam's state of other shapes", checkpoint(reshape_moments, "1.optim"), *INVALID),
    Row("train, options against the checkpoint", TRAIN, checkpoint(), [*TINY, "-l", "--width", "16", "--loss",
        "sgan"], ["width 16 (the run has 8)", "loss sgan", "Leave these options out"]),
    Row("train, a name that is taken", TRAIN, checkpoint(), TINY, ["checkpoint", "--load", "--name"]),
    train("no such schedule", grids, ["--schedule", "gone.csv"], "gone.csv: no such file", "airplane, chair"),
    train("schedule and rates", grids, ["--schedule", "chair", "-glr", "1"], "schedule sets", "Leave out"),
    train("stop ratio without a gate", grids, ["--stop-ratio", "9", "--no-gate"], "--stop-ratio", "--gate"),
    train("no such data", nothing, [], "data: no such folder", "check the path", is_alone=True),
    train("no grids", folder_named("data"), [], "contains no .raw", "convert_data.py"),
    train("batch larger than the data", grids, ["-b", "1000000000"], "4 shapes", "--batchsize 4"),
    train("width that has no half", grids, ["--width", "6"], "--width 6", "multiple of 4"),
    train("connecting without a sigmoid", grids, ["--connect", "1"], "needs a sigmoid", "--connect out"),
    train("width of 10^9", grids, ["--width", "1000000000"], "memory is too small"),
    train("nothing to resume", grids, ["-l"], "no checkpoints"),
    train("a file for the run's folder", both(grids, file("checkpoint", "x")), [], "checkpoint", "a file"),
    *(Row(f"train, a run named {name!r}", TRAIN, nothing, [*TINY, "-n", name],
          ["cannot be a folder's name", "use "]) for name in ("../out", "a\\b", "..", "x" * 101, "a\nb")),
    *usage(TRAIN, TINY, "-e 0", "-e 1e3", "-b 0", "-b " + "9" * 5000, "-sample -1", "-save 0", "-graph -1",
           "-graph3d -1", "--every -1", "-glr 1e400", "-dlr -0.1", "-le -1", "--width 0", "--resolution 48",
           "--device tpu", "--seed -1", "--recipe best", "--loss none", "--penalty nan", "--connect -1",
           "--stop-ratio 1.5", "--occupied 0", "--precision fp8", "--schedule", "--nonsense", make=grids),
]  # fmt: skip

GENERATE_ROWS = [
    *(shown(f"a checkpoint {name}", checkpoint(change), *says) for name, (change, says) in DAMAGED.items()),
    shown("a checkpoint of another resolution", checkpoint(setting(resolution=64)), *INVALID),
    shown("a checkpoint cut off", both(checkpoint(), cut("checkpoint/run/1.pt")), *INCOMPLETE),
    Row("generate, unknown run", GENERATE, nothing, ["-n", "run"], ("no checkpoints", "train one first"),
        is_alone=True),
    *usage(GENERATE, ["-n", "run"], "--count 0", "--count 1000000000", "--seed -1", "--interpolate -1 2",
           "--truncation nan", "--truncation 1.1", "-le -1"),
    *usage(GENERATE, ["-n", "run", "--interpolate", "1", "2"], "--steps 1", "--steps 1000000000"),
    *usage(GENERATE, [], "", "--pretrained tables", "--pretrained ../chairs", "--pretrained chairs -n run",
           "-le 1 --pretrained chairs"),
]  # fmt: skip

TABLE = [*MESH_ROWS, *GRID_ROWS, *PLACE_ROWS, *RENDER_ROWS, *TRAIN_ROWS, *GENERATE_ROWS]


# --- the checks


def files_of(folder: Path) -> dict[str, bytes | None]:
    """Return the content of each file of a folder, but None for large files, links, pipes and folders."""
    found = {}
    for path in folder.rglob("*"):
        is_small = path.is_file() and not path.is_symlink() and path.stat().st_size < 10**7
        found[path.relative_to(folder).as_posix()] = path.read_bytes() if is_small else None
    return found


@pytest.fixture(scope="module")
def run_shared() -> Iterator[Callable[..., running.Ended]]:
    """Yield a function that runs a script in a shared process, which is replaced if it dies."""
    processes = {}

    def run(script: str, arguments: list[str], folder: Path) -> running.Ended:
        kind = running.needs_torch(script)
        if kind not in processes:
            processes[kind] = running.interpreter(script)
        try:
            return processes[kind].submit(running.run_here, script, arguments, folder).result()
        except BrokenProcessPool:
            del processes[kind]
            raise

    yield run
    for process in processes.values():
        process.shutdown()


def name_of(row: Row) -> str:
    """Return the name of a row in ASCII."""
    return re.sub(r"[^ -~]", "?", row.name)[:60]


@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_bad_input_gives_a_one_line_error_and_no_incomplete_files(row, run_shared, tmp_path):
    if row.unless:
        pytest.skip(row.unless)
    folder = tmp_path / "here"
    folder.mkdir()
    row.make(folder)
    before = files_of(folder)
    run = running.run if row.is_alone else run_shared
    result = run(row.script, list(row.arguments), folder)
    assert result.code == row.code, result.err
    assert "Traceback" not in result.err
    assert len(result.sentences) == bool(row.code), result.err
    for word in row.says:
        assert word in " ".join(result.sentences), result.err
    after = files_of(folder)
    new = {name for name, content in after.items() if name not in before and content is not None}
    assert new == set(row.writes)
    assert {name: after.get(name, "gone") for name in before} == before


def test_names_are_unique_and_every_script_is_also_run_in_its_own_process():
    assert len({row.name for row in TABLE}) == len(TABLE)
    assert {row.script for row in TABLE} == {row.script for row in TABLE if row.is_alone}

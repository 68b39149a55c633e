"""The demo, ``python -m rasgan.demo``: make sample chairs, train on them and generate new ones."""

if __name__ == "__main__":
    import rasgan.startup  # noqa: F401 - before packages that may be missing

import functools
import os
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from rasgan import cli
from rasgan.data import conversion
from rasgan.data.sample_chairs import TEST, write_sample_set
from rasgan.errors import UserError
from rasgan.export.mesh_files import write_obj
from rasgan.export.page import write_page
from rasgan.export.surface import surface_mesh
from rasgan.runs import RunFolder, saved_positions
from rasgan.voxels import is_occupied

SAMPLE_SET = Path("DemoChairs")
TRAINED_ON = 2000  # more than `download_data.py` makes: they take seconds, and more chairs train better
PRESETS = {
    "name": "demo",
    "data": SAMPLE_SET / "chair" / "train",
    "recipe": "stable",  # the tutorial's recipe collapses within the minutes of a demo
    "resolution": 32,
    "width": 64,
    "batchsize": 16,
    "epochs": 20,
    "seed": 0,
}
SHOWN = 10  # generated chairs, not selected

Say = Callable[[str], None]


def fill_in(args: Namespace) -> None:
    """Set the options that were not given to the demo's values; a resumed demo keeps its settings."""
    is_resumed = saved_positions(RunFolder(args.name or PRESETS["name"]).checkpoints)
    for name in ("name", "data", "epochs") if is_resumed else PRESETS:
        if getattr(args, name, None) is None:
            setattr(args, name, PRESETS[name])


def prepare(say: Say) -> None:
    """Make missing sample chairs and voxel grids. Raises UserError if a conversion fails."""
    say(f"Step 1: {TRAINED_ON + TEST} sample chairs in {SAMPLE_SET}")
    with tqdm(total=TRAINED_ON + TEST, unit="chair", leave=False, disable=None) as bar:
        write_sample_set(SAMPLE_SET, train=TRAINED_ON, test=TEST, progress=bar.update)
    say("Step 2: convert the chairs to voxels, 64³, centered, so that they are mirror-symmetric")
    bar = functools.partial(tqdm, leave=False, disable=None)
    options = conversion.ConversionOptions(center=True)
    summary = conversion.convert_folder(SAMPLE_SET, options, progress=bar)
    if summary.failed:
        raise summary.failed[0]
    say(
        "Step 3: train. The tutorial's recipe needs a GPU and hours, so the demo trains a small network at "
        "32³ with --recipe stable"
    )


def finish(run: RunFolder, say: Say) -> None:
    """Generate chairs with the trained network, draw and export them, and print where the files are."""
    from rasgan.export.batch import save_shape  # slow imports that --help does not need
    from rasgan.export.plots import contact_sheet
    from rasgan.sampling import generate
    from rasgan.training.checkpoints import load_generator

    generator, position = load_generator(run.checkpoints)
    grids = generate(generator, seed=0, count=SHOWN)
    stem = run.generated(position) / "seed0"
    paths = [save_shape(stem, number, grid) for number, grid in enumerate(grids)]
    sheet = run.savepoints / "chairs.png"
    contact_sheet(sheet, grids, labels=[str(number) for number in range(SHOWN)])
    page = run.savepoints / "chairs.html"
    write_page(page, run.title(position), is_occupied(grids), [f"chair {number}" for number in range(SHOWN)])
    fullest = max(range(SHOWN), key=lambda i: is_occupied(grids[i]).sum())
    model = run.models / f"{paths[fullest].stem}.obj"
    write_obj(model, *surface_mesh(is_occupied(grids[fullest])))
    chairs = SAMPLE_SET / "chair" / "train"
    larger = ["-n", "chair-cpu", "-d", chairs, "--recipe", "stable"]
    larger += ["--width", 64, "-b", 16, "-e", 31, "--seed", 0]
    commands = (
        ("-m", "rasgan.generate", "-n", run.name, "--count", 16, "--seed", 1),
        ("convert_to_graph.py", "-f", paths[fullest]),
        ("convert_to_obj.py", "-f", paths[fullest]),
        ("train_rasgan.py", *larger),
    )
    generate_more, *draw, train_larger = (f"  {cli.command_line('python', *words)}" for words in commands)
    say(
        f"""
Done. Open {page} in a browser to view the {SHOWN} generated chairs in 3D.

Also written:
  {sheet}  a picture of these chairs
  {run.plots / f"{position}.png"}  the losses of both networks
  {run.graphs}  3D graphs of a chair every few epochs
  {paths[0].parent}  the chairs as .npy
  {model}  one of them as a mesh

Next, type
{generate_more}
{draw[0]}
{draw[1]}
or, to train at 64³ in about 20 minutes on two CPU cores
{train_larger}"""
    )
    if sys.stdout.isatty() and "SSH_CONNECTION" not in os.environ:
        cli.show(page)


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Run ``train_rasgan.py --demo`` with the options of `argv`. Raises UserError outside a clone."""
    script = Path(__file__).parents[1] / "train_rasgan.py"
    if not script.is_file():
        raise UserError("train_rasgan.py is missing: the demo runs only in a clone of the project.")
    signal.signal(signal.SIGINT, lambda *_: None)  # the script handles Ctrl-C: it saves
    command = [sys.executable, str(script), "--demo", *(sys.argv[1:] if argv is None else argv)]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - an argument list


if __name__ == "__main__":
    sys.exit(main())

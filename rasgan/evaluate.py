"""Score the shapes of a training run, or of a folder, against real shapes that it was not trained on.

The scores of the training set, about the best possible, and of noise, the worst, are printed for comparison.

    python -m rasgan.evaluate -n chair-1 --reference test --train train
    python -m rasgan.evaluate --pretrained chairs --reference test
    python -m rasgan.evaluate MyShapes --reference test --json scores.json
"""

if __name__ == "__main__":
    import rasgan.startup  # noqa: F401 - before packages that may be missing

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rasgan import cli, metrics
from rasgan.errors import UserError
from rasgan.export.batch import Shape, bar
from rasgan.files import atomic_path
from rasgan.generate import open_run
from rasgan.metrics import GENERATED, REFERENCE, TRAINING, ShapeSet
from rasgan.runs import pretrained_names
from rasgan.voxel_folders import find_grids
from rasgan.voxel_io import fit
from rasgan.voxels import OCCUPIED_ABOVE, is_occupied

if TYPE_CHECKING:  # torch is imported where it is needed: not for --help
    from rasgan.networks import Generator

SEED = 0
ADVICE = "All grids must have the resolution of the generated ones, or a multiple of it."
SECTIONS = {
    "Against the reference": (
        ("COV IoU", "coverage_iou", "{:.3f}"),
        ("COV CD", "coverage_chamfer", "{:.3f}"),
        ("MMD IoU", "minimum_matching_distance_iou", "{:.3f}"),
        ("MMD CD", "minimum_matching_distance_chamfer", "{:.5f}"),
        ("1-NNA IoU", "nearest_neighbor_accuracy_iou", "{:.3f}"),
        ("  own", "nearest_neighbor_accuracy_iou_of_generated", "{:.3f}"),
        ("  ref", "nearest_neighbor_accuracy_iou_of_reference", "{:.3f}"),
        ("1-NNA CD", "nearest_neighbor_accuracy_chamfer", "{:.3f}"),
        ("  own", "nearest_neighbor_accuracy_chamfer_of_generated", "{:.3f}"),
        ("  ref", "nearest_neighbor_accuracy_chamfer_of_reference", "{:.3f}"),
        ("JSD", "occupancy_divergence", "{:.3f}"),
    ),
    "Variety, and neighbors in the {neighbors}": (
        ("diversity", "diversity", "{:.3f}"),
        ("distinct neighbors", "distinct_nearest", "{:d}"),
        ("  share", "distinct_nearest_share", "{:.3f}"),
        ("nearest, mean", "nearest_mean", "{:.3f}"),
        ("nearest, minimum", "nearest_min", "{:.3f}"),
        ("copies", "copies", "{:.3f}"),
        ("near copies", "near_copies", "{:.3f}"),
    ),
    "Each shape alone": (
        ("one piece", "one_piece", "{:.2f}"),
        ("nearly one piece", "nearly_one_piece", "{:.2f}"),
        ("stands", "stands", "{:.2f}"),
        ("pieces", "pieces_median", "{:g}"),
        ("largest piece", "largest_piece", "{:.3f}"),
        ("grounded", "grounded", "{:.3f}"),
        ("mirror IoU", "mirror_iou", "{:.3f}"),
        ("faces per voxel", "faces_per_voxel", "{:.3f}"),
        ("empty", "empty", "{:.3f}"),
        ("voxels", "voxels", "{:,.0f}"),
    ),
}
"""Scores in each section of the table: label, key in the rows, format."""


def found_shapes(folder: Path, split: str) -> list[Shape]:
    """List the shapes that training would find. Raises UserError if there is only one, without neighbors."""
    found = find_grids(folder, split)
    for remark in (found.left_out and f"left out: {', '.join(found.left_out)}", ", ".join(found.notes)):
        if remark:
            cli.say(f"{folder}: {remark}")
    shapes = [Shape(path, index) for path, index in found.entries()]
    if len(shapes) < 2:
        raise UserError(f"{folder}: contains a single shape; choose a folder of at least two.")
    return shapes


def read_occupied(shapes: Sequence[Shape], resolution: int | None = None) -> ShapeSet:
    """Read shapes and max-pool them to `resolution`, by default that of the first."""
    edge = resolution or len(shapes[0].read())
    return ShapeSet(fit(is_occupied(shape.read()), edge, shape.path) for shape in bar(shapes, "reading"))


def table(rows: dict[str, dict[str, float]], neighbors: str) -> str:
    """Write all scores as aligned text, with a line per score and a column per set."""
    form = "{:20}" + "".join(f"{{:>{max(len(name), 9) + 2}}}" for name in rows)
    lines = [form.format("", *rows)]
    for title, scores in SECTIONS.items():
        lines += ["", title.format(neighbors=neighbors)]
        for label, score, number in scores:
            cells = (number.format(row[score]) if score in row else "" for row in rows.values())
            lines.append(form.format(f"  {label}", *cells).rstrip())
    return "\n".join(lines)


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__, "python -m rasgan.evaluate")
    add = parser.add_argument
    text = "folder of voxel grids to score (.raw .binvox .npy .npz)"
    add("generated", nargs="?", type=Path, help=text)
    add("--pretrained", choices=pretrained_names(), help="score a pretrained model")
    text = "score shapes generated by this training run, and save the scores in savepoint/RUN/evaluation too"
    add("-n", "--name", metavar="RUN", help=text)
    cli.add_load_epoch(parser)
    text = "folder of real shapes to compare with; finer grids are pooled"
    add("--reference", type=Path, required=True, metavar="FOLDER", help=text)
    text = "folder of training shapes, to score them too and to report copies of them"
    add("--train", type=Path, metavar="FOLDER", help=text)
    text = "use N random shapes of each set (default: as many as the smallest set has)"
    add("--count", type=cli.number(int, at_least=2), help=text)
    text = "seed of generated shapes and random choices (default: %(default)s)"
    add("--seed", type=cli.whole_number, default=SEED, help=text)
    add("--json", type=Path, metavar="FILE", help="write the scores to this file")
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and the verdict, and write the JSON file."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if sum(source is not None for source in (args.name, args.generated, args.pretrained)) != 1:
        parser.error("give either -n RUN, --pretrained NAME or a folder of shapes")
    if args.load_epoch is not None and args.name is None:
        parser.error("-le can only be used with -n RUN")
    from rasgan.seeding import STATIC, rng_for

    folders = {GENERATED: args.generated, REFERENCE: args.reference, TRAINING: args.train}
    shapes = {
        name: found_shapes(folder, "test" if name == REFERENCE else "train")
        for name, folder in folders.items()
        if folder is not None
    }
    available = {name: len(found) for name, found in shapes.items()}
    count = min(*available.values(), args.count or sys.maxsize)
    source, target, generator = str(args.generated), args.json, None
    if args.generated is None:
        run, generator, position = open_run(args.name, args.pretrained, args.load_epoch)
        source, target = f"run {run.title(position)}", args.json or run.evaluation(position)
    cli.say(f"Scoring {count} shapes of {source} ...")
    with cli.advising(dict.fromkeys(("resolution", "odd resolution"), ADVICE)):
        sets = read_sets(shapes, count, args.seed, generator)
    static = metrics.static_noise(sets.reference, rng_for(args.seed, STATIC))
    rows = metrics.score_sets(*sets, static, partial(bar, what="scoring"))
    shifted = [name for name, row in rows.items() if any(row.get("shift", ()))]
    known = rows[TRAINING if args.train else REFERENCE]
    key, sentence = metrics.verdict(rows[GENERATED], known, bool(shifted))
    result = {
        "generated": source,
        "reference": str(args.reference),
        "train": str(args.train) if args.train else None,
        "available": available,
        "count": count,
        "seed": args.seed,
        "resolution": sets.generated.grid_shape[-1],
        "occupied_above": OCCUPIED_ABOVE,
        "near_copy": metrics.NEAR_COPY,
        "verdict": key,
        "rows": rows,
    }
    cli.say(f"\n{report(result)}\n\n{textwrap.fill(sentence, 80, break_on_hyphens=False)}")
    if key == "shifted":
        shifts = {name: rows[name]["shift"] for name in shifted}
        cli.complain("warning", describe_shift(shifts, sets.generated, folders))
    if target:
        with atomic_path(target) as temporary:
            temporary.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        cli.say(f"\nScores in {target}")
    return 0


def describe_shift(shifts: dict[str, list[float]], generated: ShapeSet, folders: dict[str, Path]) -> str:
    """Describe how far sets of real shapes are from the generated shapes, in voxels, and what to type."""
    offsets = [
        f"{by:+g} voxels along axis {axis} in the {name}"
        for name, shift in shifts.items()
        for axis, by in enumerate(shift)
        if by
    ]
    edge = generated.grid_shape[-1]
    is_centered = (abs(np.median(generated.middles, axis=0) - edge / 2) <= edge / 32).all()
    words = ("--center", "--overwrite") if is_centered else ("--overwrite",)
    commands = (cli.command_line("python", "convert_data.py", "-m", folders[name], *words) for name in shifts)
    return (
        f"compared with the generated shapes, real shapes are shifted by {', '.join(offsets)}. Convert the "
        "meshes again, so that all shapes are in the same place:\n  " + "\n  ".join(commands)
    )


class Sets(NamedTuple):
    """The sets to score, and the indices of the training shapes that are scored."""

    generated: ShapeSet
    reference: ShapeSet
    training: ShapeSet | None
    of_training: np.ndarray | None


def read_sets(shapes: dict[str, list[Shape]], count: int, seed: int, generator: "Generator | None") -> Sets:
    """Read `count` shapes of each set, or generate them, and the complete training set."""
    from rasgan.sampling import decode_each, latents
    from rasgan.seeding import choose

    chosen = {
        name: choose(seed, which, len(shapes[name]), count)
        for which, name in enumerate((GENERATED, REFERENCE, TRAINING))
        if name in shapes
    }
    drawn = {name: [shapes[name][index] for index in indices] for name, indices in chosen.items()}
    if generator is None:
        generated = read_occupied(drawn[GENERATED])
    else:
        generated = ShapeSet(map(is_occupied, decode_each(generator, bar(latents(seed, count)))))
    resolution = generated.grid_shape[-1]
    reference = read_occupied(drawn[REFERENCE], resolution)
    training = read_occupied(shapes[TRAINING], resolution) if TRAINING in shapes else None
    return Sets(generated, reference, training, chosen.get(TRAINING))


def report(result: dict) -> str:
    """Write the contents of the JSON file as text."""
    available, count = result["available"], result["count"]
    larger = [f"the {name.removesuffix(' set')} set's {n}" for name, n in available.items() if n > count]
    drawn = f"They are drawn at random from {', '.join(larger)}.\n" if larger else ""
    return f"""\
Generated:     {result["generated"]}
Reference:     {result["reference"]}
Training set:  {result["train"] or "none; to look for copies of it, add --train FOLDER"}

Every set has {count} shapes at {result["resolution"]}³, seed {result["seed"]}.
{drawn}
{table(result["rows"], TRAINING if result["train"] else REFERENCE)}

What the scores mean: docs/evaluation.md"""


if __name__ == "__main__":
    sys.exit(main())

"""Score the shapes of a training run, or of a folder, against real shapes that were not trained on.

Prints and writes the scores beside those of the training set, about the best possible, and of noise.

    python -m rasgan.evaluate -n chair-1 --reference test --train train
    python -m rasgan.evaluate --pretrained chairs --reference test
    python -m rasgan.evaluate MyShapes --reference test --json scores.json
"""

if __name__ == "__main__":
    import rasgan.startup  # noqa: F401 - before packages that may be missing

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rasgan import cli, metrics
from rasgan.errors import UserError
from rasgan.export.batch import Shape
from rasgan.export.plots import contact_sheet
from rasgan.files import atomic_path
from rasgan.generate import bar, open_run
from rasgan.metrics import GENERATED, REFERENCE, TRAINING
from rasgan.runs import pretrained_names
from rasgan.voxel_folders import find_grids
from rasgan.voxel_io import fit
from rasgan.voxels import OCCUPIED_ABOVE, is_occupied

if TYPE_CHECKING:  # torch is imported where it is needed: not for --help
    from rasgan.networks import Generator

SEED = 0
SHOWN = 10  # pairs of a sheet
ADVICE = "To be scored with the others, a grid must be as fine as they are, or a multiple of it."
AGAINST_REFERENCE = (
    ("COV IoU", "coverage_iou", "{:.3f}"),
    ("COV CD", "coverage_chamfer", "{:.3f}"),
    ("MMD IoU", "minimum_matching_distance_iou", "{:.3f}"),
    ("MMD CD", "minimum_matching_distance_chamfer", "{:.5f}"),
    ("1-NNA IoU", "nearest_neighbor_accuracy_iou", "{:.3f}"),
    ("own", "nearest_neighbor_accuracy_iou_of_generated", "{:.3f}"),
    ("ref", "nearest_neighbor_accuracy_iou_of_reference", "{:.3f}"),
    ("1-NNA CD", "nearest_neighbor_accuracy_chamfer", "{:.3f}"),
    ("own", "nearest_neighbor_accuracy_chamfer_of_generated", "{:.3f}"),
    ("ref", "nearest_neighbor_accuracy_chamfer_of_reference", "{:.3f}"),
    ("JSD", "occupancy_divergence", "{:.3f}"),
)
BY_THEMSELVES = (
    ("diversity", "diversity", "{:.3f}"),
    ("distinct", "distinct_nearest", "{:d}"),
    ("share", "distinct_nearest_share", "{:.3f}"),
    ("nearest", "nearest_mean", "{:.3f}"),
    ("minimum", "nearest_min", "{:.3f}"),
    ("copies", "copies", "{:.3f}"),
    ("near", "near_copies", "{:.3f}"),
)
FORM = (
    ("one piece", "one_piece", "{:.2f}"),
    ("nearly", "nearly_one_piece", "{:.2f}"),
    ("pieces", "pieces_median", "{:g}"),
    ("largest", "largest_piece", "{:.3f}"),
    ("grounded", "grounded", "{:.3f}"),
    ("mirror", "mirror_iou", "{:.3f}"),
    ("faces", "faces_per_voxel", "{:.3f}"),
    ("empty", "empty", "{:.3f}"),
    ("voxels", "voxels", "{:,.0f}"),
)
KEY_AGAINST_REFERENCE = """\
COV    coverage: share of the reference shapes that are nearest to some shape; 1 is best
MMD    distance from a reference shape to the nearest shape, on average; 0 is best
1-NNA  share of shapes that their nearest neighbor tells apart from the reference; 0.5 is best, 1 worst
own    the half of 1-NNA over these shapes; ref: over the reference. Where they differ much, 1-NNA misleads
JSD    difference in where the grid is occupied, in bits; 0 is best, 1 worst
IoU    by 1 - intersection / union of voxels; CD: by squared Chamfer distance of surfaces, grid edge = 1"""
KEY_BY_THEMSELVES = """\
diversity          mean IoU distance of all pairs; near 0 means that all shapes are one
distinct, share    how many {training} shapes are nearest to some shape; few mean collapse
nearest, minimum   IoU distance to the nearest {training} shape, mean and least
copies, near       share of shapes at 0 and at most {near} from a {training} shape; many mean copying"""
KEY_FORM = """\
one piece, nearly  share of shapes that are one piece, face to face; with at least {nearly:.0%} in the largest
pieces, largest    median number of pieces; mean share of voxels in the largest
grounded           mean share of voxels in pieces that reach the lowest layer of the largest
mirror             mean intersection / union with the mirror image, left and right
faces              exposed faces a voxel: many mean rough or thin shapes
empty, voxels      share of empty grids; mean number of occupied voxels"""


def found_shapes(folder: Path, split: str) -> list[Shape]:
    """List the shapes that training would find; UserError if there are not two: one has no neighbors."""
    found = find_grids(folder, split)
    if found.left_out:
        cli.say(f"{folder}: left out: {', '.join(found.left_out)}")
    if found.notes:
        cli.say(f"{folder}: {', '.join(found.notes)}")
    shapes = [Shape(path, index) for path, index in found.entries()]
    if len(shapes) < 2:
        raise UserError(f"{folder}: holds a single shape; give a folder of at least two.")
    return shapes


def read_occupied(shapes: Sequence[Shape], resolution: int | None = None) -> np.ndarray:
    """Read shapes and max-pool them to `resolution`, by default that of the first: (N, n, n, n) bool.

    UserError if a file holds no grid, or one that does not fit `resolution`.
    """
    edge = resolution or len(shapes[0].read())
    grids = (fit(is_occupied(shape.read()), edge, shape.path) for shape in shapes)
    return np.fromiter(grids, np.dtype((bool, (edge, edge, edge))), len(shapes))


def table(rows: dict[str, dict[str, float]], columns: Sequence[tuple[str, str, str]]) -> str:
    """Write those rows that have the columns (heading, score, format) as aligned text."""
    rows = {name: row for name, row in rows.items() if all(score in row for _, score, _ in columns)}
    written = [_padded(["", *rows], str.ljust)]
    for heading, score, form in columns:
        written.append(_padded([heading, *(form.format(row[score]) for row in rows.values())], str.rjust))
    return "\n".join("  ".join(line) for line in zip(*written, strict=True))


def _padded(cells: Sequence[str], pad: Callable[[str, int], str]) -> list[str]:
    """Make all cells of a column as wide as the widest."""
    return [pad(cell, max(map(len, cells))) for cell in cells]


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__, "python -m rasgan.evaluate")
    add = parser.add_argument
    text = "folder of voxel grids to score (.raw .binvox .npy .npz .mat)"
    add("generated", nargs="?", type=Path, help=text)
    add("--pretrained", choices=pretrained_names(), help="score a model that comes with the project")
    text = "score shapes generated by this training run, and save the scores in savepoint/RUN/evaluation too"
    add("-n", "--name", metavar="RUN", help=text)
    cli.add_load_epoch(parser)
    text = "folder of real shapes to compare with; finer grids are pooled"
    add("--reference", type=Path, required=True, metavar="FOLDER", help=text)
    text = "folder of training shapes: they are scored too, and copies of them are reported"
    add("--train", type=Path, metavar="FOLDER", help=text)
    text = "use N random shapes of each set (default: as many as the smallest set has)"
    add("--count", type=cli.number(int, at_least=2), help=text)
    text = "seed of generated shapes and random choices (default: %(default)s)"
    add("--seed", type=cli.whole_number, default=SEED, help=text)
    text = (
        f"write this .png too: the {SHOWN} generated shapes that are most similar to a training shape, each "
        "above that training shape; needs --train"
    )
    add("--sheet", type=Path, metavar="FILE", help=text)
    add("--json", type=Path, metavar="FILE", help="write the scores to this file")
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and write the JSON file."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if sum(source is not None for source in (args.name, args.generated, args.pretrained)) != 1:
        parser.error("give either -n RUN, --pretrained NAME or a folder of shapes")
    if args.load_epoch is not None and args.name is None:
        parser.error("-le goes with -n RUN")
    if args.sheet and args.train is None:
        parser.error("--sheet shows generated shapes beside training shapes; add --train FOLDER")
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
    if args.sheet:
        draw_neighbors(args.sheet, sets, [shape.label for shape in shapes[TRAINING]])
    static = metrics.static_noise(sets.reference, rng_for(args.seed, STATIC))
    rows = metrics.score_sets(*sets[:4], static, partial(bar, what="sets"))
    told = {
        "generated": source,
        "reference": str(args.reference),
        "train": str(args.train) if args.train else None,
        "available": available,
        "count": count,
        "seed": args.seed,
        "resolution": sets.generated.shape[-1],
        "occupied_above": OCCUPIED_ABOVE,
        "near_copy": metrics.NEAR_COPY,
        "rows": rows,
    }
    cli.say(f"\n{report(told)}")
    if target:
        with atomic_path(target) as temporary:
            temporary.write_text(json.dumps(told, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        cli.say(f"\nScores in {target}")
    if args.sheet:
        cli.say(f"Generated shapes above their nearest training shapes in {args.sheet}")
    return 0


class Sets(NamedTuple):
    """The sets to score, (N, n, n, n) bool each, and which of the training set stand for it."""

    generated: np.ndarray
    reference: np.ndarray
    training: np.ndarray | None
    of_training: np.ndarray | None
    names: list[str]
    """Of the generated shapes."""


def read_sets(shapes: dict[str, list[Shape]], count: int, seed: int, generator: "Generator | None") -> Sets:
    """Read `count` shapes of each set, or generate them, and the whole training set."""
    from rasgan.sampling import decode, latents
    from rasgan.seeding import choose

    chosen = {
        name: choose(seed, which, len(shapes[name]), count)
        for which, name in enumerate((GENERATED, REFERENCE, TRAINING))
        if name in shapes
    }
    drawn = {name: [shapes[name][index] for index in indices] for name, indices in chosen.items()}
    if generator is None:
        generated, names = read_occupied(drawn[GENERATED]), [shape.label for shape in drawn[GENERATED]]
    else:  # the scores of one shape at a time are held in memory
        generated = np.concatenate(
            [is_occupied(decode(generator, z)) for z in bar(latents(seed, count).split(1))]
        )
        names = [f"generated {number}" for number in range(count)]
    resolution = generated.shape[-1]
    reference = read_occupied(drawn[REFERENCE], resolution)
    training = read_occupied(shapes[TRAINING], resolution) if TRAINING in shapes else None
    return Sets(generated, reference, training, chosen.get(TRAINING), names)


def draw_neighbors(path: Path, sets: Sets, names: Sequence[str]) -> None:
    """Draw generated shapes, those most like a training shape first, each above that training shape.

    `names` are those of the training shapes; below each stands how much both have in common (IoU).
    """
    distances = metrics.iou_distances(sets.generated, sets.training)
    nearest = distances.argmin(axis=1)
    shown = np.argsort(distances.min(axis=1), kind="stable")[:SHOWN]
    labels = [sets.names[number] for number in shown]
    labels += [f"IoU {1 - distances[i, nearest[i]]:.2f}: {names[nearest[i]]}" for i in shown]
    contact_sheet(path, [*sets.generated[shown], *sets.training[nearest[shown]]], len(shown), labels)


def report(told: dict) -> str:
    """Write as text for a reader what the JSON file holds."""
    available, count, training = told["available"], told["count"], told["train"]
    lines = [
        f"Generated: {told['generated']}; every set has {count} shapes at {told['resolution']}³, "
        f"seed {told['seed']}."
    ]
    larger = [f"the {name.removesuffix(' set')} set's {n}" for name, n in available.items() if n > count]
    if larger:
        lines.append(f"Drawn at random from {', '.join(larger)}.")
    if not training:
        lines.append("Neighbors are looked for in the reference; for the training set, add --train FOLDER.")
    blocks = [
        "\n".join(lines),
        f"Against the reference, {told['reference']}",
        table(told["rows"], AGAINST_REFERENCE),
        KEY_AGAINST_REFERENCE,
        f"By themselves and beside {training or told['reference']}",
        table(told["rows"], BY_THEMSELVES),
        KEY_BY_THEMSELVES.format(training="training" if training else "reference", near=told["near_copy"]),
        "Whether they hold together, stand and match left to right",
        table(told["rows"], FORM),
        KEY_FORM.format(nearly=metrics.NEARLY_ALL),
    ]
    return "\n\n".join(blocks)


if __name__ == "__main__":
    sys.exit(main())

"""What makes shapes hold together: the plain stable recipe, and one part after another added to it.

    python download_data.py --dataset sample --count 2000
    python convert_data.py -m SampleChairs/chair --center
    python -m benchmarks.studies.pieces --data sample=SampleChairs/chair/train chairs=ModelNet10/chair/train

Small networks (width 32) at 32³, batches of 16, the same number of floating-point operations for each; 80
shapes of each set are kept back and scored against. If the command is stopped, type it again to continue; -j
2 trains two at a time; more seeds add runs. Writes the table to standard output and a picture of two of its
columns to a PNG.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.studies import cells as studies
from benchmarks.studies.cells import PLAIN, Cell
from rasgan import cli
from rasgan.export.canvas import Figure
from rasgan.files import atomic_path

HERE = Path(__file__).parent
SMALL = {"width": 32, "resolution": 32, "batchsize": 16}
TFLOP = 5.0
MIRROR = {**PLAIN, "mirror": True}
MAPPING = {**MIRROR, "mapping_layers": 2}
SLOW_MAPPING = {**MAPPING, "mapping_rate": 0.3, "generator_learning_rate": 0.002}
COOLDOWN = {"cooldown": 0.4}
METHODS: dict[str, dict] = {
    "plain": PLAIN,
    "mirror": MIRROR,
    "mirror, cooldown": {**MIRROR, **COOLDOWN},
    "mirror, mapping": MAPPING,
    "mirror, mapping, cooldown": {**MAPPING, **COOLDOWN},
    "mirror, slow mapping": SLOW_MAPPING,
    "slow mapping, output bias": {**SLOW_MAPPING, "output_bias": True},
}
DATA = ("sample", "chairs")
SCORES = (
    ("one piece", "one_piece"),
    ("nearly", "nearly_one_piece"),
    ("pieces", "pieces_median"),
    ("largest", "largest_piece"),
    ("grounded", "grounded"),
    ("mirror", "mirror_iou"),
    ("faces", "faces_per_voxel"),
    ("1-NNA", "nearest_neighbor_accuracy_iou"),
    ("1-NNA CD", "nearest_neighbor_accuracy_chamfer"),
    ("COV", "coverage_iou"),
    ("distinct", "distinct_nearest_share"),
)
DRAWN = ("nearly_one_piece", "nearest_neighbor_accuracy_chamfer")


def cells(seeds: int) -> list[Cell]:
    """List the runs, those of each seed together."""
    return [
        Cell(data, name, "stable", seed, TFLOP, {**SMALL, **settings})
        for seed in range(seeds)
        for data in DATA
        for name, settings in METHODS.items()
    ]


def table(rows: Sequence[dict]) -> str:
    """Write the table of some rows."""
    return studies.table(rows, ("runs", "steps"), SCORES)


def draw(path: Path, rows: Sequence[dict]) -> None:
    """Draw the two columns of `DRAWN`: a bar a method and set, the mean over the seeds, a dot a seed."""
    groups = {
        f"{method}  ({data})": runs
        for data, of_set in studies.grouped(rows, "data").items()
        for method, runs in studies.grouped(of_set, "method").items()
    }
    figure = Figure((11, 1.2 + 0.34 * len(groups)), dpi=80, layout="constrained")
    titles = dict(
        zip(DRAWN, ("share of shapes with 99 % in one piece", "1-NNA CD, 0.5 is best"), strict=True)
    )
    for panel, name in zip(figure.subplots(1, 2, sharey=True), DRAWN, strict=True):
        for place, runs in enumerate(groups.values()):
            values = [run["scores"][name] for run in runs if not run["diverged"]]
            panel.barh(place, np.mean(values), color="#8fb3dd")
            panel.plot(values, [place] * len(values), "o", color="#1d3f73", markersize=4)
        panel.set_title(titles[name])
        panel.set_xlim(0, 1)
        panel.grid(axis="x", alpha=0.3)
        panel.set_yticks(range(len(groups)), list(groups))
        panel.set_ylim(len(groups) - 0.5, -0.5)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    return studies.build_parser(__doc__, HERE / "pieces.jsonl", Path("pieces.png"))


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing, print the table, draw the picture."""
    args = build_parser().parse_args(argv)
    rows = studies.trained_rows(cells, args)
    if rows:
        rows = sorted(rows, key=lambda row: DATA.index(row["data"]))
        print(f"\n{table(rows)}")
        draw(args.output, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Compare recipes and losses at equal compute, and take the plain stable recipe apart.

    python -m benchmarks.studies.recipes --data chairs=ModelNet10/chair/train sample=SampleChairs/chair/train

Small networks (width 32) at 32³, batches of 16; 80 shapes of each set are kept back and scored against.
Every run may spend the same number of floating-point operations. *Plain* is the stable recipe without what
this project adds to it, which `pieces` compares. The second table changes one part of it at a time to what
the tutorial has; the third gives some of the runs eleven times as long. If the command is stopped, type it
again to continue; -j 2 trains two at a time; more seeds add runs. Writes the tables to standard output and
the curves to a PNG.
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
from rasgan.training.config import TrainConfig

HERE = Path(__file__).parent
SMALL = {"width": 32, "resolution": 32, "batchsize": 16}
TFLOP, LONG = 2.5, 28.0
DATA = ("chairs", "sample")
TUTORIAL = TrainConfig()
METHODS: dict[str, tuple[str, dict]] = {
    "tutorial, SGAN": ("tutorial", {"loss": "sgan"}),
    "tutorial, RSGAN": ("tutorial", {"loss": "rsgan"}),
    "tutorial, RaSGAN": ("tutorial", {}),
    "WGAN-GP": ("tutorial", {"loss": "wgan-gp"}),
    "plain, SGAN": ("stable", {**PLAIN, "loss": "sgan"}),
    "plain, RSGAN": ("stable", PLAIN),
    "plain, RaSGAN": ("stable", {**PLAIN, "loss": "rasgan"}),
}
PARTS: dict[str, dict] = {
    "no penalty": {"penalty": 0.0},
    "batch norm in D": {"norm": "batch"},
    "N(0, 0.02) in D": {"init": "normal"},
    "linear output": {"output": "linear"},
    "the gate": {"gate": True},
    "the tutorial's decays of Adam": {"beta1": TUTORIAL.beta1, "beta2": TUTORIAL.beta2},
    "the tutorial's learning rates": {
        "generator_learning_rate": TUTORIAL.generator_learning_rate,
        "discriminator_learning_rate": TUTORIAL.discriminator_learning_rate,
    },
}
STABLE = "plain, RSGAN"
LINEAR = "linear output"
LONGER: dict[str, tuple[str, dict]] = {
    "tutorial, RaSGAN": METHODS["tutorial, RaSGAN"],
    STABLE: METHODS[STABLE],
    LINEAR: ("stable", {**PLAIN, **PARTS[LINEAR]}),
}
SCORES = (
    ("COV", "coverage_iou"),
    ("1-NNA", "nearest_neighbor_accuracy_iou"),
    ("own", "nearest_neighbor_accuracy_iou_of_generated"),
    ("ref", "nearest_neighbor_accuracy_iou_of_reference"),
    ("1-NNA CD", "nearest_neighbor_accuracy_chamfer"),
    ("JSD", "occupancy_divergence"),
    ("diversity", "diversity"),
    ("distinct", "distinct_nearest_share"),
    ("copies", "near_copies"),
    ("piece", "largest_piece"),
)
SHADES = ("#8fb3dd", "#3b6fb6", "#1d3f73", "#8a8a94", "#e8b48c", "#d9772b", "#8f4510")
COLORS = {**dict(zip(METHODS, SHADES, strict=True)), LINEAR: "#4c9a5b"}


def cells(seeds: int) -> list[Cell]:
    """List the runs of the whole study in the order of its tables."""

    def small(data: str, name: str, seed: int, tflop: float, recipe: str, settings: dict) -> Cell:
        return Cell(data, name, recipe, seed, tflop, {**SMALL, **settings})

    numbers, parts = range(seeds), {name: {**PLAIN, **changed} for name, changed in PARTS.items()}
    return [
        *(small(data, name, k, TFLOP, *METHODS[name]) for k in numbers for data in DATA for name in METHODS),
        *(small("chairs", name, k, LONG, *chosen) for name, chosen in LONGER.items() for k in numbers),
        *(small("chairs", name, k, TFLOP, "stable", parts[name]) for k in numbers for name in PARTS),
    ]


def table(rows: Sequence[dict]) -> str:
    """Write the table of some rows."""
    return studies.table(rows, ("runs", "stable", "steps", "D trained"), SCORES)


def draw(path: Path, groups: dict[str, Sequence[dict]]) -> None:
    """Draw diversity and distinct nearest training shapes over compute: a row a group, a line a method.

    The line is the mean over the seeds, the band reaches from the lowest to the highest.
    """
    figure = Figure((11, 3.8 * len(groups)), dpi=72, layout="constrained")
    handles = {}
    for panels, (title, rows) in zip(
        figure.subplots(len(groups), 2, squeeze=False), groups.items(), strict=True
    ):
        for column, what in enumerate(("diversity", "distinct neighbors, share of 64")):
            panel = panels[column]
            for method, runs in studies.grouped([row for row in rows if row["curve"]], "method").items():
                curves = [np.array(run["curve"])[:, [0, 1 + column]].T for run in runs]
                xs = curves[0][0]
                ys = np.stack([np.interp(xs, *curve) for curve in curves])
                look = {"color": COLORS[method], "linewidth": 1.4}
                (handles[method],) = panel.plot(xs, ys.mean(axis=0), **look)
                panel.fill_between(xs, ys.min(axis=0), ys.max(axis=0), color=COLORS[method], alpha=0.15, lw=0)
            panel.set_title(title)
            panel.set_ylabel(what)
            panel.set_xlabel("compute, TFLOP")
            panel.set_ylim(0, 1)
            panel.grid(alpha=0.3)
    shown = [method for method in COLORS if method in handles]
    figure.legend(
        [handles[method] for method in shown], shown, loc="outside lower center", ncols=4, frameon=False
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    return studies.build_parser(__doc__, HERE / "recipes.jsonl", Path("recipes.png"))


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing, print the tables, draw the curves."""
    args = build_parser().parse_args(argv)
    rows = studies.trained_rows(cells, args)
    short = [row for row in rows if row["tflop"] == TFLOP]
    compared = [row for row in short if row["method"] in METHODS]
    parts = [row for row in short if row["data"] == "chairs" and row["recipe"] == "stable"]
    parts = [row for row in parts if row["method"] == STABLE or row["method"] not in METHODS]
    longer = [row for row in rows if row["tflop"] == LONG]
    for title, chosen in (
        (f"Recipes and losses, {TFLOP:g} TFLOP each", compared),
        (f"The plain recipe with one part changed, {TFLOP:g} TFLOP each", parts),
        (f"Longer runs, {LONG:g} TFLOP each", longer),
    ):
        if chosen:
            print(f"\n## {title}\n\n{table(chosen)}")
    curves = {**studies.grouped(compared, "data"), f"chairs, {LONG:g} TFLOP": longer}
    if compared:
        draw(args.output, {title: runs for title, runs in curves.items() if runs})
    return 0


if __name__ == "__main__":
    sys.exit(main())

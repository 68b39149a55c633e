"""Over how broad a range of learning rates does each GAN train? The tutorial's page leaves that open.

    python -m benchmarks.studies.rates --data chairs=ModelNet10/chair/train -j 2

SGAN, RSGAN and RaSGAN by the tutorial's recipe, and the stable recipe without this project's additions
(*plain*), each with every pair of learning rates from a grid, at 32³ and width 32, for an equal number of
floating-point operations. A run is stable if its
losses stay finite and both its diversity and its share of distinct nearest training shapes reach half of what
the real shapes kept back have. Stopped, the same command goes on; more seeds add runs. Writes the tables to
standard output and a map of the grid to a PNG.
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
TFLOP = 2.5
RATES_G = (0.0004, 0.002, 0.01)  # the tutorial's, and a fifth and five times of it
RATES_D = (0.00005, 0.0005, 0.005)  # the tutorial's, and ten and a hundred times of it
METHODS: dict[str, tuple[str, dict]] = {
    "SGAN": ("tutorial", {"loss": "sgan"}),
    "RSGAN": ("tutorial", {"loss": "rsgan"}),
    "RaSGAN": ("tutorial", {}),
    "plain": ("stable", PLAIN),
}
SCORES = (
    ("diversity", "diversity"),
    ("distinct", "distinct_nearest_share"),
    ("1-NNA CD", "nearest_neighbor_accuracy_chamfer"),
    ("one piece", "one_piece"),
    ("nearly", "nearly_one_piece"),
    ("largest", "largest_piece"),
)


def cells(seeds: int) -> list[Cell]:
    """List the runs, those of each seed together."""
    return [
        Cell("chairs", name, recipe, seed, TFLOP, {**SMALL, **settings, **rates(rate_g, rate_d)})
        for seed in range(seeds)
        for rate_g in RATES_G
        for rate_d in RATES_D
        for name, (recipe, settings) in METHODS.items()
    ]


def rates(generator: float, discriminator: float) -> dict[str, float]:
    """Name both learning rates as settings."""
    return {"generator_learning_rate": generator, "discriminator_learning_rate": discriminator}


def pair(row: dict) -> tuple[float, float]:
    """Return both learning rates of a run."""
    return tuple(row["settings"][name] for name in rates(0, 0))


def grid_of(runs: Sequence[dict], value: str) -> np.ndarray:
    """Average one number of the runs with each pair of rates: (generator, discriminator); NaN for none."""
    table = np.full((len(RATES_G), len(RATES_D)), np.nan)
    for i, rate_g in enumerate(RATES_G):
        for j, rate_d in enumerate(RATES_D):
            at = [run for run in runs if pair(run) == (rate_g, rate_d)]
            if at:
                table[i, j] = np.mean([0.0 if run["diverged"] else run["scores"][value] for run in at])
    return table


def table(rows: Sequence[dict]) -> str:
    """Write the share of stable runs of each method, and the scores of each pair of rates."""
    lines = ["| method | runs | diverged | collapsed | stable |", "| --- " * 5 + "|"]
    for method, runs in studies.grouped(rows, "method").items():
        stable, diverged = sum(map(studies.is_stable, runs)), sum(run["diverged"] for run in runs)
        counts = len(runs), diverged, len(runs) - stable - diverged
        lines.append(f"| {method} | {' | '.join(map(str, counts))} | {stable / len(runs):.0%} |")
    names = " | ".join(name for name, _ in SCORES)
    heading = f"| method | generator's rate | discriminator's rate | stable | steps | D trained | {names} |"
    lines += ["", heading, "| --- " * (6 + len(SCORES)) + "|"]
    for method, of_method in studies.grouped(rows, "method").items():
        for rate_g, rate_d in sorted({pair(row) for row in of_method}):
            runs = [row for row in of_method if pair(row) == (rate_g, rate_d)]
            finite = [run["scores"] for run in runs if not run["diverged"]]
            steps, trained = (np.mean([run[name] for run in runs]) for name in ("steps", "trained_d"))
            counted = f"{sum(map(studies.is_stable, runs))} of {len(runs)}"
            cells_of_pair = (method, f"{rate_g:g}", f"{rate_d:g}", counted, f"{steps:,.0f}", f"{trained:.0%}")
            lines.append(f"| {' | '.join(cells_of_pair)} | {studies.score_cells(finite, SCORES)} |")
    return "\n".join(lines)


def draw(path: Path, rows: Sequence[dict]) -> None:
    """Draw for each method how many distinct nearest training shapes its runs have, over both rates."""
    figure = Figure((3.3 * len(METHODS), 3.6), dpi=100, layout="constrained")
    figure.suptitle("share of distinct nearest training shapes; below it, how many runs are stable")
    for panel, method in zip(figure.subplots(1, len(METHODS)), METHODS, strict=True):
        runs = [row for row in rows if row["method"] == method]
        values = grid_of(runs, "distinct_nearest_share")
        image = panel.imshow(values, vmin=0, vmax=1, cmap="viridis")
        for (i, j), value in np.ndenumerate(values):
            if not np.isnan(value):
                at = [run for run in runs if pair(run) == (RATES_G[i], RATES_D[j])]
                stable = sum(map(studies.is_stable, at))
                color = "black" if value > 0.6 else "white"
                words = f"{value:.2f}\n{stable} of {len(at)}"
                panel.text(j, i, words, ha="center", va="center", color=color)
        panel.set_xticks(range(len(RATES_D)), [f"{rate:g}" for rate in RATES_D])
        panel.set_yticks(range(len(RATES_G)), [f"{rate:g}" for rate in RATES_G])
        panel.set_xlabel("discriminator's learning rate")
        panel.set_ylabel("generator's learning rate")
        panel.set_title(method)
    figure.colorbar(image, ax=figure.axes, label="distinct, share")
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    return studies.build_parser(__doc__, HERE / "rates.jsonl", Path("rates.png"))


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing, print the tables, draw the map."""
    args = build_parser().parse_args(argv)
    rows = studies.trained_rows(cells, args)
    if rows:
        print(f"\n{table(rows)}")
        draw(args.output, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the studies share: shapes with some kept back, cells of equal compute, a file of results.

A cell is one training run of small networks, in one process on one thread. All cells of a study may spend
the same number of floating-point operations, counted as they are computed, so that a method whose steps are
dearer takes fewer. The results file has a line of JSON for each finished cell; a study that is started again
trains only the cells that it lacks.
"""

import argparse
import hashlib
import json
import math
import multiprocessing
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from rasgan import cli, metrics
from rasgan.errors import UserError
from rasgan.files import atomic_path
from rasgan.runs import RunFolder
from rasgan.sampling import generate
from rasgan.seeding import choose
from rasgan.training import progress, resuming
from rasgan.training.config import TrainConfig, new_config, without_removed
from rasgan.training.dataset import Shapes, measured_mirror
from rasgan.training.run import TrainingRun
from rasgan.voxel_folders import read_grids
from rasgan.voxel_io import fit
from rasgan.voxels import is_occupied

KEPT_BACK = 80
POINTS = 16  # of a cell's curve
STABLE_SHARE = 0.5
"""A run is stable if its losses stay finite and both its diversity and its share of distinct nearest training
shapes reach this share of what the shapes kept back have themselves."""

PLAIN = {
    **{"mirror": False, "output_bias": False, "mapping_layers": 0, "mapping_rate": 1.0},
    **{"connect": 0.0, "connect_rise": 1.0, "cooldown": 0.0, "ema": 0.995, "generator_learning_rate": 0.001},
}
"""The stable recipe at 32³ without this project's additions: close to Huang et al. 2024."""

RELATIVE = ("diversity", "distinct_nearest_share")


@dataclass(frozen=True)
class Cell:
    """One run of a study; `settings` are those that differ from the recipe's presets."""

    data: str
    method: str
    recipe: str
    seed: int
    tflop: float  # that it may spend: 10**12 floating-point operations
    settings: dict = field(default_factory=dict)

    def resolved(self) -> TrainConfig:
        """Return every setting of the run, those that come from the recipe included; none grows."""
        fixed = {"epochs": sys.maxsize, "seed": self.seed, "grow_epochs": ()}
        return new_config(self.recipe, {**self.settings, **fixed})

    @property
    def key(self) -> str:
        """Write all that fixes the run: a preset that changes makes another cell, another name does not."""
        return _key(self.data, self.tflop, self.resolved().state_dict())


def _key(data: str, tflop: float, settings: dict) -> str:
    return json.dumps([data, tflop, settings], sort_keys=True)


class FlopCounter(TorchDispatchMode):
    """Count the floating-point operations of products and convolutions; two for a multiply-add."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        """Compute, and count."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out


def load_pool(path: Path, resolution: int) -> np.ndarray:
    """Read a folder of voxel files, or an .npz with a shape's bits in each row of ``packed``, and ``shape``.

    Returns (N, n, n, n) bools; UserError if the grids are no multiple of `resolution`.
    """
    if path.suffix != ".npz":
        return read_grids(path, resolution)[0][:]
    with np.load(path) as file:
        bits, edges = file["packed"], tuple(file["shape"])
    grids = np.unpackbits(bits, axis=1).reshape(-1, *edges).view(bool)
    return np.stack([fit(grid, resolution, path) for grid in grids])


def split(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep `KEPT_BACK` shapes back, the same ones every time; return those to train on and those."""
    if len(shapes) < 2 * KEPT_BACK:
        raise UserError(f"{len(shapes)} shapes are too few for a study that keeps {KEPT_BACK} back.")
    order = np.random.default_rng(0).permutation(len(shapes))
    return shapes[order[KEPT_BACK:]], shapes[order[:KEPT_BACK]]


def fingerprint(train: np.ndarray, reference: np.ndarray) -> str:
    """Return a name of the shapes that follows from their voxels: the first half of a SHA-1."""
    digest = hashlib.sha1(usedforsecurity=False)
    for shapes in (train, reference):
        digest.update(np.packbits(shapes))
    return digest.hexdigest()[:20]


def run_cell(cell: Cell, train: np.ndarray, reference: np.ndarray) -> dict:
    """Train one cell to the end of its compute and score it.

    Returns
    -------
    row : dict
        The cell, what it spent, its curve (TFLOP, diversity, share of distinct nearest training shapes,
        voxels), the processor's seconds, and the scores of its shapes (`metrics.score_sets`), of training
        shapes in their place (``oracle``) and of the shapes kept back (``real``).
    """
    started = time.process_time()
    settings, budget, shapes = cell.resolved(), cell.tflop * 1e12, Shapes(train)
    if settings.mirror:
        settings, _ = measured_mirror(settings, shapes)
    if settings.cooldown:  # is a share of the run, so its length must be known
        settings = replace(settings, epochs=_epochs_within(budget, settings, shapes))
    training = resuming.begin(RunFolder("study"), settings, shapes, None)
    costs: dict[tuple, int] = {}  # of each kind of step
    spent, steps, curve, diverged = 0, 0, [], False
    while spent < budget and not diverged:
        kind = (
            training.gan.gate.is_open,
            steps % settings.penalty_every == 0,
            steps % settings.generator_every == 0,
        )
        try:
            if kind in costs:
                training.step()
            else:
                with FlopCounter() as counter:
                    training.step()
                costs[kind] = counter.total
        except UserError:  # a loss is no number any more
            diverged = True
        else:
            spent, steps = spent + costs[kind], steps + 1
            if spent >= (len(curve) + 1) / POINTS * budget:
                curve.append([spent / 1e12, *_glance(training)])
    return _rounded(
        {
            **asdict(cell),
            "settings": cell.resolved().state_dict(),
            "shapes": fingerprint(train, reference),
            "steps": steps,
            "spent": spent / 1e12,
            "trained_d": float(training.history.columns()["trained_d"].mean()) if steps else 0.0,
            "diverged": diverged,
            "curve": curve,
            **({} if diverged else _scores(training, train, reference, cell.seed)),
            "seconds": time.process_time() - started,
            "machine": f"{platform.machine()}, torch {torch.__version__}, one thread",
        }
    )


def _epochs_within(budget: float, settings: TrainConfig, shapes: Shapes) -> int:
    """Count the epochs that take a number of floating-point operations, the last one begun or whole."""
    probe = resuming.begin(RunFolder("probe"), settings, shapes, None)
    cycle = math.lcm(settings.penalty_every, settings.generator_every)
    with FlopCounter() as counter:
        for _ in range(cycle):
            probe.step()
    return math.ceil(budget / (counter.total / cycle) / probe.steps_per_epoch)


def _glance(training: TrainingRun) -> list[float]:
    found = metrics.quick_scores(
        generate(training.gan.best_generator, seed=0, count=progress.SCORED), training.shapes.occupied
    )
    return [found[name] for name in (*RELATIVE, "voxels")]


def _scores(training: TrainingRun, train: np.ndarray, reference: np.ndarray, seed: int) -> dict:
    generated = is_occupied(generate(training.gan.best_generator, seed=1, count=len(reference)))
    chosen = choose(seed, 2, len(train), len(reference))
    rows = metrics.score_sets(generated, reference, train, chosen)
    names = {"scores": metrics.GENERATED, "oracle": metrics.TRAINING, "real": metrics.REFERENCE}
    return {name: rows[row] for name, row in names.items()}


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) and math.isfinite(value) else value


def is_stable(row: dict) -> bool:
    """Return whether a run neither diverged nor collapsed."""
    if row["diverged"]:
        return False
    return all(row["scores"][name] >= STABLE_SHARE * row["real"][name] for name in RELATIVE)


def read_results(path: Path) -> dict[str, dict]:
    """Read a file of results: each row by the key of its cell.

    A setting that is newer than a row has its default value there; settings that were removed are dropped.
    """
    if not path.is_file():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    before = TrainConfig().state_dict()
    return {
        _key(row["data"], row["tflop"], {**before, **without_removed(row["settings"])}): row for row in rows
    }


def run_study(cells: Sequence[Cell], pools: dict[str, Path], results: Path, jobs: int) -> list[dict]:
    """Train the cells that `results` lacks and whose data are at hand; return the rows of all that are there.

    Parameters
    ----------
    pools : dict
        Where the data of each name lie. Cells of other data are left out, unless they are done already.
    results : Path
        Read first, then written anew, whole, after each cell.
    jobs : int
        Cells at a time, each on one thread.

    Raises
    ------
    UserError
        If a set is another than the one that its rows in `results` come from.
    """
    rows = read_results(results)
    todo = [cell for cell in cells if cell.key not in rows and cell.data in pools]
    wanted = {(cell.data, cell.resolved().resolution) for cell in todo}
    sets = {(name, edge): split(load_pool(pools[name], edge)) for name, edge in wanted}
    for (name, edge), shapes in sets.items():
        same = [row for row in rows.values() if (row["data"], row["settings"]["resolution"]) == (name, edge)]
        known = {row["shapes"] for row in same}
        if known - {fingerprint(*shapes)}:
            raise UserError(
                f"--data {name}={pools[name]}: other shapes than those of {name} in {results}; "
                "give them another name, or begin another file by --results."
            )
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=_start_worker) as pool:
        running = {
            pool.submit(run_cell, cell, *sets[cell.data, cell.resolved().resolution]): cell for cell in todo
        }
        try:
            for number, done in enumerate(as_completed(running), start=1):
                cell, row = running[done], done.result()
                rows[cell.key] = row
                with atomic_path(results) as temporary:
                    lines = (json.dumps(row) + "\n" for row in rows.values())
                    temporary.write_text("".join(lines), encoding="utf-8")
                state = "diverged" if row["diverged"] else f"diversity {row['scores']['diversity']:.2f}"
                cli.say(
                    f"{number} of {len(todo)}: {cell.data}, {cell.method}, seed {cell.seed}: "
                    f"{row['steps']} steps, {row['seconds']:.0f} s, {state}"
                )
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    done = (cell for cell in cells if cell.key in rows)
    return [{**rows[cell.key], "method": cell.method, "recipe": cell.recipe} for cell in done]


def _start_worker() -> None:
    """Compute on one thread, and end with the process that gives out the cells, even if that is killed."""
    torch.set_num_threads(1)

    def end_with_parent() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def grouped(rows: Sequence[dict], name: str) -> dict[object, list[dict]]:
    """Sort the rows by what they have at `name`, in the order of the first of each."""
    groups: dict[object, list[dict]] = {}
    for row in rows:
        groups.setdefault(row[name], []).append(row)
    return groups


COLUMNS: dict[str, Callable[[list[dict]], str]] = {
    "runs": lambda runs: f"{len(runs)}",
    "stable": lambda runs: f"{sum(map(is_stable, runs))}",
    "steps": lambda runs: f"{np.mean([run['steps'] for run in runs]):,.0f}",
    "D trained": lambda runs: f"{np.mean([run['trained_d'] for run in runs]):.0%}",
}


def table(rows: Sequence[dict], columns: Sequence[str], scores: Sequence[tuple[str, str]]) -> str:
    """Write a line for each method, with some `COLUMNS` and the means of its scores over the seeds.

    The training shapes themselves are the last line of each set.
    """
    head = ["data", "method", *columns, *(name for name, _ in scores)]
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for data, of_set in grouped(rows, "data").items():
        for method, runs in grouped(of_set, "method").items():
            finite = [run["scores"] for run in runs if not run["diverged"]]
            cells = [data, method, *(COLUMNS[name](runs) for name in columns), score_cells(finite, scores)]
            lines.append(f"| {' | '.join(cells)} |")
        oracles = [run["oracle"] for run in of_set if not run["diverged"]]
        lines.append(f"| {data} | *training shapes* |{' |' * len(columns)} {score_cells(oracles, scores)} |")
    return "\n".join(lines)


def score_cells(runs: Sequence[dict], columns: Sequence[tuple[str, str]]) -> str:
    """Write the cells of a table's line: `mean_and_range` of the named scores of some runs."""
    return " | ".join(mean_and_range([run[name] for run in runs]) for _, name in columns)


def mean_and_range(values: Sequence[float]) -> str:
    """Write the mean over the seeds, and the smallest and largest value."""
    if not values:
        return "–"
    mean, low, high = (f"{value:.2f}" for value in (np.mean(values), min(values), max(values)))
    return mean if low == high else f"{mean} ({low}–{high})"


def build_parser(description: str, results: Path, figure: Path) -> argparse.ArgumentParser:
    """Describe the options, which are the same for every study."""
    parser = cli.Parser(description)
    add = parser.add_argument
    text = "where shapes are: a folder of .raw grids, or an .npz of packed bits"
    add("--data", nargs="+", default=[], metavar="NAME=PATH", help=text)
    add("--results", type=Path, default=results, help="file to continue (%(default)s)")
    add("-o", "--output", type=Path, default=figure, help="the picture (%(default)s)")
    add("-j", "--jobs", type=cli.positive, default=1, help="cells at a time (%(default)s)")
    add("--seeds", type=cli.positive, default=3, help="runs of each method (%(default)s)")
    return parser


def trained_rows(cells: Callable[[int], list[Cell]], args: argparse.Namespace) -> list[dict]:
    """Train what is missing of a study and return its rows."""
    return run_study(cells(args.seeds), parse_pools(args.data), args.results, args.jobs)


def parse_pools(texts: Sequence[str]) -> dict[str, Path]:
    """Read ``NAME=PATH`` options."""
    pairs = [text.partition("=") for text in texts]
    for name, sign, path in pairs:
        if not (name and sign and path):
            raise UserError(f"--data {name}{sign}{path}: write it as NAME=PATH.")
    return {name: Path(path) for name, _, path in pairs}

"""Check on a GPU everything that has only been tried on a CPU: the first command to run on a GPU.

    python -m benchmarks.speed.first_gpu
    python -m benchmarks.speed.first_gpu --device cpu

It takes about half an hour, in parts. Each part runs in its own process and appends a line of JSON to a file.
If you run the command again, it continues with the parts that are missing for this GPU and repeats those that
failed. It ends with a table in Markdown. The exit code is 1 if a part failed.

With ``--device cpu``, it rehearses everything in a few minutes on small networks. **It has never run on a
GPU**: times and tolerances are estimates, and a part that fails there may itself be wrong.
"""

import argparse
import contextlib
import json
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from benchmarks.speed import training as bench
from benchmarks.speed.common import peak_memory
from rasgan import cli
from rasgan.losses import LOSSES
from rasgan.networks import LATENT_SIZE
from rasgan.runs import RunFolder
from rasgan.sampling import generate
from rasgan.training import checkpoints
from rasgan.training.config import PRECISIONS, RECIPES, new_config
from rasgan.training.dataset import Shapes
from rasgan.training.devices import choose_device, configure
from rasgan.training.distributed import Summed
from rasgan.training.resuming import begin
from rasgan.training.run import TrainingRun
from rasgan.voxels import is_occupied

PART_S = 600  # a part that takes longer counts as failed
TOLERANCES = {"float32, exact": 1e-3, "float32": 1e-2, "bf16": 0.1}
"""Largest relative differences of losses over a few steps from those of the CPU in float32; estimates."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of the networks: small ones that the CPU can also train, and those that are timed."""

    small: int  # width
    width: int
    batch: int
    resolution: int
    seconds: float  # time for measuring each kind of step


SIZES = {"cuda": Sizes(64, 512, 24, 64, 8.0), "cpu": Sizes(8, 16, 2, 32, 0.02)}

PROFILED = {
    "cuda": (torch.profiler.ProfilerActivity.CUDA, "self_device_time_total"),
    "cpu": (torch.profiler.ProfilerActivity.CPU, "self_cpu_time_total"),
}

Figures = dict[str, float | str]
Part = Callable[[torch.device, Sizes], Figures]
"""Returns the results by name; an entry "right" is whether they are correct."""


def new_run(
    device: torch.device,
    sizes: Sizes,
    recipe: str = "tutorial",
    precision: str = "float32",
    **settings: object,
) -> TrainingRun:
    """Start a run in memory on random boxes, with small networks unless `settings` have a width."""
    size = {"width": sizes.small, "batchsize": 4, "resolution": sizes.resolution, "seed": 1}
    config = new_config(recipe, {**size, **settings})
    shapes = Shapes(bench.random_shapes(2 * config.batchsize, config.resolution), device)
    return begin(RunFolder("bench"), config, shapes, precision=precision)


def full_run(
    device: torch.device, sizes: Sizes, recipe: str, precision: str, **settings: object
) -> TrainingRun:
    """Start a run of the size that is timed, in which both networks train on every step."""
    size = {"width": sizes.width, "batchsize": sizes.batch, "gate": False}
    return new_run(device, sizes, recipe, precision, **{**size, **settings})


def losses_of(run: TrainingRun, steps: int = 4) -> np.ndarray:
    """Train for a few steps and return both losses of each: (steps, 2)."""
    return np.array([(result.loss_d, result.loss_g) for result in (run.step() for _ in range(steps))])


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference, relative to the largest value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@contextlib.contextmanager
def tf32(is_on: bool) -> Iterator[None]:
    """Allow or forbid TF32 for float32 products and convolutions in the block; afterwards it is allowed."""
    allow_tf32(is_on)
    try:
        yield
    finally:
        allow_tf32(True)


def allow_tf32(is_on: bool) -> None:
    """Set it for both, in a way that all versions of torch support."""
    torch.set_float32_matmul_precision("high" if is_on else "highest")
    torch.backends.cudnn.allow_tf32 = is_on


def machine(device: torch.device, sizes: Sizes) -> Figures:
    """Describe the machine."""
    found: Figures = {"python": platform.python_version(), "threads": float(torch.get_num_threads())}
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        found |= {"memory, GB": card.total_memory / 1e9, "capability": f"{card.major}.{card.minor}"}
        found |= {"CUDA": str(torch.version.cuda), "cuDNN": str(torch.backends.cudnn.version())}
    for precision in PRECISIONS:
        found[f"{precision} matrix rate, TFLOP/s"] = 2e-12 * bench.matrix_rate(device, precision)
    return found


def same_as_the_cpu(device: torch.device, sizes: Sizes) -> Figures:
    """Compare the losses of a few steps with those of the CPU."""
    found: Figures = {"right": True}
    for recipe in RECIPES:
        expected = losses_of(new_run(torch.device("cpu"), sizes, recipe))
        for kind, tolerance in TOLERANCES.items():
            with tf32(kind != "float32, exact"):
                run = new_run(device, sizes, recipe, kind.removesuffix(", exact"))
                found[f"{recipe}, {kind}"] = differs = difference(losses_of(run), expected)
            found["right"] &= differs < tolerance
    return found


def repeats_itself(device: torch.device, sizes: Sizes) -> Figures:
    """Train twice for the same steps, by each recipe and precision; the losses must be bit for bit equal."""
    found: Figures = {"right": True}
    for recipe in RECIPES:
        for precision in PRECISIONS:
            one, other = (losses_of(new_run(device, sizes, recipe, precision)) for _ in range(2))
            found[f"{recipe}, {precision}"] = difference(other, one)
            found["right"] &= np.array_equal(one, other)
    return found


def every_method(device: torch.device, sizes: Sizes) -> Figures:
    """Train for a few steps by each recipe, loss and precision; all losses must be finite."""
    found: Figures = {"methods": 0, "right": True}
    for recipe in RECIPES:
        for loss in LOSSES:
            for precision in PRECISIONS:
                run = new_run(device, sizes, recipe, precision, loss=loss, ema=0.9)
                if not np.isfinite(losses_of(run, 3)).all():
                    found |= {f"{recipe}, {loss}, {precision}": "not finite", "right": False}
                found["methods"] += 1
    return found


def sampling(device: torch.device, sizes: Sizes) -> Figures:
    """Generate chairs with the pretrained model here and on the CPU; count the voxels that differ."""
    generator = checkpoints.load_pretrained()
    expected = is_occupied(generate(generator, seed=0, count=4))
    found = is_occupied(generate(generator.to(device), seed=0, count=4))
    differ = int((found != expected).sum())
    return {"voxels that differ": differ, "right": differ < 1e-4 * expected.size}


def penalty(device: torch.device, sizes: Sizes) -> Figures:
    """Time steps with a penalty, which differentiates convolutions twice, and without one."""
    found: Figures = {}
    for precision in PRECISIONS:
        for kind, settings in (("with", {"penalty_every": 1}), ("without", {"penalty": 0.0})):
            run, start = full_run(device, sizes, "stable", precision, **settings), bench.now(device)
            run.step()
            found[f"{precision}, {kind}: first step, s"] = bench.now(device) - start
            found[f"{precision}, {kind}: a step, s"] = bench.fastest(run.step, device, sizes.seconds)
    return found


def synchronizations(device: torch.device, sizes: Sizes) -> Figures:
    """Count the kernels of a step, and how often torch warns that it makes the CPU wait for the GPU."""
    found: Figures = {}
    for recipe in RECIPES:
        run = full_run(device, sizes, recipe, "bf16")
        run.step()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if device.type == "cuda":
                torch.cuda.set_sync_debug_mode("warn")
            run.step()
            if device.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")
        found[f"{recipe}: waits"] = float(sum("synchroniz" in str(warning.message) for warning in caught))
        kind, time_of = PROFILED[device.type]
        with torch.profiler.profile(activities=[kind]) as profile:
            run.step()
            bench.now(device)
        events = [event for event in profile.key_averages() if getattr(event, time_of) > 0]
        longest = sorted(events, key=lambda event: -getattr(event, time_of))[:3]
        found[f"{recipe}: kernels"] = float(sum(event.count for event in events))
        found[f"{recipe}: longest"] = ", ".join(
            f"{event.key[:60]} {getattr(event, time_of) / 1e3:.3g} ms" for event in longest
        )
    return found


def memory(device: torch.device, sizes: Sizes) -> Figures:
    """Measure the peak memory of steps in GB."""
    found: Figures = {}
    for recipe in RECIPES:
        for precision in PRECISIONS:
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            losses_of(full_run(device, sizes, recipe, precision), 2)
            peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else peak_memory()
            found[f"{recipe}, {precision}, GB"] = peak / 1e9
    return found


def resume_across_devices(device: torch.device, sizes: Sizes) -> Figures:
    """Train on the CPU, the device and the CPU again, through checkpoints; compare with only the CPU."""
    found: Figures = {"right": True}
    cpu = torch.device("cpu")
    for recipe in RECIPES:
        expected = losses_of(new_run(cpu, sizes, recipe), 6)
        with tempfile.TemporaryDirectory() as folder, tf32(False):
            run, losses = new_run(cpu, sizes, recipe), []
            for place in (device, cpu, None):
                losses.append(losses_of(run, 2))
                if place is not None:
                    run = moved(run, place, Path(folder))
        found[recipe] = differs = difference(np.concatenate(losses), expected)
        found["right"] &= differs < TOLERANCES["float32"]
    return found


def moved(run: TrainingRun, device: torch.device, folder: Path) -> TrainingRun:
    """Save a run and resume it on another device."""
    place = RunFolder("bench", folder)
    checkpoints.save_checkpoint(place.checkpoints, run.checkpoint())
    loaded = checkpoints.load_checkpoint(place.checkpoints, run.position, with_optimizers=True)
    shapes = Shapes(run.shapes.occupied, device, run.config.occupied)
    return begin(place, run.config, shapes, checkpoint=loaded, precision=run.gan.precision)


def speed(width: str, precision: str) -> Part:
    """Return the part that compares our step with plain PyTorch and with the rate of matrix products."""

    def part(device: torch.device, sizes: Sizes) -> Figures:
        case = f"{getattr(sizes, width)}x{sizes.batch}"
        args = argparse.Namespace(device=device.type, resolution=sizes.resolution, seconds=sizes.seconds)
        args.started = time.perf_counter()
        kinds = ("plain-float32", f"ours-{precision}", f"floor-{precision}")
        plain, ours, floor = (bench.measure(kind, case, args)["seconds"] for kind in kinds)
        shares = {"times faster than plain": plain / ours, "share of the matrix rate": floor / ours}
        return {"width x batch": case, "plain, s": plain, "ours, s": ours, **shares}

    return part


def one_rank(device: torch.device, sizes: Sizes) -> Figures:
    """Exchange tensors in a group of one process by NCCL (on a CPU by gloo); check and time the results."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    with tempfile.TemporaryDirectory() as folder:
        place = (Path(folder) / "meeting").as_uri()
        dist.init_process_group(backend, init_method=place, rank=0, world_size=1)
        x = torch.randn(sizes.width * LATENT_SIZE * 64, device=device, requires_grad=True)
        together = [torch.empty_like(x)]
        dist.all_gather(together, x.detach())
        dist.broadcast(together[0], src=0)
        summed = Summed.apply(x)
        summed.square().sum().backward()
        is_right = torch.equal(together[0], x) and torch.equal(summed, x) and torch.equal(x.grad, 2 * x)
        took = bench.fastest(lambda: dist.all_reduce(together[0]), device, sizes.seconds / 4)
        dist.barrier()
        dist.destroy_process_group()
    return {"backend": backend, f"sum of {x.numel():,} numbers, s": took, "right": is_right}


PARTS: dict[str, Part] = {
    "machine": machine,
    "same losses as the CPU": same_as_the_cpu,
    "repeats itself": repeats_itself,
    "every method takes finite steps": every_method,
    "chairs of the pretrained model": sampling,
    "resume: CPU, device, CPU": resume_across_devices,
    "speed, full width, float32": speed("width", "float32"),
    "speed, full width, bf16": speed("width", "bf16"),
    "speed, narrow, float32": speed("small", "float32"),
    "speed, narrow, bf16": speed("small", "bf16"),
    "penalty": penalty,
    "synchronizations and kernels of a step": synchronizations,
    "memory": memory,
    "one process among one": one_rank,
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--device", choices=SIZES, default="cuda", help="cpu rehearses (default: %(default)s)")
    add(
        "-o",
        "--results",
        type=Path,
        default=Path("first_gpu.jsonl"),
        help="file to which results are appended",
    )
    add("--part", choices=PARTS, help="run only this part, in this process, and print its JSON")
    return parser


def run_part(name: str, kind: str) -> Figures:
    """Run one part in this process."""
    device = choose_device(kind)
    configure(device)
    return PARTS[name](device, SIZES[kind])


def in_own_process(name: str, kind: str) -> Figures:
    """Run one part in a new process; an entry "failed" contains the end of the error output."""
    command = [sys.executable, "-m", "benchmarks.speed.first_gpu", "--device", kind, "--part", name]
    try:
        done = subprocess.run(
            command, cwd=bench.ROOT, capture_output=True, text=True, check=False, timeout=PART_S
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"not done in {PART_S} s"}
    if done.returncode:
        return {"failed": "\n".join(done.stderr.strip().splitlines()[-3:])}
    return json.loads(done.stdout.splitlines()[-1])


def finished(results: Path, place: dict[str, str]) -> dict[str, dict]:
    """Read the newest result of each part on this device and version of torch."""
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    rows = [json.loads(line) for line in lines]
    return {row["part"]: row for row in rows if {key: row[key] for key in place} == place}


def table(place: dict[str, str], rows: dict[str, dict]) -> str:
    """Return the results as Markdown."""
    lines = [
        f"{place['device']}, torch {place['torch']}",
        "",
        "| Part | | Seconds | Found |",
        "| --- | --- | --- | --- |",
    ]
    for name in PARTS:
        found = dict(rows[name]["found"])
        verdict = {True: "right", False: "WRONG", None: ""}[found.pop("right", None)]
        verdict = "FAILED" if "failed" in found else verdict
        cells = [
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in found.items()
        ]
        text = "; ".join(cells).replace("\n", " ").replace("|", "\\|")
        lines.append(f"| {name} | {verdict} | {rows[name]['seconds']:.0f} | {text} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the missing parts, then print the table."""
    args = build_parser().parse_args(argv)
    if args.part:
        print(json.dumps(run_part(args.part, args.device)))
        return 0
    device = choose_device(args.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    place = {"device": name, "torch": torch.__version__}
    for number, part in enumerate(PARTS, start=1):
        if "failed" in finished(args.results, place).get(part, {"found": {"failed": ""}})["found"]:
            print(f"{number}/{len(PARTS)} {part} ...", flush=True)
            start = time.perf_counter()
            found = in_own_process(part, args.device)
            row = {"part": part, **place, "seconds": time.perf_counter() - start, "found": found}
            with args.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    rows = finished(args.results, place)
    print("\n" + table(place, rows))
    return int(any("failed" in row["found"] or row["found"].get("right") is False for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())

"""How much memory is available, where the system reports it."""

import contextlib
import math
import os
from pathlib import Path

from rasgan.errors import UserError


def check_memory(place: Path, needed: float, purpose: str) -> None:
    """Raise UserError if fewer than `needed` bytes are available for each process of this machine."""
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's
    needed, available = needed * processes, available_memory()
    if needed > available:
        need = (
            f"{needed / 1e9:.1f} GB of memory are needed to {purpose}, {available / 1e9:.1f} GB are available"
        )
        raise UserError(f"{place}: {need}.", about="memory", value=place)


def available_memory(root: Path = Path("/")) -> float:
    """Return how many bytes can be allocated without swapping: infinity where the system does not report it.

    The lower of what Linux has available and what the process's control groups allow; `root` is for tests.
    """
    found = [math.inf]
    with contextlib.suppress(OSError, ValueError, KeyError):
        found.append(1024 * _numbers(root / "proc/meminfo")["MemAvailable:"])
    with contextlib.suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers == "":
                found += _left(root / "sys/fs/cgroup", group, "memory.max", "memory.current", "")
            elif "memory" in controllers.split(","):
                names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"
                found += _left(root / "sys/fs/cgroup/memory", group, *names)
    return max(0, min(found))


def _left(mounted: Path, group: str, limit: str, usage: str, prefix: str) -> list[float]:
    """List what a control group and those around it, as far as they are visible, have left."""
    inner, found = mounted / group.lstrip("/"), []
    for folder in (inner, *inner.parents):
        with contextlib.suppress(OSError, ValueError, KeyError):  # without a limit it says "max"
            statistics = _numbers(folder / "memory.stat")
            cached = sum(statistics[f"{prefix}{kind}_file"] for kind in ("active", "inactive"))
            used = int((folder / usage).read_text(encoding="ascii")) - cached
            found.append(int((folder / limit).read_text(encoding="ascii")) - used)
        if folder == mounted:
            break
    return found


def _numbers(path: Path) -> dict[str, int]:
    """Read a file of the kernel in which each line has a name and a number."""
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {name: int(number) for name, number, *_ in lines}

"""How much memory is available."""

import contextlib
import math
from pathlib import Path


def available_memory(root: Path = Path("/")) -> float:
    """Return how many bytes can be allocated without swapping: infinity if the system does not report it.

    It is the lower of what Linux has available and what the process's control groups (version 2) allow.
    `root` is for tests.
    """
    found = [math.inf]
    with contextlib.suppress(OSError, ValueError, KeyError):
        found.append(1024 * _numbers(root / "proc/meminfo")["MemAvailable:"])
    with contextlib.suppress(OSError):
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        group = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
        inner = root / "sys/fs/cgroup" / group
        for folder in (inner, *inner.parents):  # limits of the groups around it, where visible, count too
            with contextlib.suppress(OSError, ValueError, KeyError):  # without a limit it says "max"
                pages = _numbers(folder / "memory.stat")
                used = int((folder / "memory.current").read_text(encoding="ascii"))
                limit = int((folder / "memory.max").read_text(encoding="ascii"))
                found.append(limit - used + pages["active_file"] + pages["inactive_file"])
    return max(0, min(found))


def _numbers(path: Path) -> dict[str, int]:
    """Read a file of the kernel with a name and a number on each line."""
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {name: int(number) for name, number, *_ in lines}

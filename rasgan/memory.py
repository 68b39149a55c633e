"""How much memory is available, where the system reports it."""

import contextlib
import math
from pathlib import Path

GROUPS = {  # by version: where they are, the files of limit and usage, how the names of cached pages start
    2: ("sys/fs/cgroup", "memory.max", "memory.current", ""),
    1: ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
}


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
            if controllers and "memory" not in controllers.split(","):
                continue
            mounted, limit, usage, start = GROUPS[1 if controllers else 2]
            inner = root / mounted / group.lstrip("/")
            for folder in (inner, *inner.parents):  # those around it, as far as they are visible, count too
                with contextlib.suppress(OSError, ValueError, KeyError):  # without a limit it says "max"
                    pages = _numbers(folder / "memory.stat")
                    cached = pages[f"{start}active_file"] + pages[f"{start}inactive_file"]
                    allowed, used = (
                        int((folder / name).read_text(encoding="ascii")) for name in (limit, usage)
                    )
                    found.append(allowed - used + cached)
    return max(0, min(found))


def _numbers(path: Path) -> dict[str, int]:
    """Read a file of the kernel in which each line has a name and a number."""
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {name: int(number) for name, number, *_ in lines}

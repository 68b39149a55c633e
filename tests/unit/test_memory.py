import math

import pytest

from rasgan.memory import available_memory

MEMINFO = "MemTotal:  4000 kB\nMemAvailable:  2000 kB\nHugePages_Total:       0\n"
GROUP = {"memory.current": "900", "memory.stat": "anon 200\nactive_file 300\ninactive_file 400\n"}


def group(folder, limits):
    return {f"sys/fs/cgroup/{folder}/{name}": content for name, content in limits.items()}


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({}, math.inf),
        ({"proc/meminfo": MEMINFO}, 2000 * 1024),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "4:cpu:/\n0::/user/run\n",
                **group("user/run", {**GROUP, "memory.max": "max"}),
                **group("user", {**GROUP, "memory.max": "10000"}),
            },
            9800,
        ),
        ({"proc/self/cgroup": "0::/\n", **group("", {**GROUP, "memory.max": "100"})}, 0),
    ],
    ids=["not Linux", "Linux", "nested groups", "more used than allowed"],
)
def test_available_memory_is_the_lowest_of_system_and_control_groups(tmp_path, files, available):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="ascii")
    assert available_memory(tmp_path) == available


def test_some_memory_is_available_here():
    assert available_memory() > 1e7

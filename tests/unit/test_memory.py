import math

import pytest

from rasgan.memory import available_memory

MEMINFO = "MemTotal:  4000 kB\nMemAvailable:  2000 kB\nHugePages_Total:       0\n"
GROUP_2 = {"memory.current": "900", "memory.stat": "anon 200\nactive_file 300\ninactive_file 400\n"}
GROUP_1 = {
    "memory.usage_in_bytes": "900",
    "memory.stat": "active_file 1\ntotal_active_file 300\ntotal_inactive_file 400\n",
}


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
                "proc/self/cgroup": "0::/user/run\n",
                **group("user/run", {**GROUP_2, "memory.max": "max"}),
                **group("user", {**GROUP_2, "memory.max": "10000"}),
            },
            9800,
        ),
        ({"proc/self/cgroup": "0::/\n", **group("", {**GROUP_2, "memory.max": "100"})}, 0),
        (
            {
                "proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/docker/1a\n0::/\n",
                **group("memory", {**GROUP_1, "memory.limit_in_bytes": "5000"}),
            },
            4800,
        ),
    ],
    ids=["no Linux", "Linux", "groups, version 2", "less than is used", "groups, version 1"],
)
def test_the_least_that_system_and_groups_leave(tmp_path, files, available):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="ascii")
    assert available_memory(tmp_path) == available


def test_this_machine_has_some():
    assert available_memory() > 1e7

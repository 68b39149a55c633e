"""The first command on a GPU, rehearsed on the CPU."""

import json

import pytest
import torch

from benchmarks.speed import first_gpu
from benchmarks.speed.first_gpu import PARTS, SIZES

CPU = torch.device("cpu")


@pytest.fixture
def parts(monkeypatch):
    """Let there be three parts, of which one fails once, in this process; return which were run."""
    run = []

    def part(name, found):
        def work(device, sizes):
            run.append(name)
            if name == "fails once" and run.count(name) == 1:
                raise RuntimeError("no | engine\nfound")
            return found

        return work

    found = {
        "right": {"loss": 0.125, "right": True},
        "fails once": {"time, s": 2.0},
        "wrong": {"right": False},
    }
    monkeypatch.setattr(first_gpu, "PARTS", {name: part(name, value) for name, value in found.items()})

    def here(name, kind):
        try:
            return json.loads(json.dumps(first_gpu.run_part(name, kind)))
        except RuntimeError as error:
            return {"failed": str(error)}

    monkeypatch.setattr(first_gpu, "in_own_process", here)
    return run


def test_what_is_there_is_skipped_and_what_failed_is_tried_again(parts, tmp_path, capsys):
    command = ["--device", "cpu", "-o", str(tmp_path / "found.jsonl")]
    assert first_gpu.main(command) == 1
    assert "| fails once | FAILED | 0 | failed no \\| engine found |" in capsys.readouterr().out
    assert first_gpu.main(command) == 1  # a part is wrong
    assert parts == ["right", "fails once", "wrong", "fails once"]
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert rows[2:] == [
        "| right | right | 0 | loss 0.125 |",
        "| fails once |  | 0 | time, s 2 |",
        "| wrong | WRONG | 0 |  |",
    ]
    lines = (tmp_path / "found.jsonl").read_text(encoding="utf-8").replace(torch.__version__, "0")
    (tmp_path / "found.jsonl").write_text(lines, encoding="utf-8")
    first_gpu.main(command)  # another version of torch begins anew
    assert parts[4:] == ["right", "fails once", "wrong"]


@pytest.mark.parametrize("name", ["resume: CPU, device, CPU", "one process among one"])
def test_on_the_cpu_what_is_compared_is_the_same(name):
    found = PARTS[name](CPU, SIZES["cpu"])
    assert found["right"] is True


@pytest.mark.slow
def test_the_whole_rehearsal_finds_nothing_wrong(tmp_path, capsys):
    assert first_gpu.main(["--device", "cpu", "-o", str(tmp_path / "found.jsonl")]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == [f"| {name}" for name in PARTS]
    assert {row[1] for row in rows[2:]} == {"right", ""}

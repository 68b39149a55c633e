"""The first command on a GPU, rehearsed on the CPU."""

import pytest
import torch

from benchmarks.speed import first_gpu
from benchmarks.speed.first_gpu import PARTS, SIZES

CPU = torch.device("cpu")


def test_what_is_there_is_skipped_and_what_failed_is_tried_again(monkeypatch, tmp_path, capsys):
    found = {"right": {"loss": 0.125, "right": True}, "fails once": {"s": 2.0}, "wrong": {"right": False}}
    run = []

    def here(name, kind):
        run.append(name)
        is_first = name == "fails once" and run.count(name) == 1
        return {"failed": "no | engine\nfound"} if is_first else dict(found[name])

    monkeypatch.setattr(first_gpu, "PARTS", found)
    monkeypatch.setattr(first_gpu, "in_own_process", here)
    command = ["--device", "cpu", "-o", str(tmp_path / "found.jsonl")]
    assert first_gpu.main(command) == 1
    assert "| fails once | FAILED | 0 | failed no \\| engine found |" in capsys.readouterr().out
    assert first_gpu.main(command) == 1  # a part is wrong
    assert run == ["right", "fails once", "wrong", "fails once"]
    shown = capsys.readouterr().out
    assert "| right | right | 0 | loss 0.125 |\n| fails once |  | 0 | s 2 |\n| wrong | WRONG |" in shown


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

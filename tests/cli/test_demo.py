"""python -m rasgan.demo, with fewer chairs and a smaller network."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import train_rasgan
from rasgan import cli, demo
from rasgan.runs import RunFolder

SMALL = ["--width", "8", "-b", "6", "--device", "cpu"]


@pytest.fixture(autouse=True)
def few_chairs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "TRAINED_ON", 12)
    monkeypatch.setattr(demo, "TEST", 2)
    return tmp_path


def test_the_demo_ends_with_chairs_pictures_and_a_mesh_and_typed_again_goes_on(
    few_chairs, monkeypatch, capsys
):
    assert train_rasgan.main(["--demo", *SMALL, "--epochs", "1"]) == 0
    out = capsys.readouterr().out
    assert f"Done. Open {Path('savepoint/demo/chairs.html')} in a browser" in out
    made = {path: path.stat().st_mtime_ns for path in (few_chairs / "DemoChairs").rglob("*.*")}
    assert len([path for path in made if path.suffix == ".raw"]) == 14
    monkeypatch.setitem(demo.PRESETS, "seed", 5)  # as a newer version may have it: the run keeps its own
    assert train_rasgan.main(["--demo", *SMALL, "--epochs", "2"]) == 0
    assert made == {path: path.stat().st_mtime_ns for path in (few_chairs / "DemoChairs").rglob("*.*")}
    out = capsys.readouterr().out
    assert "--recipe stable" in out
    assert "[ 1/2]" not in out
    assert "[ 2/2]" in out
    folder = few_chairs / "savepoint" / "demo"
    expected = ["chairs.png", "chairs.html", "plots/2.png", "3D_graphs/2.png", "2.npy"]
    expected += [f"generated/2/seed0-{number:02d}.npy" for number in range(10)]
    assert [name for name in expected if not (folder / name).is_file()] == []
    assert len(list((folder / "models").glob("seed0-*.obj"))) == 1


@pytest.mark.parametrize(
    ("is_terminal", "ssh", "display", "opened"),
    [(True, False, True, 1), (True, True, True, 0), (True, False, False, 0)],
)
def test_the_page_is_opened_where_somebody_sits(monkeypatch, is_terminal, ssh, display, opened):
    run = RunFolder("demo")
    monkeypatch.setattr("rasgan.training.checkpoints.load_generator", lambda folder: (None, 3))
    monkeypatch.setattr("rasgan.sampling.generate", lambda generator, seed, count: np.ones((count, 8, 8, 8)))
    monkeypatch.setattr("rasgan.export.plots.contact_sheet", lambda path, grids, labels: None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "platform", "linux")
    for name, is_set in {"SSH_CONNECTION": ssh, "DISPLAY": display, "WAYLAND_DISPLAY": False}.items():
        monkeypatch.setenv(name, "1") if is_set else monkeypatch.delenv(name, raising=False)
    started = []
    monkeypatch.setattr(cli.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(cli.subprocess, "Popen", lambda command, **_: started.append(command))
    demo.finish(run, lambda sentence: None)
    page = (run.savepoints / "chairs.html").resolve()
    assert started == [["/bin/xdg-open", str(page)]] * opened
    assert page.is_file()


def test_a_chair_that_cannot_be_converted_is_told(few_chairs, capsys):
    broken = few_chairs / "DemoChairs" / "chair" / "train" / "chair_0001.off"
    broken.parent.mkdir(parents=True)
    broken.write_text("OFF\n1 1 0\n", encoding="ascii")
    assert train_rasgan.main(["--demo", *SMALL, "--epochs", "1"]) == 1
    assert "chair_0001.off" in capsys.readouterr().err


def test_the_command_runs_the_script_and_ends_as_it_does(monkeypatch):
    started = []
    ended = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(subprocess, "run", lambda command, check: started.append(command) or ended)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert demo.main(["--width", "8"]) == 1
    assert started == [[sys.executable, train_rasgan.__file__, "--demo", "--width", "8"]]


WITHOUT_TORCH = """
import sys
if "--multiprocessing-fork" in sys.orig_argv:  # a worker
    sys.modules.update(dict.fromkeys(("torch", "matplotlib")))  # cannot be imported
else:
    import rasgan.data.conversion, rasgan.demo as demo
    demo.TRAINED_ON, demo.TEST = 3, 1
    rasgan.data.conversion.count_processes = lambda *_: 2
    demo.fill_in = lambda _: demo.prepare(print) or sys.exit()
"""


def test_workers_that_convert_do_without_torch_which_takes_300_megabytes_each(few_chairs):
    (few_chairs / "sitecustomize.py").write_text(WITHOUT_TORCH, encoding="ascii")
    script = Path(train_rasgan.__file__)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (few_chairs, script.parent)))}
    command = [sys.executable, str(script), "--demo"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(few_chairs.glob("DemoChairs/chair/*/*.raw"))) == 4

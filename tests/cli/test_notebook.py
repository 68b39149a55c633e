"""docs/tutorial.ipynb: small, without outputs, every command parses; and, slowly, executed in a copy."""

import importlib
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.pages import ROOT, links

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
COMMANDS = [line[1:] for source in CODE for line in source.splitlines() if line.startswith("!")]
SIZES = "CHAIRS, EPOCHS, WIDTH = 2000, 22, 64"


def test_it_is_small_and_has_no_outputs():
    assert NOTEBOOK.stat().st_size < 20_000
    assert all(
        cell["outputs"] == [] and cell["execution_count"] is None for cell in CELLS if "outputs" in cell
    )
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)
    assert sum(SIZES in source for source in CODE) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_parses(command):
    python, *words = shlex.split(re.sub(r"\{[A-Z]+\}", "500", command))
    assert python == "python"
    name, options = (words[1], words[2:]) if words[0] == "-m" else (Path(words[0]).stem, words[1:])
    importlib.import_module(name).build_parser().parse_args(options)


def test_every_link_leads_somewhere():
    targets = [
        target
        for cell in CELLS
        if cell["cell_type"] == "markdown"
        for target in links("".join(cell["source"]))
    ]
    assert len(targets) >= 3
    assert all((NOTEBOOK.parent / target).is_file() for target in targets)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_it_runs_from_its_first_cell_to_its_last(tmp_path, monkeypatch):
    why = "nbclient and ipykernel are not installed (the extra 'notebook')"
    nbclient = pytest.importorskip("nbclient", reason=why)
    pytest.importorskip("ipykernel", reason=why)
    nbformat = pytest.importorskip("nbformat", reason=why)
    for path in ROOT.iterdir():
        if path.suffix == ".py":
            shutil.copy(path, tmp_path)
    shutil.copytree(ROOT / "rasgan", tmp_path / "rasgan", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docs").mkdir()
    text = NOTEBOOK.read_text(encoding="utf-8").replace(SIZES, "CHAIRS, EPOCHS, WIDTH = 500, 1, 8")
    (tmp_path / "docs" / "tutorial.ipynb").write_text(text, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    notebook = nbformat.reads(text, as_version=4)
    place = {"metadata": {"path": str(tmp_path / "docs")}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=place).execute()
    printed = json.dumps([cell.get("outputs") for cell in notebook.cells])
    assert "Traceback" not in printed
    assert printed.count("<iframe srcdoc=") == 3
    assert printed.count('"image/png"') == 2
    assert (tmp_path / "chair.html").is_file()

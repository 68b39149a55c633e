"""python -m rasgan, the list of commands."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rasgan

MODULES = {"demo", "generate", "evaluate"}
HELPFUL = ["train_rasgan", "convert_to_graph", *sorted(f"rasgan.{name}" for name in MODULES)]
ROOT = Path(rasgan.__file__).parents[1]


def test_every_command_is_listed_and_exists():
    done = subprocess.run(
        [sys.executable, "-m", "rasgan"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    scripts = {path.name for path in ROOT.glob("*.py")} | {"render_class_view.py"}
    assert set(re.findall(r"python (\w+\.py) ", done.stdout)) == scripts
    modules = set(re.findall(r"python -m rasgan\.(\w+)", done.stdout))
    assert modules == MODULES
    assert all(callable(importlib.import_module(f"rasgan.{name}").main) for name in modules)
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize("module", HELPFUL)
def test_help_does_not_import_torch(module):
    """Importing torch takes seconds."""
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0

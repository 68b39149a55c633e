"""python -m rasgan: the list of what can be typed."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import rasgan

ROOT = Path(rasgan.__file__).parents[1]


def test_every_command_and_script_is_listed_and_there():
    done = subprocess.run(
        [sys.executable, "-m", "rasgan"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    scripts = {path.name for path in ROOT.glob("*.py")} | {"render_class_view.py"}
    assert set(re.findall(r"python (\w+\.py) ", done.stdout)) == scripts
    modules = set(re.findall(r"python -m rasgan\.(\w+)", done.stdout))
    assert modules == {"demo", "generate", "evaluate"}
    assert all(callable(importlib.import_module(f"rasgan.{name}").main) for name in modules)
    assert max(map(len, done.stdout.splitlines())) <= 100

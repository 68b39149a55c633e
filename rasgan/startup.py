"""Imported first by each command: report a missing package, or Ctrl-C during the imports, in one sentence.

It imports only the standard library, and runs on older versions of Python too, as the system's may be. Once
`main` runs, `rasgan.cli.ends_cleanly` handles Ctrl-C.
"""

import sys
from pathlib import Path

REQUIRED = (
    *("PIL", "filelock", "mapbox_earcut", "matplotlib", "numpy"),
    *("requests", "scipy", "torch", "tqdm", "trimesh"),
)
"""What pyproject.toml requires, by import name. Any other failed import is a bug and keeps its traceback."""


def report(kind: type, error: BaseException, traceback: object) -> None:
    """Print an exception that ends Python; a replacement of `sys.excepthook`."""
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write("Stopped by Ctrl-C.\n")
    elif isinstance(error, ModuleNotFoundError) and error.name in REQUIRED:
        command = f'python -m pip install -e "{Path(__file__).parents[1]}"'
        sentence = f"error: the package {error.name} is not installed; is the environment active?"
        sys.stderr.write(f"{sentence} To install it, type:\n  {command}\n")
    else:
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = report

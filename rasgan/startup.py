"""Imported first by each command: report a missing package, or Ctrl-C during imports, in one sentence.

It imports only the standard library, and also runs on older versions of Python. Once `main` runs,
`rasgan.cli.ends_cleanly` handles Ctrl-C.
"""

import sys
from pathlib import Path

REQUIRED = (
    *("PIL", "filelock", "mapbox_earcut", "matplotlib", "numpy"),
    *("requests", "scipy", "torch", "tqdm", "trimesh"),
)
"""Import names of the requirements in pyproject.toml. Any other failed import is a bug, with a traceback."""


def report(kind: type, error: BaseException, traceback: object) -> None:
    """Print an uncaught exception; replaces `sys.excepthook`."""
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write("Stopped by Ctrl-C.\n")
    elif isinstance(error, ModuleNotFoundError) and error.name in REQUIRED:
        command = f'python -m pip install -e "{Path(__file__).parents[1]}"'
        sentence = f"error: the package {error.name} is not installed; is the environment active?"
        sys.stderr.write(f"{sentence} To install it, type:\n  {command}\n")
    else:
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = report

"""Print the oldest packages that pyproject.toml promises to work with, as requirements of pip."""

import re
from pathlib import Path

try:
    import tomllib
except ImportError:  # Python 3.10, where pytest brings the same under another name
    import tomli as tomllib

ROOT = Path(__file__).parents[1]


def lower_bounds() -> list[str]:
    """Return NAME==BOUND for every package that the project and its tests need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    return ["==".join(re.match(r"([\w-]+)>=([\d.]+)", requirement).groups()) for requirement in needed]


if __name__ == "__main__":
    print("\n".join(lower_bounds()))

"""The options that the voxel grids of a folder were made with, in a small hidden file beside them.

`.conversion.json` has one set of options for each suffix of grids: all grids of a folder with that suffix
are alike. Without the file, or with a damaged one, the options are unknown.
"""

import contextlib
import json
from pathlib import Path

from rasgan.files import atomic_path

NAME = ".conversion.json"

Options = dict[str, object]


def read_record(folder: Path) -> dict[str, Options]:
    """Read, by the suffix of the grids, the options that they were made with."""
    try:
        record = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    record = record if isinstance(record, dict) else {}
    return {suffix: options for suffix, options in record.items() if isinstance(options, dict)}


def write_record(folder: Path, suffix: str, options: Options | None) -> None:
    """Record the options of the grids with this suffix, or with None that they are unknown.

    A record that cannot be written is left out: the options then count as unknown.
    """
    record = read_record(folder)
    record.pop(suffix, None)
    record |= {suffix: options} if options else {}
    with contextlib.suppress(OSError), atomic_path(folder / NAME) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

"""How the voxel grids of a folder were made: one small file beside them, so that kept grids can be judged.

`.conversion.json` holds, for each set of options, the names of the grids that were made with it and the
CRC-32 of each. A grid that was exchanged since is thereby unknown, never wrongly known.
"""

import collections
import contextlib
import json
import zlib
from pathlib import Path

from rasgan.files import atomic_path

NAME = ".conversion.json"

Options = dict[str, object]


def checksum(grid: Path) -> int:
    """Return the CRC-32 of a file, read in pieces."""
    crc = 0
    with grid.open("rb") as file:
        while piece := file.read(1 << 20):
            crc = zlib.crc32(piece, crc)
    return crc


def read_record(folder: Path) -> dict[str, tuple[int, Options]]:
    """Read, by the name of the grid, its checksum and the options that it was made with."""
    try:
        sets = json.loads((folder / NAME).read_text(encoding="utf-8"))["made"]
        return {name: (crc, dict(made["options"])) for made in sets for name, crc in made["grids"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # old folders, damaged files: nothing is known


def add_to_records(made: dict[Path, tuple[int, Options]]) -> None:
    """Note grids, each with its checksum and the options it was made with, in the records of their folders.

    A record that cannot be written is left out: the grids then count as unknown, which is said.
    """
    folders = collections.defaultdict(dict)
    for grid, how in made.items():
        folders[grid.parent][grid.name] = how
    for folder, grids in folders.items():
        sets: list[dict] = []
        for name, (crc, options) in sorted({**read_record(folder), **grids}.items()):
            same = next((one for one in sets if one["options"] == options), None)
            if same is None:
                sets.append(same := {"options": options, "grids": {}})
            same["grids"][name] = crc
        with contextlib.suppress(OSError), atomic_path(folder / NAME) as temporary:
            temporary.write_text(json.dumps({"made": sets}, indent=1) + "\n", encoding="utf-8")

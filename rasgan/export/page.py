"""Web pages that show shapes in 3D, to rotate and zoom in any browser without internet access."""

import base64
import html
import json
import zipfile
import zlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np

from rasgan.errors import UserError
from rasgan.files import atomic_path

TEMPLATE = Path(__file__).with_suffix(".html")
MOST_SHAPES = 120
"""More shapes would make the page slow to open."""
PLAY_MS, SLOWEST_FRAME_MS = 10_000, 500


def write_page(
    path: Path, title: str, grids: Sequence[np.ndarray], captions: Sequence[str], is_film: bool = False
) -> None:
    """Write a page that shows shapes side by side, or one at a time with a slider.

    A button on the page switches between the two. All shapes rotate together. The page contains three.js and
    works without internet access, in browsers from 2023 or later.

    Parameters
    ----------
    title : str
        Above the shapes.
    grids : sequence of (n, n, n) bool arrays
        At least one; n may differ from shape to shape.
    captions : sequence of str
        One per shape.
    is_film : bool
        Start with the last shape and the slider.

    Raises
    ------
    UserError
        If the installed trimesh does not contain three.js, as versions 4.7 to 5.2 do.
    """
    packed = [np.packbits(grid) for grid in grids]
    starts = np.cumsum([0, *map(len, packed)])[:-1]
    data = {
        "title": title,
        "film": is_film,
        "frame_ms": min(SLOWEST_FRAME_MS, PLAY_MS // len(grids)),
        "captions": list(captions),
        "edges": [len(grid) for grid in grids],
        "starts": starts.tolist(),  # bytes
        "box": common_box(grids),
        "voxels": base64.b64encode(zlib.compress(np.concatenate(packed), 9)).decode("ascii"),
    }
    text = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(title.encode(errors="replace").decode()),
        three=three_js(),
        data=json.dumps(data).replace("<", "\\u003c"),  # so that no text ends the script
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def common_box(grids: Sequence[np.ndarray]) -> list[list[float]]:
    """Return the low and high corner of the bounding box of all shapes, as fractions of the grid's edge.

    The page's axes are x = axis 0, y = axis 1 and z = 1 - axis 2. The box is the whole grid if all are empty.
    """
    places = [(np.argwhere(grid), len(grid)) for grid in grids if grid.any()] or [(np.array([[0, 0, 0]]), 1)]
    low = np.min([index.min(axis=0) / edge for index, edge in places], axis=0)
    high = np.max([(index.max(axis=0) + 1) / edge for index, edge in places], axis=0)
    return [[low[0], low[1], 1 - high[2]], [high[0], high[1], 1 - low[2]]]


def three_js() -> str:
    """Return three.js and its license from trimesh's viewer page. Raises UserError if it is not there."""
    packed = resources.files("trimesh").joinpath("resources", "templates", "viewer.zip")
    try:
        with packed.open("rb") as file, zipfile.ZipFile(file) as archive:
            page = archive.read("viewer.html.template").decode()
        begin, end = page.index("<script>") + len("<script>"), page.rindex("})();") + len("})();")
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        reason = f"the installed trimesh does not contain three.js, as versions 4.7 to 5.2 do ({error!r})."
        raise UserError(reason) from error
    return page[begin:end]

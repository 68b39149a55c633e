"""STL, binary and text. Facets are counted, so that a truncated file is never read as a complete one.

The format of 3D Systems, 1989: 80 arbitrary bytes, the number of facets, 50 bytes per facet. As text:
`solid`, `facet normal`, `outer loop`, three times `vertex`, `endloop`, `endfacet`, `endsolid`.
"""

import itertools
import re

import numpy as np

from rasgan.data.meshes.text import PADDING, first_word, parse_numbers, plain_text, substitute, word_starts

_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("color", "<u2")])  # 50 bytes
HEAD = 84  # bytes before the facets
_SOLID = re.compile(rb"^[ \t]*(end)?solid\b[^\n]*", re.MULTILINE)  # and the name, which may be any words
_NORMAL = re.compile(rb"\bfacet\s+normal(\s+\S+){3}")  # the numbers may be -nan(ind) or 1.#QNAN
_NO_MARKS = bytes(set(range(256)) - set(b"[@]"))


def parse_stl(content: bytes, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read the content of an .stl file: three vertices (3f, 3) float64 for each of its (f, 3) faces.

    Bytes after the facets of a binary file are added to `notes`. Raises ValueError, with both numbers, if
    there are fewer or more facets than announced, and with the line if a text file has other words.
    """
    vertices = _parse_binary(content, notes) if _is_binary(content) else _parse_text(content)
    return vertices, np.arange(len(vertices)).reshape(-1, 3)


def holds_facets(head: bytes, size: int) -> bool:
    """Return whether a file of `size` bytes has room for the facets that its first `HEAD` bytes announce.

    Then it is binary, whatever it starts with: as text, bytes 80 to 83 would announce over 10 GB.
    """
    return len(head) >= HEAD and HEAD < HEAD + _FACET.itemsize * int.from_bytes(head[80:84], "little") <= size


def _is_binary(content: bytes) -> bool:
    """Return whether this is the binary form, complete or truncated, which may start with `solid` too."""
    if holds_facets(content[:HEAD], len(content)):
        return True
    start = content[:1000].lower()
    return b"\0" in start.rstrip(PADDING) or re.search(rb"\b(solid|facet)\b", start) is None


def _parse_binary(content: bytes, notes: list[str]) -> np.ndarray:
    facets = int.from_bytes(content[80:HEAD], "little")
    needed = HEAD + _FACET.itemsize * facets
    surplus = len(content) - needed
    if surplus < 0:
        announced = f"it announces {facets} facets ({needed} bytes)"
        raise ValueError(f"not an .stl file, or truncated: {announced}, but has {len(content)} bytes")
    if content[needed:].strip(b"\0\r\n\t "):
        if surplus >= _FACET.itemsize:
            found = facets + surplus // _FACET.itemsize
            raise ValueError(f"it announces {facets} facets, but has bytes for {found}")
        notes.append(f"{surplus} bytes after the {facets} announced facets were ignored")
    corners = np.frombuffer(content, _FACET, facets, offset=HEAD)["corners"]
    return corners.reshape(-1, 3).astype(np.float64)


def _parse_text(content: bytes) -> np.ndarray:
    """Read the text form, whose line breaks may be anywhere between words but in the lines of solids."""
    content = plain_text(content).lower()
    starts_and_ends = [bool(found[1]) for found in _SOLID.finditer(content)]
    solids, ended = starts_and_ends.count(False), starts_and_ends.count(True)
    content = substitute(_SOLID, b"", content)
    text = substitute(_NORMAL, b"[", content)
    for word, mark in ((b"outer loop", b""), (b"endloop", b""), (b"endfacet", b"]"), (b"vertex", b"@")):
        text = text.replace(word, mark)
    marks = text.translate(None, _NO_MARKS)
    facets = marks.count(b"[")
    if marks != b"[@@@]" * facets or ended != solids or not solids:
        counts = f"{marks.count(b'[@@@]')} of {facets} facets and {ended} of {solids} solids are complete"
        raise ValueError(f"it is truncated or damaged: {counts}")
    # A line for each corner, whose numbers can then be counted.
    text = text.translate(bytes.maketrans(b"\n[]@", b"   \n")) + b"\n"
    try:
        numbers, sizes = parse_numbers(text), word_starts(text)[1]
    except ValueError as error:
        raise ValueError(f"line {_line(content, *first_word(text))}: {error}") from None
    wrong = np.flatnonzero(sizes[1:] != 3)
    if sizes[0] or wrong.size:
        line = _line(content, wrong[0] + 1 if wrong.size else 0)
        raise ValueError(f"line {line}: a corner does not have three coordinates")
    return numbers.reshape(-1, 3)


def _line(content: bytes, corner: int, word: str = "") -> int:
    """Return the line, counted from 1, of a corner, counted from 1, or of a word after it."""
    corners = itertools.islice(re.finditer(rb"vertex", content), corner)
    place = max((found.start() for found in corners), default=0)
    place = max(place, content.find(word.strip("'").encode(), place))
    return content.count(b"\n", 0, place) + 1

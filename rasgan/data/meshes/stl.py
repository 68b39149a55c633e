"""STL, binary and text: its facets are counted, so that a cut file is never taken for a whole one.

3D Systems' format of 1989: 80 bytes that say nothing, the number of facets, 50 bytes for each. As text:
`solid`, `facet normal`, `outer loop`, three times `vertex`, `endloop`, `endfacet`, `endsolid`.
"""

import codecs
import re

import numpy as np

from rasgan.data.meshes.text import parse_numbers

_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("color", "<u2")])  # 50 bytes
_SOLID = re.compile(rb"solid\b[^\n]*")  # and the name, which may be words of the format
_BEFORE_CORNERS = re.compile(rb"facet[^@$]*")  # the normal, which may be anything


def parse_stl(content: bytes, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read the bytes of an .stl file: three vertices (3f, 3) float64 for each of its (f, 3) faces.

    Bytes after the last facet that the head of a binary file announces are added to `notes`. ValueError, with
    both numbers, if facets are missing.
    """
    vertices = _parse_binary(content, notes) if _is_binary(content) else _parse_text(content)
    return vertices, np.arange(len(vertices)).reshape(-1, 3)


def _is_binary(content: bytes) -> bool:
    """Return whether this is the binary form, which may begin with `solid` too."""
    if len(content) >= 84 and len(content) == 84 + 50 * int.from_bytes(content[80:84], "little"):
        return True
    start = content[:1000].removeprefix(codecs.BOM_UTF8).lower()
    return b"\0" in start or re.search(rb"\b(end)?solid\b|\bfacet\b", start) is None


def _parse_binary(content: bytes, notes: list[str]) -> np.ndarray:
    if len(content) < 84:
        raise ValueError(
            f"it is no .stl file, or cut: it holds {len(content)} bytes, its head alone takes 84"
        )
    facets = int.from_bytes(content[80:84], "little")
    whole = 84 + _FACET.itemsize * facets
    if whole > len(content):
        fault = f"it announces {facets} facets, which take {whole} bytes, but holds {len(content)}"
        raise ValueError(f"it is no .stl file, or cut: {fault}")
    if content[whole:].strip(b"\0\r\n\t "):
        left_out = f"{len(content) - whole} bytes after the {facets} facets that it announces are left out"
        if not facets:
            raise ValueError(f"it announces no facets, yet holds {len(content)} bytes")
        notes.append(left_out)
    corners = np.frombuffer(content, _FACET, facets, offset=84)["corners"]
    return corners.reshape(-1, 3).astype(np.float64)


def _parse_text(content: bytes) -> np.ndarray:
    text = content.removeprefix(codecs.BOM_UTF8).lower()
    if b"\r" in text:
        text = text.replace(b"\r", b"\n")
    text, begun, ended = _without_solids(text)
    if b"end " in text:
        text = re.sub(rb"end +(?=loop|facet)", b"end", text)
    whole = text.count(b"endfacet")
    facets = text.count(b"facet") - whole
    if whole < facets or ended < max(begun, 1):
        fault = f"{whole} of {facets} facets and {ended} of {max(begun, 1)} solids are whole"
        raise ValueError(f"it is cut or damaged: {fault}")
    text = text.replace(b"endloop", b" ").replace(b"endfacet", b"$").replace(b"vertex", b"@")
    text = _BEFORE_CORNERS.sub(b" ", text)
    marks = np.frombuffer(text, np.uint8)
    marks = marks[(marks == ord("$")) | (marks == ord("@"))]
    numbers = parse_numbers(text.replace(b"@", b" ").replace(b"$", b" "))
    if marks.tobytes() != b"@@@$" * facets or numbers.size != 9 * facets:
        raise ValueError(f"not each of its {facets} facets has three corners of three coordinates")
    return numbers.reshape(-1, 3)


def _without_solids(text: bytes) -> tuple[bytes, int, int]:
    """Take out the lines that begin and end solids; return the rest, and how many of each there are."""
    rest, counts, start = [], {b"": 0, b"end": 0}, 0
    for found in _SOLID.finditer(text):  # anchored to line starts, the search would take five times as long
        line = text.rfind(b"\n", 0, found.start()) + 1
        before = text[line : found.start()].strip()
        if before in counts:
            counts[before] += 1
            rest.append(text[start:line])
            start = found.end()
    return b"".join([*rest, text[start:]]), counts[b""], counts[b"end"]

"""STL, binary and text: its facets are counted, so that a cut file is never taken for a whole one.

3D Systems' format of 1989: 80 bytes that say nothing, the number of facets, 50 bytes for each. As text:
`solid`, `facet normal`, `outer loop`, three times `vertex`, `endloop`, `endfacet`, `endsolid`.
"""

import codecs
import re

import numpy as np

from rasgan.data.meshes.text import PADDING, odd_word, parse_numbers, substitute, word_starts

_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("color", "<u2")])  # 50 bytes
HEAD = 84  # bytes before the facets
_COMMENT = re.compile(rb"(?<!\S)[#;][^\n]*")  # 1.#QNAN in a normal is not one
_SOLID = re.compile(rb"solid\b[^\n]*")  # and the name, which may be words of the format
_BETWEEN_CORNERS = re.compile(rb"\$[^@]*")  # endloop, endfacet, facet, the normal, and any other words


def parse_stl(content: bytes, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read the bytes of an .stl file: three vertices (3f, 3) float64 for each of its (f, 3) faces.

    Bytes after the facets of a binary file are added to `notes`. Raises ValueError, with both numbers, if
    there are fewer or more facets than announced, and with the line if a coordinate is not a number.
    """
    vertices = _parse_binary(content, notes) if _is_binary(content) else _parse_text(content)
    return vertices, np.arange(len(vertices)).reshape(-1, 3)


def holds_facets(head: bytes, size: int) -> bool:
    """Return whether a file of `size` bytes has room for the facets that its first `HEAD` bytes announce.

    Then it is binary, whatever it starts with: as text, bytes 80 to 83 would announce over 10 GB.
    """
    return len(head) >= HEAD and HEAD < HEAD + _FACET.itemsize * int.from_bytes(head[80:84], "little") <= size


def _is_binary(content: bytes) -> bool:
    """Return whether this is the binary form, complete or cut, which may begin with `solid` too."""
    if holds_facets(content[:HEAD], len(content)):
        return True
    start = content[:1000].removeprefix(codecs.BOM_UTF8).lower()
    return b"\0" in start.rstrip(PADDING) or re.search(rb"\b(end)?solid\b|\bfacet\b", start) is None


def _parse_binary(content: bytes, notes: list[str]) -> np.ndarray:
    facets = int.from_bytes(content[80:HEAD], "little")
    needed = HEAD + _FACET.itemsize * facets
    surplus = len(content) - needed
    if surplus < 0:
        told = f"it announces {facets} facets, which take {needed} bytes"
        raise ValueError(f"it is not an .stl file, or cut: {told}, but holds {len(content)}")
    if content[needed:].strip(b"\0\r\n\t "):
        if surplus >= _FACET.itemsize:
            found = facets + surplus // _FACET.itemsize
            raise ValueError(f"it announces {facets} facets, but its length is that of {found}")
        notes.append(f"{surplus} bytes after the {facets} facets that it announces are left out")
    corners = np.frombuffer(content, _FACET, facets, offset=HEAD)["corners"]
    return corners.reshape(-1, 3).astype(np.float64)


def _parse_text(content: bytes) -> np.ndarray:
    content = content.removeprefix(codecs.BOM_UTF8).rstrip(PADDING).lower()
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    text = substitute(_COMMENT, b"", content) if b"#" in content or b";" in content else content
    text, begun, ended = _without_solids(text)
    text = re.sub(rb"end +(?=loop|facet)", b"end", text)
    complete, facets = text.count(b"endloop"), text.count(b"facet") - text.count(b"endfacet")
    if complete < facets or ended < max(begun, 1):
        fault = f"{complete} of {facets} facets and {ended} of {max(begun, 1)} solids are complete"
        raise ValueError(f"it is cut or damaged: {fault}")
    text = b"$" + text.replace(b"endloop", b"$").replace(b"vertex", b"@")
    text = _BETWEEN_CORNERS.sub(b"$", text)
    marks = np.frombuffer(text, np.uint8)
    marks = marks[(marks == ord("$")) | (marks == ord("@"))].tobytes()
    # A line for each corner, to count its numbers.
    text = text.replace(b"\n", b" ").replace(b"$", b" ").replace(b"@", b"\n") + b"\n"
    try:
        numbers, sizes = parse_numbers(text), word_starts(text)[1][1:]
    except ValueError as error:
        word = re.escape(odd_word(text)[1][1:-1].encode())
        found = re.search(rb"vertex[^\n]{,200}?" + word, content)
        line = content.count(b"\n", 0, found.start() if found else 0) + 1
        raise ValueError(f"line {line}: {error}") from None
    if marks != b"$" + b"@@@$" * facets or (sizes != 3).any() or numbers.size != 9 * facets:
        raise ValueError(f"not each of its {facets} facets has three corners of three coordinates")
    return numbers.reshape(-1, 3)


def _without_solids(text: bytes) -> tuple[bytes, int, int]:
    """Take out the lines that begin and end solids, and words after the last; count both kinds of lines."""
    rest, counts, start = [], {b"": 0, b"end": 0}, 0
    for found in _SOLID.finditer(text):  # anchored to line starts, the search would take five times as long
        line = text.rfind(b"\n", 0, found.start()) + 1
        before = text[line : found.start()].strip()
        if before in counts:
            counts[before] += 1
            rest.append(text[start:line])
            start = found.end()
    if b"vertex" in text[start:]:
        rest.append(text[start:])
    return b"".join(rest), counts[b""], counts[b"end"]

"""Text and binary .ply (Turk, The PLY Polygon File Format, 1994)."""

import codecs
import re

import numpy as np

from rasgan.data.meshes.polygons import triangulate
from rasgan.data.meshes.records import Property, Rows
from rasgan.data.meshes.text import (
    UnsupportedError,
    as_indices,
    odd_word,
    parse_numbers,
    word_starts,
)

KINDS = {
    b"char": "i1", b"uchar": "u1", b"short": "i2", b"ushort": "u2", b"int": "i4", b"uint": "u4",
    b"float": "f4", b"double": "f8", b"int8": "i1", b"uint8": "u1", b"int16": "i2", b"uint16": "u2",
    b"int32": "i4", b"uint32": "u4", b"int64": "i8", b"uint64": "u8", b"float32": "f4", b"float64": "f8",
}  # fmt: skip
ORDERS = {b"ascii": "", b"binary_little_endian": "<", b"binary_big_endian": ">"}
MOST_LINES = 10_000  # of a header
MANY, FEWEST_BYTES = 10**6, 7  # faces, and what each of so many takes in a file: three corners of two bytes
CORNERS = ("vertex_indices", "vertex_index")  # both are in use for the corners of a face
Element = tuple[str, int, list[Property]]


def parse_ply(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Read the bytes of a .ply file.

    Text and both byte orders, all kinds of numbers, any other elements and properties, lists of any lengths,
    and anything after the last row are supported. Returns vertices (v, 3) and triangles (f, 3). Raises
    UnsupportedError for triangle strips, and ValueError if it is not a complete .ply file.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    form, elements, start = _header(data)
    for name, count, properties in elements:
        has_lists = any(each.count_kind for each in properties)
        if has_lists and count > MANY and FEWEST_BYTES * count > len(data):
            raise ValueError(
                f"its {len(data)} bytes are too few for the {count} rows of {name} that it announces"
            )
    if form == b"ascii":
        body = data[start:].replace(b"\r\n", b"\n").replace(b"\r", b"\n").lstrip()
        found = _rows_of_text(re.sub(rb"\n\s+", b"\n", body) + b"\n", elements)
    else:
        found = _rows(data, start, elements)
    if "vertex" not in found:
        raise ValueError("it holds no vertices")
    columns = [found["vertex"].read(axis) for axis in "xyz"]
    if None in columns:
        raise ValueError("its vertices do not have three coordinates each, x, y and z")
    vertices = np.stack([column.astype(np.float64) for column, _ in columns], axis=1)
    if "tristrips" in found and found["tristrips"].count:
        raise UnsupportedError("its faces are triangle strips, which are not read; export it with faces")
    if "face" not in found or not found["face"].count:
        raise ValueError(f"it holds {len(vertices)} points without faces, which are no mesh")
    return vertices, triangulate(vertices, *_corners(found["face"]))


def _header(data: bytes) -> tuple[bytes, list[Element], int]:
    first = re.match(rb"ply[ \t]*(\r\n|\n|\r)", data)
    if first is None:
        raise ValueError("it does not begin as a .ply file does (a line that says ply)")
    line_end = re.compile(rb"\r" if first[1] == b"\r" else rb"\r?\n")
    form, elements, at, number = None, [], first.end(), 1
    while True:
        end = line_end.search(data, at)
        if end is None:
            raise ValueError("its header has no end (a line that says end_header)")
        line, at, number = data[at : end.start()], end.end(), number + 1
        if number > MOST_LINES:
            raise ValueError(f"its header has more than {MOST_LINES} lines")
        match line.split():
            case [] | [b"comment" | b"obj_info", *_]:
                pass
            case [b"end_header"]:
                break
            case [b"format", word, *_] if word in ORDERS and not elements:
                form, order = word, ORDERS[word]
                kinds = {name: order + kind if order else "=f8" for name, kind in KINDS.items()}
            case [b"element", name, count] if form and re.fullmatch(rb"\d{1,18}", count):
                elements.append((_told(name), int(count), []))
            case [b"property", b"list", counts, kind, name] if counts in KINDS and kind in KINDS and elements:
                elements[-1][2].append(Property(_told(name), kinds[kind], kinds[counts]))
            case [b"property", kind, name] if kind in KINDS and elements:
                elements[-1][2].append(Property(_told(name), kinds[kind]))
            case _:
                raise ValueError(f"line {number} of its header is not understood ({_told(line[:60])})")
    return form, elements, at


def _told(name: bytes) -> str:
    return name.decode("ascii", "replace")


def _rows(data: bytes | np.ndarray, start: int, elements: list[Element]) -> dict[str, Rows]:
    found = {}
    for name, count, properties in elements:
        if name in found:
            raise ValueError(f"its header announces {name} twice")
        found[name] = Rows(data, start, count, properties, name)
        start = found[name].end
    return found


def _rows_of_text(body: bytes, elements: list[Element]) -> dict[str, Rows]:
    """Find the rows in a text, each of which is a line; what follows the last row is left out."""
    lines = sum(count for _, count, properties in elements if properties)
    ends = np.flatnonzero(np.frombuffer(body, dtype=np.uint8) == ord("\n"))
    body = body[: ends[lines - 1] + 1] if 0 < lines <= ends.size else body
    try:
        found = _rows(parse_numbers(body).view(np.uint8), 0, elements)
        row_ends = [np.append(rows.starts[1:], rows.end) for rows in found.values() if rows.starts.size]
        if not np.array_equal(np.concatenate([[], *row_ends]), 8 * np.cumsum(word_starts(body)[1])):
            raise ValueError("its lines are not the rows that its header announces")
    except ValueError:
        _check_lines(body, elements)
        raise
    return found


def _check_lines(body: bytes, elements: list[Element]) -> None:
    """Raise ValueError, with the row, if a line has a word, or other numbers than its row takes."""
    lines = re.finditer(rb"[^\n]+", body)
    for name, count, properties in elements:
        for row, line in zip(range(1, count + 1 if properties else 1), lines, strict=False):
            try:
                numbers = [float(word) for word in line[0].split()]
            except ValueError:
                fault = f"holds {odd_word(line[0])[1]} where a number belongs"
                raise ValueError(f"{name} row {row} {fault}") from None
            width = 0
            for each in properties:
                length = numbers[width] if each.count_kind and width < len(numbers) else 0
                if not length >= 0 or length % 1:
                    return
                width += 1 + int(length)
            if len(numbers) != width:
                fault = f"has {len(numbers)} numbers, not the {width} that its header announces"
                raise ValueError(f"{name} row {row} {fault}")


def _corners(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    for name in CORNERS:
        found = rows.read(name)
        if found is not None:
            return as_indices(found[0]), found[1]
    raise ValueError(f"the rows of {rows.name} have no list {' or '.join(CORNERS)}")

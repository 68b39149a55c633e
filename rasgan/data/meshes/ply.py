"""Text and binary .ply (Turk, The PLY Polygon File Format, 1994)."""

import codecs
import re

import numpy as np

from rasgan.data.meshes.polygons import triangulate
from rasgan.data.meshes.records import Bytes, Property, Rows, Words
from rasgan.data.meshes.text import as_indices, parse_numbers, plain_lines

KINDS = {
    b"char": "i1", b"uchar": "u1", b"short": "i2", b"ushort": "u2", b"int": "i4", b"uint": "u4",
    b"float": "f4", b"double": "f8", b"int8": "i1", b"uint8": "u1", b"int16": "i2", b"uint16": "u2",
    b"int32": "i4", b"uint32": "u4", b"int64": "i8", b"uint64": "u8", b"float32": "f4", b"float64": "f8",
}  # fmt: skip
ORDERS = {b"ascii": "=", b"binary_little_endian": "<", b"binary_big_endian": ">"}
CORNERS = ("vertex_indices", "vertex_index")  # both are in use for the corners of a face
Element = tuple[str, int, list[Property]]


def parse_ply(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Read the bytes of a .ply file.

    Text and both byte orders, all kinds of numbers, any elements and properties besides, lists of any
    lengths, triangle strips (-1 begins a new one), and anything after the last row are fine. Returns vertices
    (v, 3) and triangles (f, 3). ValueError, with what is wrong, if it is not, or not all of, a .ply file.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    form, elements, start = _header(data)
    if form == b"ascii":
        found = _rows_of_text(plain_lines(data[start:]), elements)
    else:
        found = _rows(Bytes(data), start, elements)
    if "vertex" not in found:
        raise ValueError("it holds no vertices")
    columns = [found["vertex"].scalar(axis) for axis in "xyz"]
    if any(column is None for column in columns):
        raise ValueError("its vertices do not have three coordinates each, x, y and z")
    vertices = np.stack([column.astype(np.float64) for column in columns], axis=1)
    triangles = []
    if "face" in found and found["face"].count:
        triangles.append(triangulate(vertices, *_corners(found["face"])))
    if "tristrips" in found and found["tristrips"].count:
        faces = _unrolled(*_corners(found["tristrips"]))
        triangles.append(triangulate(vertices, faces.ravel(), np.full(len(faces), 3)))
    if not triangles:
        raise ValueError(f"it holds {len(vertices)} points without faces, which are no mesh")
    return vertices, np.concatenate(triangles)


def _header(data: bytes) -> tuple[bytes, list[Element], int]:
    """Read the form, the elements, and where the numbers begin."""
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
        order = "=" if form is None else ORDERS[form]
        match line.split():
            case [] | [b"comment" | b"obj_info", *_]:
                pass
            case [b"end_header"]:
                break
            case [b"format", word, *_] if word in ORDERS and not elements:
                form = word
            case [b"element", name, count] if re.fullmatch(rb"\d{1,18}", count):
                elements.append((_told(name), int(count), []))
            case [b"property", b"list", counts, kind, name] if counts in KINDS and kind in KINDS and elements:
                each = Property(_told(name), order + KINDS[kind], order + KINDS[counts])
                elements[-1][2].append(each)
            case [b"property", kind, name] if kind in KINDS and elements:
                elements[-1][2].append(Property(_told(name), order + KINDS[kind]))
            case _:
                raise ValueError(f"line {number} of its header is not understood ({_told(line[:60])})")
    if form is None:
        raise ValueError("its header names no format")
    return form, elements, at


def _told(name: bytes) -> str:
    """Return a name of the file so that it can be printed."""
    return name.decode("ascii", "replace")


def _rows(source: Words | Bytes, start: int, elements: list[Element]) -> dict[str, Rows]:
    """Find the rows of each element, one element after the other."""
    found = {}
    for name, count, properties in elements:
        if name in found:
            raise ValueError(f"its header announces {name} twice")
        found[name] = Rows(source, start, count, properties, name)
        start = found[name].end
    return found


def _rows_of_text(body: bytes, elements: list[Element]) -> dict[str, Rows]:
    """Find the rows in a text, as a rule a row a line; what follows the last row is left out.

    Rows may also be broken over lines, if all numbers of the text belong to them.
    """
    lines = sum(count for _, count, properties in elements if properties)
    ends = np.flatnonzero(np.frombuffer(body, dtype=np.uint8) == ord("\n"))
    parts = [body] if lines > ends.size else [body[: ends[lines - 1] + 1 if lines else 0], body]
    for part in parts:
        numbers = parse_numbers(part)
        try:
            found = _rows(Words(numbers), 0, elements)
            used = max([rows.end for rows in found.values()], default=0)
            if used != numbers.size:
                raise ValueError("its lines hold more numbers than its header announces")
            return found
        except ValueError as error:
            reason = error
    raise reason


def _corners(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of faces or strips, one after the other, and how many each has."""
    for name in CORNERS:
        found = rows.list(name)
        if found is not None:
            return as_indices(found[0]), found[1]
    raise ValueError(f"the rows of {rows.name} have no list {' or '.join(CORNERS)}")


def _unrolled(corners: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Cut strips a, b, c, d, -1, ... into triangles (a, b, c), (c, b, d); -1 begins a new strip."""
    last = len(corners) - 2
    begins = np.zeros(len(corners) + 1, dtype=bool)
    begins[np.cumsum(sizes) - sizes] = True
    begins[1:][corners < 0] = True
    begins = begins[:-1]
    strip = np.cumsum(begins)
    here = np.flatnonzero((strip[:last] == strip[2:]) & (corners[2:] >= 0)) if last > 0 else np.zeros(0, int)
    odd = (here - np.flatnonzero(begins)[strip[here] - 1]) % 2
    return np.stack([corners[here + odd], corners[here + 1 - odd], corners[here + 2]], axis=1)

"""Text and binary .ply (Turk, The PLY Polygon File Format, 1994)."""

import codecs
import io
import re
from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rasgan.data.meshes.polygons import triangulate
from rasgan.data.meshes.text import UnsupportedError, as_indices, plain_text

KINDS = {
    b"char": "i1", b"uchar": "u1", b"short": "i2", b"ushort": "u2", b"int": "i4", b"uint": "u4",
    b"float": "f4", b"double": "f8", b"int8": "i1", b"uint8": "u1", b"int16": "i2", b"uint16": "u2",
    b"int32": "i4", b"uint32": "u4", b"int64": "i8", b"uint64": "u8", b"float32": "f4", b"float64": "f8",
}  # fmt: skip
ORDERS = {b"ascii": "=", b"binary_little_endian": "<", b"binary_big_endian": ">"}
COUNT_KINDS = {name for name, kind in KINDS.items() if kind[0] != "f"}
MOST_LINES = 10_000  # of a header
MANY, FEWEST_BYTES = 10**6, 7  # faces, and the bytes of one at least: a count and three corners of two bytes
CORNERS = ("vertex_indices", "vertex_index")  # both are in use for the corners of a face


class Property(NamedTuple):
    """One number of each row or, with a `count_kind`, a list: a count, then that many numbers."""

    name: str
    kind: np.dtype
    count_kind: np.dtype | None


Element = tuple[str, int, list[Property]]  # name, number of rows, properties
Column = tuple[np.ndarray, np.ndarray]  # numbers of a property, row after row, and how many each row has


def parse_ply(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Read the content of a .ply file.

    Text and both byte orders, all kinds of numbers, any other elements and properties, lists of any lengths,
    and anything after the last row are supported. Returns vertices (v, 3) and triangles (f, 3). Raises
    UnsupportedError for triangle strips, and ValueError if it is not a complete .ply file.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    form, elements, start = _header(data)
    for name, count, properties in elements:
        has_lists = any(each.count_kind for each in properties)
        if has_lists and count > MANY and FEWEST_BYTES * count > len(data):
            raise ValueError(f"its {len(data)} bytes are too few for the announced {count} rows of {name}")
    tables, lines = {}, io.BytesIO(plain_text(data[start:])) if form == b"ascii" else None
    for name, count, properties in elements:
        if name in tables:
            raise ValueError(f"its header announces {name} twice")
        if lines is not None:
            tables[name] = _read_text(lines, name, count, properties)
        else:
            tables[name], start = _read_binary(data, start, name, count, properties)
    counts = {name: count for name, count, _ in elements}
    if any(axis not in tables.get("vertex", {}) for axis in "xyz"):
        raise ValueError("it has no vertices with coordinates x, y and z")
    vertices = np.stack([tables["vertex"][axis][0].astype(np.float64) for axis in "xyz"], axis=1)
    if counts.get("tristrips"):
        raise UnsupportedError("triangle strips are not supported; export it with faces")
    if not counts.get("face"):
        raise ValueError(f"it contains {len(vertices)} points but no faces")
    corners = [tables["face"][name] for name in CORNERS if name in tables["face"]]
    if not corners:
        raise ValueError(f"its faces have no list {' or '.join(CORNERS)}")
    return vertices, triangulate(vertices, as_indices(corners[0][0]), corners[0][1])


def _header(data: bytes) -> tuple[bytes, list[Element], int]:
    """Read the header: the form, the elements, and where the rows start."""
    first = re.match(rb"ply[ \t]*(\r\n|\n|\r)", data)
    if first is None:
        raise ValueError("it does not start like a .ply file: with a line that reads ply")
    line_end = re.compile(rb"\r" if first[1] == b"\r" else rb"\r?\n")
    form, elements, at, number = None, [], first.end(), 1
    while True:
        end = line_end.search(data, at)
        if end is None:
            raise ValueError("its header has no end: no line reads end_header")
        line, at, number = data[at : end.start()], end.end(), number + 1
        if number > MOST_LINES:
            raise ValueError(f"its header has more than {MOST_LINES} lines")
        match line.split():
            case [] | [b"comment" | b"obj_info", *_]:
                pass
            case [b"end_header"]:
                break
            case [b"format", word, *_] if word in ORDERS and not elements:
                form = word
                kinds = {name: np.dtype(ORDERS[form] + kind) for name, kind in KINDS.items()}
            case [b"element", name, count] if form and re.fullmatch(rb"\d{1,18}", count):
                elements.append((_text(name), int(count), []))
            case [b"property", b"list", n, kind, name] if n in COUNT_KINDS and kind in KINDS and elements:
                elements[-1][2].append(Property(_text(name), kinds[kind], kinds[n]))
            case [b"property", kind, name] if kind in KINDS and elements:
                elements[-1][2].append(Property(_text(name), kinds[kind], None))
            case _:
                raise ValueError(f"line {number} of its header is not supported ({_text(line[:60])})")
    return form, elements, at


def _text(name: bytes) -> str:
    return name.decode("ascii", "replace")


def _read_text(
    lines: Iterator[bytes], name: str, count: int, properties: list[Property]
) -> dict[str, Column]:
    """Read an element whose rows are lines; blank lines are skipped."""
    columns = [(each.count_kind, array("d"), array("q")) for each in properties]
    words_of_rows = filter(None, map(bytes.split, lines))
    for row in range(1, count + 1 if properties else 1):
        words = next(words_of_rows, None)
        if words is None:
            raise ValueError(f"only {row - 1} of {count} {name} rows are complete")
        try:
            values, at = [float(word) for word in words], 0
            for count_kind, numbers, counts in columns:
                length = 1
                if count_kind:
                    length, at = values[at], at + 1
                    if not length >= 0 or length % 1:
                        raise ValueError(f"a list of {length:g} numbers")
                    length = int(length)
                numbers.extend(values[at : at + length])
                counts.append(length)
                at += length
            if at != len(words):
                raise ValueError(f"it has {len(words)} numbers, not {at}")
        except (ValueError, IndexError, OverflowError) as error:
            raise ValueError(f"{name} row {row} is not as the header announces: {error}") from error
    return {
        each.name: (np.array(numbers), np.array(counts))
        for each, (_, numbers, counts) in zip(properties, columns, strict=True)
    }


def _read_binary(
    data: bytes, start: int, name: str, count: int, properties: list[Property]
) -> tuple[dict[str, Column], int]:
    """Read an element that starts at a byte; return its columns and where the next element starts."""
    if not count or not properties:
        return {each.name: (np.zeros(0), np.zeros(0, np.int64)) for each in properties}, start
    # Rows whose lists are all as long as those of the first are one array; others are read one by one.
    first, _ = _walk(data, start, name, 1, properties)
    lengths = [int(first[each.name][1][0]) for each in properties]
    fields = []
    for number, (each, length) in enumerate(zip(properties, lengths, strict=True)):
        fields += [(f"count {number}", each.count_kind)] if each.count_kind else []
        fields.append((f"numbers {number}", each.kind, (length,)))
    row = np.dtype(fields)
    if count * row.itemsize <= len(data) - start:
        table = np.frombuffer(data, row, count, start)
        if all((table[field] == table[field][0]).all() for field in row.names if field.startswith("count")):
            columns = {
                each.name: (table[f"numbers {number}"].ravel(), np.full(count, length))
                for number, (each, length) in enumerate(zip(properties, lengths, strict=True))
            }
            return columns, start + count * row.itemsize
    elif not any(each.count_kind for each in properties):
        raise ValueError(f"only {(len(data) - start) // row.itemsize} of {count} {name} rows are complete")
    return _walk(data, start, name, count, properties)


def _walk(
    data: bytes, start: int, name: str, count: int, properties: list[Property]
) -> tuple[dict[str, Column], int]:
    """Read rows one by one, whose lists may have any lengths."""
    columns = [(each.count_kind, each.kind, bytearray(), array("q")) for each in properties]
    for row in range(count):
        for count_kind, kind, numbers, counts in columns:
            length = 1
            if count_kind:
                order = "big" if count_kind.str[0] == ">" else "little"
                stored = data[start : start + count_kind.itemsize]
                length = int.from_bytes(stored, order, signed=count_kind.kind == "i")
                start += count_kind.itemsize
            end = start + kind.itemsize * length
            if length < 0 or end > len(data):
                raise ValueError(f"only {row} of {count} {name} rows are complete")
            numbers += data[start:end]
            counts.append(length)
            start = end
    found = {
        each.name: (np.frombuffer(numbers, kind), np.array(counts))
        for each, (_, kind, numbers, counts) in zip(properties, columns, strict=True)
    }
    return found, start

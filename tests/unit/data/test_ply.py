"""The .ply format: the same mesh as text and in both byte orders, with other elements and properties."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasgan.data.meshes.ply import parse_ply

VERTICES = [(0, 0, 0), (1, 0, 0), (0, 2, 0), (0, 0, 3.5)]
FACES = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
LETTERS = {
    "char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "float": "f",
    "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f",
    "double": "d", "float64": "d",
}  # fmt: skip
FORMS = ["ascii", "binary_little_endian", "binary_big_endian"]
XYZ = ["float x", "float y", "float z"]
LIST = ["list uchar int vertex_indices"]


def ply(form, *elements, end="\n", after=b""):
    """Write elements (name, properties, rows); a list in a row is a tuple."""
    head = ["ply", "comment first", f"format {form} 1.0", "obj_info by hand"]
    body = b""
    for name, properties, rows in elements:
        head += [f"element {name} {len(rows)}", "comment in between", *(f"property {p}" for p in properties)]
        for row in rows:
            body += written(form, properties, row) + (end.encode() if form == "ascii" else b"")
    return (end.join([*head, "end_header"]) + end).encode() + body + after


def written(form, properties, row):
    """Write the numbers of one row."""
    kinds, flat = [], []
    for each, value in zip(properties, row, strict=True):
        words = each.split()
        if words[0] == "list":
            kinds += [words[1]] + [words[2]] * len(value)
            flat += [len(value), *value]
        else:
            kinds.append(words[0])
            flat.append(value)
    if form == "ascii":
        return " ".join(f"{value:.9g}" for value in flat).encode()
    order = "<" if "little" in form else ">"
    return struct.pack(order + "".join(LETTERS[kind] for kind in kinds), *flat)


def faces_of(rows):
    return [(row,) for row in rows]


PLAIN = [("vertex", XYZ, VERTICES), ("face", LIST, faces_of(FACES))]


def with_more(rows, *more):
    return [(*row, *more) for row in rows]


SAME = {
    "plain": PLAIN,
    "vertex_index": [PLAIN[0], ("face", ["list uint8 uint32 vertex_index"], faces_of(FACES))],
    "normals and colors": [
        ("vertex", [*XYZ, "float nx", "uchar red", "uchar green"], with_more(VERTICES, 0.5, 255, 0)),
        PLAIN[1],
    ],
    "properties before x, and x last": [
        ("vertex", ["uchar a", "float z", "double b", "float y", "float x"],
         [(7, z, 1e9, y, x) for x, y, z in VERTICES]),
        PLAIN[1],
    ],
    "lists among the coordinates": [
        ("vertex", ["list uchar short a", "float x", "list int float b", "float y", "float z"],
         [((1,) * k, x, (2, 3) * k, y, z) for k, (x, y, z) in enumerate(VERTICES)]),
        PLAIN[1],
    ],
    "texture lists of any length, before": [
        PLAIN[0],
        ("face", ["uchar flags", "list uchar float texcoord", *LIST, "int material"],
         [(1, (0.25,) * k, row, 9) for k, row in enumerate(FACES)]),
    ],
    "faces first": PLAIN[::-1],
    "edges and more in between": [
        ("camera", ["float f", "list uchar int views"], [(1, (1, 2)), (2, ())]),
        PLAIN[0],
        ("edge", ["int vertex1", "int vertex2", "uchar red"], [(0, 1, 2)] * 3),
        PLAIN[1],
        ("material", ["double k"], [(1,)]),
    ],
    "faces of two corners": [PLAIN[0], ("face", LIST, faces_of([(0, 1), *FACES, (), (2,)]))],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SAME)
def test_other_elements_and_properties_are_skipped(name, form):
    check(ply(form, *SAME[name]))


def check(data):
    vertices, faces = parse_ply(data)
    np.testing.assert_array_equal(vertices, VERTICES)
    np.testing.assert_array_equal(faces, FACES)
    assert vertices.dtype == np.float64
    assert faces.dtype == np.int64


TEXT = ply("ascii", *PLAIN).decode()


@pytest.mark.parametrize("form", FORMS)
def test_any_line_ending_and_content_after_the_last_row_are_accepted(form):
    for end in ("\n", "\r\n", "\r"):
        check(ply(form, *PLAIN, end=end))
    for after in (b"\r\n", b"\0\0\0", b"more and more\n", b"3 0 1 2\n"):
        check(ply(form, *PLAIN, after=after))


@pytest.mark.parametrize(
    "text",
    {
        "byte order mark": "\N{ZERO WIDTH NO-BREAK SPACE}" + TEXT,
        "blank lines": TEXT.replace("\n", "\n\n").replace("ply\n\n", "ply\n", 1),
        "indentation": TEXT.replace("\nelement", "\n element").replace("\n3", "\n  3"),
        "the last word in a comment": TEXT.replace("by hand", "end_header"),
    }.items(),
    ids=lambda item: item[0],
)
def test_variations_of_text(text):
    check(text[1].encode())


values = st.integers(0, 3)
rows_of_faces = st.lists(
    st.tuples(st.lists(values, max_size=6).map(tuple), values, st.lists(values, max_size=3).map(tuple)),
    min_size=1,
    max_size=9,
)


@settings(max_examples=60, deadline=None)
@given(rows_of_faces, st.sampled_from(["uchar", "ushort", "int"]), st.sampled_from(["uchar", "int"]))
def test_random_lists_are_the_same_in_every_form(rows, counts, kind):
    rows.append(((0, 1, 2), 0, ()))
    properties = [f"list {counts} {kind} vertex_index", "short flag", "list uchar double texcoord"]
    read = [parse_ply(ply(form, PLAIN[0], ("face", properties, rows))) for form in FORMS]
    fans = [
        [row[0], row[k], row[k + 1]]
        for row, _, _ in rows
        for k in range(1, len(row) - 1)
        if len(row) < 4  # longer ones may be cut otherwise
    ]
    for vertices, faces in read:
        np.testing.assert_array_equal(vertices, VERTICES)
        np.testing.assert_array_equal(faces, read[0][1])
        assert 0 < len(faces) <= sum(max(len(row) - 2, 0) for row, _, _ in rows)
        assert {tuple(fan) for fan in fans} <= set(map(tuple, faces))


LITTLE = ply("binary_little_endian", *PLAIN)
BODY = LITTLE.index(b"header\n") + 7
LONG = [PLAIN[0], ("face", LIST, faces_of([(0, 1, 2), (0, 1, 2, 3)]))]
HEAD = "does not start like a .ply file"


@pytest.mark.parametrize(
    ("data", "fault"),
    {
        "other text": (b"<html>", HEAD),
        "no end of header": (LITTLE[:100], "header has no end"),
        "no format": (LITTLE.replace(b"format", b"comment"), "line 5 of its header"),
        "another format": (LITTLE.replace(b"little", b"middle"), "line 3 of its header"),
        "another kind": (LITTLE.replace(b"float y", b"half y"), "line 8 .*property half y"),
        "a count of floats": (LITTLE.replace(b"list uchar", b"list float"), "line 12 of its header"),
        "a property of nothing": (LITTLE.replace(b"element vertex 4", b"comment"), "line 7 of its header"),
        "points": (ply("binary_little_endian", PLAIN[0]), "4 points but no faces"),
        "no z": (ply("ascii", ("vertex", XYZ[:2], [(0, 1)]), PLAIN[1]), "no vertices with"),
        "no corners": (LITTLE.replace(b"vertex_indices", b"vertices"), "no list vertex_indices"),
        "twice": (ply("ascii", *PLAIN, PLAIN[1]), "announces face twice"),
        "cut in a face": (LITTLE[:-1], "only 3 of 4 face rows"),
        "cut in lists of any length": (ply("binary_big_endian", *LONG)[:-1], "only 1 of 2 face rows"),
        "too many": (LITTLE.replace(b"vertex 4", b"vertex 99999999999999999"), "only 8 of 9{17} vertex rows"),
        "too many faces": (LITTLE.replace(b"face 4", b"face 99999999999999999"), "bytes are too few for"),
        "a few too many faces": (LITTLE.replace(b"face 4", b"face 99999"), "only 4 of 99999 face rows"),
        "text cut between rows": (TEXT[: TEXT.index("3 1 2 3")].encode(), "only 3 of 4 face rows"),
        "strips": (ply("ascii", *PLAIN, ("tristrips", LIST, faces_of(FACES))), "strips .*export it"),
        "an endless header": (TEXT.replace("comment", "comment\n" * 10_000).encode(), "more than 10000"),
    }.values(),
)  # fmt: skip
def test_faults_are_reported(data, fault):
    with pytest.raises(ValueError, match=fault):
        parse_ply(data)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("0 2 0", "0\n2\n0", "vertex row 3 "),
        ("3 1 2 3", "99999999 1 2 3", "face row 4 "),
        ("3 1 2 3", "-1 1 2 3", "face row 4 .* list of -1 numbers"),
        ("3 1 2 3", "3 1 2 3 7", "face row 4 .*: it has 5 numbers, not 4"),
        ("0 2 0", "0 2 0 9 9 9", "vertex row 3 .*: it has 6 numbers, not 3"),
        ("0 2 0", "0 two 0", "vertex row 3 .*'two'"),
        ("3 0 3", "comment a\n3 0 3", "face row 3 .*'comment'"),
        ("3 1 2 3", "3 1 2 .5", "not integers"),
    ],
)
def test_faults_in_text_are_reported_with_the_row(old, new, fault):
    with pytest.raises(ValueError, match=fault):
        parse_ply(TEXT.replace(old, new).encode())

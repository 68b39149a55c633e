"""Wavefront .obj: every form of a statement, compared with a simple reader."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasgan.data.meshes.obj import parse_obj
from rasgan.data.meshes.polygons import triangulate

PLAIN = "v 0 0 0\nv 1 0 0\nv 0 2 0\nv 0 0 3.5\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
VERTICES = [[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3.5]]
FACES = [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]
POINTS = PLAIN[: PLAIN.index("f")]
TRIANGLES = PLAIN[PLAIN.index("f") :]
TEXTURE = "vt 0 0\nvt 1 0\nvt 0 1\nvn 0 0 1\n"


def corners_as(form):
    """Write every corner of PLAIN in another form."""
    lines = [line.split()[1:] for line in TRIANGLES.splitlines()]
    return POINTS + TEXTURE + "".join("f " + " ".join(map(form, line)) + "\n" for line in lines)


@pytest.mark.parametrize(
    "text",
    {
        "plain": PLAIN,
        "CRLF": PLAIN.replace("\n", "\r\n"),
        "CR": PLAIN.replace("\n", "\r"),
        "padded": PLAIN + "\x1a\0\0",
        "byte order mark": "\N{ZERO WIDTH NO-BREAK SPACE}" + PLAIN,
        "tabs": PLAIN.replace(" ", "\t"),
        "indentation": "  " + PLAIN.replace("\n", "\n \t "),
        "comments": "# a\n" + PLAIN.replace("\n", " # f 1 2 3\n").replace("v 1 0 0 ", "v 1 0 0"),
        "comments that end in a backslash": PLAIN.replace("\n", "#C:\\\n"),
        "names that end in a backslash": "mtllib C:\\\n" + PLAIN.replace("f 1 3", "g a\\\nf 1 3"),
        "statements that go on": PLAIN.replace(" 2 4", " \\\n2 \\\r\n 4").replace("v 1 0", "v 1\\\n0"),
        "w": PLAIN.replace("\nf", " 1\nf", 1).replace("\nv", " 1.0\nv"),
        "colors of some": PLAIN.replace("v 1 0 0", "v 1 0 0 0.5 0.5 0.5").replace("v 0 2 0", "v 0 2 0 1"),
        "exponents and signs": PLAIN.replace("3.5", "+35.E-1").replace("v 1 0", "v 1e0 -0"),
        "v/vt": corners_as(lambda v: f"{v}/1"),
        "v//vn": corners_as(lambda v: f"{v}//1"),
        "v/vt/vn": corners_as(lambda v: f"{v}/3/1"),
        "negative": corners_as(lambda v: str(int(v) - 5)),
        "negative in part": PLAIN.replace("f 1 3 2", "f 1 -2 2"),
        "faces before vertices": TRIANGLES + POINTS,
        "groups and materials": "mtllib a\no a b\n" + PLAIN.replace("f 1", "usemtl #1\ns off\ng f 1\nf 1"),
        "a curve": PLAIN + "cstype bezier\ndeg 3\ncurv 0 1 1 2 3 4\nparm u 0 1\nend\n",
        "faces of one and two corners": PLAIN + "f 1 2\nf 3\nf\n",
    }.items(),
    ids=lambda item: item[0],
)  # fmt: skip
def test_every_form_gives_the_same_mesh(text):
    vertices, faces = parse_obj(text[1].encode())
    np.testing.assert_array_equal(vertices, VERTICES)
    np.testing.assert_array_equal(faces, FACES)
    assert vertices.dtype == np.float64
    assert faces.dtype == np.int64


@pytest.mark.parametrize(
    ("text", "fault"),
    {
        "counted from 0": (PLAIN.replace("f 1 3 2", "f 0 3 2"), "line 5: .* vertex 0, but .* count from 1"),
        "0 after a slash is not read": (PLAIN.replace("f 1 4 3", "f 1/1 0/1 3/1"), "line 7: .* vertex 0"),
        "too high": (PLAIN.replace("f 2 3 4", "f 2 3 5"), "face 3 .* missing vertex"),
        "too low": (PLAIN.replace("f 2 3 4", "f 2 3 -5"), "line 8: .* vertex -5"),
        "joined lines": (PLAIN.replace("1 2", "1\\\n2").replace("2 3 4", "2 3 -9"), "line 9: .* vertex -9"),
        "huge": (PLAIN + "f 1 2 99999999999999999999\n", "line 9: "),
        "a short vertex": (PLAIN.replace("v 1 0 0", "v 1 0"), "line 2: a vertex has fewer than three"),
        "a word in a vertex": (PLAIN.replace("v 1 0 0", "v 1 a 0"), "line 2: .*'a'"),
        "points": (POINTS, "4 points but no faces"),
        "surfaces": (PLAIN + "cstype bezier\nsurf 0 1 0 1 1 2 3 4\n", r"line 10: surfaces .*\(surf\)"),
        "another file": (PLAIN + "call more.obj\n", r"line 9: .*\(call\)"),
        "faces of old files": (PLAIN.replace("f", "fo"), r"line 5: .*\(fo\)"),
        "zero bytes": (bytes(9) + PLAIN.encode(), "zero bytes"),
    }.values(),
)  # fmt: skip
def test_faults_are_reported_with_the_line(text, fault):
    with pytest.raises(ValueError, match=fault):
        parse_obj(text if isinstance(text, bytes) else text.encode())


def line_by_line(text):
    """Read v and f as the manual describes them."""
    vertices, corners, sizes = [], [], []
    for line in text.splitlines():
        word, *rest = line.split("#")[0].split() or [""]
        if word == "v":
            vertices.append([float(number) for number in rest[:3]])
        if word == "f":
            indices = [int(corner.split("/")[0]) for corner in rest]
            corners += [index - 1 if index > 0 else len(vertices) + index for index in indices]
            sizes.append(len(rest))
    return np.array(vertices), triangulate(np.array(vertices), np.array(corners), np.array(sizes))


numbers = st.integers(-9, 9).map(str) | st.floats(-1e6, 1e6, width=32).map(repr)
points = st.lists(numbers, min_size=3, max_size=7).map(lambda row: "v " + " ".join(row))
corner = st.tuples(
    st.integers(-3, 4).filter(bool).map(str), st.sampled_from(["", "/1", "//1", "/1/1", "/-1"])
).map("".join)
other_lines = st.sampled_from(["", "vn 0 0 1", "vt 0 0", "# v 1 2 3", "s 1", "g f", "usemtl v", "l 1 2"])
face_lines = st.lists(corner, min_size=1, max_size=6).map(lambda row: "f " + "  ".join(row))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(points, min_size=4, max_size=6),
    st.lists(st.one_of(points, face_lines, face_lines, other_lines), min_size=1, max_size=12),
    st.sampled_from(["\n", "\r\n", " # x\n", "\n\t", "\\\n\n"]),
)
def test_random_files_are_read_like_by_the_simple_reader(first, lines, end):
    lines = [*first, "f 1 2 3", *lines]
    expected = line_by_line("\n".join(lines))
    vertices, faces = parse_obj(end.join(lines).encode())
    np.testing.assert_array_equal(vertices, expected[0])
    np.testing.assert_array_equal(faces, expected[1])

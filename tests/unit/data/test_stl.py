"""STL in both forms: complete files are read, truncated ones refused with their numbers."""

import re
import struct

import numpy as np
import pytest

from rasgan.data.conversion import used_share
from rasgan.data.meshes import read_mesh
from rasgan.errors import UserError

CORNERS = np.array([[[0, 0, 0], [0, 2, 0], [1, 0, 0]], [[0, 0, 0], [1, 0, 0], [0, 0, 3.5]]])


def binary(corners=CORNERS, count=None, head=b"made by hand"):
    facets = b"".join(struct.pack("<12fH", 0, 0, 0, *one.ravel(), 7) for one in corners)
    return head.ljust(80) + struct.pack("<I", len(corners) if count is None else count) + facets


def text(corners=CORNERS, name="part"):
    facets = "".join(
        "  facet normal 0 0 1\n    outer loop\n"
        + "".join("      vertex {:.6e} {:g} {:g}\n".format(*corner) for corner in one)
        + "    endloop\n  endfacet\n"
        for one in corners
    )
    return f"solid {name}\n{facets}endsolid {name}\n"


TEXT = text()


@pytest.fixture
def read(tmp_path):
    """Return a function that reads bytes or text as an .stl file."""

    def read(content, notes=None):
        path = tmp_path / "a.stl"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_mesh(path, notes=notes)

    return read


GOOD = {
    "binary": binary(),
    "binary that begins with solid": binary(head=b"solid of facet normal"),
    "binary, a line break at its end": binary() + b"\n",
    "binary that begins as a .ply file": binary(head=b"ply\n"),
    "text": TEXT,
    "text, CRLF": TEXT.replace("\n", "\r\n"),
    "text, a byte order mark": "\N{ZERO WIDTH NO-BREAK SPACE}" + TEXT,
    "text, a name of the format's words": TEXT.replace("part", "vertex 1 facet endfacet endsolid"),
    "text, an odd normal": TEXT.replace("0 0 1", "-nan(ind) 1.#QNAN inf"),
    "text, lines joined": re.sub(r"\n\s+", " ", TEXT).replace("part ", "part\n").replace(" end", "\nend"),
    "text, two solids": text(CORNERS[:1], "a") + "\n" + text(CORNERS[1:], "b"),
    "text, DOS's mark of its end": TEXT + "\x1a",
}


@pytest.mark.parametrize("name", GOOD)
def test_complete_files_are_read(read, name):
    notes = []
    vertices, faces = read(GOOD[name], notes)
    assert notes == []
    np.testing.assert_array_equal(vertices[faces], CORNERS)


def test_bytes_after_the_announced_facets_are_noted(read):
    notes = []
    vertices, faces = read(binary() + b"49 bytes".ljust(49, b"."), notes)
    np.testing.assert_array_equal(vertices[faces], CORNERS)
    assert len(notes) == 1
    assert "49 bytes after the 2 announced facets" in notes[0]


def test_facets_without_area_do_not_count_as_part_of_the_object(read):
    """They stay, because Binvox scales their box too; a note reports that the object is small."""
    point, line = [[90, 0, 0]] * 3, [[0, 0, 0], [90, 0, 0], [30, 0, 0]]
    vertices, faces = read(binary(np.concatenate([CORNERS, [point, line]])))
    assert vertices.max() == 90
    assert used_share(vertices, faces) == pytest.approx(3.5 / 90)
    assert used_share(*read(binary(CORNERS))) == 1


FAULTS = {
    "binary, cut": (binary()[:-20], r"2 facets \(184 bytes\), but has 164"),
    "binary, too many announced": (binary(count=2**32 - 1), "announces 4294967295 facets"),
    "binary, too few announced": (binary(count=1), "announces 1 facets, but has bytes for 2"),
    "text, cut in a facet": (TEXT[:250], "1 of 2 facets and 0 of 1 solids are complete"),
    "text, cut between facets": (TEXT[: TEXT.index("endsolid")], "2 of 2 facets and 0 of 1 solids"),
    "text, the last solid cut": (2 * TEXT + TEXT[:200], "5 of 6 facets and 2 of 3 solids"),
    "text, a facet of four corners": (
        TEXT.replace("    endloop", "      vertex 1 1 1\n    endloop", 1),
        "1 of 2 facets",
    ),
    "text, a corner of two numbers and one of four": (
        TEXT.replace("0 3.5", "3.5").replace("0 2 0", "0 2 0 1"),
        "line 5: .* three coordinates",
    ),
    "text, a word": (TEXT.replace("2 0", "two 0"), "line 5: 'two' is not a number"),
    "text, a comment": (TEXT.replace("1.000000e+00 0 0\n", "1 0 0 # b\n", 1), "line 6: '#' is not"),
    "text, another statement": (TEXT.replace("  facet", "  color 1 0 0\n  facet"), "line 2: 'color' is not"),
    "text, words after its end": (TEXT + "\n\nexported in 3 s\n", "line 19: 'exported' is not"),
    "text, no endfacet": (TEXT.replace("  endfacet\n", ""), "0 of 2 facets"),
    "text, no first line": (TEXT.partition("\n")[2], "1 of 0 solids"),
    "other text": ("facets are faces\n" * 20, "truncated"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_reported(read, name):
    content, fault = FAULTS[name]
    with pytest.raises(UserError, match=fault):
        read(content)


@pytest.mark.parametrize(
    "whole",
    [binary(np.repeat(CORNERS, 4, axis=0)), text(np.repeat(CORNERS, 4, axis=0))],
    ids=["binary", "text"],
)
def test_no_truncated_file_is_read(read, whole):
    whole = whole if isinstance(whole, bytes) else whole.rstrip().encode()
    ending = len(b" part")  # the name after endsolid may be missing
    for length in range(0, len(whole) - ending, 7):
        with pytest.raises(UserError):
            read(whole[:length])

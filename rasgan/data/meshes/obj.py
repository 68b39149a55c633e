"""Wavefront .obj: its vertices and faces (Object Files, appendix B1 of the manual of Advanced Visualizer)."""

import codecs
import re
from typing import NamedTuple

import numpy as np

from rasgan.data.meshes.polygons import triangulate
from rasgan.data.meshes.text import BLANK, PADDING, odd_word, parse_numbers, substitute, word_starts

JOINED = b"\v"  # stands for the end of a line that is joined to the next: a blank, counted as a line
# Surfaces that are not faces, or in another file: they must not get lost without a word.
UNREAD = re.compile(rb"\n(surf|bzp|bsp|cdp|call|fo)\s")
DIGITS = 18  # that an index may have


class Lines(NamedTuple):
    """A text, and where each of its lines begins and where the next one does."""

    text: bytes
    starts: np.ndarray
    stops: np.ndarray

    def number(self, line: int) -> int:
        """Return which line of the file one is, counted from 1."""
        return 1 + int(line) + self.text.count(JOINED, 0, self.starts[line])

    def join(self, chosen: np.ndarray) -> bytes:
        """Return the text of some lines, given in ascending order."""
        last = np.flatnonzero(np.diff(chosen, append=-1) != 1)
        first = np.concatenate([[0], last[:-1] + 1])[: last.size]
        view = memoryview(self.text)
        stretches = zip(self.starts[chosen[first]].tolist(), self.stops[chosen[last]].tolist(), strict=True)
        return b"".join([view[start:stop] for start, stop in stretches])


def parse_obj(text: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Read the bytes of an .obj file: statements v and f, of any number of corners.

    Corners v, v/vt, v//vn and v/vt/vn, negative indices (relative to what was read so far), indentation,
    tabs, any line ending, comments behind a statement, statements that go on after a backslash, and columns
    after x, y, z are fine. Points, lines, groups, materials, normals, texture and curves are left out.
    Returns vertices (v, 3) and triangles (f, 3). ValueError, as a rule with the line, if it is not an .obj
    file, names vertices that are not there, or has surfaces that are not faces.
    """
    text = _plain(text)
    characters = np.frombuffer(text, dtype=np.uint8)
    stops = np.flatnonzero(characters == ord("\n")).astype(np.int32) + 1  # no file has 2 GB
    lines = Lines(text, np.append(np.int32(0), stops)[:-1], stops)
    first, second = characters[lines.starts], characters[np.minimum(lines.starts + 1, stops - 1)]
    vertex = ((first | 32) == ord("v")) & (second <= BLANK)
    faces = np.flatnonzero(((first | 32) == ord("f")) & (second <= BLANK))
    unread = UNREAD.search(text)
    if unread is not None:
        line = lines.number(text.count(b"\n", 0, unread.start(1)))
        raise ValueError(f"line {line}: it has surfaces that are not read ({unread[1].decode()})")
    vertices = _vertices(lines, np.flatnonzero(vertex))
    if not faces.size:
        raise ValueError(f"it holds {len(vertices)} points without faces, which are no mesh")
    corners, sizes = _corners(lines, faces, np.cumsum(vertex)[faces], len(vertices))
    return vertices, triangulate(vertices, corners, sizes)


def _plain(text: bytes) -> bytes:
    """Return the text without comments, indentation and line ends after backslashes."""
    text = text.removeprefix(codecs.BOM_UTF8).rstrip(PADDING)
    if b"\0" in text:
        raise ValueError("it is no text, as an .obj file is (it holds zero bytes)")
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if JOINED in text:
        text = text.replace(JOINED, b" ")
    if b"#" in text:
        text = substitute(re.compile(rb"#[^\n]*"), b"", text)
    if b"\\" in text:  # of numbers alone: names may end in a backslash
        text = re.sub(
            rb"^[ \t]*[vf][ \t][^\n\\]*\\[ \t]*\n(?:[^\n\\]*\\[ \t]*\n){,1000}",
            lambda found: substitute(re.compile(rb"\\[ \t]*\n"), b" " + JOINED, found[0]),
            text,
            flags=re.MULTILINE | re.IGNORECASE,
        )
    if re.search(rb"^[ \t\f]", text, flags=re.MULTILINE):
        text = substitute(re.compile(rb"^[ \t\f]+", re.MULTILINE), b"", text)
    if b"\n\n" in text:
        text = text.replace(b"\n\n", JOINED + b"\n")
    return text if text.endswith(b"\n") or not text else text + b"\n"


def _vertices(lines: Lines, chosen: np.ndarray) -> np.ndarray:
    """Read the coordinates (v, 3) on the chosen lines."""
    text = lines.join(chosen).translate(bytes.maketrans(b"vV", b"  "))
    words, sizes = word_starts(text)
    try:
        numbers = parse_numbers(text)
    except ValueError:
        numbers = np.zeros(0)
    if numbers.size != words.size:
        line, word = odd_word(text)
        raise ValueError(f"line {lines.number(chosen[line])}: a vertex holds {word} where a number belongs")
    short = np.flatnonzero(sizes < 3)
    if short.size:
        raise ValueError(f"line {lines.number(chosen[short[0]])}: a vertex has fewer than three coordinates")
    return numbers[(np.cumsum(sizes) - sizes)[:, None] + np.arange(3)]


def _corners(
    lines: Lines, chosen: np.ndarray, before: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Read the vertices of all corners, counted from 0, and how many corners each of the chosen lines has.

    `before` (f,) is the number of vertices before each line, `count` their number in the file.
    """
    text = lines.join(chosen)
    words, sizes = word_starts(text)
    is_corner = np.ones(words.size, dtype=bool)
    is_corner[np.cumsum(sizes) - sizes] = False  # the letter f
    ends = np.cumsum(sizes - 1)

    def place(corner: int) -> str:
        line = chosen[np.searchsorted(ends, corner, side="right")]
        return f"line {lines.number(line)}: a face"

    corners, good = _whole_numbers(text, words[is_corner])
    if not good.all():
        raise ValueError(f"{place(np.argmin(good))} names something else than a vertex")
    if not corners.all():
        raise ValueError(
            f"{place(np.argmin(corners != 0))} names vertex 0, but .obj counts from 1; "
            "this file seems to count from 0"
        )
    absolute = np.where(corners < 0, corners + np.repeat(before, sizes - 1) + 1, corners)
    outside = (absolute < 1) | (absolute > count)
    if outside.any():
        bad = int(np.argmax(outside))
        raise ValueError(f"{place(bad)} names vertex {corners[bad]}, which is not there ({count} are)")
    return absolute - 1, sizes - 1


def _whole_numbers(text: bytes, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Read the whole number at each place (n,) of a text, up to a slash or blank, and whether it is one."""
    characters = np.frombuffer(text, dtype=np.uint8)
    sign = characters[places]
    places = places + ((sign == ord("-")) | (sign == ord("+")))
    numbers = np.zeros(places.size, dtype=np.int64)
    good = characters[places] - ord("0") <= 9  # of unsigned bytes: below "0" is above 9
    going = good
    for _ in range(DIGITS):
        if not going.any():
            break
        digits = characters[places] - ord("0")
        going = digits <= 9
        numbers = np.where(going, 10 * numbers + digits, numbers)
        places += going
    ends = characters[places]
    return np.where(sign == ord("-"), -numbers, numbers), good & ((ends <= BLANK) | (ends == ord("/")))

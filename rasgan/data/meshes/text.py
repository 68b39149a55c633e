"""Numbers and lines of text mesh files."""

import codecs
import re
import warnings

import numpy as np

BLOCK = 1 << 20  # bytes
PADDING = b"\0\x1a"  # that some programs write after the end of a text: zeros, and the end mark of DOS


class UnsupportedError(ValueError):
    """A valid file of a kind that is not supported. The message says what to do instead."""


def plain_text(content: bytes) -> bytes:
    """Remove a byte order mark and padding; make every line ending a line feed."""
    text = content.removeprefix(codecs.BOM_UTF8).rstrip(PADDING)
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text


def substitute(pattern: re.Pattern, new: bytes, text: bytes) -> bytes:
    """Replace the matches of a pattern within lines; `re.sub` would hold millions of parts in memory."""
    parts, start = [], 0
    while start < len(text):
        stop = text.find(b"\n", start + BLOCK) + 1 or len(text)
        parts.append(pattern.sub(new, text[start:stop]))
        start = stop
    return b"".join(parts)


def parse_numbers(text: bytes) -> np.ndarray:
    """Read all numbers of a text, (n,) float64. Raises ValueError with the first word that is not one."""
    if not text.strip():
        return np.zeros(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how numpy reports a word
        try:
            # Needs a third of the memory of text.split(), which matters for a million faces.
            return np.fromstring(text, dtype=np.float64, sep=" ")
        except (ValueError, DeprecationWarning):
            raise ValueError(f"{first_word(text)[1]} is not a number") from None


def first_word(text: bytes) -> tuple[int, str]:
    """Return the first word of a text that is not a number, quoted, after its line, counted from 0."""
    for found in re.finditer(rb"\S+", text):
        try:
            float(found[0].replace(b"_", b"?"))  # Python allows underscores in numbers
        except ValueError:
            word = found[0][:30].decode("ascii", "backslashreplace")
            return text.count(b"\n", 0, found.start()), f"'{word}'"
    return 0, "a word"


def word_starts(text: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Find where the words of a text start, (w,), and how many words each line has, (lines,).

    The text must end with a line feed. Words are separated by spaces and control characters.
    """
    characters = np.frombuffer(text, dtype=np.uint8)
    blank = characters <= ord(" ")
    begins = ~blank
    begins[1:] &= blank[:-1]
    starts = np.flatnonzero(begins)
    ends = np.flatnonzero(characters == ord("\n"))
    return starts, np.diff(np.searchsorted(starts, ends), prepend=0)


def as_indices(numbers: np.ndarray) -> np.ndarray:
    """Convert numbers to int64. Raises ValueError if one is not an integer below 2**53."""
    if numbers.dtype.kind == "f" and (not (np.abs(numbers) < 2**53).all() or (numbers % 1).any()):
        raise ValueError("a face has corners that are not integers")
    return numbers.astype(np.int64)

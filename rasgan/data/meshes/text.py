"""Numbers and lines of mesh files that are text."""

import re
import warnings

import numpy as np

BLANK = ord(" ")  # this and all characters below part words
BLOCK = 1 << 20  # bytes
PADDING = b"\0\x1a"  # that some programs write behind the end of a text: zeros, and DOS's mark of the end


class UnsupportedError(ValueError):
    """A valid file of a kind that is not read; the message says what to do instead."""


def substitute(pattern: re.Pattern, new: bytes, text: bytes) -> bytes:
    """Replace what a pattern finds within lines; `re.sub` would keep millions of stretches at a time."""
    parts, start = [], 0
    while start < len(text):
        stop = text.find(b"\n", start + BLOCK) + 1 or len(text)
        parts.append(pattern.sub(new, text[start:stop]))
        start = stop
    return b"".join(parts)


def parse_numbers(text: bytes) -> np.ndarray:
    """Read all numbers of a text, (n,) float64; ValueError, with the first other word, if there is one."""
    if not text.strip():
        return np.zeros(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how numpy reports the first odd word
        try:
            # Takes a third of the memory of text.split(), which matters for a million faces.
            return np.fromstring(text, dtype=np.float64, sep=" ")
        except (ValueError, DeprecationWarning):
            raise ValueError(f"it holds {odd_word(text)[1]} where a number belongs") from None


def odd_word(text: bytes) -> tuple[int, str]:
    """Return the first word of a text that is not a number, quoted, behind its line, counted from 0."""
    for found in re.finditer(rb"\S+", text):
        try:
            float(found[0].replace(b"_", b"?"))  # which Python allows in numbers
        except ValueError:
            word = found[0][:30].decode("ascii", "backslashreplace")
            return text.count(b"\n", 0, found.start()), f"'{word}'"
    return 0, "something else"


def word_starts(text: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Find where the words of a text begin, (w,), and how many words there are in each line, (lines,).

    The text ends with a line feed.
    """
    characters = np.frombuffer(text, dtype=np.uint8)
    blank = characters <= BLANK
    begins = ~blank
    begins[1:] &= blank[:-1]
    starts = np.flatnonzero(begins)
    ends = np.flatnonzero(characters == ord("\n"))
    return starts, np.diff(np.searchsorted(starts, ends), prepend=0)


def as_indices(numbers: np.ndarray) -> np.ndarray:
    """Turn numbers into int64; ValueError if one is not a whole number of reasonable size."""
    if numbers.dtype.kind == "f" and (not (np.abs(numbers) < 2**53).all() or (numbers % 1).any()):
        raise ValueError("a face holds something else than whole numbers")
    return numbers.astype(np.int64)

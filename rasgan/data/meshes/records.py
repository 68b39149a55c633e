"""Rows of numbers and lists, as .ply stores them."""

import struct
from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

CHARACTERS = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q"}
CHARACTERS |= {"f4": "f", "f8": "d"}  # of the module struct, for numpy's kinds


def size_of(kind: str) -> int:
    """Return how many bytes a number of a kind such as "<f4" takes."""
    return int(kind[2:])


class Property(NamedTuple):
    """One number of each row, or, where `count_kind` is given, a count and so many numbers."""

    name: str
    kind: str
    count_kind: str | None = None


class Rows:
    """Rows that all have the same properties; lists may differ in length from row to row.

    Only their places, in bytes, are found, so that the memory is bounded by what the file holds. ValueError,
    which says what is missing, if the data end before the last row.
    """

    def __init__(
        self, data: bytes | np.ndarray, start: int, count: int, properties: Sequence[Property], name: str
    ) -> None:
        self.data, self.count, self.properties, self.name = data, count, properties, name
        room = len(data) - start
        if not count or not any(each.count_kind for each in properties):
            width = sum(size_of(each.kind) for each in properties)
            if count * width > room:
                raise self._cut(room // width)
            self.starts, self.end = start + width * np.arange(count if width else 0), start + width * count
            return
        # Rows as long as the first, if the counts prove it; else one by one.
        width = self._walk(start, 1)[1] - start
        if width * count <= room:
            self.starts, self.end = start + width * np.arange(count), start + width * count
            if all((counts == counts[0]).all() for _, _, counts in self._columns()):
                return
        self.starts, self.end = self._walk(start, count)

    def _cut(self, row: int) -> ValueError:
        return ValueError(f"of {self.count} {self.name} rows only {row} are complete")

    def _walk(self, start: int, count: int) -> tuple[np.ndarray, int]:
        """Find where each row starts, one after the other, and where the last one ends."""
        steps = []  # for each property: reads a count, the count's size, a number's size
        for each in self.properties:
            count_kind, read = each.count_kind, None
            if count_kind:
                read = struct.Struct(count_kind[0] + CHARACTERS[count_kind[1:]]).unpack_from
            steps.append((read, size_of(count_kind) if count_kind else 0, size_of(each.kind)))
        starts, at, end = array("q"), start, len(self.data)
        for row in range(count):
            starts.append(at)
            for read, base, size in steps:
                length = 1
                if read is not None:
                    if at + base > end:
                        raise self._cut(row)
                    (length,) = read(self.data, at)
                    if not 0 <= length < 2**53 or length % 1:
                        raise ValueError(f"{self.name} row {row + 1} announces {length:g} numbers in a list")
                at += base + int(length) * size
            if at > end:
                raise self._cut(row)
        return np.array(starts, dtype=np.int64), at

    def _columns(self) -> Iterator[tuple[Property, np.ndarray, np.ndarray]]:
        """Yield each property, and for every row where its numbers start and how many there are."""
        places = self.starts
        for each in self.properties:
            counts = np.ones(len(places), dtype=np.int64)
            if each.count_kind:
                counts = self._take(places, each.count_kind)
                places = places + size_of(each.count_kind)
            yield each, places, counts
            places = places + counts.astype(np.int64) * size_of(each.kind)

    def _take(self, places: np.ndarray, kind: str) -> np.ndarray:
        room = max(len(self.data) - size_of(kind) + 1, 0)
        return np.ndarray(room, kind, self.data, strides=(1,))[places]  # a number from every byte on

    def read(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Return a property's numbers, row after row, and how many each row has; None if it is missing."""
        for each, places, counts in self._columns():
            if each.name == name and not each.count_kind:
                return self._take(places, each.kind), counts
            if each.name == name:
                counts, size = counts.astype(np.int64), size_of(each.kind)
                first = places - size * (np.cumsum(counts) - counts)
                at = np.repeat(first, counts) + size * np.arange(counts.sum())
                return self._take(at, each.kind), counts
        return None

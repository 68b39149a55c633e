"""Rows of numbers and lists, as .ply and binary .off store them, found in text or in bytes."""

import struct
from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

CHARACTERS = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q"}
CHARACTERS |= {"f4": "f", "f8": "d"}  # of the module struct, for numpy's kinds


class Words:
    """The numbers of a text, each of which takes one place."""

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers, self.end = numbers, numbers.size

    def size(self, kind: str) -> int:
        """Return how many places a number takes."""
        return 1

    def take(self, places: np.ndarray, kind: str) -> np.ndarray:
        """Return the numbers at some places."""
        return self.numbers[places]

    def reader(self, kind: str) -> Callable[[int], float]:
        """Return a function that reads one number at a place."""
        return self.numbers.item


class Bytes:
    """The numbers of a binary file, of kinds such as "<f4"; a place is a byte."""

    def __init__(self, data: bytes) -> None:
        self.data, self.end = data, len(data)

    def size(self, kind: str) -> int:
        """Return how many places a number takes."""
        return int(kind[2:])

    def take(self, places: np.ndarray, kind: str) -> np.ndarray:
        """Return the numbers at some places."""
        room = max(self.end - self.size(kind) + 1, 0)
        return np.ndarray(room, kind, self.data, strides=(1,))[places]  # a number from every byte on

    def reader(self, kind: str) -> Callable[[int], float]:
        """Return a function that reads one number at a place."""
        unpack = struct.Struct(kind[0] + CHARACTERS[kind[1:]]).unpack_from
        return lambda place: unpack(self.data, place)[0]


class Property(NamedTuple):
    """One number of each row, or, where `count_kind` is given, a count and so many numbers."""

    name: str
    kind: str
    count_kind: str | None = None


class Rows:
    """Rows that all have the same properties; lists may differ in length from row to row.

    Only their places are found, so that the memory is bounded by what the file holds. ValueError, which says
    what is missing, if the source ends before the last row.
    """

    def __init__(
        self, source: Words | Bytes, start: int, count: int, properties: Sequence[Property], name: str
    ) -> None:
        self.source, self.count, self.properties, self.name = source, count, properties, name
        self.steps = []  # for each list: places before it, its property
        gap = 0
        for each in properties:
            if each.count_kind is None:
                gap += source.size(each.kind)
            else:
                self.steps.append((gap, each))
                gap = 0
        self.tail = gap
        if not self.steps or count == 0:
            if count * self.tail > source.end - start:
                raise self._cut((source.end - start) // self.tail)
            self.starts = start + self.tail * np.arange(count if self.tail else 0)
            self.lists = np.zeros((0, len(self.steps)), dtype=np.int64)
            self.end = start + self.tail * count
            return
        # Rows as long as the first, if the counts prove it; else one by one.
        first, self.end = self._walk(start, 1)
        width = self.end - start
        if width * count <= source.end - start:
            places = first + width * np.arange(count)[:, None]
            if all((counts == counts[0]).all() for counts in self._counts(places)):
                self.lists, self.end = places, start + width * count
                self.starts = start + width * np.arange(count)
                return
        self.lists, self.end = self._walk(start, count)
        self.starts = self.lists[:, 0] - self.steps[0][0]

    def _cut(self, row: int) -> ValueError:
        return ValueError(f"of {self.count} {self.name} rows only {row} are whole")

    def _walk(self, start: int, count: int) -> tuple[np.ndarray, int]:
        """Find the lists (count, lists) of each row in turn, and where the last row ends."""
        source = self.source
        steps = [
            (gap, source.reader(each.count_kind), source.size(each.count_kind), source.size(each.kind))
            for gap, each in self.steps
        ]
        places, at, end = array("q"), start, source.end
        for row in range(count):
            for gap, read, base, item in steps:
                at += gap
                if at + base > end:
                    raise self._cut(row)
                places.append(at)
                length = read(at)
                if not 0 <= length < 2**53 or length % 1:
                    raise ValueError(f"{self.name} row {row + 1} announces {length:g} numbers in a list")
                at += base + int(length) * item
            at += self.tail
            if at > end:
                raise self._cut(row)
        return np.array(places, dtype=np.int64).reshape(count, len(steps)), at

    def _counts(self, lists: np.ndarray) -> list[np.ndarray]:
        """Return the lengths of each list, from their places (count, lists)."""
        return [
            self.source.take(lists[:, number], each.count_kind) for number, (_, each) in enumerate(self.steps)
        ]

    def scalar(self, name: str) -> np.ndarray | None:
        """Return a property's number in each row, (count,), as it is stored; None if there is none."""
        places, number = self.starts, 0
        for each in self.properties:
            if each.count_kind is not None:
                counts = self.source.take(self.lists[:, number], each.count_kind).astype(np.int64)
                base, item = self.source.size(each.count_kind), self.source.size(each.kind)
                places = self.lists[:, number] + base + counts * item
                number += 1
            elif each.name == name:
                return self.source.take(places, each.kind)
            else:
                places = places + self.source.size(each.kind)
        return None

    def list(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Return a list's numbers, row after row, and its lengths (count,); None if there is no such list."""
        for number, (_, each) in enumerate(self.steps):
            if each.name == name:
                places = self.lists[:, number]
                counts = self.source.take(places, each.count_kind).astype(np.int64)
                item = self.source.size(each.kind)
                first = places + self.source.size(each.count_kind) - item * (np.cumsum(counts) - counts)
                at = np.repeat(first, counts) + item * np.arange(counts.sum())
                return self.source.take(at, each.kind), counts
        return None

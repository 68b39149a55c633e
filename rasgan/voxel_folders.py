"""Folders of voxel grids: which files are read, and which are not.

Only the files of the folder itself are read. If it has none, those of all its subfolders are; but where a
subfolder ``train`` stands beside others (``CLASS/train``, ``CLASS/test``), only that one is, so that no run
is trained on its test set. Names such as ``training``, ``X_test.npy`` and ``val64`` count as parts of a data
set, too. Hidden files and folders, ``__MACOSX``, and arrays that are not voxel grids are left out.
"""

import collections
import functools
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rasgan.data.meshes import SUFFIXES as MESH_SUFFIXES
from rasgan.errors import UserError
from rasgan.files import check_is_folder
from rasgan.grid_cache import Facts, Read, cached
from rasgan.memory import available_memory
from rasgan.packed_grids import PackedGrids, pack
from rasgan.voxel_arrays import ARRAY_SUFFIXES, forget, grids_in, open_arrays
from rasgan.voxel_io import VOXEL_SUFFIXES, fit, matlab_error, read_voxels
from rasgan.voxels import OCCUPIED_ABOVE, is_occupied

Progress = Callable[[Iterable], Iterable]

CACHED_FROM = 1 << 25  # bytes of packed grids, 930 of 64³: fewer are read within seconds
SHOWN = 3  # names in a message
SPLITS = {"train": ("train",), "test": ("test", "val")}  # the first part that exists is read


class FoundGrids(NamedTuple):
    """The voxel files to read, sorted, and what to report about the folder."""

    counts: dict[Path, int]  # number of grids in each file
    left_out: list[str]  # names of what is not read, and why
    notes: list[str]  # what may be read in another way than the user expects

    def entries(self) -> list[tuple[Path, int]]:
        """List each grid as its file and its number in it."""
        return [(path, index) for path, count in self.counts.items() for index in range(count)]


def find_grids(folder: Path, split: str = "train") -> FoundGrids:
    """Find the voxel files to read in a folder; the module's docstring says which.

    `split` is the part to read of a data set that has several: "train", or "test" for held-out shapes. Of
    files with the same name in several formats, the first of `VOXEL_SUFFIXES` is read. Raises UserError if
    there are no grids, or if a file is damaged.
    """
    check_is_folder(folder)
    files = collections.defaultdict(list)  # by suffix
    for path in sorted(_files_below(folder, set())):
        files[path.suffix.lower()].append(path)
    found = sorted(path for suffix in VOXEL_SUFFIXES for path in files[suffix])
    meshes = [path for suffix in MESH_SUFFIXES for path in files[suffix]]
    if not found:
        if files[".mat"] and not meshes:
            raise matlab_error(files[".mat"][0])
        there = _listed(sorted(_inside(folder, path) for paths in files.values() for path in paths)) or "none"
        reason = f"{folder}: contains no {', '.join(VOXEL_SUFFIXES)} file; its files: {there}."
        raise UserError(reason, about="no grids" if meshes else "no data", value=folder)
    chosen = _choose_split(folder, found, split, meshes)
    if not chosen:
        reason = f"{folder}: all grids are in {_place(found)}; the meshes of {split} are not converted."
        raise UserError(reason, about="no grids", value=folder)

    arrays = {path: open_arrays(path) for path in chosen if path.suffix.lower() in ARRAY_SUFFIXES}
    with_grids = [path for path in chosen if path not in arrays or arrays[path].grids]
    if not with_grids:
        grids_in(chosen[0])  # raises an error that says what it contains instead
    paths = _one_per_shape(with_grids)
    read = {path: arrays[path] for path in paths if path in arrays}
    without = set(chosen).difference(with_grids)
    others = set(found).difference(paths, without).union(files[".mat"])
    not_grids = [path.name for path in sorted(without)]
    not_grids += [f"{array.name} of {path.name}" for path in read for array in read[path].others]
    left_out = {
        "not voxel grids": not_grids,
        "other splits, folders or formats": [_inside(folder, path) for path in sorted(others)],
    }
    return FoundGrids(
        {path: sum(array.count for array in read[path].grids) if path in read else 1 for path in paths},
        [f"{_listed(names)} ({reason})" for reason, names in left_out.items() if names],
        _notes(paths, {path: contents.grids for path, contents in read.items()}),
    )


def _notes(paths: list[Path], arrays: dict[Path, list]) -> list[str]:
    """Describe what may be one shape in several files or arrays, and how floats are read."""
    notes = []
    several = {path.name: grids for path, grids in arrays.items() if len(grids) > 1}
    if several:
        names = _listed(array.name for array in next(iter(several.values())))
        notes.append(f"arrays {names} as separate shapes in {_listed(several)}")
    if any(array.dtype.kind == "f" for grids in arrays.values() for array in grids):
        notes.append(f"floats are occupied above {OCCUPIED_ABOVE}")
    names = collections.defaultdict(list)  # by folder
    for path in paths:
        names[path.parent].append(path.name)
    for there, count in collections.Counter(map(tuple, names.values())).items():
        if count > 1 and 1 < len(there) <= SHOWN and not all(Path(name).stem.isdigit() for name in there):
            notes.append(f"{_listed(there)} as separate shapes in {count} folders")
    return notes


def read_grids(
    folder: Path, resolution: int, split: str = "train", progress: Progress = iter
) -> tuple[PackedGrids, str]:
    """Read all grids of a folder and bring them to a resolution (`rasgan.voxel_io.fit`).

    Integers are occupied above 0, floats above 0.3. More than `CACHED_FROM` bytes are cached and mapped into
    memory (`rasgan.grid_cache`).

    Returns
    -------
    grids : PackedGrids
        N grids of n x n x n voxels.
    description : str
        What was read and from where, how many grids are empty, and what was left out. A warning may follow.

    Raises
    ------
    UserError
        If there are no grids, one cannot be read or has an unsuitable size, all are empty, or they fit
        neither on the disk nor in memory.
    """
    found = find_grids(folder, split)
    read = functools.partial(_read, found, resolution, progress)
    shape = (sum(found.counts.values()), *(resolution // 2 + 1,) * 3)
    result = None
    if math.prod(shape) > CACHED_FROM:
        result = cached(folder, f"{split}-{resolution}", found.counts.keys(), shape, read)
    grids, facts = result or _read_into_memory(folder, shape, read)
    return grids, _describe(found, resolution, len(grids), facts)


def _read(found: FoundGrids, resolution: int, progress: Progress, facts: Facts) -> Iterator[np.ndarray]:
    """Yield each grid packed, then add to `facts` what `_describe` needs."""
    edges, empty, background, entries = set(), [], [], found.entries()
    for path, index in progress(entries):
        scores = read_voxels(path, index)
        grid = is_occupied(scores)
        yield pack(fit(grid, resolution, path))
        edges.add(len(grid))
        if not grid.any():
            empty.append(path.name)
        if _has_occupied_background(scores):
            background.append((path.name, float(grid.mean())))
    forget()
    if len(empty) == len(entries):
        raise UserError(f"{_place(found.counts)}: no voxel is occupied in any grid here.", about="all empty")
    facts.update(edges=sorted(edges), empty=empty, background=background)


def _read_into_memory(folder: Path, shape: tuple[int, ...], read: Read) -> tuple[PackedGrids, Facts]:
    """Read the grids into one array of a `shape`. Raises UserError first if there is too little memory."""
    needed = math.prod(shape) * int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's processes
    if needed > (available := available_memory()):
        sizes = f"{needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are available"
        raise UserError(f"{folder}: {shape[0]:,} grids need {sizes}.", about="memory", value=folder)
    facts: Facts = {}
    content = np.empty(shape, dtype=np.uint8)
    for number, grid in enumerate(read(facts)):
        content[number] = grid
    return PackedGrids(content), facts


def _has_occupied_background(scores: np.ndarray) -> bool:
    """Return whether most corners of (n, n, n) bools or floats are occupied, unlike in any usual object.

    Unless there are floats other than 0 and 1, such as distances, most voxels must be occupied too. Of 800
    chairs and 13 objects of ModelNet, solid or not, none occupies more than 3 of 8 corners or 26 % of the
    voxels; a solid box with two equal sides occupies 4 corners. Inverted, each of them occupies at least 6
    corners and 74 %.
    """
    ends = slice(None, None, max(len(scores) - 1, 1))
    if is_occupied(scores[ends, ends, ends]).mean() <= 0.5:
        return False
    is_graded = scores.dtype != bool and ((scores != 0) & (scores != 1)).any()
    return bool(is_graded or is_occupied(scores).mean() > 0.5)


def _choose_split(folder: Path, paths: list[Path], split: str, meshes: list[Path]) -> list[Path]:
    """Choose the voxel files to read. If `meshes` belong to the split, files of other splits do not count."""
    inside = {path: path.relative_to(folder).parts for path in paths}
    if here := {path: parts for path, parts in inside.items() if len(parts) == 1}:
        inside, meshes = here, []
    there = collections.defaultdict(set)  # by folder: the parts of a data set that it contains
    for parts in (*inside.values(), *(mesh.relative_to(folder).parent.parts for mesh in meshes)):
        for depth, name in enumerate(parts):
            there[parts[:depth]].add(_part(name))
    wanted = {
        place: next((part for part in SPLITS[split] if part in parts), None) for place, parts in there.items()
    }

    def is_chosen(parts: tuple[str, ...]) -> bool:
        for depth, name in enumerate(parts):
            read, own = wanted[parts[:depth]], _part(name)
            is_other_file = own is None and depth == len(parts) - 1  # labels, for example
            if read not in (None, own) and not is_other_file:
                return False
        return True

    return [path for path, parts in inside.items() if is_chosen(parts)]


def _part(name: str) -> str | None:
    """Return "train", "test" or "val" for names such as training, X_test and val64; None for others."""
    for word in re.split(r"[^a-z]+", name.lower()):
        if found := re.fullmatch(r"(train|test|val)(ing|val|id|idation)?(set|data)?", word):
            return found[1]
    return None


def _files_below(folder: Path, read: set[Path]) -> Iterator[Path]:
    """Yield all files below a folder except hidden ones. Links are followed; each folder is `read` once."""
    real = folder.resolve()
    if real in read:
        return
    read.add(real)
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__MACOSX":
            continue
        if path.is_dir():
            yield from _files_below(path, read)
        else:
            yield path


def _one_per_shape(paths: list[Path]) -> list[Path]:
    """Keep one of several files in a folder with the same name: the solid one, then the first format."""
    best: dict[tuple[Path, str], Path] = {}
    for path in sorted(paths, key=lambda path: (path.stem.endswith(".surface"), _format(path))):
        name = path.stem.removesuffix(".solid").removesuffix(".surface")  # ShapeNet has both
        best.setdefault((path.parent, name), path)
    return sorted(best.values())


def _format(path: Path) -> int:
    return VOXEL_SUFFIXES.index(path.suffix.lower())


def _inside(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _listed(names: Iterable[str]) -> str:
    """List a few names, and how many more there are."""
    names = list(dict.fromkeys(names))
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _place(paths: Iterable[Path]) -> Path:
    """Return the folder that contains all of some files."""
    return Path(os.path.commonpath([path.parent for path in paths]))


def _describe(found: FoundGrids, resolution: int, count: int, facts: Facts) -> str:
    """Return what was read, and a warning about grids with an occupied background."""
    folders = len({path.parent for path in found.counts})
    notes = [VOXEL_SUFFIXES[number] for number in sorted(set(map(_format, found.counts)))]
    notes += [f"{folders} subfolders"] if folders > 1 else []
    for edge in sorted(set(facts["edges"]) - {resolution}):
        notes.append(f"{edge}³ {'padded' if edge < resolution else 'pooled'} to {resolution}³")
    notes = ", ".join(notes + found.notes)
    parts = [f"{count} shape{'s' * (count > 1)} from {_place(found.counts)} ({notes})"]
    if facts["empty"]:
        parts.append(f"{len(facts['empty'])} empty: {_listed(facts['empty'])}")
    if found.left_out:
        parts.append(f"left out: {', '.join(found.left_out)}")
    if facts["background"]:
        names, shares = zip(*facts["background"], strict=True)
        share = f"{np.mean(shares):.0%}"
        parts[-1] += (
            f".\nwarning: {len(names)} of {count} grids are full to the corners, {share} of their voxels are "
            f"occupied ({_listed(names)}). Such grids are usually inverted (0 where occupied), distance "
            "fields, or have a background above 0"
        )
    return "; ".join(parts)

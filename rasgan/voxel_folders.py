"""Folders of voxel grids, in any of the layouts that people have: which files are read, and which are not.

Files of the folder itself are read alone. Where there are none, those of all its subfolders are, but where a
subfolder ``train`` stands beside others (``CLASS/train``, ``CLASS/test``), that one alone is, so that no run
is trained on its test set. ``training``, ``X_test.npy`` and ``val64`` name such parts, too. Hidden files and
folders, ``__MACOSX``, and arrays that are not voxel grids are left out.
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
from rasgan.voxel_arrays import ARRAY_SUFFIXES, SMALLEST_SIDE, forget, grids_in, open_arrays
from rasgan.voxel_io import VOXEL_SUFFIXES, fit, read_voxels
from rasgan.voxels import OCCUPIED_ABOVE, is_occupied

Progress = Callable[[Iterable], Iterable]

CACHED_FROM = 1 << 25  # bytes of packed grids, 930 of 64³: fewer are read within seconds
SHOWN = 3  # names in a sentence
SPLITS = {"train": ("train",), "test": ("test", "val")}  # the first part that is there is read


class FoundGrids(NamedTuple):
    """The voxel files to read, sorted, and what was left out."""

    counts: dict[Path, int]  # grids in each file
    left_out: list[str]  # what, how many and some of them
    notes: list[str]  # what may not be read as it was meant

    def entries(self) -> list[tuple[Path, int]]:
        """List each grid: its file, and its number in it."""
        return [(path, index) for path, count in self.counts.items() for index in range(count)]


def find_grids(folder: Path, split: str = "train") -> FoundGrids:
    """Find the voxel files to read in a folder; the module's docstring says which.

    `split` is what is read where a data set is split: "train", or "test" for shapes that are kept back. Of
    files with one name in several formats the first of `VOXEL_SUFFIXES` is read. UserError if there is none,
    or if a file is damaged.
    """
    check_is_folder(folder)
    files = sorted(_files_below(folder, set()))
    found = [path for path in files if path.suffix.lower() in VOXEL_SUFFIXES]
    meshes = [path for path in files if path.suffix.lower() in MESH_SUFFIXES]
    if not found:
        there = _listed(path.relative_to(folder).as_posix() for path in files) or "none"
        reason = f"{folder}: contains no {', '.join(VOXEL_SUFFIXES)} file; its files: {there}."
        raise UserError(reason, about="no grids" if meshes else "no data", value=folder)
    chosen = choose_split(folder, found, split, meshes)
    if not chosen:
        reason = f"{folder}: all grids are in {_place(found)}; the meshes of {split} are not converted."
        raise UserError(reason, about="no grids", value=folder)
    return _look_inside(folder, found, chosen)


def _look_inside(folder: Path, found: list[Path], chosen: list[Path]) -> FoundGrids:
    """Open the arrays among the files of the split, and choose one file for each shape."""
    arrays = {path: open_arrays(path) for path in chosen if path.suffix.lower() in ARRAY_SUFFIXES}
    sides = {path: max((array.grids[-1] for array in arrays[path].grids), default=0) for path in arrays}
    with_grids = [path for path in chosen if sides.get(path, SMALLEST_SIDE) >= SMALLEST_SIDE]
    with_grids = with_grids or [path for path in chosen if sides[path]]
    if not with_grids:
        grids_in(chosen[0])  # its error says what it contains instead
    paths, notes = _one_per_shape(with_grids)
    read = {path: arrays[path] for path in paths if path in arrays}
    several = {path.name: contents.grids for path, contents in read.items() if len(contents.grids) > 1}
    if several:
        names = _listed(array.name for array in next(iter(several.values())))
        notes.append(f"arrays {names} as separate shapes in {_listed(several)}")
    if any(array.kind.kind == "f" for contents in read.values() for array in contents.grids):
        notes.append(f"floats are occupied above {OCCUPIED_ABOVE}")
    others = [path.relative_to(folder).as_posix() for path in sorted(set(found) - set(chosen))]
    left_out = {
        "files in other folders or splits": others,
        "files without a voxel grid": [path.name for path in sorted(set(chosen) - set(with_grids))],
        "files of shapes that another file has": [path.name for path in sorted(set(with_grids) - set(paths))],
        "arrays beside grids": [f"{array.name} of {p.name}" for p in read for array in read[p].others],
    }
    told = []
    for what, names in left_out.items():
        if names:
            what = what if len(names) > 1 else what.replace("s ", " ", 1)
            told.append(f"{len(names)} {what} ({_listed(names)})")
    counts = {path: sum(array.count for array in read[path].grids) if path in read else 1 for path in paths}
    return FoundGrids(counts, told, notes)


def read_grids(
    folder: Path, resolution: int, split: str = "train", progress: Progress = iter
) -> tuple[PackedGrids, str]:
    """Read all grids of a folder and bring them to a resolution.

    Numbers are occupied above 0, floats above 0.3 as everywhere; `rasgan.voxel_io.fit` pads and pools.
    Grids of more than `CACHED_FROM` bytes are cached, and mapped from the cache (`rasgan.grid_cache`).
    UserError if there are none, one cannot be read or has an unsuitable size, all are empty, or they fit
    neither on the disk nor in memory.

    Returns N grids of n x n x n voxels, and a sentence: what was read, from where, how many grids are empty,
    what was left out. A warning may follow it.
    """
    found = find_grids(folder, split)
    read = functools.partial(_read, found, resolution, progress)
    shape = (sum(found.counts.values()), *(resolution // 2 + 1,) * 3)
    kept = None
    if math.prod(shape) > CACHED_FROM:
        kept = cached(folder, f"{split}-{resolution}", found.counts.keys(), shape, read)
    grids, facts = kept or _read_into_memory(folder, shape, read)
    return grids, _describe(found, resolution, len(grids), facts)


def _read(found: FoundGrids, resolution: int, progress: Progress, facts: Facts) -> Iterator[np.ndarray]:
    """Yield each grid packed, then put into `facts` what `_describe` needs of them."""
    edges, empty, background, entries = set(), [], [], found.entries()
    for path, index in progress(entries):
        scores = read_voxels(path, index)
        grid = is_occupied(scores)
        yield pack(fit(grid, resolution, path))
        edges.add(len(grid))
        if not grid.any():
            empty.append(path.name)
        if has_occupied_background(scores):
            background.append((path.name, float(grid.mean())))
    forget()
    if len(empty) == len(entries):
        raise UserError(f"{_place(found.counts)}: no voxel is occupied in any grid here.", about="all empty")
    facts.update(edges=sorted(edges), empty=empty, background=background)


def _read_into_memory(folder: Path, shape: tuple[int, ...], read: Read) -> tuple[PackedGrids, Facts]:
    """Read the grids into one array of a `shape`; UserError before that if the memory is too small."""
    needed = math.prod(shape) * int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's processes
    if needed > (available := available_memory()):
        sizes = f"{needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are available"
        raise UserError(f"{folder}: {shape[0]:,} grids need {sizes}.", about="memory", value=folder)
    facts: Facts = {}
    content = np.empty(shape, dtype=np.uint8)
    for number, grid in enumerate(read(facts)):
        content[number] = grid
    return PackedGrids(content), facts


def has_occupied_background(scores: np.ndarray) -> bool:
    """Return whether most corners of (n, n, n) bools or floats are occupied, as they are in no usual object.

    And most voxels, unless there are floats other than 0 and 1, such as distances. Of 800 chairs and 13
    objects of ModelNet, solid or not, none occupies more than 3 of 8 corners or 26 % of the voxels; a solid
    box with two equal sides occupies 4 corners. Inverted, each of them occupies at least 6 corners and 74 %.
    """
    ends = slice(None, None, max(len(scores) - 1, 1))
    if is_occupied(scores[ends, ends, ends]).mean() <= 0.5:
        return False
    is_graded = scores.dtype != bool and ((scores != 0) & (scores != 1)).any()
    return bool(is_graded or is_occupied(scores).mean() > 0.5)


def choose_split(folder: Path, paths: Iterable[Path], split: str, meshes: Iterable[Path] = ()) -> list[Path]:
    """Choose the voxel files that are read; beside `meshes` of the split, none of another split is."""
    inside = {path: path.relative_to(folder).parts for path in paths}
    if here := {path: parts for path, parts in inside.items() if len(parts) == 1}:
        inside, meshes = here, ()
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
    """Yield all files below a folder but hidden ones; links are followed, each folder is `read` once."""
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


def _one_per_shape(paths: list[Path]) -> tuple[list[Path], list[str]]:
    """Keep one file per shape, and note where folders contain several files that may be of one shape.

    Of files in one folder that are named as one shape the solid one is kept, in the first of the formats. So
    is one of two or three files that several folders contain under the same names, each in another format, as
    Pix3D's ``voxel.mat`` and the ``model.raw`` of its mesh.
    """
    best = collections.defaultdict(list)
    for path in paths:
        name = path.stem.removesuffix(".solid").removesuffix(".surface")  # ShapeNet has both
        best[path.parent, name].append((path.stem.endswith(".surface"), _format(path), path))
    paths = sorted(min(files)[-1] for files in best.values())
    names = collections.defaultdict(list)  # by folder
    for path in sorted(paths, key=_format):
        names[path.parent].append(path.name)
    notes = []
    for there, count in collections.Counter(map(tuple, names.values())).items():
        files = [Path(name) for name in there]
        if count == 1 or not 1 < len(files) <= SHOWN or all(file.stem.isdigit() for file in files):
            continue
        if len({file.suffix for file in files}) == len(files):
            paths = [path for path in paths if tuple(names[path.parent]) != there or path.name == there[0]]
        else:
            notes.append(f"{_listed(sorted(there))} as separate shapes in {count} folders")
    return paths, notes


def _format(path: Path) -> int:
    return VOXEL_SUFFIXES.index(path.suffix.lower())


def _listed(names: Iterable[str]) -> str:
    names = list(dict.fromkeys(names))
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _place(paths: Iterable[Path]) -> Path:
    """Return the folder that contains all of some files."""
    return Path(os.path.commonpath([path.parent for path in paths]))


def _describe(found: FoundGrids, resolution: int, count: int, facts: Facts) -> str:
    """Return in a sentence what was read, and warn of grids with an occupied background."""
    empty, background = facts["empty"], facts["background"]
    folders = len({path.parent for path in found.counts})
    notes = [VOXEL_SUFFIXES[number] for number in sorted(set(map(_format, found.counts)))]
    notes += [f"{folders} subfolders"] if folders > 1 else []
    for edge in sorted(set(facts["edges"]) - {resolution}):
        notes.append(f"{edge}³ {'padded' if edge < resolution else 'pooled'} to {resolution}³")
    notes = ", ".join(notes + found.notes)
    told = f"{count} {'shape' if count == 1 else 'shapes'} from {_place(found.counts)} ({notes})"
    if empty:
        told += f", {len(empty)} of them empty: {_listed(empty)}"
    if found.left_out:
        told += f"; left out: {', '.join(found.left_out)}"
    if background:
        share = sum(share for _, share in background) / len(background)
        told += (
            f".\nwarning: {len(background)} of {count} grids are full to the corners, {share:.0%} of their "
            f"voxels are occupied ({_listed(name for name, _ in background)}). Such grids are usually "
            "inverted (0 where occupied), distance fields, or have a background above 0"
        )
    return told

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
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rasgan import voxel_arrays, voxel_io, voxels
from rasgan.data.meshes import SUFFIXES as MESH_SUFFIXES
from rasgan.errors import UserError
from rasgan.files import check_is_folder
from rasgan.grid_cache import Facts, GridCache, Read
from rasgan.memory import available_memory
from rasgan.packed_grids import PackedGrids, pack
from rasgan.voxel_arrays import ARRAY_SUFFIXES, SMALLEST_SIDE, Contents, forget, grids_in, open_arrays
from rasgan.voxel_io import VOXEL_SUFFIXES, fit, padded_edge, read_voxels
from rasgan.voxels import OCCUPIED_ABOVE, is_occupied

CACHED_FROM = 1 << 25
"""Bytes of packed grids, 930 grids of 64³: fewer are read within seconds."""

SHOWN = 3  # names in a sentence
SPLITS = {"train": ("train",), "test": ("test", "val")}
"""Which part of a data set is read for each split: the first that is there."""

RANKS = {".solid": 0, "": 0, ".surface": 1}
"""ShapeNet has each shape twice, as NAME.solid.binvox and NAME.surface.binvox: the first is read."""


@dataclass(frozen=True)
class FoundGrids:
    """The voxel files to read, sorted, and what was left out."""

    counts: dict[Path, int]  # grids in each file
    left_out: list[str]  # what, how many and one of them
    notes: list[str]  # what may be read otherwise than was meant

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return list(self.counts)

    def entries(self) -> list[tuple[Path, int]]:
        """List each grid: its file, and its number in it."""
        return [(path, index) for path, count in self.counts.items() for index in range(count)]


def find_grids(folder: Path, split: str = "train") -> FoundGrids:
    """Find the voxel files to read in a folder; the module's docstring says which.

    `split` is what is read where a data set is split: "train", or "test" for shapes that are kept back. Of
    files with one name in several formats the first of `VOXEL_SUFFIXES` is read.

    UserError if there is none, with what there is instead, or if a file is damaged.
    """
    check_is_folder(folder)
    files = sorted(_files_below(folder))
    found = [path for path in files if path.suffix.lower() in VOXEL_SUFFIXES]
    meshes = [path for path in files if path.suffix.lower() in MESH_SUFFIXES]
    if not found:
        raise _nothing_found(folder, files, meshes)
    chosen = choose_split(folder, found, split, meshes)
    if not chosen:
        reason = f"{folder}: all grids are in {_place(found)}; the meshes of {split} are not converted."
        raise UserError(reason, about="no grids", value=folder)
    return _look_inside(folder, found, chosen, meshes)


def _look_inside(folder: Path, found: list[Path], chosen: list[Path], meshes: list[Path]) -> FoundGrids:
    """Open the arrays among the files of the split, and choose one file for each shape."""
    arrays = {path: open_arrays(path) for path in chosen if path.suffix.lower() in ARRAY_SUFFIXES}
    with_grids = _with_grids(chosen, arrays)
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
        "files not converted": [mesh.name for mesh in _unconverted(meshes, paths)],
        "arrays beside grids": [f"{array.name} of {p.name}" for p in read for array in read[p].others],
    }
    told = [
        f"{len(names)} {what if names[1:] else what.replace('s ', ' ', 1)} ({_listed(names)})"
        for what, names in left_out.items()
        if names
    ]
    counts = {path: sum(array.count for array in read[path].grids) if path in read else 1 for path in paths}
    return FoundGrids(counts, told, notes)


def read_grids(
    folder: Path,
    resolution: int,
    split: str = "train",
    progress: Callable[[Iterable], Iterable] = iter,
) -> tuple[PackedGrids, str]:
    """Read all grids of a folder and bring them to a resolution.

    Numbers are occupied above 0, floats above 0.3 as everywhere; `rasgan.voxel_io.fit` pads and pools.
    Grids of more than `CACHED_FROM` bytes are cached, and mapped from the cache (`rasgan.grid_cache`).
    UserError if there are none, one cannot be read or has an unsuitable size, all are empty, or they fit
    neither on the disk nor in memory.

    Returns
    -------
    grids : PackedGrids
        N grids of n x n x n voxels.
    told : str
        What was read, from where, how many are empty, and what was left out: one sentence.
    """
    found = find_grids(folder, split)
    code = (voxel_arrays.__file__, voxel_io.__file__, voxels.__file__, __file__)
    cache = GridCache(folder, f"{split}-{resolution}", found.paths, code)
    kept = cache.load()
    if kept is None:
        entries = found.entries()
        read = functools.partial(_read, found, entries, resolution, progress)
        shape = (len(entries), *(resolution // 2 + 1,) * 3)
        kept = cache.build(shape, read) if math.prod(shape) > CACHED_FROM else None
        kept = kept or _read_into_memory(folder, shape, read)
    grids, facts = kept
    told = [_describe(found, resolution, len(grids), facts)]
    if facts["background"]:
        told.append(describe_background(facts["background"], len(grids)))
    return grids, ".\n".join(told)


def _read(
    found: FoundGrids,
    entries: list[tuple[Path, int]],
    resolution: int,
    progress: Callable[[Iterable], Iterable],
    facts: Facts,
) -> Iterator[np.ndarray]:
    """Yield each grid packed, then put into `facts` what `_describe` needs of them."""
    edges, empty, background = set(), [], []
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
        raise UserError(f"{_place(found.paths)}: no voxel is occupied in any grid here.", about="all empty")
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


def describe_background(grids: list[tuple[str, float]], count: int) -> str:
    """Return a warning about grids with an occupied background: their files' names and occupied shares."""
    share = sum(share for _, share in grids) / len(grids)
    return (
        f"warning: {len(grids)} of {count} grids are full to the corners, {share:.0%} of their voxels are "
        f"occupied ({_listed(name for name, _ in grids)}). Such grids are usually inverted (0 where "
        "occupied), distance fields, or have a background above 0"
    )


def choose_split(folder: Path, paths: Iterable[Path], split: str, meshes: Iterable[Path] = ()) -> list[Path]:
    """Choose the voxel files below a folder that are read; see the module's docstring.

    A folder of the split counts as well where it contains `meshes` only: then nothing is chosen beside it.
    """
    inside = {path: path.relative_to(folder).parts for path in paths}
    if here := {path: parts for path, parts in inside.items() if len(parts) == 1}:
        inside, meshes = here, ()
    there = collections.defaultdict(set)  # by folder: the parts of a data set that its subfolders are
    for parts in (*inside.values(), *(mesh.relative_to(folder).parts for mesh in meshes)):
        for depth, name in enumerate(parts[:-1]):
            there[parts[:depth]].add(_part(name))
    wanted = {place: _first(split, parts) for place, parts in there.items()}
    chosen = [
        path
        for path, parts in inside.items()
        if all(wanted[parts[:depth]] in (None, _part(name)) for depth, name in enumerate(parts[:-1]))
    ]
    files = collections.defaultdict(set)  # by folder: the same of its files
    for path in chosen:
        files[path.parent].add(_part(path.stem))
    wanted = {place: _first(split, parts) for place, parts in files.items()}
    return [p for p in chosen if wanted[p.parent] is None or _part(p.stem) in (wanted[p.parent], None)]


def _first(split: str, parts: set[str | None]) -> str | None:
    """Return which of the parts of a data set is read, if any is."""
    return next((part for part in SPLITS[split] if part in parts), None)


def _part(name: str) -> str | None:
    """Return "train", "test" or "val" for names such as training, X_test and val64; None for others."""
    for word in re.split(r"[^a-z]+", name.lower()):
        if found := re.fullmatch(r"(train|test|val)(ing|val|id|idation)?(set|data)?", word):
            return found[1]
    return None


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder but hidden ones; links are followed, each folder is read once."""
    read = set()
    for parent, subfolders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(parent)
        subfolders[:] = [] if real in read else sorted(filter(_is_visible, subfolders))
        if real not in read:
            yield from (Path(parent, name) for name in filter(_is_visible, names))
        read.add(real)


def _refuse(error: OSError) -> None:
    raise error


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _shape_name(path: Path) -> tuple[str, str]:
    """Return the name that all files of one shape share, and what ShapeNet adds to it."""
    name, kind = re.fullmatch(r"(.*?)(\.solid|\.surface|)", path.stem, re.IGNORECASE | re.DOTALL).groups()
    return name, kind.lower()


def _with_grids(paths: list[Path], arrays: dict[Path, Contents]) -> list[Path]:
    """Drop files without a grid, and those of which all cubes are small, unless all are (`SMALLEST_SIDE`)."""
    sides = {
        path: max((a.grids[-1] for a in arrays[path].grids), default=0) if path in arrays else SMALLEST_SIDE
        for path in paths
    }
    least = min(max(sides.values()), SMALLEST_SIDE) or 1
    return [path for path, side in sides.items() if side >= least]


def _one_per_shape(paths: list[Path]) -> tuple[list[Path], list[str]]:
    """Keep one file per shape, and note where folders contain several files that may be of one shape.

    Of files in one folder that are named as one shape the solid one is kept, in the first of the formats. So
    is one of two or three files that several folders contain under the same names, each in another format, as
    Pix3D's ``voxel.mat`` and the ``model.raw`` of its mesh.
    """
    best = {}
    for path in paths:
        name, kind = _shape_name(path)
        best.setdefault((path.parent, name), []).append((RANKS[kind], _format(path), path))
    paths = sorted(min(files)[-1] for files in best.values())
    names = collections.defaultdict(set)
    for path in paths:
        names[path.parent].add(path.name)
    repeated = collections.Counter(frozenset(there) for there in names.values() if 1 < len(there) <= SHOWN)
    notes = []
    for there, count in repeated.items():
        files = sorted(map(Path, there), key=_format)
        if count == 1 or all(file.stem.isdigit() for file in files):
            continue
        if len({file.suffix for file in files}) == len(files):
            paths = [path for path in paths if names[path.parent] != there or path.name == files[0].name]
        else:
            notes.append(f"{_listed(sorted(there))} as separate shapes in {count} folders")
    return paths, notes


def _format(path: Path) -> int:
    return VOXEL_SUFFIXES.index(path.suffix.lower())


def _listed(names: Iterable[str]) -> str:
    names = list(dict.fromkeys(names))
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _unconverted(meshes: list[Path], grids: Iterable[Path]) -> list[Path]:
    """List the meshes without a grid, in folders where other meshes have one."""
    names = {(path.parent, _shape_name(path)[0]) for path in grids}
    converted = {mesh.parent for mesh in meshes if (mesh.parent, mesh.stem) in names}
    return [mesh for mesh in meshes if mesh.parent in converted and (mesh.parent, mesh.stem) not in names]


def _place(paths: Iterable[Path]) -> Path:
    """Return the folder that holds all of some files."""
    return Path(os.path.commonpath([path.parent for path in paths]))


def _describe(found: FoundGrids, resolution: int, count: int, facts: Facts) -> str:
    """Return in a sentence what was read."""
    empty, folders = facts["empty"], len({path.parent for path in found.paths})
    notes = [VOXEL_SUFFIXES[number] for number in sorted(set(map(_format, found.paths)))]
    notes += [f"{folders} subfolders"] if folders > 1 else []
    for edge in sorted(set(facts["edges"]) - {resolution}):
        padded = padded_edge(edge, resolution)
        steps = [f"padded to {padded}³"] if padded > edge else []
        steps += [f"pooled to {resolution}³"] if padded > resolution else []
        notes.append(f"{edge}³ {' and '.join(steps)}")
    notes = ", ".join(notes + found.notes)
    sentence = f"{count} {'shape' if count == 1 else 'shapes'} from {_place(found.paths)} ({notes})"
    if empty:
        sentence += f", {len(empty)} of them empty: {_listed(empty)}"
    return f"{sentence}; left out: {', '.join(found.left_out)}" if found.left_out else sentence


def _nothing_found(folder: Path, files: list[Path], meshes: list[Path]) -> UserError:
    """Return the error that says what is in a folder instead of voxel grids."""
    reason = f"{folder}: contains no {', '.join(VOXEL_SUFFIXES)} file, nor do its subfolders"
    if meshes:
        return UserError(
            f"{reason}, but meshes: {_listed(map(str, meshes))}.", about="no grids", value=folder
        )
    kinds = collections.Counter(path.suffix.lower() or path.name for path in files).most_common(SHOWN)
    there = ", ".join(f"{count} {kind}" for kind, count in kinds)
    return UserError(f"{reason}{f'; its files: {there}' if there else ''}.", about="no data")

"""Folders of voxel grids, in any of the layouts that people have: which files are read, and which are not.

Files of the folder itself are read alone. Where there are none, those of all its subfolders are, but where a
subfolder ``train`` stands beside others (``CLASS/train``, ``CLASS/test``), that one alone is: trained on the
test set, a run's scores would say nothing. Hidden files and folders and ``__MACOSX`` are left out.
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
from rasgan.voxel_arrays import ARRAY_SUFFIXES, forget, open_arrays
from rasgan.voxel_io import VOXEL_SUFFIXES, count_shapes, fit, padded_edge, read_voxels
from rasgan.voxels import is_occupied

CACHED_FROM = 1 << 25
"""Bytes of packed grids, 930 grids of 64³: fewer are read within seconds."""

SHOWN = 3  # names in a sentence
RANKS = {".solid": 0, "": 0, ".surface": 1}
"""ShapeNet has each shape twice, as NAME.solid.binvox and NAME.surface.binvox: the first is taken."""


@dataclass(frozen=True)
class FoundGrids:
    """The voxel files to read, sorted, and what was left out."""

    paths: list[Path]
    left_out: list[str]  # in words

    def entries(self) -> list[tuple[Path, int]]:
        """List each grid: its file, and its number in it. UserError for arrays that hold none."""
        return [(path, index) for path in self.paths for index in range(count_shapes(path))]


def find_grids(folder: Path, split: str = "train") -> FoundGrids:
    """Find the voxel files to read in a folder; the module's docstring says which.

    `split` is the subfolder that is read where it stands beside others: "train", or "test" for shapes that
    are kept back. Of files with one name in several formats the first of `VOXEL_SUFFIXES` is read.

    UserError if there is none; it says what is there, or where grids are.
    """
    check_is_folder(folder)
    files = sorted(_files_below(folder))
    found = [path for path in files if path.suffix.lower() in VOXEL_SUFFIXES]
    meshes = [path for path in files if path.suffix.lower() in MESH_SUFFIXES]
    if not found:
        raise _nothing_found(folder, files, meshes)
    chosen = choose_split(folder, found, split, meshes)
    if not chosen:
        reason = f"{folder}: the grids here are those of {_place(found)}; the meshes of {split} have none."
        raise UserError(reason, about="no grids", value=folder)
    paths = _without_twins(chosen)
    others = set(found) - set(chosen)
    left_out = [f"{len(others)} in {_place(others)}"] if others else []
    if len(paths) < len(chosen):
        twins = sorted(set(chosen) - set(paths))
        left_out.append(f"{len(twins)} of shapes that another file has too ({twins[0].name})")
    if unconverted := _unconverted(meshes, paths):
        are = "mesh that is" if len(unconverted) == 1 else "meshes that are"
        left_out.append(f"{len(unconverted)} {are} not converted ({unconverted[0].name})")
    return FoundGrids(paths, left_out)


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
    return grids, _describe(found, resolution, len(grids), facts)


def _read(
    found: FoundGrids,
    entries: list[tuple[Path, int]],
    resolution: int,
    progress: Callable[[Iterable], Iterable],
    facts: Facts,
) -> Iterator[np.ndarray]:
    """Yield each grid packed, then put into `facts` what `_describe` needs of them."""
    edges, empty, left_out = set(), [], []
    for path, index in progress(entries):
        grid = is_occupied(read_voxels(path, index))
        yield pack(fit(grid, resolution, path))
        edges.add(len(grid))
        if not grid.any():
            empty.append(path.name)
        if index == 0 and path.suffix.lower() in ARRAY_SUFFIXES and (names := open_arrays(path).left_out):
            left_out.append(f"{', '.join(names)} of {path.name}")
    forget()
    if len(empty) == len(entries):
        raise UserError(f"{_place(found.paths)}: no voxel is occupied in any grid here.", about="all empty")
    facts.update(edges=sorted(edges), empty=empty, left_out=left_out)


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


def choose_split(folder: Path, paths: Iterable[Path], split: str, meshes: Iterable[Path] = ()) -> list[Path]:
    """Choose of the voxel files below a folder those that are read; see the module's docstring.

    A folder of the split counts as well where it holds `meshes` only: then nothing is chosen beside it.
    """
    inside = {path: path.relative_to(folder).parts for path in paths}
    if here := [path for path, parts in inside.items() if len(parts) == 1]:
        return here
    parents = {
        parts[:depth]
        for parts in (*inside.values(), *(mesh.relative_to(folder).parts for mesh in meshes))
        for depth, part in enumerate(parts[:-1])
        if part.lower() == split
    }
    return [
        path
        for path, parts in inside.items()
        if all(parts[:depth] not in parents or part.lower() == split for depth, part in enumerate(parts))
    ]


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


def _without_twins(paths: Iterable[Path]) -> list[Path]:
    """Keep of files in one folder that are named as one shape the solid one, in the first of the formats."""
    best = {}
    for path in sorted(paths):
        name, kind = _shape_name(path)
        rank = RANKS[kind], VOXEL_SUFFIXES.index(path.suffix.lower())
        kept = best.setdefault((path.parent, name), (rank, path))
        if rank < kept[0]:
            best[path.parent, name] = rank, path
    return sorted(path for _, path in best.values())


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
    empty, others = facts["empty"], facts["left_out"]
    left_out = found.left_out + others[:1] + ([f"the like of {len(others) - 1} more"] if others[1:] else [])
    place, folders = _place(found.paths), len({path.parent for path in found.paths})
    notes = sorted({path.suffix.lower() for path in found.paths}, key=VOXEL_SUFFIXES.index)
    notes += [f"{folders} subfolders"] if folders > 1 else []
    for edge in sorted(set(facts["edges"]) - {resolution}):
        padded = padded_edge(edge, resolution)
        steps = [f"padded to {padded}³"] if padded > edge else []
        steps += [f"pooled to {resolution}³"] if padded > resolution else []
        notes.append(f"{edge}³ {' and '.join(steps)}")
    sentence = f"{count} {'shape' if count == 1 else 'shapes'} from {place} ({', '.join(notes)})"
    if empty:
        names = ", ".join(empty[:SHOWN]) + (", ..." if len(empty) > SHOWN else "")
        sentence += f", {len(empty)} of them empty: {names}"
    return f"{sentence}; left out: {', '.join(left_out)}" if left_out else sentence


def _nothing_found(folder: Path, files: list[Path], meshes: list[Path]) -> UserError:
    """Return the error that says what is in a folder instead of voxel grids."""
    reason = f"{folder}: holds no {', '.join(VOXEL_SUFFIXES)} file, nor do its subfolders"
    if meshes:
        there = f"{meshes[0]} and {len(meshes) - 1} more" if meshes[1:] else str(meshes[0])
        return UserError(f"{reason}, but meshes: {there}.", about="no grids", value=folder)
    if elsewhere := _grids_beside(folder):
        reason += f"; there are some in {elsewhere}."
        return UserError(reason, about="grids elsewhere", value=elsewhere)
    kinds = collections.Counter(path.suffix.lower() or path.name for path in files).most_common(SHOWN)
    there = ", ".join(f"{count} {kind}" for kind, count in kinds)
    return UserError(f"{reason}{f'; its files: {there}' if there else ''}.", about="no data")


def _grids_beside(folder: Path) -> Path | None:
    """Return a folder with voxel files: the one around this one, or one beside it. None if there is none."""
    around = folder.absolute().parent
    try:
        beside = sorted(path for path in around.iterdir() if path.is_dir() and _is_visible(path.name))
        for place in (around, *beside):
            if any(path.suffix.lower() in VOXEL_SUFFIXES[:2] for path in place.iterdir()):
                return place
    except OSError:  # it is only a hint
        pass
    return None

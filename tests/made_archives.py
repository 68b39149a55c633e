"""Small archives with the layout of ModelNet10."""

import bz2
import dataclasses
import gzip
import io
import lzma
import random
import tarfile
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

import download_data
from rasgan.data import download

CLASSES = frozenset("bathtub bed chair desk dresser monitor night_stand sofa table toilet".split())  # noqa: SIM905
Entry = tuple[str | tarfile.TarInfo | zipfile.ZipInfo, bytes]


def meshes(classes: Iterable[str] = CLASSES, size: int = 300, seed: int = 1) -> dict[str, bytes]:
    """Return, for every class, a training mesh of random bytes and an empty test mesh, by their paths."""
    chance = random.Random(seed)
    train = {f"{name}/train/{name}_1.off": b"OFF\n" + chance.randbytes(size) for name in sorted(classes)}
    return train | {f"{name}/test/{name}_2.off": b"" for name in sorted(classes)}


MESHES = meshes()


def inside(files: dict[str, bytes], top: str = "ModelNet10/") -> list[Entry]:
    """Return the entries of an archive with a folder around `files`."""
    return [(top + name, content) for name, content in files.items()]


def zip_of(entries: Iterable[Entry], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # duplicate names are intended
        for name, content in entries:
            packed.writestr(name, content)
    return buffer.getvalue()


def tar_of(entries: Iterable[Entry], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as packed:
        for name, content in entries:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isreg():
                info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tar_gz_of(entries: Iterable[Entry]) -> bytes:
    return gzip.compress(tar_of(entries), mtime=0)


PACKERS = {
    "zip": zip_of,
    "tar": tar_of,
    "tar.gz": tar_gz_of,
    "tar.bz2": lambda entries: bz2.compress(tar_of(entries)),
    "tar.xz": lambda entries: lzma.compress(tar_of(entries)),
}


def files_in(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder; return the contents by path."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def make_small(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """Make download_data.py expect a small ModelNet10, with `changes`, and time out early."""
    small = {"packed_bytes": 1, "is_exact": False, "unpacked_bytes": 1} | changes
    dataset = dataclasses.replace(download_data.MODELNET10, **small)
    monkeypatch.setattr(download_data, "DATASETS", download_data.DATASETS | {"modelnet10": dataset})
    monkeypatch.setattr(download_data, "PATIENCE", download.Patience(2, 0.4, tries=3, pause_s=0))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

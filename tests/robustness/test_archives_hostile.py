"""Every archive that a stranger may pack to do harm: refused in one sentence, and nothing is left."""

import gzip
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import download_data
from rasgan.data import archives
from rasgan.data.archives import BadArchiveError
from tests.made_archives import MESHES, Entry, tar_gz_of, tar_of, zip_of

MESH = "chair/train/chair_1.off"
PACKERS = {"zip": zip_of, "tar.gz": tar_gz_of}
OUT, LINK, TWICE = "leads out of the folder", "a link or a device", "is there twice"
DAMAGED, SPARSE = "damaged or hostile", "a sparse file"

BAD_NAMES = {
    "../evil.off": OUT,
    "chair/../../../evil.off": OUT,
    "/tmp/evil.off": OUT,
    "//server/share/evil.off": OUT,
    "chair\\../..\\evil.off": OUT,
    "\\\\?\\C:\\evil.off": OUT,
    "C:\\evil.off": OUT,
    "C:evil.off": OUT,
    "d/" * 4000 + "a.off": OUT,
    f"chair/train/{'n' * 300}.off": "File name too long",
    MESH: TWICE,
    MESH.replace("train/", "./train//"): TWICE,
    MESH.replace("chair_1", "CHAIR_1"): TWICE,
    f"{MESH}/a.off": DAMAGED,  # inside a file
    "chair": DAMAGED,  # in place of a folder
}


def tar_special(kind: bytes) -> bytes:
    info = tarfile.TarInfo("chair/train/special.off")
    info.type, info.linkname = kind, MESH
    return with_meshes(tar_gz_of, (info, b""))


def zip_special(mode: int) -> bytes:
    info = zipfile.ZipInfo("chair/train/special.off")
    info.create_system, info.external_attr = 3, (mode | 0o644) << 16
    return with_meshes(zip_of, (info, b"/etc/passwd"))


def with_meshes(pack: Callable, *entries: Entry) -> bytes:
    return pack([*MESHES.items(), *entries])


def patched(content: bytes, *places: tuple[bytes, int, bytes]) -> bytes:
    """Overwrite bytes at an offset from the last place where others stand."""
    for where, offset, value in places:
        start = content.rindex(where) + offset
        content = content[:start] + value + content[start + len(value) :]
    return content


def pax(name: str = "chair/train/pax.off", **headers: str) -> Entry:
    info = tarfile.TarInfo(name)
    info.pax_headers = {key.replace("_", "."): value for key, value in headers.items()}
    return info, b""


def header(kind: bytes, size: int, form: int = tarfile.USTAR_FORMAT) -> bytes:
    """Return a tar header as it stands in a file."""
    info = tarfile.TarInfo("x" * 99)
    info.type, info.size = kind, size
    return info.tobuf(form)


def behind_a_mesh(block: bytes) -> bytes:
    """Return a tar.gz whose second header is `block`, and that ends within what it announces."""
    first = tar_of([(MESH, b"OFF")], tarfile.USTAR_FORMAT)[:1024]
    return gzip.compress(first + block, mtime=0)


def sparse_without_end() -> bytes:
    """End the archive within the map of a sparse file, which tarfile reads for ever."""
    info, _ = pax(GNU_sparse_major="1", GNU_sparse_minor="0", GNU_sparse_name="m/a.off")
    info.size = 512
    return behind_a_mesh(info.tobuf(tarfile.PAX_FORMAT) + b"9".ljust(512, b"\n"))


TABLE = {
    "accents put together otherwise, zip": (lambda: zip_of([("m/é", b""), ("m/e\u0301", b"")]), TWICE),
    "the same after folding, tar.gz": (lambda: tar_gz_of([("m/ß", b""), ("m/SS", b"")]), TWICE),
    "NUL in a pax name, tar.gz": (lambda: tar_gz_of([pax(path="m/a\0b.off")]), "null"),
    "parent folder in a pax name, tar.gz": (lambda: tar_gz_of([pax(path="../evil.off")]), OUT),
    # Links and devices
    **{
        f"mode {mode:o}, zip": (lambda mode=mode: zip_special(mode), LINK)
        for mode in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK)
    },
    **{
        f"type {kind}, tar.gz": (lambda kind=kind: tar_special(kind), LINK)
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
    },
    # Bombs
    "lies about its size, zip": (
        lambda: patched(
            with_meshes(zip_of, ("m/long.off", bytes(100_000))), (b"PK\x01\x02", 24, b"\1\0\0\0")
        ),
        DAMAGED,
    ),
    "sparse, tar.gz": (
        lambda: with_meshes(
            tar_gz_of, pax(GNU_sparse_size=str(8 * 10**9), GNU_sparse_numblocks="0", GNU_sparse_map="0,0")
        ),
        SPARSE,
    ),
    "sparse without an end, tar.gz": (sparse_without_end, SPARSE),
    "old sparse, tar.gz": (lambda: behind_a_mesh(header(tarfile.GNUTYPE_SPARSE, 0)), SPARSE),
    "a header of a million digits, tar.gz": (
        lambda: behind_a_mesh(header(tarfile.XHDTYPE, 1_000_000) + b"1" * 1_000_448),
        "a header of 1000000 bytes",
    ),
    "headers in a chain, tar.gz": (
        lambda: behind_a_mesh((header(tarfile.GNUTYPE_LONGNAME, 512) + b"n" * 512) * 5000),
        DAMAGED,
    ),
    "leads back to itself, tar.gz": (
        lambda: behind_a_mesh(header(tarfile.REGTYPE, -512, tarfile.GNU_FORMAT) + bytes(1024)),
        "a header of -512 bytes",
    ),
    # What cannot be unpacked
    "encrypted, zip": (
        lambda: patched(zip_of([(MESH, b"x")]), (b"PK\x01\x02", 8, b"\1"), (b"PK\x03\x04", 6, b"\1")),
        "encrypted",
    ),
    "a header that is none, tar.gz": (lambda: behind_a_mesh(b"x" * 512), "header: "),
    "no end, tar.gz": (lambda: behind_a_mesh(b""), "header: "),
}
TABLE |= {
    f"{number} {name[:20]!r}, {kind}": (lambda pack=pack, name=name: with_meshes(pack, (name, b"evil")), says)
    for number, (name, says) in enumerate(BAD_NAMES.items())
    for kind, pack in PACKERS.items()
}


@pytest.mark.parametrize(("make", "says"), TABLE.values(), ids=TABLE)
def test_a_hostile_archive_is_refused_in_a_sentence_and_leaves_nothing(tmp_path, make, says):
    place = tmp_path / "a" / "b"  # so that what leads out is still looked for below tmp_path
    place.mkdir(parents=True)
    archive = tmp_path / "archive.bin"
    archive.write_bytes(make())
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadArchiveError) as caught:
        archives.unpack(archive, place / "ModelNet10", place / "staging", set)
    message = str(caught.value)
    assert message.startswith(f"{archive}: damaged or hostile (")
    assert says in message
    assert "\n" not in message
    assert len(message) < 1000
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/tmp/evil.off").exists()


def test_the_real_data_sets_are_within_the_limits():
    for dataset in download_data.DATASETS.values():
        assert 2 * dataset.unpacked_bytes < min(archives.MAX_BYTES, archives.MAX_RATIO * dataset.packed_bytes)
    assert archives.MAX_FILES > 2 * 12_311  # the meshes of ModelNet40

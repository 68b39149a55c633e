"""Good archives are unpacked completely; damaged, hostile and too large ones leave nothing behind."""

import gzip
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rasgan.data import archives
from rasgan.data.archives import BadArchiveError
from rasgan.errors import UserError
from tests.made_archives import MESHES, PACKERS, Entry, files_in, inside, meshes, tar_gz_of, tar_of, zip_of


class Place:
    """An archive, the folder that it is unpacked to, and the folders around it."""

    def __init__(self, folder):
        self.around = folder
        self.archive = folder / "wrongly_named.txt"
        self.outer = folder / "a" / "outer"  # so deep that escaped files are found in `around`
        self.target = self.outer / "ModelNet10"
        self.outer.mkdir(parents=True)

    def unpack(self, content: bytes, progress=lambda done, total: None) -> dict[str, bytes]:
        self.archive.write_bytes(content)
        archives.unpack(self.archive, self.target, self.outer / "staging", 10, progress)
        assert list(self.outer.iterdir()) == [self.target]
        return files_in(self.target)

    def refuse(self, content: bytes, error: type[Exception] = BadArchiveError) -> str:
        with pytest.raises(error) as caught:
            self.unpack(content)
        assert sorted(self.around.rglob("*")) == [self.outer.parent, self.outer, self.archive]
        message = str(caught.value)
        assert "\n" not in message
        assert len(message) < 1000
        return message


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("top", ["", "./", "a/b/"])
def test_every_kind_of_archive_is_unpacked(place, kind, top):
    seen = []
    assert place.unpack(PACKERS[kind](inside(MESHES, top)), lambda *step: seen.append(step)) == MESHES
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_unusual_names_are_kept(place, kind):
    folder = tarfile.TarInfo("M/chair")
    folder.type = tarfile.DIRTYPE
    odd = {"chair/train/siège à bascule (2).off": b"OFF", "inner.zip": zip_of([("../../evil", b"x")])}
    odd |= {".DS_Store": b"x", "chair/train/._chair_1.off": b"x"}
    entries = [("M/chair/" if kind == "zip" else folder, b""), *inside(MESHES | odd, "M/")]
    entries.append(("M\\chair\\train\\w.off", b"W"))
    assert place.unpack(PACKERS[kind](entries)) == MESHES | odd | {"chair/train/w.off": b"W"}


def test_a_target_with_files_is_not_overwritten(place):
    place.target.mkdir()
    (place.target / "mine.txt").touch()
    with pytest.raises(OSError, match="mpty"):
        place.unpack(zip_of(MESHES.items()))
    assert files_in(place.outer) == {"ModelNet10/mine.txt": b""}


@pytest.mark.parametrize(
    "entries",
    [
        [("chair/train/", b""), ("photos/cat.jpg", b"x")],
        [("__MACOSX/chair/train/._a.off", b"x"), ("chair/train/._a.off", b"x")],
        inside(MESHES, "a/b/c/"),
    ],
    ids=["no meshes", "only hidden files", "too deep"],
)
def test_an_archive_without_meshes_is_refused(place, entries):
    assert "no CLASS/train folder with .off files" in place.refuse(zip_of(entries))


def test_an_archive_with_too_many_classes_is_refused(place):
    content = zip_of(meshes(f"class{number}" for number in range(11)).items())
    assert "not ModelNet10: it has 11 classes, not 10" in place.refuse(content)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize(
    ("limit", "value"), [("FREE_BYTES", 10_000), ("MAX_BYTES", 3000), ("MAX_FILES", len(MESHES))]
)
def test_the_size_and_number_of_files_are_limited(place, kind, limit, value, monkeypatch):
    monkeypatch.setattr(archives, limit, value)
    more = ("x", bytes(2_000_000 if limit == "FREE_BYTES" else 0))
    assert "unpacks to more than" in place.refuse(PACKERS[kind]([*MESHES.items(), more]))


@pytest.mark.parametrize("kind", PACKERS)
def test_truncated_or_changed_archives_are_refused(place, kind):
    content = PACKERS[kind](MESHES.items())
    # A plain tar ends in thousands of zeros; its end mark must be cut.
    end = len(content.rstrip(b"\0")) if kind == "tar" else len(content) - 20
    for cut in (1, 100, 511, 513, 1024, len(content) // 2, end):
        assert "damaged" in place.refuse(content[:cut])
    at = (
        content.index(b"sofa/test") if kind == "tar" else len(content) // 3
    )  # a tar has checksums only for headers
    assert "damaged" in place.refuse(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])


def test_a_zip_that_does_not_fit_is_refused_before_anything_is_written(place, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 100}))
    assert place.refuse(zip_of(MESHES.items()), UserError).endswith("0.0 GB are free; free some space.")


def test_a_compressed_tar_is_read_to_its_checksum(place):
    complete = gzip.compress(tar_of(MESHES.items()))
    assert "damaged or hostile" in place.refuse(complete[:-8] + b"evil" + complete[-4:])
    assert "damaged or hostile" in place.refuse(complete + b"junk")


# --- hostile archives

MESH = "chair/train/chair_1.off"
OUT, LINK = "outside the target folder", "a link or a device"
DAMAGED, SPARSE = "damaged or hostile", "a sparse file"

BAD_NAMES = {
    "chair/../../../evil.off": OUT,
    "/tmp/evil.off": OUT,
    "chair\\../..\\evil.off": OUT,
    "C:\\evil.off": OUT,
    "d/" * 4000 + "a.off": OUT,
    f"chair/train/{'n' * 300}.off": "File name too long",
    f"{MESH}/a.off": DAMAGED,  # inside a file
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
    """Overwrite bytes at an offset from the last occurrence of others."""
    for where, offset, value in places:
        start = content.rindex(where) + offset
        content = content[:start] + value + content[start + len(value) :]
    return content


def pax(name: str = "chair/train/pax.off", **headers: str) -> Entry:
    info = tarfile.TarInfo(name)
    info.pax_headers = {key.replace("_", "."): value for key, value in headers.items()}
    return info, b""


def header(kind: bytes, size: int, form: int = tarfile.USTAR_FORMAT) -> bytes:
    """Return a tar header as in a file."""
    info = tarfile.TarInfo("x" * 99)
    info.type, info.size = kind, size
    return info.tobuf(form)


def behind_a_mesh(block: bytes) -> bytes:
    """Return a tar.gz whose second header is `block`, and which ends before what it announces."""
    first = tar_of([(MESH, b"OFF")], tarfile.USTAR_FORMAT)[:1024]
    return gzip.compress(first + block, mtime=0)


def sparse_without_end() -> bytes:
    """End the archive within the map of a sparse file, which tarfile reads forever."""
    info, _ = pax(GNU_sparse_major="1", GNU_sparse_minor="0", GNU_sparse_name="m/a.off")
    info.size = 512
    return behind_a_mesh(info.tobuf(tarfile.PAX_FORMAT) + b"9".ljust(512, b"\n"))


TABLE = {
    # Links and devices
    **{
        f"mode {mode:o}, zip": (lambda mode=mode: zip_special(mode), LINK)
        for mode in (stat.S_IFLNK, stat.S_IFIFO)
    },
    **{
        f"type {kind}, tar.gz": (lambda kind=kind: tar_special(kind), LINK)
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)
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
    "a negative size, tar.gz": (
        lambda: behind_a_mesh(header(tarfile.REGTYPE, -512, tarfile.GNU_FORMAT) + bytes(1024)),
        "a header of -512 bytes",
    ),
    # What cannot be unpacked
    "encrypted, zip": (
        lambda: patched(zip_of([(MESH, b"x")]), (b"PK\x01\x02", 8, b"\1"), (b"PK\x03\x04", 6, b"\1")),
        "encrypted",
    ),
    "no end, tar.gz": (lambda: behind_a_mesh(b""), "header: "),
}
TABLE |= {
    f"{number} {name[:20]!r}, {kind}": (lambda pack=pack, name=name: with_meshes(pack, (name, b"evil")), says)
    for number, (name, says) in enumerate(BAD_NAMES.items())
    for kind, pack in {"zip": zip_of, "tar.gz": tar_gz_of}.items()
}


@pytest.mark.parametrize(("make", "says"), TABLE.values(), ids=TABLE)
def test_a_hostile_archive_is_refused_and_leaves_nothing_behind(place, make, says):
    message = place.refuse(make())
    assert message.startswith(f"{place.archive}: damaged or hostile (")
    assert says in message
    assert not Path("/tmp/evil.off").exists()

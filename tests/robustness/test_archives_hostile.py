"""download_data.py --archive, given every archive that a stranger may pack: refused or whole, never a mix."""

import gzip
import io
import os
import random
import stat
import subprocess
import sys
import tarfile
import time
import unicodedata
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import download_data

ROOT = Path(__file__).parents[2]
MESH = "ModelNet10/chair/train/chair_0001.off"
MESHES = {MESH: b"OFF\n3 1 0\n" + random.Random(3).randbytes(2000), "ModelNet10/chair/test/b.off": b"OFF\n"}
WHOLE = {name.removeprefix("ModelNet10/"): content for name, content in MESHES.items()}

Entry = tuple[str | tarfile.TarInfo | zipfile.ZipInfo, bytes]


def zip_of(*entries: Entry, whole: bool = True) -> bytes:
    """Pack `entries`, behind the meshes unless not `whole`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that are there twice are meant
        for name, content in [*(MESHES.items() if whole else ()), *entries]:
            packed.writestr(name, content)
    return buffer.getvalue()


def tar_gz_of(*entries: Entry, whole: bool = True) -> bytes:
    """Pack `entries`, behind the meshes unless not `whole`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for name, content in [*(MESHES.items() if whole else ()), *entries]:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isreg():
                info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


PACKERS = {"zip": zip_of, "tar.gz": tar_gz_of}


def tar_special(name: str, kind: bytes, link: str = "") -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, b""


def zip_special(name: str, mode: int, content: bytes = b"") -> Entry:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info, content


def patched(content: bytes, where: bytes, offset: int, value: bytes) -> bytes:
    """Overwrite bytes at an offset from the last place where `where` stands."""
    start = content.rindex(where) + offset
    return content[:start] + value + content[start + len(value) :]


def with_bad_checksum() -> bytes:
    """Change a byte of a mesh that is stored as it is."""
    info = zipfile.ZipInfo("ModelNet10/chair/train/stored.off")
    return patched(zip_of((info, b"OFF stored bytes")), b"OFF stored bytes", 6, b"X")


def encrypted() -> bytes:
    """Set the flag in the local header and in the table of contents."""
    content = zip_of((MESH, b"x"), whole=False)
    return patched(patched(content, b"PK\x01\x02", 8, b"\x01"), b"PK\x03\x04", 6, b"\x01")


def with_unknown_compression() -> bytes:
    content = zip_of((MESH, b"x"), whole=False)
    return patched(patched(content, b"PK\x01\x02", 10, b"\x63"), b"PK\x03\x04", 8, b"\x63")


def with_two_names() -> bytes:
    """Say another name in the local header than in the table of contents."""
    content = zip_of(("ModelNet10/chair/train/same.off", b"x"))
    start = content.index(b"same.off")
    return content[:start] + b"evil.off" + content[start + 8 :]


def with_nul_in_a_name() -> bytes:
    return zip_of(("ModelNet10/chair/train/a@evil.off", b"x")).replace(b"a@evil", b"a\0evil")


def pax_named(name: str) -> Entry:
    info = tarfile.TarInfo("m/harmless.off")
    info.pax_headers = {"path": name}
    return info, b""


def with_overlapping_entries() -> bytes:
    """Let every entry of the table of contents claim the first one's content."""
    content = zip_of()
    return patched(content, b"PK\x01\x02", 42, bytes(4))


def lying_about_sizes() -> bytes:
    """Announce one byte and unpack to 100 kB."""
    content = zip_of(("ModelNet10/chair/train/long.off", bytes(100_000)))
    return patched(content, b"PK\x01\x02", 24, (1).to_bytes(4, "little"))


def deep_in_headers() -> bytes:
    """Put 5,000 extension headers before one file: each tells of the next."""
    header = tarfile.TarInfo("x" * 99)
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 512
    block = header.tobuf(tarfile.USTAR_FORMAT) + b"n" * 512
    return gzip.compress(block * 5000, mtime=0)


def slow_to_search() -> bytes:
    """Fill an extension header with a million digits, which some Pythons search in quadratic time."""
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1_000_000
    return gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + b"1" * 1_000_448, mtime=0)


def sparse_bomb() -> bytes:
    """Claim 8 GB of zeros by a header alone."""
    info = tarfile.TarInfo("ModelNet10/chair/train/sparse.off")
    info.pax_headers = {
        "GNU.sparse.size": str(8 * 10**9),
        "GNU.sparse.numblocks": "0",
        "GNU.sparse.map": "0,0",
    }
    return tar_gz_of((info, b""))


def sparse_without_end() -> bytes:
    """End the archive within the map of a sparse file."""
    info = tarfile.TarInfo("ModelNet10/chair/train/sparse.off")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "m/a.off"}
    info.size = 512
    return gzip.compress(info.tobuf(tarfile.PAX_FORMAT) + b"9".ljust(512, b"\n"), mtime=0)


def with_negative_size() -> bytes:
    """Lead the reader back to the same header again and again."""
    info = tarfile.TarInfo("m/a.off")
    info.size = -512
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024), mtime=0)


@dataclass(frozen=True)
class Bad:
    """An archive and what the sentence about it must say."""

    name: str
    make: Callable[[], bytes]
    says: str


def both(name: str, says: str, *entries: Entry, whole: bool = True) -> list[Bad]:
    """Make the same archive as a zip and as a tar.gz."""
    return [
        Bad(f"{name}, {kind}", lambda pack=pack: pack(*entries, whole=whole), says)
        for kind, pack in PACKERS.items()
    ]


OUT, UNPORTABLE, LINK = "leads out of the folder", "not every system can store", "a link or a device"
TWICE, CLASH, DAMAGED, BOMB = (
    "is there twice",
    "clashes with",
    "damaged or incomplete",
    "unpacks to more than",
)
NO_DATA, NO_ARCHIVE = "no CLASS/train folder", "neither a zip nor a tar"
E_ACUTE = unicodedata.normalize("NFC", "é")

BAD_NAMES = [
    ("parent folder", OUT, "../evil.off"),
    ("parent folder further in", OUT, "ModelNet10/chair/../../../evil.off"),
    ("many parent folders", OUT, "../" * 100 + "tmp/evil.off"),
    ("absolute", OUT, "/tmp/evil.off"),
    ("two slashes", OUT, "//server/share/evil.off"),
    ("backslashes", OUT, "..\\..\\evil.off"),
    ("mixed slashes", OUT, "ModelNet10\\../..\\evil.off"),
    ("network drive", OUT, "\\\\server\\share\\evil.off"),
    ("drive letter", UNPORTABLE, "C:\\evil.off"),
    ("drive letter alone", UNPORTABLE, "C:evil.off"),
    ("device path", OUT, "\\\\?\\C:\\evil.off"),
    ("stream of a file", UNPORTABLE, "ModelNet10/chair/train/a.off:evil"),
    ("line break", UNPORTABLE, "ModelNet10/chair/train/a\nb.off"),
    ("escape sequence", UNPORTABLE, "ModelNet10/chair/train/\x1b[2Ja.off"),
    ("CON", UNPORTABLE, "ModelNet10/CON/train/a.off"),
    ("aux.off", UNPORTABLE, "ModelNet10/chair/train/aux.off"),
    ("nul with a space", UNPORTABLE, "ModelNet10/chair/train/nul .off"),
    ("COM with a superscript", UNPORTABLE, "ModelNet10/chair/train/com¹.off"),
    ("console", UNPORTABLE, "ModelNet10/chair/train/CONIN$"),
    ("trailing dot", UNPORTABLE, "ModelNet10/chair./train/a.off"),
    ("three dots", UNPORTABLE, "ModelNet10/.../train/a.off"),
    ("trailing space", UNPORTABLE, "ModelNet10/chair/train/a.off "),
    ("300 letters", UNPORTABLE, f"ModelNet10/chair/train/{'n' * 300}.off"),
    ("200 letters of 2 bytes", UNPORTABLE, f"ModelNet10/chair/train/{E_ACUTE * 200}.off"),
    ("2,000 letters in 10 folders", UNPORTABLE, "/".join(["n" * 200] * 10)),
    ("300 folders deep", UNPORTABLE, "d/" * 300 + "a.off"),
    ("4,000 folders deep", UNPORTABLE, "d/" * 4000 + "a.off"),
    ("same name", TWICE, MESH),
    ("same name with dots", TWICE, MESH.replace("train/", "./train//")),
    ("upper case", TWICE, MESH.replace("chair_0001", "CHAIR_0001")),
    ("folder in upper case", CLASH, "ModelNet10/Chair/train/c.off"),
    ("inside a file", "lies inside a file", f"{MESH}/a.off"),
    ("in place of a folder", TWICE, "ModelNet10/chair"),
]

TABLE = [
    *(bad for name, says, path in BAD_NAMES for bad in both(name, says, (path, b"evil"))),
    *both("same name after folding", TWICE, ("m/ß.off", b""), ("m/SS.off", b"")),
    *both("accents put together otherwise", TWICE, ("m/é.off", b""), ("m/e\u0301.off", b"")),
    *both("nothing", NO_DATA, whole=False),
    *both("no meshes", NO_DATA, ("ModelNet10/README.txt", b"x"), whole=False),
    *both("an empty class", NO_DATA, ("ModelNet10/chair/train/", b""), whole=False),
    *both("only litter", NO_DATA, ("__MACOSX/chair/train/._a.off", b""), whole=False),
    *both("meshes too deep", NO_DATA, ("a/b/c/chair/train/a.off", b"OFF"), whole=False),
    *both("an archive inside", NO_DATA, ("ModelNet10.zip", zip_of()), whole=False),
    Bad("zeros, tar.gz", lambda: gzip.compress(bytes(10**6)), NO_DATA),
    Bad("NUL in a name, zip", with_nul_in_a_name, UNPORTABLE),
    Bad("NUL in a name, tar.gz", lambda: tar_gz_of(pax_named("m/a\0b.off")), UNPORTABLE),
    Bad("parent folder in a pax header, tar.gz", lambda: tar_gz_of(pax_named("../evil.off")), OUT),
    Bad("ratio, zip", lambda: zip_of((MESH, bytes(70_000_000)), whole=False), BOMB),
    Bad("ratio, tar.gz", lambda: tar_gz_of((MESH, bytes(70_000_000)), whole=False), BOMB),
    Bad("sparse file, tar.gz", sparse_bomb, "a sparse file"),
    Bad("sparse file whose map has no end, tar.gz", sparse_without_end, "a sparse file"),
    Bad("negative size, tar.gz", with_negative_size, "a size of -512 bytes"),
    Bad("bomb behind the end, tar.gz", lambda: tar_gz_of() + gzip.compress(bytes(70_000_000)), BOMB),
    Bad("extension headers in a chain, tar.gz", deep_in_headers, DAMAGED),
    Bad("extension header of digits, tar.gz", slow_to_search, DAMAGED),
    Bad("encrypted, zip", encrypted, "encrypted"),
    Bad("unknown compression, zip", with_unknown_compression, DAMAGED),
    Bad("wrong checksum, zip", with_bad_checksum, DAMAGED),
    Bad("wrong checksum, tar.gz", lambda: patched(tar_gz_of(), b"", -8, b"evil"), DAMAGED),
    Bad("two names for one entry, zip", with_two_names, DAMAGED),
    Bad("overlapping entries, zip", with_overlapping_entries, DAMAGED),
    Bad("wrong size, zip", lying_about_sizes, DAMAGED),
    Bad("symlink out, zip", lambda: zip_of(zip_special("m/a", stat.S_IFLNK | 0o777, b"/etc")), LINK),
    Bad("fifo, zip", lambda: zip_of(zip_special("m/a", stat.S_IFIFO | 0o644)), LINK),
    Bad("device, zip", lambda: zip_of(zip_special("m/a", stat.S_IFBLK | 0o644)), LINK),
    Bad("socket, zip", lambda: zip_of(zip_special("m/a", stat.S_IFSOCK | 0o644)), LINK),
    Bad("symlink out, tar.gz", lambda: tar_gz_of(tar_special("m/a", tarfile.SYMTYPE, "../..")), LINK),
    Bad(
        "file through a symlink, tar.gz",
        lambda: tar_gz_of(tar_special("m", tarfile.SYMTYPE, "/tmp"), ("m/evil.off", b"x")),
        LINK,
    ),
    Bad("hard link, tar.gz", lambda: tar_gz_of(tar_special("m/a", tarfile.LNKTYPE, "/etc/passwd")), LINK),
    Bad("hard link inside, tar.gz", lambda: tar_gz_of(tar_special("m/a", tarfile.LNKTYPE, MESH)), LINK),
    Bad("character device, tar.gz", lambda: tar_gz_of(tar_special("m/a", tarfile.CHRTYPE)), LINK),
    Bad("block device, tar.gz", lambda: tar_gz_of(tar_special("m/a", tarfile.BLKTYPE)), LINK),
    Bad("fifo, tar.gz", lambda: tar_gz_of(tar_special("m/a", tarfile.FIFOTYPE)), LINK),
    Bad("0 bytes", lambda: b"", NO_ARCHIVE),
    Bad("a web page", lambda: b"<!DOCTYPE html>" + b" " * 1000, NO_ARCHIVE),
    Bad(
        "a tar without its end, tar.gz", lambda: gzip.compress(gzip.decompress(tar_gz_of())[:-9500]), DAMAGED
    ),
    Bad("junk behind the end, tar.gz", lambda: tar_gz_of() + b"junk", DAMAGED),
]


def ids(bad: Bad) -> str:
    return bad.name


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Give a folder for the data set, a few levels deep, and pretend that the data set is small."""
    small = download_data.MODELNET10.__class__("t", "ModelNet10", "ModelNet10.zip", (), 1000, 1000, "chair")
    monkeypatch.setattr(download_data, "DATASETS", {"modelnet10": small})
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    return place


def run(archive: Path, place: Path) -> int:
    return download_data.main(["--dataset", "modelnet10", "--archive", str(archive), "--dir", str(place)])


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def check_refusal(error: str, archive: Path, says: str) -> None:
    assert error.startswith(f"error: {archive}: ")
    assert says in error
    assert error.count("\n") == 1  # one sentence, even where a name holds a line break
    assert error.endswith((".\n", "?\n"))
    assert error[:-1].isprintable()
    assert len(error) < 1000


@pytest.mark.parametrize("bad", TABLE, ids=ids)
def test_a_bad_archive_is_refused_in_a_sentence_and_the_next_run_succeeds(place, tmp_path, capsys, bad):
    archive = tmp_path / "archive.bin"
    archive.write_bytes(bad.make())
    before = sorted(tmp_path.rglob("*"))
    started = time.monotonic()
    assert run(archive, place) == 1
    assert time.monotonic() - started < 10
    check_refusal(capsys.readouterr().err, archive, bad.says)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/tmp/evil.off").exists()
    archive.write_bytes(zip_of())
    assert run(archive, place) == 0
    assert files_of(place / "ModelNet10") == WHOLE


@pytest.mark.parametrize("kind", PACKERS)
def test_an_archive_cut_at_any_byte_is_refused(place, tmp_path, capsys, kind):
    content = PACKERS[kind]()
    archive = tmp_path / "archive.bin"
    cuts = {*range(40), *range(40, len(content), 53), *range(len(content) - 30, len(content))}
    for cut in sorted(cuts):
        archive.write_bytes(content[:cut])
        assert run(archive, place) == 1, cut
        check_refusal(capsys.readouterr().err, archive, NO_ARCHIVE if cut < 2 else "")
        assert list(place.iterdir()) == [], cut
    archive.write_bytes(content)
    assert run(archive, place) == 0


FINE = {
    "litter of macOS": [
        ("__MACOSX/x/._a", b"x"),
        ("ModelNet10/.DS_Store", b"x"),
        ("ModelNet10/._chair", b""),
    ],
    "names of 255 bytes": [(f"ModelNet10/chair/train/{'n' * 251}.off", b"OFF")],
    "accents and spaces": [("ModelNet10/chair/train/siège à bascule (2).off", b"OFF")],
    "names that begin as reserved ones": [("ModelNet10/console/train/auxiliary.com1.off", b"OFF")],
    "folders of Windows": [("ModelNet10\\lamp\\", b""), ("ModelNet10\\lamp\\train\\a.off", b"OFF")],
    "an archive beside the meshes": [("ModelNet10/inner.zip", zip_of(("../evil", b"x")))],
}


# A tar has a mark of its own for folders.
FINE_KINDS = [
    (name, kind) for name in FINE for kind in PACKERS if (name, kind) != ("folders of Windows", "tar.gz")
]


@pytest.mark.parametrize(("name", "kind"), FINE_KINDS)
def test_an_odd_archive_that_harms_nobody_is_unpacked(place, tmp_path, name, kind):
    archive = tmp_path / "archive.bin"
    archive.write_bytes(PACKERS[kind](*FINE[name]))
    assert run(archive, place) == 0
    names = [str(path).replace("\\", "/").removeprefix("ModelNet10/") for path, _ in FINE[name]]
    is_litter = name == "litter of macOS"
    expected = (
        {} if is_litter else {path: FINE[name][k][1] for k, path in enumerate(names) if path[-1] != "/"}
    )
    assert files_of(place / "ModelNet10") == WHOLE | expected


@pytest.mark.parametrize("kind", PACKERS)
def test_a_bomb_of_folders_is_stopped(place, tmp_path, capsys, monkeypatch, kind):
    monkeypatch.setattr("rasgan.data.archives.MAX_FILES", 100)
    archive = tmp_path / "archive.bin"
    archive.write_bytes(PACKERS[kind](*((f"m/{k}/b/c/d/e/f/g/h.off", b"") for k in range(20))))
    assert run(archive, place) == 1
    check_refusal(capsys.readouterr().err, archive, "more than 100 entries")
    assert list(place.iterdir()) == []


def test_a_bomb_of_entries_is_stopped_within_seconds(place, tmp_path, capsys):
    entry = tarfile.TarInfo("ModelNet10/._x").tobuf(tarfile.USTAR_FORMAT)  # litter, which is counted too
    archive = tmp_path / "archive.bin"
    archive.write_bytes(gzip.compress(entry * 120_000, 1))
    started = time.monotonic()
    assert run(archive, place) == 1
    assert time.monotonic() - started < 30
    check_refusal(capsys.readouterr().err, archive, "entries")


def test_the_real_data_sets_are_within_the_limits():
    for dataset in download_data.DATASETS.values():
        budget = min(
            download_data.archives.MAX_BYTES, download_data.archives.MAX_RATIO * dataset.packed_bytes
        )
        assert dataset.unpacked_bytes * 2 < budget
    assert download_data.archives.MAX_FILES > 2 * 12_311  # the meshes of ModelNet40


@pytest.mark.parametrize("bad", [TABLE[0], TABLE[13], TABLE[-2]], ids=ids)
def test_as_a_program_it_leaves_no_traceback(tmp_path, bad):
    archive = tmp_path / "archive.bin"
    archive.write_bytes(bad.make())
    place = tmp_path / "place"
    command = [sys.executable, str(ROOT / "download_data.py"), "--dataset", "modelnet10"]
    result = subprocess.run(
        [*command, "--archive", str(archive), "--dir", str(place)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    check_refusal(result.stderr, archive, bad.says)
    assert list(place.iterdir()) == []

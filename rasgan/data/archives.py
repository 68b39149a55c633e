"""Archives of meshes, unpacked as if a stranger had packed them.

Nothing is written outside the target, nothing but plain files and folders is made, the size is bounded, and
the target appears when the whole archive is in it and not before.
"""

import bz2
import contextlib
import errno
import gzip
import lzma
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rasgan import files
from rasgan.errors import UserError

MAX_BYTES = 64 * 10**9
"""Nothing larger is unpacked; the aligned ModelNet40 has over 9 GB."""

MAX_RATIO = 100
"""Unpacked bytes per packed byte; meshes as text have 3 to 6. Archives under `FREE_BYTES` may have more."""

FREE_BYTES = 64 * 10**6
MAX_FILES = 100_000
"""Files and folders together; ModelNet40 has 12,311 meshes."""

LONGEST_PART = 255
LONGEST_NAME = 1000
"""Bytes between two slashes, and in all; common file systems store no more, or hardly more."""

DEEPEST = 16
EXTENSION_BYTES = 1 << 13
"""Largest header that tells of another one. It holds a name and times; older Pythons search it for ever."""

CHUNK = 1 << 20

_TAR_MAGIC_AT = 257
# Headers that tell of the next one, which tarfile reads into memory whole.
_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_COMPRESSIONS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    struct.error,
    ValueError,  # numbers and names that cannot be read
    OverflowError,
    RecursionError,  # tarfile follows extension headers of extension headers
    NotImplementedError,  # a compression that zipfile does not know
)
# What some system cannot store: reserved letters and names, trailing dots and spaces.
_UNPORTABLE = re.compile(
    r'[\x00-\x1f<>:"|?*\ud800-\udfff]|[. ]$|^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]) *(\.|$)',
    re.IGNORECASE,
)

Progress = Callable[[int, int], object]
"""Called with how many bytes are done and how many there are."""


class BadArchiveError(UserError):
    """The archive itself is at fault: damaged, hostile, or not a data set."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive: a plain file, or a folder if `read` is None."""

    name: str
    read: Callable[[], BinaryIO] | None
    position: int  # how far into the archive this is, in the unit of Progress
    end: int


def looks_like_archive(head: bytes) -> bool:
    """Return whether a file that begins with `head` (262 bytes or more) is a zip or a tar."""
    is_packed = any(head.startswith(magic) for magic in _COMPRESSIONS)
    return is_packed or _is_zip(head) or head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar"


def _is_zip(head: bytes) -> bool:
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def lacks_its_end(archive: Path) -> bool:
    """Return whether a file is a zip without its table of contents, which stands at the end.

    A tar has no such table: only unpacking shows whether it is whole.
    """
    with archive.open("rb") as file:
        return _is_zip(file.read(4)) and not zipfile.is_zipfile(archive)


def unpack(archive: Path, target: Path, progress: Progress | None = None) -> None:
    """Unpack a data set, ``CLASS/{train,test}/*.off`` with or without a folder around it, as `target`.

    The kind of archive is told from its content, not from its name. Litter of macOS is left out.

    Parameters
    ----------
    archive : Path
        A zip, or a tar, plain or packed by gzip, bzip2 or xz.
    target : Path
        The folder that will hold the classes. It may exist if it is empty.
    progress : callable, optional
        See `Progress`.

    Raises
    ------
    BadArchiveError
        If the archive is damaged, hostile or holds no meshes in CLASS/train; nothing is left behind.
    UserError
        If the disk has not enough room; nothing is left behind.
    """
    with archive.open("rb") as file:
        head = file.read(512)
    if not looks_like_archive(head):
        raise BadArchiveError(f"{archive}: neither a zip nor a tar archive; download it again.")
    temporary = workplace(target)
    remove_remains(target)
    temporary.mkdir(parents=True)
    try:
        with _refusing_damage(archive):
            members = _zip_members(archive, target.parent) if _is_zip(head) else _tar_members(archive)
            _write_members(archive, members, temporary, progress)
        root = find_classes(temporary)
        if root is None:
            raise BadArchiveError(
                f"{archive}: holds no CLASS/train folder with .off files; is it an archive of ModelNet?"
            )
        if target.is_dir():  # empty, else this fails; Windows renames onto no folder, not even such a one
            target.rmdir()
        root.replace(target)
    finally:
        remove_remains(target)


def workplace(target: Path) -> Path:
    """Return the folder in which `target` is unpacked: always the same, so that a killed run's is found."""
    return target.with_name(f".{target.name}.unpacking")


def remove_remains(target: Path) -> None:
    """Remove what a killed `unpack` left."""
    shutil.rmtree(workplace(target), ignore_errors=True)


def find_classes(folder: Path, depth: int = 2) -> Path | None:
    """Return the folder, this or at most `depth` levels below, with CLASS/train/*.off."""
    children = sorted(child for child in folder.iterdir() if child.is_dir())
    if any(next((child / "train").glob("*.off"), None) for child in children):
        return folder
    if depth == 0:
        return None
    return next((found for child in children if (found := find_classes(child, depth - 1))), None)


@contextlib.contextmanager
def _refusing_damage(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        # bz2 tells of damage without a number, a seek to a false place gives EINVAL; the rest is the disk's.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise _damaged(archive, error) from error


def _damaged(archive: Path, error: Exception) -> BadArchiveError:
    reason = str(error)[:200]  # may hold a name from the archive, as long as that is
    return BadArchiveError(f"{archive}: damaged or incomplete ({reason}); download it again.")


def _write_members(archive: Path, members: Iterator[Member], folder: Path, progress: Progress | None) -> None:
    """Write every member below `folder`, refusing whatever an honest archive does not do."""
    budget = Budget(archive)
    names = Names(archive)
    for member in members:
        parts = names.check(member.name, is_folder=member.read is None)
        if parts is None:
            continue
        path = folder.joinpath(*parts)
        if member.read is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.read() as source, files.naming(path), path.open("xb") as copy:
            while chunk := source.read(CHUNK):
                budget.spend(len(chunk))
                copy.write(chunk)
        if progress is not None:
            progress(member.position, member.end)


class Budget:
    """Counts unpacked bytes, whatever the archive declares, and refuses a bomb."""

    def __init__(self, archive: Path):
        self.archive = archive
        self.spent = 0
        self.limit = min(MAX_BYTES, max(FREE_BYTES, MAX_RATIO * archive.stat().st_size))

    def spend(self, count: int) -> None:
        """Add `count` bytes; raise BadArchiveError once there are too many."""
        self.spent += count
        if self.spent > self.limit:
            raise BadArchiveError(
                f"{self.archive}: unpacks to more than {self.limit / 1e9:.2g} GB, too much for what it "
                "should be; download it from an address you trust."
            )


class Names:
    """Checks the names in an archive, one by one and against each other."""

    def __init__(self, archive: Path):
        self.archive = archive
        self.spelling: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.files: set[tuple[str, ...]] = set()
        self.count = 0

    def check(self, name: str, is_folder: bool) -> tuple[str, ...] | None:
        """Return the parts of a relative path for `name`, or None if it is to be left out.

        Raises
        ------
        BadArchiveError
            If the name leads out of the target, cannot be stored everywhere, or clashes with another one:
            the same file twice, or two spellings that are one on systems that ignore upper and lower case
            or how an accented letter is put together.
        """
        self.count += 1
        if max(self.count, len(self.spelling)) > MAX_FILES:
            raise self.refusal(name, f"is one of more than {MAX_FILES} entries")
        slashed = name.replace("\\", "/")
        if slashed.startswith("/") or ".." in slashed.split("/"):
            raise self.refusal(name, "leads out of the folder it is unpacked to")
        parts = tuple(part for part in slashed.split("/") if part not in ("", "."))
        if "__MACOSX" in parts or any(part == ".DS_Store" or part.startswith("._") for part in parts):
            return None
        if any(_UNPORTABLE.search(part) for part in parts) or _is_too_long(parts):
            raise self.refusal(name, "is a name that not every system can store")
        if not parts:
            return None
        key = tuple(_without_case(part) for part in parts)
        if key in self.files or (not is_folder and key in self.spelling):
            raise self.refusal(name, "is there twice")
        for length in range(1, len(parts) + 1):
            known = self.spelling.setdefault(key[:length], parts[:length])
            if known != parts[:length]:
                raise self.refusal(name, f"clashes with {'/'.join(known)!r}")
            if length < len(parts) and key[:length] in self.files:
                raise self.refusal(name, "lies inside a file")
        if not is_folder:
            self.files.add(key)
        return parts

    def refusal(self, name: str, reason: str) -> BadArchiveError:
        """Say why an entry is refused."""
        return BadArchiveError(
            f"{self.archive}: its entry {name[:200]!r} {reason}; download it from an address you trust."
        )


def _is_too_long(parts: tuple[str, ...]) -> bool:
    sizes = [len(part.encode()) + 1 for part in parts]
    return len(parts) > DEEPEST or max(sizes, default=0) > LONGEST_PART + 1 or sum(sizes) > LONGEST_NAME


def _without_case(part: str) -> str:
    """Return the same for names that some system takes for one (Unicode's canonical caseless match)."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", part).casefold())


def _zip_members(archive: Path, place: Path) -> Iterator[Member]:
    """Go through a zip; the room it needs at `place` is checked first."""
    with zipfile.ZipFile(archive) as packed:
        entries = packed.infolist()
        total = sum(entry.file_size for entry in entries)
        Budget(archive).spend(total)
        check_room(place, total, f"unpack {archive.name}")
        position = 0
        for entry in entries:
            kind = stat.S_IFMT(entry.external_attr >> 16)  # 0 where the zip was packed on Windows
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _not_plain(archive, entry.filename)
            if entry.flag_bits & 0x1:
                raise BadArchiveError(f"{archive}: encrypted; unpack it by hand or find one that is not.")
            position += entry.file_size
            name = entry.orig_filename  # zipfile cuts `filename` at a NUL
            is_folder = name.endswith(("/", "\\"))
            read = None if is_folder else lambda entry=entry: packed.open(entry)
            yield Member(name, read, position, total)


def _tar_members(archive: Path) -> Iterator[Member]:
    """Go through a tar from front to back, to the very end of its compression's checksum."""
    size = archive.stat().st_size
    with archive.open("rb") as file:
        head = file.read(6)
        file.seek(0)
        reader = next((reader for magic, reader in _COMPRESSIONS.items() if head.startswith(magic)), None)
        with reader(file) if reader else contextlib.nullcontext(file) as unpacked:
            stream = _Counted(unpacked, Budget(archive))
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictTarInfo) as tar:
                for entry in tar:
                    if not (entry.isreg() or entry.isdir()):
                        raise _not_plain(archive, entry.name)
                    read = None if entry.isdir() else lambda entry=entry: tar.extractfile(entry)
                    yield Member(entry.name, read, min(file.tell(), size), size)
            while stream.read(CHUNK):
                pass


class _Counted:
    """A stream whose every byte is counted: headers and what comes behind the end may be a bomb too."""

    def __init__(self, stream: BinaryIO, budget: Budget):
        self.stream = stream
        self.budget = budget

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        content = self.stream.read(size)
        self.budget.spend(len(content))
        return content


class _StrictTarInfo(tarfile.TarInfo):
    """Takes a broken or missing header for the damage it is, where tarfile takes it for the end."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        """Read a header block."""
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"header: {error}") from error
        if header.size < 0:
            raise tarfile.ReadError(f"a size of {header.size} bytes")
        if header.type in _EXTENSIONS and header.size > EXTENSION_BYTES:
            raise tarfile.ReadError(f"an extension header of {header.size} bytes")
        return header

    def _refuse_sparse(self, *args: object) -> None:
        raise tarfile.ReadError("a sparse file, which no mesh is")

    # Claims any size without content, in four formats; meshes have no holes to leave out.
    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


def _not_plain(archive: Path, name: str) -> BadArchiveError:
    return BadArchiveError(
        f"{archive}: its entry {name[:200]!r} is a link or a device, not a file; "
        "download it from an address you trust."
    )


def check_room(place: Path, needed: int, purpose: str) -> None:
    """Raise UserError if the disk of the folder `place` has less than `needed` bytes free."""
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(
            f"{place}: {needed / 1e9:.1f} GB are needed to {purpose}, {free / 1e9:.1f} GB are free; "
            "free some space or choose another place with --dir."
        )

"""Safe extraction of untrusted archives of meshes.

Only regular files are written, only below one folder, and their number and size are limited. The target
appears once the archive is completely unpacked and contains meshes to train on.
"""

import errno
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

from rasgan import files
from rasgan.errors import UserError

MAX_FILES = 100_000  # of entries; ModelNet40 has 12,311 meshes
MAX_BYTES = 64 * 10**9  # the aligned ModelNet40 has over 9 GB
MAX_RATIO = 100  # unpacked bytes per packed byte; meshes as text have 3 to 6
FREE_BYTES = 64 * 10**6  # unpacked whatever the ratio
DEEPEST = 16  # folders around a file
LONGEST_EXTENSION = 1 << 13  # bytes of a tar header that describes another; some Pythons search it forever
CHUNK = 1 << 20
Progress = Callable[[int, int], object]  # called with the number of bytes done and the total

# ValueError, OverflowError: unreadable numbers and names. RuntimeError: encryption, unknown compressions.
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError)
_DAMAGE += (ValueError, OverflowError, RuntimeError)
# A file in place of a folder, a long name, an invalid offset, damaged bzip2. Other numbers are disk errors.
_DAMAGE_NUMBERS = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, None)


class BadArchiveError(UserError):
    """The archive is damaged, hostile, or not a data set."""


def classes_in(folder: Path) -> set[str]:
    """Return the names of the classes with meshes to train on: CLASS/train/*.off."""
    return {path.parts[-3] for path in folder.glob("*/train/[!.]*.off")}


def unpack(
    archive: Path,
    target: Path,
    staging: Path,
    most_classes: int,
    progress: Progress = lambda done, total: None,
) -> None:
    """Unpack a data set, ``CLASS/{train,test}/*.off`` with at most two folders around it, as `target`.

    The archive is a zip, or a tar that may be compressed by gzip, bzip2 or xz, whatever its name. `target`
    may exist if it is empty. The folder `staging`, which must be on the same disk, is always removed.

    Raises BadArchiveError if the archive is damaged or hostile, or has no classes or too many, and UserError
    if the disk has too little room for the content of a zip (a tar does not announce its size).
    """
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        with archive.open("rb") as file:
            extract = _extract_zip if file.read(2) == b"PK" else _extract_tar
        try:
            with files.naming(staging):
                extract(archive, staging, progress)
        except (*_DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _DAMAGE_NUMBERS:
                raise
            reason = str(error).partition("\n")[0][:300]  # may contain a name of any length
            fault = f"damaged or hostile ({reason}); download it again, from an address you trust."
            raise BadArchiveError(f"{archive}: {fault}") from error
        folders = [staging, *sorted(staging.glob("*")), *sorted(staging.glob("*/*"))]
        root = next(filter(classes_in, folders), staging)
        found = len(classes_in(root))
        if not found:
            fault = "contains no CLASS/train folder with .off files, unlike ModelNet."
            raise BadArchiveError(f"{archive}: {fault}")
        if found > most_classes:
            fault = f"not {target.name}: it has {found} classes, not {most_classes}."
            raise BadArchiveError(f"{archive}: {fault}", about="other data set")
        if target.is_dir():
            target.rmdir()
        root.replace(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


class _Guard:
    """Checks each entry of an archive before it is unpacked."""

    def __init__(self, packed_bytes: int):
        self.limit = min(MAX_BYTES, max(FREE_BYTES, MAX_RATIO * packed_bytes))
        self.count = self.total = 0

    def check(self, name: str, size: int, is_plain: bool) -> str:
        """Return the relative path of a file or folder. Raises ValueError for entries of hostile archives."""
        self.count += 1
        self.total += size
        if self.count > MAX_FILES or self.total > self.limit:
            raise ValueError(f"unpacks to more than {MAX_FILES} files or {self.limit / 1e9:.2g} GB")
        path = PureWindowsPath(name)  # accepts both slashes and recognizes drives
        if path.anchor or ".." in path.parts or len(path.parts) > DEEPEST:
            raise ValueError(f"its entry {name[:200]!r} would be outside the target folder, or is too deep")
        if not is_plain:
            raise ValueError(f"its entry {name[:200]!r} is a link or a device")
        return path.as_posix()


def _extract_zip(archive: Path, staging: Path, progress: Progress) -> None:
    """Extract a zip; `zipfile` checks the length and checksum of every file."""
    guard = _Guard(archive.stat().st_size)
    with zipfile.ZipFile(archive) as packed:
        entries = []
        for entry in packed.infolist():
            name = entry.orig_filename  # zipfile cuts `filename` at a NUL
            is_plain = stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
            entry.filename = guard.check(name, entry.file_size, is_plain)
            if not name.endswith(("/", "\\")):
                entries.append(entry)
        files.check_room(staging, guard.total, f"unpack {archive.name}")
        done = 0
        for entry in entries:
            packed.extract(entry, staging)
            done += entry.file_size
            progress(done, guard.total)


def _extract_tar(archive: Path, staging: Path, progress: Progress) -> None:
    """Extract a tar, and read to the end of its compression's checksum."""
    if not tarfile.is_tarfile(archive):
        raise BadArchiveError(f"{archive}: neither a zip nor a tar archive, or damaged; download it again.")
    size = archive.stat().st_size
    guard = _Guard(size)
    with archive.open("rb") as file, tarfile.open(fileobj=file, tarinfo=_StrictHeader) as tar:
        # Pythons before 3.10.12 have no filter; `guard` makes the entries safe as well.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        for entry in tar:
            entry.name = guard.check(entry.name, entry.size, entry.isreg() or entry.isdir())
            if entry.isreg():
                tar.extract(entry, staging, set_attrs=False)
            progress(file.tell(), size)
        while tar.fileobj.read(CHUNK):
            pass
        progress(size, size)


class _StrictHeader(tarfile.TarInfo):
    """Reports a broken or missing header as damage; tarfile would take it for the end."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        """Read a header block."""
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"header: {error}") from error
        if header.size < 0 or (not header.isreg() and header.size > LONGEST_EXTENSION):
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header

    def _refuse_sparse(self, *args: object) -> None:
        raise tarfile.ReadError("a sparse file, which no mesh is")

    # A sparse file can claim any size without content; tarfile reads one of the four forms forever if cut.
    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse

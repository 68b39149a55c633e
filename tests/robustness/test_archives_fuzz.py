"""Small good archives with bytes changed, moved or cut: unpacked whole, or refused in one sentence."""

import gzip
import io
import os
import random
import shutil
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rasgan.data import archives
from rasgan.errors import UserError

EXAMPLES = int(os.environ.get("RASGAN_FUZZ_EXAMPLES", "250"))
"""Inputs for each kind of archive."""

MESHES = {
    "M/chair/train/chair_0001.off": b"OFF\n3 1 0\n" + random.Random(5).randbytes(300),
    "M/chair/test/chair_0890.off": b"OFF\n0 0 0\n" * 40,
    "M/chair/train/" + "long" * 40 + ".off": b"OFF\n",
}


def make_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for (name, content), method in zip(MESHES.items(), (0, 8, 14), strict=True):
            packed.writestr(name, content, compress_type=method)
    return buffer.getvalue()


def make_tar(form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as packed:
        for name, content in MESHES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def mend_checksums(tar: bytes) -> bytes:
    """Give every header block its right checksum, so that what was changed in it is read."""
    blocks = bytearray(tar)
    for start in range(0, len(blocks) - 511, 512):
        if blocks[start + 257 : start + 262] == b"ustar":
            blocks[start + 148 : start + 156] = b" " * 8
            blocks[start + 148 : start + 156] = b"%06o\0 " % sum(blocks[start : start + 512])
    return bytes(blocks)


KINDS = {
    "zip": (make_zip(), bytes),
    "tar.gz": (gzip.compress(make_tar(tarfile.PAX_FORMAT), mtime=0), bytes),
    "pax inside gzip": (make_tar(tarfile.PAX_FORMAT), lambda tar: gzip.compress(mend_checksums(tar), 1)),
    "GNU tar inside gzip": (make_tar(tarfile.GNU_FORMAT), lambda tar: gzip.compress(mend_checksums(tar), 1)),
}

POSITIONS = st.floats(0, 1, exclude_max=True)  # as a share of the length, so that they shrink
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["overwrite", "insert", "delete", "copy", "cut"]),
        POSITIONS,
        POSITIONS,
        st.binary(min_size=1, max_size=8)
        | st.sampled_from([b"\xff" * 4, b"\xff" * 8, bytes(8), b"77777777"]),
    ),
    min_size=1,
    max_size=4,
)


def changed(content: bytes, changes) -> bytes:
    for kind, where, other, new in changes:
        at, of = int(where * len(content)), int(other * len(content))
        head, tail = content[:at], content[at:]
        content = {
            "overwrite": head + new + tail[len(new) :],
            "insert": head + new + tail,
            "delete": head + tail[len(new) :],
            "copy": head + content[of : of + 512] + tail[512:],
            "cut": head,
        }[kind]
    return content


def tree(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def check_sentence(message: str, archive: Path) -> None:
    assert message.startswith(f"{archive}: ")
    assert "\n" not in message
    assert len(message) < 1000


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_changed_it_is_unpacked_whole_or_refused(tmp_path, kind):
    good, pack = KINDS[kind]
    place = tmp_path / "outer" / "place"
    place.mkdir(parents=True)
    archive = tmp_path / "archive.bin"
    target = place / "ModelNet10"

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(CHANGES)
    def check(changes):
        archive.write_bytes(pack(changed(good, changes)))
        started = time.monotonic()
        try:
            archives.unpack(archive, target)
        except UserError as error:
            check_sentence(str(error), archive)
            assert tree(tmp_path) == [archive, place.parent, place]
        else:
            outside = [path for path in tree(tmp_path) if target not in path.parents]
            assert outside == [archive, place.parent, place, target]
            assert any(target.glob("*/train/*.off"))
            assert all(path.is_dir() or path.is_file() for path in tree(target))
            assert not any(path.is_symlink() for path in tree(target))
            if kind == "zip":  # its checksums cover every mesh
                packed = set(MESHES.values()) | {b""}
                assert {path.read_bytes() for path in tree(target) if path.is_file()} <= packed
        finally:
            shutil.rmtree(target, ignore_errors=True)
        assert time.monotonic() - started < 10

    check()

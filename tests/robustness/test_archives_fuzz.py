"""Small good archives with bytes changed, moved or cut: unpacked whole, or refused in one sentence."""

import gzip
import os
import shutil
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rasgan.data import archives
from rasgan.data.archives import BadArchiveError
from tests.made_archives import files_in, meshes, tar_of, zip_of

EXAMPLES = int(os.environ.get("RASGAN_FUZZ_EXAMPLES", "250"))
"""Inputs for each kind of archive."""

MESHES = meshes({"chair"}) | {f"chair/train/{'long' * 40}.off": b"OFF\n"}


def mend_checksums(tar: bytes) -> bytes:
    """Write every header block its right checksum, so that what was changed in it is read."""
    blocks = bytearray(tar)
    for start in range(0, len(blocks) - 511, 512):
        if blocks[start + 257 : start + 262] == b"ustar":
            blocks[start + 148 : start + 156] = b" " * 8
            blocks[start + 148 : start + 156] = b"%06o\0 " % sum(blocks[start : start + 512])
    return bytes(blocks)


def packed_after(tar: bytes) -> bytes:
    return gzip.compress(mend_checksums(tar), 1)


KINDS = {
    "zip": (zip_of(MESHES.items()), bytes),
    "tar.gz": (gzip.compress(tar_of(MESHES.items()), mtime=0), bytes),
    "pax inside gzip": (tar_of(MESHES.items()), packed_after),
    "GNU tar inside gzip": (tar_of(MESHES.items(), tarfile.GNU_FORMAT), packed_after),
}

POSITIONS = st.floats(0, 1, exclude_max=True)  # as a share of the length, so that they shrink
NEW_BYTES = st.binary(min_size=1, max_size=8) | st.sampled_from(
    [b"\xff" * 4, b"\xff" * 8, bytes(8), b"77777777"]
)
WAYS = st.sampled_from(["overwrite", "insert", "delete", "copy", "cut"])
CHANGES = st.lists(st.tuples(WAYS, POSITIONS, POSITIONS, NEW_BYTES), min_size=1, max_size=4)


def changed(content: bytes, changes) -> bytes:
    for way, where, other, new in changes:
        at, of = int(where * len(content)), int(other * len(content))
        head, tail = content[:at], content[at:]
        content = {
            "overwrite": head + new + tail[len(new) :],
            "insert": head + new + tail,
            "delete": head + tail[len(new) :],
            "copy": head + content[of : of + 512] + tail[512:],
            "cut": head,
        }[way]
    return content


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_changed_it_is_unpacked_whole_or_refused(tmp_path, kind):
    good, pack = KINDS[kind]
    archive, outer = tmp_path / "archive.bin", tmp_path / "outer"
    outer.mkdir()
    target = outer / "ModelNet10"

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(CHANGES)
    def check(changes):
        archive.write_bytes(pack(changed(good, changes)))
        try:
            archives.unpack(archive, target, outer / "staging", 1)
        except BadArchiveError as error:
            sentence = str(error)
            assert sentence.startswith(f"{archive}: ")
            assert "\n" not in sentence[:1000] == sentence
            assert sorted(tmp_path.rglob("*")) == [archive, outer]
        else:
            outside = [path for path in tmp_path.rglob("*") if target not in path.parents]
            assert sorted(outside) == [archive, outer, target]
            assert not any(path.is_symlink() for path in target.rglob("*"))
            assert len(archives.classes_in(target)) == 1
            if kind == "zip":  # its checksums cover every mesh
                assert set(files_in(target).values()) <= {*MESHES.values(), b""}
        finally:
            shutil.rmtree(target, ignore_errors=True)

    check()

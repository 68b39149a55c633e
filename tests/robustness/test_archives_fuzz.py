"""Small good archives with bytes changed, moved or cut: unpacked completely, or refused in one sentence."""

import gzip
import os
import random
import shutil
import tarfile

import pytest

from rasgan.data import archives
from rasgan.data.archives import BadArchiveError
from tests.made_archives import files_in, meshes, tar_of, zip_of

EXAMPLES = int(os.environ.get("RASGAN_FUZZ_EXAMPLES", "250"))  # for each kind of archive

MESHES = meshes({"chair"}) | {f"chair/train/{'long' * 40}.off": b"OFF\n"}


def mend_checksums(tar: bytes) -> bytes:
    """Write every header block its right checksum, so that what was changed in it is read."""
    blocks = bytearray(tar)
    for start in range(0, len(blocks) - 511, 512):
        if blocks[start + 257 : start + 262] == b"ustar":
            blocks[start + 148 : start + 156] = b" " * 8
            blocks[start + 148 : start + 156] = b"%06o\0 " % sum(blocks[start : start + 512])
    return gzip.compress(bytes(blocks), 1)


KINDS = {
    "zip": (zip_of(MESHES.items()), bytes),
    "tar.gz": (gzip.compress(tar_of(MESHES.items()), mtime=0), bytes),
    "pax inside gzip": (tar_of(MESHES.items()), mend_checksums),
    "GNU tar inside gzip": (tar_of(MESHES.items(), tarfile.GNU_FORMAT), mend_checksums),
}


def changed(content: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 4)):
        at, of = chance.randrange(len(content) + 1), chance.randrange(len(content) + 1)
        new = chance.choice([chance.randbytes(8), chance.randbytes(1), b"\xff" * 8, bytes(8), b"77777777"])
        head, tail = content[:at], content[at:]
        ways = [head + new + tail[len(new) :], head + new + tail, head + tail[len(new) :], head]
        content = chance.choice([*ways, head + content[of : of + 512] + tail[512:]])
    return content


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_changed_it_is_unpacked_completely_or_refused(tmp_path, kind):
    good, pack = KINDS[kind]
    archive, outer = tmp_path / "archive.bin", tmp_path / "outer"
    outer.mkdir()
    target = outer / "ModelNet10"
    for number in range(EXAMPLES):
        archive.write_bytes(pack(changed(good, random.Random(number))))
        try:
            archives.unpack(archive, target, outer / "staging", 1)
        except BadArchiveError as error:
            sentence = str(error)
            assert sentence.startswith(f"{archive}: ")
            assert "\n" not in sentence
            assert len(sentence) < 1000
            assert sorted(tmp_path.rglob("*")) == [archive, outer]
            continue
        outside = [path for path in tmp_path.rglob("*") if target not in path.parents]
        assert sorted(outside) == [archive, outer, target]
        assert not any(path.is_symlink() for path in target.rglob("*"))
        assert len(archives.classes_in(target)) == 1
        if kind == "zip":  # its checksums cover every mesh
            assert set(files_in(target).values()) <= {*MESHES.values(), b""}
        shutil.rmtree(target)

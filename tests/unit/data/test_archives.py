"""Honest archives come out whole; hostile and damaged ones leave nothing."""

import bz2
import gzip
import io
import lzma
import random
import stat
import tarfile
import zipfile

import pytest

from rasgan.data import archives
from rasgan.data.archives import BadArchiveError
from rasgan.errors import UserError

MESHES = {
    "chair/train/chair_0001.off": b"OFF\n3 1 0\n" + random.Random(1).randbytes(3000),
    "chair/test/chair_0890.off": b"",
    "night_stand/train/night_stand_0001.off": b"OFF192 96 0\n",
}


def zip_of(entries) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries:
            packed.writestr(name, content)
    return buffer.getvalue()


def tar_of(entries) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for name, content in entries:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isreg():
                info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zip_special(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


@pytest.fixture
def place(tmp_path):
    (tmp_path / "outer").mkdir()
    return tmp_path / "outer"


def unpacked(place, content: bytes, name: str = "archive.bin", progress=None) -> dict[str, bytes]:
    archive = place.parent / name
    archive.write_bytes(content)
    target = place / "ModelNet10"
    archives.unpack(archive, target, progress)
    assert [path.name for path in place.iterdir()] == ["ModelNet10"]
    return {
        path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()
    }


def refused(place, content: bytes) -> str:
    archive = place.parent / "archive.bin"
    archive.write_bytes(content)
    before = sorted(place.parent.rglob("*"))
    with pytest.raises(BadArchiveError) as caught:
        archives.unpack(archive, place / "ModelNet10")
    assert sorted(place.parent.rglob("*")) == before
    message = str(caught.value)
    assert message.startswith(str(archive))
    assert "\n" not in message
    return message


PACKERS = {
    "zip": zip_of,
    "tar": tar_of,
    "tar.gz": lambda entries: gzip.compress(tar_of(entries)),
    "tar.bz2": lambda entries: bz2.compress(tar_of(entries)),
    "tar.xz": lambda entries: lzma.compress(tar_of(entries)),
}


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("top", ["", "ModelNet10/", "./", "a/b/"])
def test_every_kind_of_archive_with_and_without_a_folder_around(place, kind, top):
    content = PACKERS[kind]([(top + name, data) for name, data in MESHES.items()])
    assert unpacked(place, content, "wrongly_named.txt") == MESHES


@pytest.mark.parametrize("kind", PACKERS)
def test_litter_is_left_out_and_folders_are_fine(place, kind):
    folder = ("M/chair/", b"") if kind == "zip" else (special("M/chair", tarfile.DIRTYPE), b"")
    litter = ["__MACOSX/M/._x.off", "M/.DS_Store", "M/chair/._chair_0001.off", "M/chair/.DS_Store"]
    entries = [folder, *((name, b"x") for name in litter), *((f"M/{n}", data) for n, data in MESHES.items())]
    assert unpacked(place, PACKERS[kind](entries)) == MESHES


def test_progress_rises_to_the_whole(place):
    for kind in ("zip", "tar"):
        seen = []
        unpacked(place, PACKERS[kind](MESHES.items()), progress=lambda *step, seen=seen: seen.append(step))
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1][0] == seen[-1][1]
        for path in sorted(place.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()


def test_an_empty_target_and_the_remains_of_a_killed_run_are_no_hindrance(place):
    (place / "ModelNet10").mkdir()
    (place / ".ModelNet10.unpacking" / "chair" / "train").mkdir(parents=True)
    (place / ".ModelNet10.unpacking" / "chair" / "train" / "half.off").write_bytes(b"half")
    assert unpacked(place, zip_of(MESHES.items())) == MESHES


def test_archives_inside_are_plain_files(place):
    inner = zip_of([("../../evil", b"x")])
    entries = MESHES | {"chair/train/inner.zip": inner}
    assert unpacked(place, zip_of(entries.items())) == entries


HOSTILE_NAMES = {
    "../evil.off": "leads out",
    "chair/../../evil.off": "leads out",
    "/etc/evil.off": "leads out",
    "\\evil.off": "leads out",
    "..\\evil.off": "leads out",
    "chair\\..\\..\\evil.off": "leads out",
    "C:\\evil.off": "not every system",
    "C:evil.off": "not every system",
    "chair/train/a.off:stream": "not every system",
    "chair/train/a\nb.off": "not every system",
    "chair/train/NUL": "not every system",
    "chair/con.off": "not every system",
    "chair /train/a.off": "not every system",
    "chair/train/a.": "not every system",
}


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_that_lead_out_or_fit_nowhere(place, kind, name):
    message = refused(place, PACKERS[kind]([*MESHES.items(), (name, b"evil")]))
    assert HOSTILE_NAMES[name] in message
    assert not (place.parent / "evil.off").exists()


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["chair/train/a.off", "chair/train/a.off"], "is there twice"),
        (["chair/train/a.off", "chair/./train//a.off"], "is there twice"),
        (["chair/train/a.off", "chair/train/A.off"], "is there twice"),
        (["chair/train/a.off", "Chair/train/b.off"], "clashes with 'chair'"),
        (["chair/train", "chair/train/a.off"], "lies inside a file"),
        (["chair/train/a.off", "chair/train"], "is there twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_clash(place, kind, names, reason):
    assert reason in refused(place, PACKERS[kind]([(name, b"x") for name in names]))


@pytest.mark.parametrize(
    "entry",
    [
        special("chair/train/a.off", tarfile.SYMTYPE, "/etc/passwd"),
        special("chair/train/a.off", tarfile.SYMTYPE, "b.off"),
        special("chair/train/a.off", tarfile.LNKTYPE, "../../../etc/passwd"),
        special("chair/train/a.off", tarfile.CHRTYPE),
        special("chair/train/a.off", tarfile.BLKTYPE),
        special("chair/train/a.off", tarfile.FIFOTYPE),
    ],
    ids=["symlink out", "symlink", "hard link", "character device", "block device", "fifo"],
)
def test_links_and_devices_in_a_tar(place, entry):
    assert "link or a device" in refused(place, tar_of([*MESHES.items(), (entry, b"")]))


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o644, stat.S_IFCHR | 0o644])
def test_links_and_devices_in_a_zip(place, mode):
    content = zip_of([*MESHES.items(), (zip_special("chair/train/a.off", mode), b"/etc/passwd")])
    assert "link or a device" in refused(place, content)


def test_an_encrypted_zip(place):
    content = bytearray(zip_of([("chair/train/a.off", b"x")]))
    central = content.index(b"PK\x01\x02")
    content[central + 8] |= 1
    content[6] |= 1
    assert "encrypted" in refused(place, bytes(content))


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_bomb_is_stopped_by_its_ratio(place, kind, monkeypatch):
    monkeypatch.setattr(archives, "FREE_BYTES", 10_000)
    content = PACKERS[kind]([("chair/train/a.off", bytes(20_000_000))])
    assert "unpacks to more than" in refused(place, content)


def test_a_zip_that_owns_up_to_be_a_bomb_is_not_taken_for_a_small_disk(place, monkeypatch):
    monkeypatch.setattr(archives, "FREE_BYTES", 10_000)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 100}))
    assert "unpacks to more than" in refused(place, zip_of([("chair/train/a.off", bytes(20_000_000))]))


def test_a_bomb_is_stopped_by_its_size(place, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 5_000)
    assert "unpacks to more than" in refused(
        place, zip_of([("a/train/x", bytes(3000)), ("a/train/y", bytes(3000))])
    )


def test_a_bomb_behind_the_end_of_the_tar(place, monkeypatch):
    monkeypatch.setattr(archives, "FREE_BYTES", 10_000)
    assert "unpacks to more than" in refused(place, gzip.compress(tar_of(MESHES.items()) + bytes(20_000_000)))


def test_a_bomb_of_entries(place, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILES", 10)
    assert "more than 10 entries" in refused(place, tar_of([(f"a/train/{n}", b"") for n in range(11)]))


def test_a_bomb_in_an_extension_header(place):
    info = tarfile.TarInfo("chair/train/a.off")
    info.pax_headers = {"comment": "x" * 3_000_000}
    assert "extension header" in refused(place, tar_of([(info, b"x")]))


@pytest.mark.parametrize("kind", PACKERS)
def test_cut_anywhere(place, kind):
    content = PACKERS[kind](MESHES.items())
    cuts = [0, 1, 100, 511, 513, len(content) // 2, len(content) - 20]
    # A plain tar ends in thousands of zeros; what counts is that its end mark is gone.
    if kind == "tar":
        cuts[-1] = len(content.rstrip(b"\0"))
    for cut in cuts:
        message = refused(place, content[:cut])
        assert "damaged or incomplete" in message or "neither a zip nor a tar" in message


@pytest.mark.parametrize("kind", PACKERS)
def test_one_changed_byte_in_a_mesh_is_noticed_where_there_is_a_checksum(place, kind):
    content = bytearray(PACKERS[kind](MESHES.items()))
    content[len(content) // 3] ^= 0xFF
    if kind == "tar":  # has checksums of its headers only
        content = bytearray(PACKERS[kind](MESHES.items()))
        content[content.index(b"chair/test")] ^= 0xFF
    assert "damaged or incomplete" in refused(place, bytes(content))


@pytest.mark.parametrize("kind", PACKERS)
def test_junk_ends_in_a_sentence_or_a_whole_folder(place, kind):
    content = PACKERS[kind](MESHES.items())
    chance = random.Random(7)
    for _ in range(60):
        spoilt = bytearray(content)
        for _ in range(chance.randint(1, 8)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        archive = place.parent / "archive.bin"
        archive.write_bytes(spoilt)
        try:
            archives.unpack(archive, place / "ModelNet10")
        except BadArchiveError:
            assert list(place.iterdir()) == []
        else:
            assert [path.name for path in place.iterdir()] == ["ModelNet10"]
            (place / "ModelNet10").rename(place.parent / f"good_{chance.random()}")


def test_a_zip_whose_table_points_before_its_start(place):
    content = bytearray(zip_of(MESHES.items()))
    end = content.rindex(b"PK\x05\x06")
    content[end + 16 : end + 20] = (len(content) * 2).to_bytes(4, "little")  # offset of the table
    assert "damaged or incomplete" in refused(place, bytes(content))


def test_an_archive_of_something_else(place):
    assert "no CLASS/train folder" in refused(place, zip_of([("photos/cat.jpg", b"x")]))


def test_a_web_page_is_no_archive(place):
    assert "neither a zip nor a tar" in refused(place, b"<!DOCTYPE html>" + b" " * 1000)


def test_a_full_disk_is_told_first_and_leaves_nothing(place, monkeypatch):
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 100}))
    archive = place.parent / "archive.zip"
    archive.write_bytes(zip_of(MESHES.items()))
    with pytest.raises(UserError, match="are free") as caught:
        archives.unpack(archive, place / "ModelNet10")
    assert not isinstance(caught.value, BadArchiveError)  # the archive is good and is to be kept
    assert list(place.iterdir()) == []


def test_a_disk_that_fills_up_on_the_way_leaves_nothing(place, monkeypatch):
    def full(self, count):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives.Budget, "spend", full)
    archive = place.parent / "archive.zip"
    archive.write_bytes(zip_of(MESHES.items()))
    with pytest.raises(OSError, match="No space left"):
        archives.unpack(archive, place / "ModelNet10")
    assert list(place.iterdir()) == []


def test_lacks_its_end(tmp_path):
    content = zip_of(MESHES.items())
    for data, lacks in ((content, False), (content[:-30], True), (tar_of(MESHES.items())[:700], False)):
        (tmp_path / "a").write_bytes(data)
        assert archives.lacks_its_end(tmp_path / "a") is lacks

"""Honest archives come out whole; limits, damage and a lack of room leave nothing."""

import errno
import gzip
import tarfile

import pytest

from rasgan.data import archives
from rasgan.data.archives import BadArchiveError
from rasgan.errors import UserError
from tests.made_archives import MESHES, PACKERS, files_in, inside, meshes, tar_of, zip_of


class Place:
    """An archive, the folder that it goes to and what is around."""

    def __init__(self, folder):
        self.archive = folder / "wrongly_named.txt"
        self.outer = folder / "outer"
        self.target = self.outer / "ModelNet10"
        self.outer.mkdir()

    def unpack(self, content: bytes, **options) -> dict[str, bytes]:
        self.archive.write_bytes(content)
        archives.unpack(
            self.archive, self.target, self.outer / "staging", **{"check_classes": set, **options}
        )
        assert list(self.outer.iterdir()) == [self.target]
        return files_in(self.target)

    def refuse(self, content: bytes, error: type[Exception] = BadArchiveError, **options) -> str:
        with pytest.raises(error) as caught:
            self.unpack(content, **options)
        assert list(self.outer.iterdir()) == []
        assert "--" not in str(caught.value)
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("top", ["", "ModelNet10/", "./", "a/b/"])
def test_every_kind_of_archive_with_and_without_folders_around(place, kind, top):
    assert place.unpack(PACKERS[kind](inside(MESHES, top))) == MESHES


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_oddities_that_harm_nobody(place, kind):
    folder = tarfile.TarInfo("M/chair")
    folder.type = tarfile.DIRTYPE
    litter = ["__MACOSX/M/._x.off", "M/.DS_Store", "M/chair/._chair_1.off", "M/chair/train/.DS_Store"]
    odd = {
        "chair/train/siège à bascule (2).off": b"OFF",
        "inner.zip": zip_of([("../../evil", b"x")]),
    }
    entries = [("M/chair/" if kind == "zip" else folder, b""), *((name, b"x") for name in litter)]
    entries += [*inside(MESHES | odd, "M/"), ("M\\chair\\train\\w.off", b"W")]
    assert place.unpack(PACKERS[kind](entries)) == MESHES | odd | {"chair/train/w.off": b"W"}


@pytest.mark.parametrize("kind", PACKERS)
def test_progress_rises_to_the_whole(place, kind):
    seen = []
    place.unpack(PACKERS[kind](MESHES.items()), progress=lambda *step: seen.append(step))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


def test_a_target_that_holds_something_is_left_alone(place):
    place.target.mkdir()
    (place.target / "mine.txt").touch()
    with pytest.raises(OSError, match="mpty"):
        place.unpack(zip_of(MESHES.items()))
    assert list(place.outer.iterdir()) == [place.target]
    assert files_in(place.target) == {"mine.txt": b""}


def test_classes_are_judged_by_the_caller_before_anything_is_in_its_place(place):
    seen = []

    def refuse(classes):
        seen.append(classes)
        raise BadArchiveError("other classes")

    assert place.refuse(zip_of(meshes({"b", "a"}).items()), check_classes=refuse) == "other classes"
    assert seen == [{"a", "b"}]


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [("photos/cat.jpg", b"x")],
        [("chair/train/", b"")],
        [("__MACOSX/chair/train/a.off", b"x"), ("chair/train/._a.off", b"x")],
        inside(MESHES, "a/b/c/"),
        [("ModelNet10.zip", zip_of(MESHES.items()))],
    ],
    ids=["nothing", "no meshes", "an empty class", "only litter", "too deep", "an archive inside"],
)
def test_an_archive_of_something_else(place, entries):
    assert "no CLASS/train folder with .off files" in place.refuse(zip_of(entries))


@pytest.mark.parametrize(
    "content", [b"", b"<!DOCTYPE html>" + b" " * 1000, b"{}"], ids=["0 bytes", "html", "json"]
)
def test_no_archive(place, content):
    assert "neither a zip nor a tar" in place.refuse(content)


def test_a_zip_that_does_not_fit_is_told_before_anything_is_written(place, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 100}))
    message = place.refuse(zip_of(MESHES.items()), UserError)
    assert message.endswith("0.0 GB are free; free some space.")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_disk_that_fills_up_is_not_the_archives_fault(place, kind):
    def fill(done, total):
        raise OSError(errno.ENOSPC, "No space left on device")

    place.refuse(PACKERS[kind](MESHES.items()), OSError, progress=fill)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_bomb_is_refused_by_its_ratio(place, kind, monkeypatch):
    monkeypatch.setattr(archives, "FREE_BYTES", 10_000)
    bomb = PACKERS[kind]([("chair/train/a.off", bytes(2_000_000))])
    assert "unpacks to more than" in place.refuse(bomb)


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 3000), ("MAX_FILES", len(MESHES))])
def test_too_much_is_refused_and_litter_counts(place, kind, limit, value, monkeypatch):
    monkeypatch.setattr(archives, limit, value)
    assert "unpacks to more than" in place.refuse(PACKERS[kind]([*MESHES.items(), ("ModelNet10/._x", b"")]))


@pytest.mark.parametrize("kind", PACKERS)
def test_cut_anywhere(place, kind):
    content = PACKERS[kind](MESHES.items())
    # A plain tar ends in thousands of zeros; what counts is that its end mark is gone.
    end = len(content.rstrip(b"\0")) if kind == "tar" else len(content) - 20
    for cut in (1, 100, 511, 513, 1024, len(content) // 2, end):
        assert "damaged" in place.refuse(content[:cut])


@pytest.mark.parametrize("kind", PACKERS)
def test_one_changed_byte_is_noticed(place, kind):
    content = bytearray(PACKERS[kind](MESHES.items()))
    at = len(content) // 3
    if kind == "tar":  # which has checksums of its headers only
        at = content.index(b"sofa/test")
    content[at] ^= 0xFF
    assert "damaged" in place.refuse(bytes(content))


def test_what_lies_behind_a_tar_is_read_to_its_checksum(place):
    whole = gzip.compress(tar_of(MESHES.items()))
    assert "damaged or hostile" in place.refuse(whole[:-8] + b"evil" + whole[-4:])
    assert "damaged or hostile" in place.refuse(whole + b"junk")

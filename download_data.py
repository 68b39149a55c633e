"""Step 2: get a data set of meshes.

Asks which one, tells how large it is and asks again before anything is downloaded::

    python download_data.py

The same without questions::

    python download_data.py --dataset modelnet10 --yes

An archive that you have already, and chairs made on the spot with nothing to download::

    python download_data.py --dataset modelnet40 --archive modelnet40_manually_aligned.tar
    python download_data.py --dataset sample
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from rasgan import cli, locks
from rasgan.data import archives, download, sample_chairs
from rasgan.errors import UserError


@dataclass(frozen=True)
class Dataset:
    """A data set that is downloaded as one archive."""

    title: str
    folder: str
    archive: str
    urls: tuple[str, ...]
    packed_bytes: int
    unpacked_bytes: int  # rounded up: for telling, and for checking that there is room
    example: str


MODELNET10 = Dataset(
    "ModelNet10, 10 classes, oriented alike (Princeton)",
    "ModelNet10",
    "ModelNet10.zip",
    (
        "http://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
        "https://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
        "http://vision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
    ),
    473_402_300,
    2_500_000_000,
    "chair",
)
MODELNET40 = Dataset(
    "ModelNet40, 40 classes, aligned by hand (Freiburg)",
    "ModelNet40",
    "ModelNet40.tar",
    (
        "https://lmb.informatik.uni-freiburg.de/resources/datasets/ORION/modelnet40_manually_aligned.tar",
        "https://huggingface.co/datasets/theankitghotala/ModelNet40/resolve/main/"
        "modelnet40_manually_aligned.tar.gz",
    ),
    2_000_000_000,
    10_000_000_000,
    "airplane",
)
DATASETS = {"modelnet10": MODELNET10, "modelnet40": MODELNET40}
SAMPLE = "sample"
SAMPLE_FOLDER = "SampleChairs"
CHOICES = {"1": "modelnet10", "2": "modelnet40", "3": SAMPLE}


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        description="Get meshes to train on: ModelNet10, the aligned ModelNet40, or sample chairs made here.",
        epilog="example: python download_data.py --dataset modelnet10 --yes",
    )
    parser.add_argument("--dataset", choices=[*DATASETS, SAMPLE], help="which one (default: ask)")
    parser.add_argument("--yes", action="store_true", help="download without asking")
    parser.add_argument(
        "--dir",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="where the data set's folder goes (default: here)",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--url", metavar="ADDRESS", help="download from this http or https address instead")
    source.add_argument(
        "--archive",
        type=Path,
        metavar="FILE",
        help="unpack this archive, which is kept, instead of downloading",
    )
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Run the script and return its exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.url is not None and not args.url.startswith(("http://", "https://")):
        parser.error("--url must begin with http:// or https://")
    if args.dataset == SAMPLE and (args.url or args.archive):
        parser.error("the sample chairs are made here: they take neither --url nor --archive")
    if args.archive is not None and not args.archive.is_file():
        raise UserError(f"{args.archive}: no such file; check the path given with --archive.")

    name = args.dataset or ask_dataset(with_sample=not (args.url or args.archive))
    if name == SAMPLE:
        return make_sample(args.dir)
    dataset = DATASETS[name]
    folder = args.dir / dataset.folder
    is_there = is_filled(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: a file stands where the data set's folder goes; rename it.")
    if not is_there and not args.archive and not args.yes and not agree(dataset):
        print("Nothing was downloaded.")
        return 0
    if not is_there or has_remains(dataset, folder):
        with alone_at(folder):
            is_there = is_filled(folder)  # now, as another run may have ended since this one asked
            clear_away(dataset, folder, is_there)
            if not is_there:
                get(dataset, folder, args.archive, (args.url,) if args.url else dataset.urls)
    if is_there:
        print(f"{folder} is already there: nothing to do. (Remove or rename it to get it anew.)")
        return 0
    print(f"The meshes are in {folder}. Next:")
    print(f"  python convert_data.py -m {folder / dataset.example}")
    return 0


def ask_dataset(with_sample: bool) -> str:
    """Ask which data set until the answer is one of those offered."""
    print("Which data set?")
    print(f"  1  {MODELNET10.title}: {size(MODELNET10)}")
    print(f"  2  {MODELNET40.title}: {size(MODELNET40)}")
    if with_sample:
        print("  3  Sample chairs, 500 to train and 100 to test: made here, nothing is downloaded")
    choices = {key: name for key, name in CHOICES.items() if with_sample or name != SAMPLE}
    while True:
        answer = ask(f"Type {', '.join(choices)} and Enter: ")
        if answer in choices:
            return choices[answer]
        print(f"{answer!r} is not one of them." if answer else "Nothing was typed.")


def agree(dataset: Dataset) -> bool:
    """Tell the size and ask; only a clear yes is one."""
    print(f"{dataset.title}: {size(dataset)}.")
    return ask("Download it? [y/N] ").lower() in ("y", "yes")


def ask(question: str) -> str:
    """Ask on the terminal."""
    try:
        return input(question).strip()
    except EOFError:
        print()
        raise UserError(
            "There is nobody to answer: say it with options, for example --dataset modelnet10 --yes."
        ) from None


def size(dataset: Dataset) -> str:
    """Return what a data set takes."""
    packed, unpacked = dataset.packed_bytes / 1e9, dataset.unpacked_bytes / 1e9
    return f"{packed:.1f} GB to download, up to {unpacked:.1f} GB on disk"


def is_filled(folder: Path) -> bool:
    """Return whether a folder is there and holds anything."""
    return folder.is_dir() and any(folder.iterdir())


def has_remains(dataset: Dataset, folder: Path) -> bool:
    """Return whether a run that was killed when `folder` was all but done left something beside it."""
    traces = (lock_path(folder), archives.workplace(folder))
    return any(path.exists() for path in traces) or download.has_note(folder.with_name(dataset.archive))


def clear_away(dataset: Dataset, folder: Path, is_there: bool) -> None:
    """Remove what a killed run left, but for what can be used again."""
    archives.remove_remains(folder)
    if is_there and download.has_note(folder.with_name(dataset.archive)):
        download.remove(folder.with_name(dataset.archive))


def get(dataset: Dataset, folder: Path, own_archive: Path | None, urls: Sequence[str]) -> None:
    """Download unless there is an archive, then unpack it; only what was downloaded here is removed."""
    archive = own_archive or folder.with_name(dataset.archive)
    to_download = dataset.packed_bytes - download.PartialFile(archive).size
    needed = dataset.unpacked_bytes + (0 if archive.is_file() else max(0, to_download))
    archives.check_room(folder.parent, needed, f"get {dataset.folder}")
    if not archive.is_file():
        with byte_bar(f"Downloading {archive.name}") as show:
            download.fetch(urls, archive, show)
    is_ours = own_archive is None and download.was_fetched(archive)
    try:
        with byte_bar(f"Unpacking {archive.name}") as show:
            archives.unpack(archive, folder, show)
    except archives.BadArchiveError:
        if is_ours:  # else the next run would trip over it again
            download.remove(archive)
        raise
    if is_ours:
        download.remove(archive)


def make_sample(place: Path) -> int:
    """Make the sample chairs, or those that are missing."""
    folder = place / SAMPLE_FOLDER
    count = sample_chairs.TRAIN + sample_chairs.TEST
    with alone_at(folder), tqdm(total=count, desc="Making chairs", unit="chair", disable=None) as bar:
        written = sample_chairs.write_sample_set(folder, progress=bar.update)
    print(f"{folder}: {written} chairs made, {count - written} were already there. Next:")
    print(f"  python convert_data.py -m {folder / 'chair'}")
    return 0


def alone_at(folder: Path) -> AbstractContextManager[None]:
    """Keep a second run away from a data set that one is at work on."""
    return locks.exclusive(
        lock_path(folder),
        f"{folder}: another run is at work on it; wait until it ends, then run the same command again.",
    )


def lock_path(folder: Path) -> Path:
    """Return the lock file of a data set; a killed run leaves it."""
    return folder.with_name(f".{folder.name}.lock")


@contextmanager
def byte_bar(title: str) -> Iterator[download.Progress]:
    """Show a bar on a terminal, one line elsewhere."""
    with tqdm(desc=title, unit="B", unit_scale=True, disable=None) as bar:
        if bar.disable:
            print(f"{title} ...")

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


if __name__ == "__main__":
    sys.exit(main())

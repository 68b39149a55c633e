"""Download a data set of meshes, the second step of the tutorial.

    python download_data.py

asks which one, prints its size, and asks again before the download. Without questions, from an archive that
you have, or with generated chairs or tables:

    python download_data.py --dataset modelnet10 --yes
    python download_data.py --dataset modelnet40 --archive aligned.tar
    python download_data.py --dataset sample
    python download_data.py --dataset sample --class table
"""

if __name__ == "__main__":
    import rasgan.startup  # noqa: F401 - before packages that may be missing

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from rasgan import cli
from rasgan.data import archives, download, sample_chairs
from rasgan.errors import UserError
from rasgan.files import check_room, exclusive


@dataclass(frozen=True)
class Dataset:
    """A data set that is one archive."""

    title: str
    folder: str
    archive: str
    urls: tuple[str, ...]
    packed_bytes: int
    is_exact: bool  # packed_bytes is the exact length of the archive at each address
    unpacked_bytes: int  # rounded up
    classes: int
    example: str

    def __str__(self) -> str:
        packed, unpacked = self.packed_bytes / 1e9, self.unpacked_bytes / 1e9
        return f"{self.title}: {packed:.1f} GB to download, up to {unpacked:.1f} GB on disk"


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
    True,
    2_500_000_000,
    10,
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
    False,
    10_000_000_000,
    40,
    "airplane",
)
DATASETS = {"modelnet10": MODELNET10, "modelnet40": MODELNET40}
SAMPLE = "sample"
MOST_SAMPLES = 9000  # names have four digits
PATIENCE = download.Patience()
ADVICE = {
    cli.STOPPED: "To continue, type the same command again.",
    "room": "Or choose another place with --dir.",
    "other data set": "Choose the right data set with --dataset.",
    "download": "Or get the file another way and name it with --archive.",
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    parser.add_argument("--dataset", choices=[*DATASETS, SAMPLE], help="data set (default: ask)")
    parser.add_argument("--yes", action="store_true", help="download without asking")
    place_help = "where to create the folder of the data set (default: here)"
    parser.add_argument("--dir", type=Path, default=Path(), metavar="FOLDER", help=place_help)
    parser.add_argument(
        "--count",
        type=cli.number(int, at_least=1, at_most=MOST_SAMPLES),
        metavar="N",
        help=f"number of samples to train on, 1 to {MOST_SAMPLES}, in addition to {sample_chairs.TEST} test "
        f"samples (default {sample_chairs.TRAIN})",
    )
    kinds = sorted(sample_chairs.KINDS)
    class_help = "what to make with --dataset sample (default chair)"
    parser.add_argument("--class", choices=kinds, dest="kind", help=class_help)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--url", metavar="ADDRESS", help="download from this http or https address instead")
    own_help = "unpack this archive instead of downloading one; it is kept"
    source.add_argument("--archive", type=Path, metavar="FILE", help=own_help)
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Run the script and return its exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.url is not None and not args.url.startswith(("http://", "https://")):
        parser.error("--url must begin with http:// or https://")
    if args.dataset == SAMPLE and (args.url or args.archive):
        parser.error("--url and --archive cannot be used with --dataset sample")
    for option, value in (("--count", args.count), ("--class", args.kind)):
        if value is not None and args.dataset != SAMPLE:
            parser.error(f"{option} can only be used with --dataset sample")
    if args.archive is not None and not args.archive.is_file():
        raise UserError(f"{args.archive}: no such file; check the path after --archive.")

    name = args.dataset or ask_dataset(with_samples=not (args.url or args.archive))
    if name == SAMPLE:
        name = args.kind or "chair"
    if name in sample_chairs.KINDS:
        return make_sample(args.dir, name, args.count or sample_chairs.TRAIN)
    dataset = DATASETS[name]
    folder = args.dir / dataset.folder
    with alone_at(folder):
        if is_filled(folder, dataset):
            shutil.rmtree(workplace(folder), ignore_errors=True)  # of a run that was killed
            print(f"{folder} already exists: nothing to do. To download it again, delete or rename it.")
            return 0
        if not args.archive and not args.yes:
            print(f"{dataset}.")
            if ask("Download it? [y/N] ").lower() not in ("y", "yes"):
                print("Nothing was downloaded.")
                return 0
        get(dataset, folder, args.archive, args.url)
    classes = archives.classes_in(folder)
    if len(classes) < dataset.classes:
        print(f"The archive has only {len(classes)} of {dataset.folder}'s {dataset.classes} classes.")
    print(f"The meshes are in {folder}. Next:")
    example = dataset.example if dataset.example in classes else min(classes)
    cli.say(f"  {cli.command_line('python', 'convert_data.py', '-m', folder / example)}")
    return 0


def ask_dataset(with_samples: bool) -> str:
    """Ask for a data set until the answer is valid, and return its name."""
    counts = f"{sample_chairs.TRAIN} to train and {sample_chairs.TEST} to test: no download"
    samples = {kind: f"Sample {kind}s, {counts}" for kind in sample_chairs.KINDS}
    offers = DATASETS | (samples if with_samples else {})
    choices = {str(number): name for number, name in enumerate(offers, 1)}
    print("Which data set?")
    for number, name in choices.items():
        print(f"  {number}  {offers[name]}")
    *others, last = choices
    while (answer := ask(f"Type {', '.join(others)} or {last}, then press Enter: ")) not in choices:
        print(f"{answer!r} is not one of these numbers.")
    return choices[answer]


def ask(question: str) -> str:
    """Return what is typed on the terminal. Raises UserError if there is no input."""
    try:
        return input(question).strip()
    except EOFError:
        print()
        raise UserError("No answer: use options instead, such as --dataset modelnet10 --yes.") from None


def is_filled(folder: Path, dataset: Dataset) -> bool:
    """Return whether the data set is in its folder. Raises UserError if something else is."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not archives.classes_in(folder):
        fault = f"not {dataset.folder}, which contains CLASS/train/*.off; delete or rename it"
        raise UserError(f"{folder}: {fault}, then run the same command again.")
    return True


def get(dataset: Dataset, folder: Path, own_archive: Path | None, url: str | None) -> None:
    """Download the archive unless there is one, unpack it, and delete it if it was downloaded."""
    fetched = workplace(folder) / dataset.archive
    staging = workplace(folder) / "unpacked"
    shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed: it takes room
    archive = own_archive or (fetched if fetched.is_file() else None)
    needed = dataset.unpacked_bytes
    if archive is None:
        received = sum(path.stat().st_size for path in workplace(folder).glob("*.part"))
        needed += max(0, dataset.packed_bytes - received)
    check_room(folder.parent, needed, f"get {dataset.folder}")
    if archive is None:
        archive = fetched
        exact = dataset.packed_bytes if dataset.is_exact and url is None else None
        with byte_bar(f"Downloading {archive.name}") as show:
            download.fetch((url,) if url else dataset.urls, archive, exact, show, PATIENCE)
    try:
        with byte_bar(f"Unpacking {archive.name}") as show:
            archives.unpack(archive, folder, staging, dataset.classes, show)
    except archives.BadArchiveError:
        fetched.unlink(missing_ok=True)  # otherwise the next run would fail on it again
        raise
    shutil.rmtree(workplace(folder), ignore_errors=True)


def make_sample(place: Path, kind: str, train: int) -> int:
    """Generate the samples that do not exist yet."""
    folder = place / f"Sample{kind.capitalize()}s"
    count = train + sample_chairs.TEST
    with alone_at(folder), tqdm(total=count, unit=kind, disable=not cli.shows_bars()) as bar:
        written = sample_chairs.write_sample_set(folder, train=train, progress=bar.update, kind=kind)
    print(f"{folder}: {written} {kind}s generated, {count - written} already existed. Next:")
    # Centered shapes are mirror-symmetric, which training can use. The pretrained model needs them, too.
    cli.say(f"  {cli.command_line('python', 'convert_data.py', '-m', folder / kind, '--center')}")
    return 0


@contextmanager
def alone_at(folder: Path) -> Iterator[None]:
    """Refuse a second run on the same data set; add to errors which option helps."""
    refusal = (
        f"{folder}: another run is downloading it. Wait for it to finish, then run the same command again."
    )
    with exclusive(lock_path(folder), refusal), cli.advising(ADVICE):
        try:
            yield
        finally:
            with suppress(OSError):
                workplace(folder).rmdir()  # unless it contains partial data


def lock_path(folder: Path) -> Path:
    """Return the lock file of a data set."""
    return folder.with_name(f".{folder.name}.lock")


def workplace(folder: Path) -> Path:
    """Return the temporary folder in which a data set is downloaded and unpacked."""
    return folder.with_name(f"{folder.name}.part")


@contextmanager
def byte_bar(title: str) -> Iterator[download.Progress]:
    """Show a progress bar on a terminal, and print one line elsewhere."""
    with tqdm(desc=title, unit="B", unit_scale=True, disable=not cli.shows_bars()) as bar:
        if bar.disable:
            print(f"{title} ...")

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


if __name__ == "__main__":
    sys.exit(main())

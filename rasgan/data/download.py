"""Downloads that survive bad networks: what has come is kept, and a file has its name when it is whole."""

import functools
import itertools
import json
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urljoin

import requests
import urllib3

from rasgan import files
from rasgan.data import archives
from rasgan.errors import UserError

CHUNK = 1 << 18
HEAD = 512
"""This many first bytes tell an archive from a web page."""

GOOD_PROGRESS = 1 << 20
"""A try that brought this many bytes does not count as failed."""

LARGEST = 16 * 10**9
"""No archive of meshes has more bytes; what is said to be larger, or never ends, is given up."""

MAX_REDIRECTS = 10

Progress = Callable[[int, int | None], object]
"""Called with how many bytes are there and how many there will be, None if the server does not say."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server, and how often to come back."""

    connect_s: float = 15.0
    stall_s: float = 60.0
    least_speed: float = 1024.0  # bytes per second, averaged over stall_s; below it a server has stalled
    tries: int = 5
    pause_s: float = 1.0  # before the second try; doubled before each further one


@dataclass(frozen=True)
class Note:
    """What must be known to continue a partial file; kept beside it as JSON."""

    url: str
    total: int | None  # size of the whole file in bytes
    validator: str | None  # ETag or Last-Modified: names the version of the file
    is_plain: bool  # as it is on the server, not compressed on the way: only then ranges fit together


class _TryAgainError(Exception):
    """The same address may well do better next time."""


class _HopelessError(Exception):
    """The address will not do, now or later."""


def fetch(
    urls: Sequence[str], target: Path, progress: Progress | None = None, patience: Patience | None = None
) -> None:
    """Download an archive from the first address that gives it whole.

    Until it is whole it is TARGET.part, which the next call continues if the server can and still has the
    same version. TARGET.info.part says where it came from and stays beside the whole file (see `remove`).

    Parameters
    ----------
    urls : sequence of str
        http or https addresses of one and the same archive, tried in order.
    target : Path
        The file to make; one already there is replaced.
    progress : callable, optional
        See `Progress`.
    patience : Patience, optional
        Timeouts and retries.

    Raises
    ------
    UserError
        If no address gave the archive, with each one's reason; or if the disk has not enough room.
    """
    patience = patience or Patience()
    partial = PartialFile(target)
    # What is there already is worth more than the order of the addresses.
    urls = sorted(urls, key=lambda url: not partial.continues(url))
    reasons = []
    for url in urls:
        try:
            _fetch_from(url, partial, progress or (lambda *_: None), patience)
        except _HopelessError as reason:
            reasons.append(f"{url} {reason}")
        else:
            partial.finish()
            return
    raise UserError(
        f"{target.name} could not be downloaded: {'; '.join(reasons)}. Run the same command again later"
        f"{' (it goes on where this one stopped)' if partial.size else ''}, or get the file another way "
        "and name it with --archive."
    )


def was_fetched(target: Path) -> bool:
    """Return whether `target` is a file that `fetch` brought, now or in an earlier run."""
    return target.is_file() and PartialFile(target).note() is not None


def has_note(target: Path) -> bool:
    """Return whether anything tells of a fetched file, which `remove` may have removed without ending."""
    return PartialFile(target).note_path.exists()


def remove(target: Path) -> None:
    """Remove a fetched file and what tells of it; a file that was not fetched stays."""
    if was_fetched(target):
        target.unlink(missing_ok=True)
    PartialFile(target).discard()


class PartialFile:
    """A file on its way, and the note beside it."""

    def __init__(self, target: Path):
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self.note_path = target.with_name(target.name + ".info.part")

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def note(self) -> Note | None:
        """Read the note; None if there is none that can be used."""
        try:
            fields = json.loads(self.note_path.read_text(encoding="utf-8"))
            note = Note(**fields)
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        is_sound = isinstance(note.url, str) and isinstance(note.total, int | None)
        return note if is_sound and isinstance(note.validator, str | None) else None

    def continues(self, url: str) -> bool:
        """Return whether what is there came from `url` and can be continued."""
        note = self.note()
        return self.size > 0 and note is not None and note.url == url and note.is_plain

    def start(self, note: Note) -> None:
        """Begin anew."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        # The old bytes go before the new note comes, so that the two never mix, killed or not.
        self.discard()
        self.path.touch()
        # Not by way of a temporary file, which a killed run would leave: half a note is as good as none.
        self.note_path.write_text(json.dumps(asdict(note)), encoding="utf-8")

    def discard(self) -> None:
        """Remove what is there."""
        self.path.unlink(missing_ok=True)
        self.note_path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Return the file its name; the note stays and tells that it was downloaded here."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)


def _fetch_from(url: str, partial: PartialFile, progress: Progress, patience: Patience) -> None:
    """Try one address until the file is whole."""
    failures = setbacks = 0
    while True:
        before = partial.size
        try:
            with _sorting_errors():
                _receive(url, partial, progress, patience)
            return
        except _TryAgainError as error:
            failures = 1 if partial.size - before >= GOOD_PROGRESS else failures + 1
            setbacks += partial.size < before  # else a server that takes back what it brought never ends
            if max(failures, setbacks) >= patience.tries:
                raise _HopelessError(f"{error} ({max(failures, setbacks)} tries)") from error
        time.sleep(min(patience.pause_s * 2 ** (failures - 1), 30))


@contextmanager
def _sorting_errors() -> Iterator[None]:
    """Tell errors that may pass from those that will not."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise _HopelessError("has no certificate that this machine trusts") from error
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
        UnicodeError,
    ) as error:
        raise _HopelessError("is not an address that can be opened") from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise _TryAgainError("does not answer") from error
    except (requests.ConnectionError, urllib3.exceptions.NewConnectionError) as error:
        raise _TryAgainError("cannot be reached, or broke off") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _TryAgainError("broke off") from error


def _receive(url: str, partial: PartialFile, progress: Progress, patience: Patience) -> None:
    """Send one request and store what comes."""
    note = partial.note()
    have = partial.size if partial.continues(url) else 0
    if have and have == note.total:  # killed after the last byte and before the renaming
        _check_whole(partial)
        return
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if note.validator is not None:
            headers["If-Range"] = note.validator
    with _open(url, headers, patience) as response:
        chunks, first = _chunks(response, patience), b""
        if have and response.status_code in (206, 416):
            total = _continued_total(response, partial, have)
        else:  # a new file, or the server would not continue the old one
            _check_status(response.status_code)
            have, total = 0, _announced_total(response)
            first = _first_bytes(chunks)
        if total is not None:
            partial.path.parent.mkdir(parents=True, exist_ok=True)
            archives.check_room(partial.path.parent, total - have, f"download {partial.target.name}")
        if not have:
            partial.start(Note(url, total, _validator(response), not _is_encoded(response)))
        _store(partial, first, chunks, total, progress)
    _check_whole(partial)


@contextmanager
def _open(url: str, headers: dict[str, str], patience: Patience) -> Iterator[requests.Response]:
    """Send a request and follow redirects; only the body that they lead to is read."""
    timeout = (patience.connect_s, patience.stall_s)
    with _Session() as session:
        for _ in range(MAX_REDIRECTS):
            send = functools.partial(session.get, url, headers=headers, stream=True, timeout=timeout)
            with _in_time(send, sum(timeout)) as response:
                target = requests.Session.get_redirect_target(session, response)
                if target is None:
                    yield response
                    return
                url = _redirected(url, target)
    raise _HopelessError("redirects in circles")


class _Session(requests.Session):
    """Leaves redirects to `_open`: requests would read their bodies into memory, however long."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Say that there is none."""


def _redirected(url: str, target: str) -> str:
    """Return the address that a redirect from `url` leads to."""
    try:
        address = urljoin(url, target)
    except ValueError:
        address = ""
    if not address.lower().startswith(("http://", "https://")):
        raise _HopelessError("redirects to something that is no http address")
    return address


def _in_time(send: Callable[[], requests.Response], seconds: float) -> requests.Response:
    """Wait for the head of an answer; requests' own timeouts start anew with every byte that comes."""
    answers: queue.SimpleQueue[requests.Response | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(send())
        except Exception as error:  # is raised where it is waited for
            answers.put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise _TryAgainError("does not answer") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _check_status(code: int) -> None:
    """Raise unless the whole file comes; some answers are worth another try."""
    if code in (408, 425, 429) or code >= 500:
        raise _TryAgainError(f"answers with error {code}")
    if code != 200:
        raise _HopelessError(f"answers with error {code}")


def _first_bytes(chunks: Iterator[bytes]) -> bytes:
    """Take as much as tells an archive from anything else, before anything that is there is given up."""
    first = b""
    while len(first) < HEAD and (chunk := next(chunks, b"")):
        first += chunk
    if not first:  # or broken off among its headers
        raise _TryAgainError("sends nothing")
    if first.lstrip()[:1] == b"<":
        raise _HopelessError("sends a web page instead of an archive")
    if not archives.looks_like_archive(first):
        raise _HopelessError("sends something that is no archive")
    return first


def _store(
    partial: PartialFile, first: bytes, chunks: Iterator[bytes], total: int | None, progress: Progress
) -> None:
    """Append what comes to the partial file and compare its size with what was announced."""
    with files.naming(partial.path), partial.path.open("ab") as file:
        for chunk in itertools.chain([first], chunks):
            file.write(chunk)
            progress(file.tell(), total)
            if file.tell() > (LARGEST if total is None else total):
                break
    if total is None and partial.size > LARGEST:
        partial.discard()
        raise _HopelessError(f"sends more than {LARGEST / 1e9:.0f} GB, too much for an archive of meshes")
    if total is not None and partial.size > total:
        partial.discard()
        raise _TryAgainError("sent more bytes than it announced")
    if total is not None and partial.size < total:
        raise _TryAgainError(f"broke off after {partial.size} of {total} bytes")


def _check_whole(partial: PartialFile) -> None:
    """Make sure that a zip has its end, where its table of contents is."""
    if archives.lacks_its_end(partial.path):
        partial.discard()
        raise _TryAgainError("sent a damaged archive")


def _chunks(response: requests.Response, patience: Patience) -> Iterator[bytes]:
    """Return the body as it comes, and up on a server that sends too slowly to ever end."""
    # read1 returns what is there; read waits for a full chunk, which a trickling server never fills.
    # urllib3 before 2.2 has no read1.
    read = getattr(response.raw, "read1", response.raw.read)
    window_start, window_bytes = time.monotonic(), 0
    while chunk := read(CHUNK, decode_content=_is_encoded(response)):
        yield chunk
        window_bytes += len(chunk)
        elapsed = time.monotonic() - window_start
        if elapsed > patience.stall_s:
            if window_bytes < patience.least_speed * elapsed:
                raise _TryAgainError("sends next to nothing")
            window_start, window_bytes = time.monotonic(), 0


def _is_encoded(response: requests.Response) -> bool:
    """Return whether the body is compressed for transport, against the request."""
    return response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")


def _announced_total(response: requests.Response) -> int | None:
    """Return the size of the whole file that a 200 announces; None if it does not."""
    length = response.headers.get("Content-Length", "")
    if _is_encoded(response) or not re.fullmatch(r"[0-9]{1,18}", length):
        return None
    if int(length) > LARGEST:
        raise _HopelessError(f"announces {int(length) / 1e9:.0f} GB, too much for an archive of meshes")
    return int(length)


def _range(response: requests.Response) -> tuple[int | None, int | None]:
    """Read Content-Range: the first byte's position and the whole file's size, None where not given."""
    match = re.fullmatch(
        r"bytes (?:([0-9]{1,18})-[0-9]+|\*)/(?:([0-9]{1,18})|\*)",
        response.headers.get("Content-Range", "").strip(),
    )
    if match is None:
        return None, None
    start, total = match.groups()
    return None if start is None else int(start), None if total is None else int(total)


def _continued_total(response: requests.Response, partial: PartialFile, have: int) -> int | None:
    """Check that an answer goes on where the partial file ends, in the same version; give the whole size."""
    note = partial.note()
    start, total = _range(response) if response.status_code == 206 else (None, None)
    # Without a size to compare, a 206 to If-Range still says that it is the same version.
    is_same_size = total == note.total or (note.total is None and note.validator is not None)
    is_same = is_same_size and _validator(response) in (note.validator, None)
    if start != have or not is_same or _is_encoded(response):
        partial.discard()
        raise _TryAgainError("has another version of the file now")
    return total


def _validator(response: requests.Response) -> str | None:
    """Return what names this version of the file and may stand in If-Range: a strong ETag, or a date."""
    etag = response.headers.get("ETag", "")
    if re.fullmatch(r'"[!#-~]*"', etag):
        return etag
    date = response.headers.get("Last-Modified", "")
    return date if re.fullmatch(r"[!-~][ -~]*", date) else None

"""Resumable downloads. Data arrives under a temporary name and is renamed once complete."""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3

from rasgan import files
from rasgan.errors import UserError

CHUNK = 1 << 14
LARGEST = 16 * 10**9  # bytes, more than any archive of meshes: the limit of an answer without a length
MAY_PASS = (206, 408, 416, 425, 429, 500, 502, 503, 504)  # status codes after which to try again

# Called with the number of bytes received and the total, which is None if the server does not announce it.
Progress = Callable[[int, int | None], object]


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server, and how often to try."""

    connect_s: float = 15.0
    stall_s: float = 60.0  # without a single byte
    tries: int = 8
    pause_s: float = 1.0  # before the second try, and twice as long before each further one


class _RefusedError(Exception):
    """An address that cannot be used."""


class _BrokenOffError(Exception):
    """A failure after which the same address may still send the file."""


def fetch(
    urls: Sequence[str],
    target: Path,
    size: int | None = None,
    progress: Progress = lambda done, total: None,
    patience: Patience = Patience(),
) -> None:
    """Download a file from the first address that sends it completely, most complete first.

    Partial data is kept beside `target` in a .part file, from which the next call resumes. If the `size` of
    the file in bytes is known, any other length is refused, and data from one address is continued from
    another; otherwise the length that the server announces is checked.

    Raises UserError, with the reason for each address, if none sent the file, or if the disk lacks room.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    parts = {url: _part(target, url if size is None else str(size)) for url in urls}
    reasons = []
    with requests.Session() as session:
        session.max_redirects = 10
        for url in sorted(urls, key=lambda url: -_bytes_in(parts[url])):
            try:
                _fetch_from(session, url, parts[url], size, progress, patience)
            except _RefusedError as reason:
                reasons.append(f"{url} {reason}")
            else:
                parts[url].replace(target)
                return
    fault = f"{target.name} could not be downloaded: {'; '.join(reasons)}. Try again later."
    raise UserError(f"{fault} The download resumes where it stopped.", about="download")


def _part(target: Path, key: str) -> Path:
    """Return the path of the partial data. Files with the same key are assumed to be the same."""
    name = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:8]
    return target.with_name(f"{target.name}.{name}.part")


def _bytes_in(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _fetch_from(
    session: requests.Session, url: str, part: Path, size: int | None, progress: Progress, patience: Patience
) -> None:
    """Request an address until `part` is complete; try again after temporary failures."""
    reason = ""
    for number in range(patience.tries):
        if number:
            time.sleep(patience.pause_s * 2 ** (number - 1))
        if size is not None and _bytes_in(part) == size:
            return
        try:
            with _ask(session, url, _bytes_in(part), patience) as response:
                _receive(response, part, size, progress)
                return
        except _BrokenOffError as error:
            reason = str(error)
        except urllib3.exceptions.HTTPError:
            reason = f"was interrupted after {_bytes_in(part)} bytes"
    raise _RefusedError(f"{reason} ({patience.tries} tries)")


def _ask(session: requests.Session, url: str, have: int, patience: Patience) -> requests.Response:
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    timeout = (patience.connect_s, patience.stall_s)
    try:
        return session.get(url, headers=headers, stream=True, timeout=timeout)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _BrokenOffError("cannot be reached, does not respond, or has no trusted certificate") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise _RefusedError("is not a valid address, or redirects to none") from error


def _receive(response: requests.Response, part: Path, size: int | None, progress: Progress) -> None:
    """Append an answer to `part`, or overwrite it, and check that the file is complete."""
    have, code = _bytes_in(part), response.status_code
    start, total = 0, response.raw.length_remaining
    continues = re.fullmatch(
        rf"bytes {have}-[0-9]+/([0-9]{{1,18}})", response.headers.get("Content-Range", "")
    )
    if code == 206 and continues:
        start, total = have, int(continues[1])
    elif code != 200:
        if code in (206, 416):  # the partial data are not part of this file
            part.unlink(missing_ok=True)
        raise (_BrokenOffError if code in MAY_PASS else _RefusedError)(f"answers with status {code}")
    elif response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise _RefusedError("sends a web page instead of the file")
    if None not in (size, total) and total != size:
        raise _RefusedError(f"has {total} bytes, not the expected {size}")
    total = size if total is None else total
    if total is not None:
        files.check_room(part.parent, total - start, f"download {part.name}")
    limit = LARGEST if total is None else total
    with files.naming(part), part.open("ab" if start else "wb") as file:
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            file.write(chunk)
            progress(file.tell(), total)
            if file.tell() > limit:
                break
    have = _bytes_in(part)
    if have > limit:
        part.unlink()
        raise _BrokenOffError("sends more bytes than announced")
    if have == 0 or (total is not None and have < total):
        raise _BrokenOffError(f"was interrupted after {have} bytes")

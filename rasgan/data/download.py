"""Downloads that survive bad networks: what has come is kept, and a file has its name when it is whole."""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3
from requests.adapters import HTTPAdapter

from rasgan import files
from rasgan.errors import UserError

CHUNK = 1 << 14
GOOD_PROGRESS = 1 << 20  # bytes: after a connection that brought so many, the next failure is the first
LARGEST = 16 * 10**9  # bytes: no archive of meshes has more; an answer without a length is stopped there
MAY_PASS = (408, 425, 429, 500, 502, 503, 504)  # after these answers the same address is asked again

# Called with how many bytes are there and how many there will be, None if the server does not say.
Progress = Callable[[int, int | None], object]


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server, and how often to come back."""

    connect_s: float = 15.0
    stall_s: float = 60.0  # without a single byte
    tries: int = 5
    pause_s: float = 1.0  # before the second try; doubled before each further one


class _RefusedError(Exception):
    """An address that will not do, now or later."""


class _BrokenOffError(Exception):
    """A connection that ended early; the same address may go on."""


def fetch(
    urls: Sequence[str],
    target: Path,
    size: int | None = None,
    progress: Progress = lambda done, total: None,
    patience: Patience = Patience(),
) -> None:
    """Download a file from the first address that sends it whole; which brought most before comes first.

    What has come lies beside `target` in a .part file, which the next call continues. Where the file's `size`
    in bytes is known, any other length is refused, and every address may continue what another one began;
    where it is not, the length that the server announces is what counts.

    UserError if no address sent the file, with each one's reason, or if the disk has too little room.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    parts = {url: _part(target, url if size is None else str(size)) for url in urls}
    reasons = []
    with _session(patience) as session:
        for url in sorted(urls, key=lambda url: -_bytes_in(parts[url])):
            try:
                _fetch_from(session, url, parts[url], size, progress, patience)
            except _RefusedError as reason:
                reasons.append(f"{url} {reason}")
            else:
                parts[url].replace(target)
                return
    goes_on = " (it goes on where this one stopped)" if any(map(_bytes_in, parts.values())) else ""
    raise UserError(
        f"{target.name} could not be downloaded: {'; '.join(reasons)}. Try again later{goes_on}.",
        about="download",
    )


def _part(target: Path, key: str) -> Path:
    """Return where a file grows: files of one key are taken for the same."""
    name = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:8]
    return target.with_name(f"{target.name}.{name}.part")


def _bytes_in(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _session(patience: Patience) -> requests.Session:
    """Return a session that asks again when no connection comes about or the server has an error."""
    retry = urllib3.util.Retry(
        total=patience.tries - 1,
        backoff_factor=patience.pause_s,
        status_forcelist=MAY_PASS,
        raise_on_status=False,
        respect_retry_after_header=False,  # which may be a day
    )
    session = requests.Session()
    session.max_redirects = 10
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _fetch_from(
    session: requests.Session, url: str, part: Path, size: int | None, progress: Progress, patience: Patience
) -> None:
    """Ask one address, again and again where the connection breaks, until `part` is whole."""
    most, failures = _bytes_in(part), 0
    while size is None or _bytes_in(part) != size:
        try:
            with _ask(session, url, _bytes_in(part), patience) as response:
                _receive(response, part, size, progress)
                return
        except (_BrokenOffError, urllib3.exceptions.HTTPError) as error:
            have = _bytes_in(part)
            reason = error if isinstance(error, _BrokenOffError) else f"broke off after {have} bytes"
            # Compared with the most there ever was: a server that never continues would not end otherwise.
            failures = 1 if have - most >= GOOD_PROGRESS else failures + 1
            most = max(most, have)
            if failures >= patience.tries:
                raise _RefusedError(f"{reason} ({failures} tries)") from error
        time.sleep(patience.pause_s * 2 ** (failures - 1))


def _ask(session: requests.Session, url: str, have: int, patience: Patience) -> requests.Response:
    """Send one request for what is missing."""
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    timeout = (patience.connect_s, patience.stall_s)
    try:
        return session.get(url, headers=headers, stream=True, timeout=timeout)
    except requests.exceptions.SSLError as error:
        raise _RefusedError("has no certificate that this machine trusts") from error
    except requests.TooManyRedirects as error:
        raise _RefusedError("redirects in circles") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _RefusedError("cannot be reached, or does not answer") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise _RefusedError("is, or leads to, no address that can be opened") from error


def _receive(response: requests.Response, part: Path, size: int | None, progress: Progress) -> None:
    """Append an answer to `part`, or begin anew with it, and check that the file is whole."""
    have = _bytes_in(part)
    start, total = _extent(response, have)
    if start not in (0, have):
        part.unlink()
        raise _BrokenOffError("does not go on where it stopped")
    if None not in (size, total) and total != size:
        raise _RefusedError(f"has {total} bytes, not the {size} of the file that is wanted")
    total = size if total is None else total
    if start and start == total:
        return
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
        raise _BrokenOffError("sends more bytes than it should")
    if have == 0 or (total is not None and have < total):
        raise _BrokenOffError(f"broke off after {have} bytes")


def _extent(response: requests.Response, have: int) -> tuple[int, int | None]:
    """Return where an answer's bytes begin, -1 if unknown, and the whole file's size, None if unknown."""
    span = response.headers.get("Content-Range", "")
    if have and response.status_code == 416:  # nothing lies behind what is there
        return (have, have) if span == f"bytes */{have}" else (-1, None)
    if have and response.status_code == 206:
        found = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]{1,18})", span)
        return (int(found[1]), int(found[2])) if found else (-1, None)
    if response.status_code != 200:
        raise _RefusedError(f"answers with error {response.status_code}")
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise _RefusedError("sends a web page instead of the file")
    return 0, response.raw.length_remaining

"""download_data.py against a server that misbehaves in every known way: a whole data set, or one sentence."""

import dataclasses
import functools
import gzip
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import download_data
from rasgan.data import download
from tests.web_server import Server, make_zip

ROOT = Path(__file__).parents[2]
ARCHIVE = make_zip()
OTHER = make_zip(seed=1, size=40_000)
QUICK = download.Patience(connect_s=1, stall_s=0.4, least_speed=20_000, tries=3, pause_s=0)
SIZE = len(ARCHIVE)
MEG = bytes(1 << 20)


@dataclass(frozen=True)
class Way:
    """A way to misbehave, and what comes of it."""

    name: str
    answer: Callable[[Server, object, int], object]  # server, handler, how many requests there were
    says: str | None = None  # in the sentence at the end; None if the data set is whole in the end
    asked: tuple[int | None, ...] | None = None  # where each request's range began
    gets: bytes = ARCHIVE


def raw(content: bytes, forever: bytes = b"", pause_s: float = 0) -> Callable:
    """Send bytes as they are, headers included, then others again and again."""

    def answer(server, handler, count):
        handler.wfile.write(content)
        while not server.is_closing.wait(pause_s) and forever:
            handler.wfile.write(forever)

    return answer


def status(code: int, body: bytes = b"", **headers: str) -> Callable:
    """Answer with a status."""

    def answer(server, handler, count):
        server.send(handler, code, body, {name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def first(*answers: Callable, then: Callable | None = None) -> Callable:
    """Give these answers one after the other, then `then`, or behave."""

    def answer(server, handler, count):
        last = then or (lambda server, handler, count: server.serve(handler))
        (answers[count - 1] if count <= len(answers) else last)(server, handler, count)

    return answer


def cut(at: int, **changes: str) -> Callable:
    """Break off after this byte of the file."""
    return lambda server, handler, count: server.serve(handler, cut=at, **changes)


def serve(**changes) -> Callable:
    """Behave, but for some headers."""
    return lambda server, handler, count: server.serve(handler, **changes)


def other_file(server, handler, count):
    """Have another version, under another ETag, from now on."""
    server.body, server.etag = OTHER, '"two"'
    server.serve(handler)


def other_file_and_range(server, handler, count):
    """Have another version from now on and send its range all the same."""
    server.body, server.etag = OTHER, '"two"'
    server.serve(handler, start=20_000)


def stall(server, handler, count):
    """Send a part, then nothing, without closing."""
    server.serve(handler, cut=20_000)
    handler.wfile.flush()
    server.is_closing.wait(5)


def new_version_each_time(server, handler, count):
    """Break off, and then give ranges of ever another version."""
    server.etag = f'"{count}"'
    start = 20_000 if handler.headers.get("Range") else 0
    server.serve(handler, start=start, cut=start + 20_000)


def by_the_path(**answers: Callable) -> Callable:
    """Answer /NAME... with the answer of that name, ModelNet10.zip's otherwise."""

    def answer(server, handler, count):
        name = handler.path.split("/")[1].split(".")[0]
        answers[name](server, handler, count)

    return answer


def once(way: Callable) -> Callable:
    return first(way)


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode("latin-1")


def moved(to: str, code: int = 302) -> Callable:
    return status(code, Location=to)


def chunked(body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return head("Transfer-Encoding: chunked") + b"%x\r\n%s\r\n" % (len(body), body) + end


def span(start: object, total: object = SIZE) -> str:
    return f"bytes {start}-{SIZE - 1}/{total}"


REST = ARCHIVE[20_000:]
GZIPPED = gzip.compress(ARCHIVE)
broken = cut(20_000)
begun = functools.partial(first, broken)
CUT_CHUNKS = chunked(ARCHIVE[:30_000], b"").replace(b"\r\n", b'\r\nETag: "one"\r\n', 1)
FOLDED = '"on\r\n e"'
NOT_ZIP, PAGE, ENDED, SILENT = "no archive", "web page instead", "broke off", "does not answer"
HTML = b"<html><body>Log in to this network</body></html>" * 20

WAYS = [
    # Cut
    *(Way(f"cut at byte {at}", once(cut(at)), asked=(None, None)) for at in (0, 1, 4, 511)),
    *(Way(f"cut at byte {at}", once(cut(at)), asked=(None, at)) for at in (512, 20_000, SIZE - 22, SIZE - 1)),
    Way("cut twice", first(cut(9_000), cut(30_000)), asked=(None, 9_000, 30_000)),
    Way("cut at the same byte for ever", cut(20_000), "broke off (3 tries)"),
    Way("cut in the middle of the headers", once(raw(b"HTTP/1.1 200 OK\r\nContent-Le"))),
    Way("closes before any header", raw(b""), "cannot be reached, or broke off"),
    Way("closes once before any header", once(raw(b""))),
    # Ranges
    Way("ignores Range", begun(serve(start=0)), asked=(None, 20_000)),
    Way("416 on Range", begun(status(416)), asked=(None, 20_000, None)),
    Way("416 on everything", status(416), "error 416"),
    Way("206 from another offset", begun(status(206, REST, Content_Range=span(10_000), ETag='"one"'))),
    Way("206 without Content-Range", begun(status(206, REST, ETag='"one"'))),
    Way("206 of another size", begun(status(206, REST, Content_Range=span(20_000, 9), ETag='"one"'))),
    Way("206 with a size of 5,000 digits", begun(status(206, REST, Content_Range=span(20_000, "9" * 5000)))),
    Way("206 with an offset of 5,000 digits", begun(status(206, REST, Content_Range=span("2" * 5000)))),
    Way("206 in several parts", begun(status(206, REST, Content_Type="multipart/byteranges; boundary=x"))),
    Way("206 that nobody asked for", status(206, ARCHIVE, Content_Range=span(0)), "error 206"),
    Way(
        "range longer than announced",
        begun(status(206, REST + b"more", Content_Range=span(20_000), ETag='"one"')),
        asked=(None, 20_000, None),
    ),
    Way(
        "range without a length and without an end",
        begun(
            raw(head(f"Content-Range: {span(20_000)}", 'ETag: "one"').replace(b"200 OK", b"206 Part"), MEG)
        ),
        asked=(None, 20_000, None),
    ),
    # Versions
    Way("changes ETag and length", begun(other_file), gets=OTHER, asked=(None, 20_000)),
    Way("changes but sends the range", begun(other_file_and_range), gets=OTHER, asked=(None, 20_000, None)),
    Way("another ETag on a range", begun(serve(start=20_000, ETag='"two"')), asked=(None, 20_000, None)),
    Way(
        "another Last-Modified on a range",
        first(
            cut(20_000, ETag="", Last_Modified="Mon, 01 Jan 2018 00:00:00 GMT"),
            serve(start=20_000, ETag="", Last_Modified="Tue, 02 Jan 2018 00:00:00 GMT"),
        ),
        asked=(None, 20_000, None),
    ),
    Way("a new version each time", new_version_each_time, "another version"),
    Way("an ETag that is folded", first(cut(20_000, ETag=FOLDED), serve(ETag=FOLDED)), asked=(None, 20_000)),
    Way(
        "an ETag that is no ASCII",
        first(cut(20_000, ETag='"\xe9"'), serve(ETag='"\xe9"')),
        asked=(None, 20_000),
    ),
    # Lengths
    Way("length too large", status(200, ARCHIVE, Content_Length=str(SIZE + 7)), ENDED),
    Way("length too small", status(200, ARCHIVE, Content_Length=str(SIZE - 7)), "damaged archive"),
    Way(
        "length too small once", once(status(200, ARCHIVE, Content_Length=str(SIZE - 7))), asked=(None, None)
    ),
    Way("length of 5,000 digits", status(200, ARCHIVE, Content_Length="9" * 5000)),
    Way("negative length", status(200, ARCHIVE, Content_Length="-5")),
    Way("length of a petabyte", status(200, ARCHIVE, Content_Length=str(10**15)), "announces 1000000 GB"),
    Way("two lengths", raw(head(f"Content-Length: {SIZE}", "Content-Length: 7") + ARCHIVE), ENDED),
    Way("no length", raw(head() + ARCHIVE)),
    Way("chunks, cut", once(raw(chunked(ARCHIVE[:30_000], b""))), asked=(None, 30_000, None)),
    Way("chunks with an ETag, cut", once(raw(CUT_CHUNKS)), asked=(None, 30_000)),
    Way("no length, cut", once(raw(head() + ARCHIVE[:30_000])), asked=(None, None)),
    Way("no length and no end", raw(head() + ARCHIVE, MEG), "sends more"),
    Way("chunks without a length", raw(chunked(ARCHIVE))),
    Way("chunks without an end", once(raw(chunked(ARCHIVE, b""))), asked=(None, SIZE, None)),
    Way("chunk sizes that are none", raw(chunked(ARCHIVE[:600], b"zz\r\n")), ENDED),
    # Bodies
    Way("empty", status(200, Content_Length="0"), "sends nothing (3 tries)"),
    Way("204", status(204), "error 204"),
    Way("a web page", status(200, HTML, Content_Type="text/html"), PAGE),
    Way("a web page said to be a zip", status(200, HTML, Content_Type="application/zip"), PAGE),
    Way("a web page for a range", begun(then=status(200, HTML)), PAGE),
    Way("JSON", status(200, b'{"error": "quota"}' * 90), NOT_ZIP),
    Way("zeros", status(200, bytes(5000)), NOT_ZIP),
    Way(
        "a zip with its middle spoilt",
        status(200, ARCHIVE[:9000] + HTML + ARCHIVE[9960:]),
        "damaged or incompl",
    ),
    Way("packed by gzip", status(200, GZIPPED, Content_Encoding="gzip", Content_Length=str(len(GZIPPED)))),
    Way("said to be packed by gzip", status(200, ARCHIVE, Content_Encoding="gzip"), ENDED),
    Way("packed in an unknown way", status(200, GZIPPED[::-1], Content_Encoding="x-own"), NOT_ZIP),
    Way(
        "a bomb by gzip",
        status(200, gzip.compress(ARCHIVE + MEG * 50), Content_Encoding="gzip"),
        "sends more than",
    ),
    # Codes
    *(
        Way(str(code), status(code), f"error {code}", asked=(None,))
        for code in (400, 401, 403, 404, 410, 451)
    ),
    Way("500, then fine", once(status(500)), asked=(None, None)),
    Way("503 for ever", status(503), "error 503 (3 tries)", asked=(None, None, None)),
    Way("503 in the middle", begun(status(503)), asked=(None, 20_000, 20_000)),
    Way("429 and Retry-After a day", status(429, Retry_After="86400"), "error 429", asked=(None, None, None)),
    Way("429 once", once(status(429, Retry_After="0")), asked=(None, None)),
    Way("999", status(999), "error 999"),
    # Redirects
    Way("redirected to itself", moved("/ModelNet10.zip"), "in circles"),
    Way("redirected on and on", lambda s, h, n: moved(f"/{n}.zip")(s, h, n), "in circles"),
    Way("redirected elsewhere", once(moved("/elsewhere/a.zip", 301))),
    Way("redirected to a file", moved("file:///etc/passwd"), "no http address"),
    Way("redirected to ftp", moved("ftp://127.0.0.1/a.zip"), "no http address"),
    Way("redirected to no address", moved("http://["), "no http address"),
    Way("redirected to a closed port", moved("http://127.0.0.1:9/a.zip"), "cannot be reached"),
    Way("redirected to a page", by_the_path(ModelNet10=moved("/login"), login=status(200, HTML)), PAGE),
    Way("redirected to nowhere", status(302), "error 302"),
    Way(
        "redirected by a page without an end",
        by_the_path(
            ModelNet10=raw(b"HTTP/1.1 302 Found\r\nLocation: /a.zip\r\n\r\n", MEG),
            a=serve(),
        ),
    ),
    # Time
    Way("stalls", stall, SILENT),
    Way("stalls once", once(stall), asked=(None, 20_000)),
    Way("stalls before any header", raw(b"", pause_s=5), SILENT),
    Way(
        "trickles",
        raw(head() + ARCHIVE[:600], b"OFF\n", 0.01),
        "next to not",
    ),
    Way("trickles its headers", raw(b"", b"X", 0.05), SILENT),
    Way("continues for ever", raw(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05), SILENT),
    # No HTTP
    Way("junk instead of HTTP", raw(os.urandom(2000)), "cannot be reached, or broke off"),
    Way("an archive instead of HTTP", raw(ARCHIVE), "cannot be reached, or broke off"),
    Way("a header of 100 kB", raw(head(f"X: {'x' * 100_000}") + ARCHIVE), "cannot be reached, or broke off"),
    Way(
        "300 headers",
        raw(head(*(f"X-{k}: 1" for k in range(300))) + ARCHIVE),
        "cannot be reached, or broke off",
    ),
]


@pytest.fixture
def server(monkeypatch):
    """Give a server of a data set that is small, to somebody with little patience."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    small = dataclasses.replace(download_data.MODELNET10, packed_bytes=SIZE, unpacked_bytes=SIZE)
    monkeypatch.setattr(download_data, "DATASETS", {"modelnet10": small})
    monkeypatch.setattr(download, "Patience", lambda: QUICK)
    monkeypatch.setattr(download, "GOOD_PROGRESS", 15_000)
    monkeypatch.setattr(download, "LARGEST", 20_000_000)
    with Server(ARCHIVE) as server:
        yield server


def run(server: Server, place: Path) -> int:
    return download_data.main(["--dataset", "modelnet10", "--yes", "--url", server.url, "--dir", str(place)])


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def check_is_whole(place: Path, archive: bytes) -> None:
    """Check that the data set is there, and nothing beside it."""
    assert files_of(place) == ["ModelNet10/chair/train/chair_0001.off"]
    mesh = place / "ModelNet10/chair/train/chair_0001.off"
    assert mesh.read_bytes() in archive
    assert mesh.stat().st_size > 30_000


def check_sentence(error: str, says: str) -> None:
    assert error.startswith("error: ")
    assert says in error
    assert error.count("\n") == 1
    assert error.endswith(".\n")
    assert "ModelNet10.zip" in error
    assert "Run the same command again later" in error or "download it again" in error
    assert len(error) < 1000


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_it_ends_with_the_data_set_or_a_sentence_and_the_next_run_succeeds(server, tmp_path, capsys, way):
    server.misbehave = lambda handler, count: way.answer(server, handler, count) or True
    started = time.monotonic()
    code = run(server, tmp_path)
    assert time.monotonic() - started < 10
    error = capsys.readouterr().err
    if way.asked is not None:
        ranges = [None if start is None else f"bytes={start}-" for start in way.asked]
        assert server.ranges() == ranges
    if way.says is None:
        assert (code, error) == (0, "")
        check_is_whole(tmp_path, way.gets)
        return
    assert code == 1
    check_sentence(error, way.says)
    left = set(files_of(tmp_path))
    assert left <= {"ModelNet10.zip.part", "ModelNet10.zip.info.part"}
    server.misbehave = lambda handler, count: False
    assert run(server, tmp_path) == 0
    check_is_whole(tmp_path, ARCHIVE)


def test_the_ways_have_different_names():
    assert len({way.name for way in WAYS}) == len(WAYS) >= 20


@pytest.mark.parametrize("at", range(0, SIZE, 2_003))
def test_a_run_that_broke_at_any_byte_is_continued_by_the_next(server, tmp_path, monkeypatch, capsys, at):
    monkeypatch.setattr(download, "Patience", lambda: dataclasses.replace(QUICK, tries=1))
    server.misbehave = lambda handler, count: server.serve(handler, cut=at) or True
    assert run(server, tmp_path) == 1
    kept = at >= download.HEAD
    assert ("it goes on where this one stopped" in capsys.readouterr().err) == kept
    server.misbehave = lambda handler, count: False
    assert run(server, tmp_path) == 0
    check_is_whole(tmp_path, ARCHIVE)
    assert server.ranges() == [None, f"bytes={at}-" if kept else None]


def test_a_download_all_but_done_needs_room_for_the_rest_only(server, tmp_path, monkeypatch):
    big = dataclasses.replace(download_data.MODELNET10, packed_bytes=SIZE, unpacked_bytes=0)
    monkeypatch.setattr(download_data, "DATASETS", {"modelnet10": big})
    server.misbehave = lambda handler, count: cut(40_000)(server, handler, count) or True
    assert run(server, tmp_path) == 1
    server.misbehave = lambda handler, count: False
    room = type("Usage", (), {"free": SIZE - 40_000})
    monkeypatch.setattr("shutil.disk_usage", lambda place: room)
    assert run(server, tmp_path) == 1  # the archive fits; a zip's content, known by now, does not
    assert (tmp_path / "ModelNet10.zip").read_bytes() == ARCHIVE
    assert server.ranges()[-1] == "bytes=40000-"


@pytest.mark.parametrize("way", [404, "junk"])
def test_as_a_program_it_leaves_no_traceback(server, tmp_path, way):
    answer = status(404) if way == 404 else status(200, os.urandom(3000))
    server.misbehave = lambda handler, count: answer(server, handler, count) or True
    command = [sys.executable, str(ROOT / "download_data.py"), "--dataset", "modelnet10", "--yes"]
    result = subprocess.run(
        [*command, "--url", server.url, "--dir", str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    check_sentence(result.stderr, "error 404" if way == 404 else NOT_ZIP)
    assert files_of(tmp_path) == []

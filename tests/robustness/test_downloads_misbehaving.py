"""download_data.py against a server that misbehaves in every known way: a whole data set, or one sentence."""

import gzip
import random
from pathlib import Path

import pytest

import download_data
from rasgan.data import download
from tests.made_archives import files_in, inside, make_small, meshes, zip_of
from tests.web_server import Answer, Server, cut, status

MESHES = meshes(size=4000)
ARCHIVE = zip_of(inside(MESHES))
SIZE = len(ARCHIVE)
REST = ARCHIVE[20_000:]
MEG = bytes(1 << 20)
HTML = b"<html><body>Log in to this network</body></html>" * 20


def raw(content: bytes, forever: bytes = b"", pause_s: float = 0) -> Answer:
    """Send bytes as they are, headers included, then others again and again."""

    def answer(server, handler):
        handler.wfile.write(content)
        while not server.is_closing.wait(pause_s) and forever:
            handler.wfile.write(forever)

    return answer


def stall(server, handler):
    """Send a part, then nothing, without closing."""
    server.serve(handler, cut=20_000)
    handler.wfile.flush()
    server.is_closing.wait(5)


def slowly(server, handler):
    server.serve(handler, pause_s=0.02)


def move_on(server, handler):
    """Redirect to ever another address."""
    server.send(handler, 302, Location=f"/{len(server.requests)}.zip")


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode("latin-1")


def chunked(body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return head("Transfer-Encoding: chunked") + b"%x\r\n%s\r\n" % (len(body), body) + end


def span(start: object, total: object = SIZE) -> str:
    return f"bytes {start}-{SIZE - 1}/{total}"


def moved(to: str, code: int = 302) -> Answer:
    return status(code, Location=to)


NO_SPAN = head().replace(b"200 OK", b"206 Part")
NO_END = head(f"Content-Range: {span(20_000)}").replace(b"200 OK", b"206 Part")
DAMAGED, UNREACHED, NO_ADDRESS = "damaged", "cannot be reached, or does not answer", "no address that can be"

PASSING: dict[str, list[Answer]] = {
    "cut": [cut(20_000)],
    "cut twice": [cut(9_000), cut(30_000)],
    "cut in the middle of the headers": [raw(b"HTTP/1.1 200 OK\r\nContent-Le")],
    "closes before any header": [raw(b"")],
    "stalls": [stall],
    "is slow": [slowly],
    "ignores ranges": [cut(20_000), lambda server, handler: server.serve(handler, start=0)],
    "416 on a range": [cut(20_000), status(416)],
    "503 on a range": [cut(20_000), status(503)],
    "206 from another place": [cut(20_000), status(206, REST, Content_Range=span(10_000))],
    "206 without a place": [cut(20_000), raw(NO_SPAN + REST)],
    "206 of a strange place": [cut(20_000), status(206, REST, Content_Range=span("2" * 5000))],
    "206 in several parts": [cut(20_000), status(206, REST, Content_Type="multipart/byteranges; boundary=x")],
    "206 longer than announced": [cut(20_000), status(206, REST + b"more", Content_Range=span(20_000))],
    "206 of less than was asked for": [
        cut(20_000),
        status(206, REST[:9000], Content_Length="9000", Content_Range=f"bytes 20000-28999/{SIZE}"),
    ],
    "206 without an end": [cut(20_000), raw(NO_END, MEG)],
    "a negative length": [status(200, ARCHIVE, Content_Length="-5")],
    "no length": [raw(head() + ARCHIVE)],
    "chunks": [raw(chunked(ARCHIVE))],
    "chunks, cut": [raw(chunked(ARCHIVE[:30_000], b""))],
    "chunk sizes that are none": [raw(chunked(ARCHIVE[:600], b"zz\r\n"))],
    "nothing": [status(200, Content_Length="0")],
    "500": [status(500)],
    "redirects": [moved("/elsewhere/a.zip", 301), moved("/again.zip")],
}

LASTING: dict[str, tuple[Answer, str]] = {
    "stalls for ever": (stall, "broke off after"),
    "stalls before any header": (raw(b"", pause_s=5), UNREACHED),
    "junk instead of HTTP": (raw(random.Random(0).randbytes(2000)), UNREACHED),
    "an archive instead of HTTP": (raw(ARCHIVE), UNREACHED),
    "a header of 100 kB": (raw(head(f"X: {'x' * 100_000}") + ARCHIVE), UNREACHED),
    "300 headers": (raw(head(*(f"X-{k}: 1" for k in range(300))) + ARCHIVE), UNREACHED),
    "two lengths": (raw(head(f"Content-Length: {SIZE}", "Content-Length: 7") + ARCHIVE), ""),
    "a length too large": (status(200, ARCHIVE, Content_Length=str(SIZE + 7)), f"after {SIZE} bytes"),
    "a length too small": (status(200, ARCHIVE, Content_Length=str(SIZE - 7)), DAMAGED),
    "a petabyte": (status(200, ARCHIVE, Content_Length=str(10**15)), "Or choose another place with --dir"),
    "no length, cut": (raw(head() + ARCHIVE[:30_000]), DAMAGED),
    "no length and no end": (raw(head() + ARCHIVE, MEG), "more bytes than it should"),
    "nothing, ever": (status(200, Content_Length="0"), "broke off after 0 bytes"),
    "a web page": (status(200, HTML, Content_Type="text/html"), "sends a web page"),
    "a web page said to be a zip": (status(200, HTML, Content_Type="application/zip"), "neither a zip nor"),
    "zeros": (status(200, bytes(5000)), "no CLASS/train folder"),
    "a zip spoilt in the middle": (status(200, ARCHIVE[:9000] + HTML + ARCHIVE[9960:]), DAMAGED),
    "packed on the way": (status(200, gzip.compress(ARCHIVE), Content_Encoding="gzip"), DAMAGED),
    "other classes": (
        status(200, zip_of(meshes({"chair", "airplane"}).items())),
        "it has no class 'airplane'. Choose the data set that it holds with --dataset",
    ),
    "206 that nobody asked for": (status(206, ARCHIVE, Content_Range=span(0)), "answers with error 206"),
    "redirects to itself": (moved("/ModelNet10.zip"), "redirects in circles"),
    "redirects on and on": (move_on, "redirects in circles"),
    "redirects to a file": (moved("file:///etc/passwd"), NO_ADDRESS),
    "redirects to no address": (moved("http://["), NO_ADDRESS),
    "redirects to a closed port": (moved("http://127.0.0.1:9/a.zip"), UNREACHED),
    "redirects to nowhere": (status(302), "answers with error 302"),
}


@pytest.fixture
def server(monkeypatch):
    make_small(monkeypatch)
    monkeypatch.setattr(download, "LARGEST", 20_000_000)
    with Server(ARCHIVE) as server:
        yield server


def run(server: Server, place: Path) -> int:
    return download_data.main(["--dataset", "modelnet10", "--yes", "--url", server.url, "--dir", str(place)])


def check_whole(place: Path) -> None:
    assert list(place.iterdir()) == [place / "ModelNet10"]
    assert files_in(place / "ModelNet10") == MESHES


@pytest.mark.parametrize("answers", PASSING.values(), ids=PASSING)
def test_what_passes_ends_with_the_data_set(server, tmp_path, capsys, answers):
    server.answers = [*answers]
    assert run(server, tmp_path) == 0
    assert capsys.readouterr().err == ""
    assert server.answers == []
    check_whole(tmp_path)


@pytest.mark.parametrize(("answer", "says"), LASTING.values(), ids=LASTING)
def test_what_lasts_ends_in_a_sentence_and_the_next_run_succeeds(server, tmp_path, capsys, answer, says):
    server.always = answer
    assert run(server, tmp_path) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert says in error
    assert "ModelNet10.zip" in error
    assert error.count("\n") == 1
    assert error.endswith(".\n")
    assert len(error) < 1000
    assert {path.suffix for path in tmp_path.rglob("*")} <= {".part"}
    server.always = Server.serve
    assert run(server, tmp_path) == 0
    check_whole(tmp_path)

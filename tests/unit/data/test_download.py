"""Downloads from misbehaving servers end with the complete file or one sentence."""

import gzip
import random

import pytest

from rasgan.data import download
from rasgan.errors import UserError
from tests.web_server import Answer, Server, cut, status

QUICK = download.Patience(connect_s=2, stall_s=0.3, tries=3, pause_s=0)
ONCE = download.Patience(connect_s=2, stall_s=0.3, tries=1, pause_s=0)
BODY = random.Random(0).randbytes(50_000)
SIZE = len(BODY)
REST = BODY[20_000:]
MEG = bytes(1 << 20)
GONE = "http://127.0.0.1:9/ModelNet10.zip"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "LARGEST", 20_000_000)
    with Server(BODY) as server:
        yield server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "place" / "ModelNet10.zip"


def check_complete(target, body: bytes = BODY) -> None:
    assert target.read_bytes() == body
    assert list(target.parent.iterdir()) == [target]


def fails(target, *urls: str, patience=ONCE, size=None) -> str:
    with pytest.raises(UserError) as caught:
        download.fetch(urls, target, size, patience=patience)
    assert not target.exists()
    message = str(caught.value)
    assert message.startswith("ModelNet10.zip could not be downloaded: ") or "GB are free" in message
    assert "--" not in message
    assert "\n" not in message
    assert len(message) < 1000
    return message


# --- requests and partial data


@pytest.mark.parametrize("size", [None, SIZE])
def test_a_download_is_complete_and_reports_progress(server, target, size):
    seen = []
    download.fetch([server.url], target, size, lambda *step: seen.append(step), QUICK)
    check_complete(target)
    assert seen == sorted(seen)
    assert seen[-1] == (SIZE, SIZE)
    assert server.ranges() == [None]
    assert server.requests[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("at", [0, 20_000])
@pytest.mark.parametrize("is_same_run", [True, False])
def test_a_download_resumes_after_the_connection_broke(server, target, at, is_same_run):
    server.answers = [cut(at)]
    if not is_same_run:
        fails(target, server.url)
    download.fetch([server.url], target, patience=QUICK)
    check_complete(target)
    assert server.ranges() == [None, at or None]


def test_a_complete_download_is_not_requested_again(server, target):
    class Killed(BaseException):
        pass

    def kill(done, total):
        if done == total:
            raise Killed

    with pytest.raises(Killed):
        download.fetch([server.url], target, SIZE, kill, QUICK)
    download.fetch([server.url], target, SIZE, patience=QUICK)
    check_complete(target)
    assert server.ranges() == [None]  # the length is known: no server is asked


@pytest.mark.parametrize("size", [10_000, 70_000])
def test_a_file_that_changed_has_its_new_length(server, target, size):
    server.answers = [cut(20_000)]
    fails(target, server.url)
    server.body = bytes(size)
    download.fetch([server.url], target, patience=QUICK)
    assert target.stat().st_size == size  # the content may be mixed, which unpacking finds by the checksums


@pytest.mark.parametrize(("code", "times"), [(404, 1), (429, 3), (503, 3)])
def test_only_temporary_errors_are_tried_again(server, target, code, times):
    server.always = status(code, Retry_After="86400")
    assert f"{server.url} answers with status {code}" in fails(target, server.url, patience=QUICK)
    assert len(server.requests) == times


def test_the_next_address_is_tried_and_every_reason_reported(server, target):
    server.always = status(404)
    assert "cannot be reached" in (message := fails(target, GONE, server.url))
    assert f"; {server.url} answers with status 404. Try again later." in message
    server.always = Server.serve
    download.fetch([GONE, server.url], target, patience=ONCE)
    check_complete(target)


def paths(server: Server) -> list[str]:
    return [request["path"].removeprefix("/ModelNet10.zip") for request in server.requests]


def test_without_a_known_length_only_the_same_address_resumes_and_it_is_tried_first(server, target):
    a, b, c = (server.url + suffix for suffix in (".a", ".b", ".c"))
    server.answers = [status(404), cut(20_000)]
    fails(target, a, b)
    server.answers = [status(404), status(404)]
    fails(target, c, b)
    download.fetch([c], target, patience=ONCE)
    assert target.read_bytes() == BODY
    assert paths(server) == [".a", ".b", ".b", ".c", ".c"]
    assert server.ranges() == [None, None, 20_000, None, None]


def test_with_a_known_length_any_address_resumes(server, target):
    server.answers = [cut(20_000)]
    download.fetch([server.url + ".a", server.url + ".b"], target, SIZE, patience=ONCE)
    check_complete(target)
    assert paths(server) == [".a", ".b"]
    assert server.ranges() == [None, 20_000]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a.zip", "http://[", "nonsense", "http://\ud800/"])
def test_an_invalid_address_is_reported(url, target):
    assert "not a valid address" in fails(target, url)


def test_a_server_that_never_resumes_is_given_up(server, target):
    server.always = lambda server, handler: server.serve(handler, start=0, cut=20_000)
    assert "interrupted after 20000 bytes (3 tries)" in fails(target, server.url, patience=QUICK)
    assert len(server.requests) == 3


# --- servers that misbehave


def raw(content: bytes, forever: bytes = b"") -> Answer:
    """Send bytes, including the headers, then repeat others forever."""

    def answer(server, handler):
        handler.wfile.write(content)
        while forever and not server.is_closing.is_set():
            handler.wfile.write(forever)

    return answer


def stall(server, handler):
    """Send a part, then nothing, without closing the connection."""
    server.serve(handler, cut=20_000)
    handler.wfile.flush()
    server.is_closing.wait(5)


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode("latin-1")


def chunked(body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return head("Transfer-Encoding: chunked") + b"%x\r\n%s\r\n" % (len(body), body) + end


def span(start: object, total: object = SIZE) -> str:
    return f"bytes {start}-{SIZE - 1}/{total}"


NO_END = head(f"Content-Range: {span(20_000)}").replace(b"200 OK", b"206 Part")
UNREACHED, NO_ADDRESS = "cannot be reached", "not a valid address"

PASSING: dict[str, list[Answer]] = {
    "cut in the middle of the headers": [raw(b"HTTP/1.1 200 OK\r\nContent-Le")],
    "stalls": [stall],
    "ignores ranges": [cut(20_000), lambda server, handler: server.serve(handler, start=0)],
    "416 on a range": [cut(20_000), status(416)],
    "206 from another place": [cut(20_000), status(206, REST, Content_Range=span(10_000))],
    "206 of less than was asked for": [
        cut(20_000),
        status(206, REST[:9000], Content_Length="9000", Content_Range=f"bytes 20000-28999/{SIZE}"),
    ],
    "206 without an end": [cut(20_000), raw(NO_END, MEG)],
    "invalid chunk sizes": [raw(chunked(BODY[:600], b"zz\r\n"))],
    "redirects": [status(301, Location="/elsewhere/a.zip"), status(302, Location="/again.zip")],
}

LASTING: dict[str, tuple[Answer, str]] = {
    "stalls for ever": (stall, "interrupted after"),
    "junk instead of HTTP": (raw(random.Random(0).randbytes(2000)), UNREACHED),
    "a length too large": (status(200, BODY, Content_Length=str(SIZE + 7)), "not the expected 50000"),
    "packed on the way": (
        status(200, gzip.compress(BODY), Content_Encoding="gzip"),
        "more bytes than announced",
    ),
    "no length and no end": (raw(head() + BODY, MEG), "more bytes than announced"),
    "redirects to itself": (status(302, Location="/ModelNet10.zip"), NO_ADDRESS),
}


@pytest.mark.parametrize("answers", PASSING.values(), ids=PASSING)
def test_temporary_faults_end_with_the_complete_file(server, target, answers):
    server.answers = [*answers]
    download.fetch([server.url], target, patience=QUICK)
    assert server.answers == []
    check_complete(target)


@pytest.mark.parametrize(("answer", "says"), LASTING.values(), ids=LASTING)
def test_lasting_faults_end_with_a_sentence_and_the_next_run_succeeds(server, target, answer, says):
    server.always = answer
    assert says in fails(target, server.url, patience=QUICK, size=SIZE)
    assert {path.suffix for path in target.parent.iterdir()} <= {".part"}
    server.always = Server.serve
    download.fetch([server.url], target, SIZE, patience=QUICK)
    check_complete(target)


def test_the_announced_length_is_checked(server, target):
    server.always = status(200, BODY, Content_Length=str(10**15))
    assert "GB are free; free some space." in fails(target, server.url)
    server.always = status(200, BODY, Content_Length=str(SIZE + 7))
    assert f"interrupted after {SIZE} bytes" in fails(target, server.url)
    server.always = raw(head() + BODY, MEG)
    assert "more bytes than announced" in fails(target, server.url)

"""What is asked of which server, and what is kept when it does not come whole."""

import random

import pytest

from rasgan.data import download
from rasgan.errors import UserError
from tests.web_server import Server, cut, status

QUICK = download.Patience(connect_s=2, stall_s=0.3, tries=3, pause_s=0)
ONCE = download.Patience(connect_s=2, stall_s=0.3, tries=1, pause_s=0)
BODY = random.Random(0).randbytes(50_000)
SIZE = len(BODY)
GONE = "http://127.0.0.1:9/ModelNet10.zip"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(BODY) as server:
        yield server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "place" / "ModelNet10.zip"


def check_whole(target, body: bytes = BODY) -> None:
    assert target.read_bytes() == body
    assert list(target.parent.iterdir()) == [target]


def fails(target, *urls: str, patience=ONCE, **options) -> str:
    with pytest.raises(UserError) as caught:
        download.fetch(urls, target, patience=patience, **options)
    assert not target.exists()
    message = str(caught.value)
    assert message.startswith("ModelNet10.zip could not be downloaded: ")
    assert "--" not in message
    return message


@pytest.mark.parametrize("size", [None, SIZE])
def test_a_plain_download_is_whole_and_told_as_it_comes(server, target, size):
    seen = []
    download.fetch([server.url], target, size, lambda *step: seen.append(step), QUICK)
    check_whole(target)
    assert seen == sorted(seen)
    assert seen[-1] == (SIZE, SIZE)
    assert server.ranges() == [None]
    assert server.requests[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("at", [0, 1, 20_000, SIZE - 1])
@pytest.mark.parametrize("is_same_run", [True, False])
def test_goes_on_where_the_connection_broke(server, target, at, is_same_run):
    server.answers = [cut(at)]
    if not is_same_run:
        assert ("it goes on where this one stopped" in fails(target, server.url)) == (at > 0)
    download.fetch([server.url], target, patience=QUICK)
    check_whole(target)
    assert server.ranges() == [None, at or None]


@pytest.mark.parametrize("size", [None, SIZE])
def test_killed_between_the_last_byte_and_the_name(server, target, size, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(done, total):
        if done == total:
            raise Killed

    with pytest.raises(Killed):
        download.fetch([server.url], target, size, kill, QUICK)
    download.fetch([server.url], target, size, patience=QUICK)
    check_whole(target)
    assert server.ranges() == [None] if size else [None, SIZE]  # of a known length no server need be asked


@pytest.mark.parametrize("size", [10_000, 20_000, 20_001, 70_000])
def test_a_file_that_became_another_has_its_length_in_the_end(server, target, size):
    server.answers = [cut(20_000)]
    fails(target, server.url)
    server.body = bytes(size)
    download.fetch([server.url], target, patience=QUICK)
    assert target.stat().st_size == size  # of mixed content, maybe: unpacking finds that by the checksums


@pytest.mark.parametrize(
    ("code", "times"), [(404, 1), (410, 1), (204, 1), (206, 1), (999, 1), (429, 3), (503, 3)]
)
def test_only_an_error_that_may_pass_is_tried_again_whatever_the_server_asks(server, target, code, times):
    server.always = status(code, Retry_After="86400")
    assert f"{server.url} answers with error {code}" in fails(target, server.url, patience=QUICK)
    assert len(server.requests) == times


def test_the_next_address_is_tried_and_every_reason_told(server, target):
    server.always = status(404)
    assert "cannot be reached" in (message := fails(target, GONE, server.url))
    assert f"; {server.url} answers with error 404. Try again later." in message
    server.always = Server.serve
    download.fetch([GONE, server.url], target, patience=ONCE)
    check_whole(target)


def paths(server: Server) -> list[str]:
    return [request["path"] for request in server.requests]


def test_of_an_unknown_length_only_the_address_that_began_a_file_continues_it_and_comes_first(server, target):
    server.answers = [status(404), cut(20_000)]
    fails(target, server.url + ".a", server.url + ".b")
    server.requests.clear()
    download.fetch([server.url + ".a", server.url + ".b"], target, patience=ONCE)
    assert target.read_bytes() == BODY
    assert paths(server) == ["/ModelNet10.zip.b"]
    target.unlink()
    server.answers = [cut(20_000)]
    fails(target, server.url)
    server.requests.clear()
    download.fetch([server.url + ".c"], target, patience=ONCE)
    assert server.ranges() == [None]


def test_of_a_known_length_every_address_continues_what_another_began(server, target):
    server.answers = [cut(20_000)]
    download.fetch([server.url + ".a", server.url + ".b"], target, SIZE, patience=ONCE)
    check_whole(target)
    assert paths(server) == ["/ModelNet10.zip.a", "/ModelNet10.zip.b"]
    assert server.ranges() == [None, 20_000]


def test_what_is_refused_costs_nothing_that_is_there(server, target):
    server.answers = [cut(20_000)]
    fails(target, server.url, size=SIZE)
    server.body = bytes(SIZE + 1)
    assert f"has {SIZE + 1} bytes, not the {SIZE}" in fails(target, server.url, size=SIZE)
    server.answers = [lambda server, handler: server.serve(handler, start=0)]
    assert f"has {SIZE + 1} bytes" in fails(target, server.url, size=SIZE)
    server.answers = [status(200, b"<html>", Content_Type="text/html; charset=utf-8")]
    assert "sends a web page" in fails(target, server.url, size=SIZE)
    server.body = BODY
    server.requests.clear()
    download.fetch([server.url], target, SIZE, patience=ONCE)
    check_whole(target)
    assert server.ranges() == [20_000]


@pytest.mark.parametrize(
    "url", ["http://", "ftp://127.0.0.1/a.zip", "http://[", "nonsense", "http://\ud800/"]
)
def test_an_address_that_is_none_is_told(url, target):
    assert "no address that can be opened" in fails(target, url)


def test_much_progress_makes_tries_fresh(server, target, monkeypatch):
    monkeypatch.setattr(download, "GOOD_PROGRESS", 5_000)
    server.answers = [cut(at) for at in range(6_000, SIZE, 6_000)]  # more breaks than tries
    download.fetch([server.url], target, patience=QUICK)
    check_whole(target)


def test_no_progress_ends_though_every_connection_brings_much(server, target, monkeypatch):
    monkeypatch.setattr(download, "GOOD_PROGRESS", 5_000)
    server.always = lambda server, handler: server.serve(handler, start=0, cut=20_000)
    assert "broke off after 20000 bytes (3 tries)" in fails(target, server.url, patience=QUICK)
    assert len(server.requests) == 3

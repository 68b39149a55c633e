"""Downloads from a local server that misbehaves."""

import gzip
import time

import pytest

from rasgan.data import archives, download
from rasgan.errors import UserError
from tests.web_server import Server, make_zip

QUICK = download.Patience(connect_s=2, stall_s=0.3, tries=3, pause_s=0)


ARCHIVE = make_zip()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(ARCHIVE) as server:
        yield server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "ModelNet10.zip"


def fetch_fails(server, target, patience=QUICK) -> str:
    with pytest.raises(UserError) as caught:
        download.fetch([server.url], target, patience=patience)
    assert not target.exists()
    message = str(caught.value)
    assert "ModelNet10.zip could not be downloaded" in message
    assert "--archive" in message
    return message


def test_a_plain_download_is_whole_and_told_as_it_comes(server, target):
    seen = []
    download.fetch([server.url], target, lambda done, total: seen.append((done, total)), QUICK)
    assert target.read_bytes() == ARCHIVE
    assert seen[-1] == (len(ARCHIVE), len(ARCHIVE))
    assert sorted(seen) == seen
    assert not target.with_name("ModelNet10.zip.part").exists()
    assert download.was_fetched(target)
    download.remove(target)
    assert list(target.parent.iterdir()) == []


def test_a_file_of_the_users_is_not_taken_for_a_fetched_one(target):
    target.write_bytes(ARCHIVE)
    assert not download.was_fetched(target)


@pytest.mark.parametrize("cut", [0, 1, 511, 512, 513, 20_000, len(ARCHIVE) - 1])
def test_goes_on_where_the_connection_broke(server, target, cut):
    server.misbehave = lambda handler, count: count == 1 and (server.serve(handler, cut=cut) or True)
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE
    assert server.ranges() == [None, f"bytes={cut}-" if cut >= download.HEAD else None]
    if cut >= download.HEAD:
        assert server.requests[1]["If-Range"] == '"one"'


def test_the_next_run_goes_on_too(server, target):
    server.misbehave = lambda handler, count: server.serve(handler, cut=20_000) or True
    once = download.Patience(connect_s=2, stall_s=1, tries=1)
    assert "it goes on where this one stopped" in fetch_fails(server, target, once)
    assert target.with_name("ModelNet10.zip.part").read_bytes() == ARCHIVE[:20_000]
    server.misbehave = lambda handler, count: False
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE
    assert server.ranges() == [None, "bytes=20000-"]


def test_a_run_killed_before_the_renaming_needs_no_server(server, target):
    partial = download.PartialFile(target)
    partial.start(download.Note(server.url, len(ARCHIVE), '"one"', True))
    partial.path.write_bytes(ARCHIVE)
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE
    assert server.requests == []


def begin(server, target, have: int = 20_000, **changes) -> None:
    """Leave a partial file as a killed run would."""
    note = {"url": server.url, "total": len(ARCHIVE), "validator": server.etag, "is_plain": True} | changes
    partial = download.PartialFile(target)
    partial.start(download.Note(**note))
    partial.path.write_bytes(ARCHIVE[:have])


def test_starts_over_when_the_server_ignores_ranges(server, target):
    begin(server, target)
    server.misbehave = lambda handler, count: server.serve(handler, start=0) or True
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE
    assert server.ranges() == ["bytes=20000-"]


def test_starts_over_when_the_file_has_changed(server, target):
    begin(server, target)
    server.body, server.etag = make_zip(seed=1), '"two"'
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == server.body


def test_starts_over_when_the_file_has_changed_and_the_server_ignores_if_range(server, target):
    begin(server, target)
    server.body, server.etag = make_zip(seed=1), '"two"'
    server.misbehave = lambda handler, count: count == 1 and (server.serve(handler, start=20_000) or True)
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == server.body
    assert server.ranges() == ["bytes=20000-", None]


@pytest.mark.parametrize("size", [10, 30_000, 70_000])
def test_without_any_etag_the_size_tells_a_changed_file(server, target, size):
    server.etag = None
    begin(server, target)
    server.body = make_zip(seed=1, size=size)
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == server.body


def test_without_any_etag_an_unchanged_file_is_continued(server, target):
    server.etag = None
    begin(server, target)
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE
    assert server.ranges() == ["bytes=20000-"]
    assert "If-Range" not in server.requests[0]


def test_a_weak_etag_is_not_used_to_continue(server, target):
    server.etag = 'W/"one"'
    server.misbehave = lambda handler, count: count == 1 and (server.serve(handler, cut=20_000) or True)
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE
    assert "If-Range" not in server.requests[1]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": f"bytes 10-{len(ARCHIVE) - 1}/{len(ARCHIVE)}"},
        {"Content-Range": f"bytes 20000-{len(ARCHIVE) - 1}/{len(ARCHIVE)}", "Content-Encoding": "br"},
        {"Content-Range": f"bytes 20000-{len(ARCHIVE) - 1}/{len(ARCHIVE) + 1}"},
        {"Content-Range": f"bytes 20000-{len(ARCHIVE) - 1}/*"},
        {"Content-Range": "nonsense"},
        {},
    ],
    ids=["other place", "encoded", "other size", "no size", "nonsense", "none"],
)
def test_a_range_that_does_not_fit_is_refused(server, target, headers):
    def misfit(handler, count):
        if count > 1:
            return False
        # The right number of bytes and the right end: only the headers tell.
        body = bytes(len(ARCHIVE) - 20_000 - 200) + ARCHIVE[-200:]
        server.send(handler, 206, body, {"ETag": '"one"', "Content-Length": str(len(body)), **headers})
        return True

    begin(server, target)
    server.misbehave = misfit
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE


def test_a_server_may_send_less_than_was_asked_for(server, target):
    def piecemeal(handler, count):
        if not handler.headers.get("Range"):
            return False
        start = int(handler.headers["Range"][len("bytes=") : -1])
        piece = ARCHIVE[start : start + 12_000]
        span = f"bytes {start}-{start + len(piece) - 1}/{len(ARCHIVE)}"
        headers = {"ETag": '"one"', "Content-Length": str(len(piece)), "Content-Range": span}
        server.send(handler, 206, piece, headers)
        return True

    begin(server, target)
    server.misbehave = piecemeal
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE
    assert server.ranges() == ["bytes=20000-", "bytes=32000-", "bytes=44000-"]


@pytest.mark.parametrize(
    "note", ["", "{", "[1]", "{}", '{"url": 3, "total": "x", "validator": [], "is_plain": 1}']
)
def test_a_spoilt_note_means_starting_over(server, target, note):
    begin(server, target)
    download.PartialFile(target).path.write_bytes(b"spoilt too")
    download.PartialFile(target).note_path.write_text(note, encoding="utf-8")
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE
    assert server.ranges() == [None]


@pytest.mark.parametrize("code", [500, 502, 503, 429])
def test_an_error_that_may_pass_is_tried_again(server, target, code):
    server.misbehave = lambda handler, count: count == 1 and (server.send(handler, code, b"", {}) or True)
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE


@pytest.mark.parametrize(("code", "times"), [(404, 1), (403, 1), (410, 1), (500, 3), (206, 1), (204, 1)])
def test_gives_up_on_an_error_that_stays(server, target, code, times):
    server.misbehave = lambda handler, count: server.send(handler, code, b"", {}) or True
    assert f"error {code}" in fetch_fails(server, target)
    assert len(server.requests) == times


@pytest.mark.parametrize("kind", ["text/html", "application/zip"])
def test_a_web_page_is_told_from_an_archive_and_costs_nothing_that_is_there(server, target, kind):
    begin(server, target)
    page = b"\n<!DOCTYPE html><title>Sign in to this network</title>" + b" " * 2000
    server.misbehave = lambda handler, count: server.send(handler, 200, page, {"Content-Type": kind}) or True
    assert "web page instead" in fetch_fails(server, target)
    assert download.PartialFile(target).path.read_bytes() == ARCHIVE[:20_000]


def test_something_else_is_told_from_an_archive(server, target):
    server.body = b"404 but friendly" * 100
    assert "no archive" in fetch_fails(server, target)


def test_an_empty_file_is_told_from_an_archive(server, target):
    server.body = b""
    assert "sends nothing" in fetch_fails(server, target)


def test_a_length_that_is_too_large_ends_in_a_sentence(server, target):
    def more(handler, count):
        server.send(handler, 200, ARCHIVE, {"Content-Length": str(len(ARCHIVE) + 5)})
        return True

    server.misbehave = more
    assert "broke off" in fetch_fails(server, target)


def test_a_length_that_is_too_small_never_gives_a_cut_archive(server, target):
    server.misbehave = lambda handler, count: (
        server.send(handler, 200, ARCHIVE, {"Content-Length": str(len(ARCHIVE) - 5)}) or True
    )
    assert "damaged archive" in fetch_fails(server, target)
    assert list(target.parent.iterdir()) == []


def test_more_bytes_than_the_range_announced_are_noticed(server, target):
    def longer(handler, count):
        if count > 1:
            return False
        headers = {"Content-Range": f"bytes 20000-{len(ARCHIVE) - 1}/{len(ARCHIVE)}", "ETag": '"one"'}
        server.send(handler, 206, ARCHIVE[20_000:] + b"and more", headers)
        return True

    begin(server, target)
    server.misbehave = longer
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE


def test_no_length_at_all_is_fine(server, target):
    server.misbehave = lambda handler, count: server.send(handler, 200, ARCHIVE, {}) or True
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE


def test_no_length_and_cut_is_noticed(server, target):
    server.misbehave = lambda handler, count: (
        count == 1 and (server.send(handler, 200, ARCHIVE[:30_000], {}) or True)
    )
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE


def test_chunked_transfer(server, target):
    def chunked(handler, count):
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for start in range(0, len(ARCHIVE), 7000):
            piece = ARCHIVE[start : start + 7000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n" if count > 1 else b"")
        return True

    server.misbehave = chunked
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE


def test_a_body_packed_on_the_way_is_unpacked_and_never_continued(server, target):
    def packed(handler, count):
        body = gzip.compress(ARCHIVE)
        headers = {"Content-Encoding": "gzip", "Content-Length": str(len(body)), "ETag": '"one"'}
        server.send(handler, 200, body[: 20_000 if count == 1 else None], headers)
        return True

    server.misbehave = packed
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE
    assert server.ranges() == [None, None]
    assert server.requests[0]["Accept-Encoding"] == "identity"


def test_a_redirect_is_followed(server, target):
    def moved(handler, count):
        if count > 1:
            return False
        server.send(handler, 302, b"", {"Location": "/elsewhere.zip"})
        return True

    server.misbehave = moved
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE
    assert server.requests[1]["path"] == "/elsewhere.zip"


def test_redirects_in_circles_end(server, target):
    server.misbehave = lambda handler, count: server.send(handler, 302, b"", {"Location": server.url}) or True
    assert "redirects in circles" in fetch_fails(server, target)


def test_a_server_that_stalls_is_left(server, target):
    def stall(handler, count):
        server.serve(handler, cut=20_000)
        handler.wfile.flush()
        time.sleep(1)
        return True

    server.misbehave = stall
    started = time.monotonic()
    assert "does not answer" in fetch_fails(server, target)
    assert time.monotonic() - started < 3


def test_a_server_that_trickles_is_left(server, target):
    def trickle(handler, count):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(ARCHIVE)))
        handler.end_headers()
        handler.wfile.write(ARCHIVE[:600])
        for position in range(600, 700):
            handler.wfile.write(ARCHIVE[position : position + 1])
            handler.wfile.flush()
            time.sleep(0.05)
        return True

    server.misbehave = trickle
    slow = download.Patience(connect_s=2, stall_s=0.3, tries=2, pause_s=0, least_speed=5000)
    started = time.monotonic()
    assert "next to nothing" in fetch_fails(server, target, slow)
    assert time.monotonic() - started < 3


def test_a_server_that_is_not_there_is_told(tmp_path, target):
    with pytest.raises(UserError, match="cannot be reached"):
        download.fetch(["http://127.0.0.1:9/ModelNet10.zip"], target, patience=QUICK)


@pytest.mark.parametrize(
    "url", ["http://", "ftp://127.0.0.1/a.zip", "http://[", "nonsense", "http://\ud800/"]
)
def test_an_address_that_is_none_is_told(url, target):
    with pytest.raises(UserError, match="not an address"):
        download.fetch([url], target, patience=QUICK)


def test_the_next_address_is_tried_and_every_reason_told(server, target):
    gone = "http://127.0.0.1:9/ModelNet10.zip"
    download.fetch([gone, server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE
    target.unlink()
    server.misbehave = lambda handler, count: server.send(handler, 404, b"", {}) or True
    with pytest.raises(UserError, match=r"cannot be reached.*answers with error 404"):
        download.fetch([gone, server.url], target, patience=QUICK)


def test_the_address_of_the_partial_file_comes_first(server, target):
    begin(server, target)
    download.fetch([server.url + ".mirror", server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE
    assert [request["path"] for request in server.requests] == ["/ModelNet10.zip"]


def test_a_partial_file_from_another_address_is_not_continued(server, target):
    begin(server, target, url="http://elsewhere/ModelNet10.zip")
    download.fetch([server.url], target, patience=QUICK)
    assert target.read_bytes() == ARCHIVE
    assert server.ranges() == [None]


def test_progress_makes_tries_fresh(server, target, monkeypatch):
    monkeypatch.setattr(download, "GOOD_PROGRESS", 5_000)
    server.misbehave = lambda handler, count: server.serve(handler, cut=6_000 * count) or True
    download.fetch([server.url], target, patience=QUICK)  # more breaks than tries
    assert target.read_bytes() == ARCHIVE
    assert len(server.requests) == len(ARCHIVE) // 6_000 + 1


def test_a_disk_without_room_is_told_before_anything_is_written(server, target, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda place: usage)
    with pytest.raises(UserError, match="are free"):
        download.fetch([server.url], target, patience=QUICK)
    assert list(target.parent.iterdir()) == []

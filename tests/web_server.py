"""A local web server that stands for the internet, and misbehaves as a test wants."""

import http.server
import io
import random
import threading
import zipfile
from collections.abc import Callable


def make_zip(seed: int = 0, size: int = 50_000) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("chair/train/chair_0001.off", random.Random(seed).randbytes(size))
    return buffer.getvalue()


class Server:
    """Serves `body` with ranges and an ETag; `misbehave`, given the handler and the count, may take over."""

    def __init__(self, body: bytes):
        self.body = body
        self.etag: str | None = '"one"'
        self.misbehave: Callable[[http.server.BaseHTTPRequestHandler, int], bool] = lambda handler, count: (
            False
        )
        self.is_closing = threading.Event()  # ends what would go on for ever
        self.requests: list[dict[str, str]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(dict(self.headers) | {"path": self.path})
                try:
                    if not outer.misbehave(self, len(outer.requests)):
                        outer.serve(self)
                    self.wfile.flush()
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client went away, as it should
                self.close_connection = True

            def log_message(self, *args):
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        threading.Thread(target=self.httpd.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}/ModelNet10.zip"

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *args) -> None:
        self.is_closing.set()
        self.httpd.shutdown()
        self.httpd.server_close()

    def serve(
        self, handler, start: int | None = None, cut: int | None = None, pause_s: float = 0, **changes: str
    ) -> None:
        """Answer honestly, but for `cut`, the byte after which the connection breaks, and changed headers.

        With a pause, the body comes in pieces of 20 kB.
        """
        wanted = handler.headers.get("Range")
        condition = handler.headers.get("If-Range")
        if start is None:
            start = int(wanted[len("bytes=") : -1]) if wanted and condition in (None, self.etag) else 0
        if wanted and start >= len(self.body):
            self.send(handler, 416, b"", {"Content-Range": f"bytes */{len(self.body)}"})
            return
        headers = {"ETag": self.etag} if self.etag else {}
        if wanted and start:
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        headers["Content-Length"] = str(len(self.body) - start)
        end = len(self.body) if cut is None else max(cut, start)
        headers |= {name.replace("_", "-"): value for name, value in changes.items()}
        piece = 20_000 if pause_s else len(self.body)
        self.send(
            handler, 206 if wanted and start else 200, self.body[start : min(start + piece, end)], headers
        )
        for position in range(start + piece, end, piece):
            self.is_closing.wait(pause_s)
            handler.wfile.write(self.body[position : min(position + piece, end)])

    @staticmethod
    def send(handler, code: int, body: bytes, headers: dict[str, str]) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for headers in self.requests]

"""A local web server in place of the internet, which can misbehave."""

import http.server
import threading
from collections.abc import Callable

Answer = Callable[["Server", http.server.BaseHTTPRequestHandler], object]


class Server:
    """Serves `body`, with ranges, under every path, only on the loopback interface.

    `answers` are functions for the first requests, and `always` for all others.
    """

    def __init__(self, body: bytes):
        self.body = body
        self.answers: list[Answer] = []
        self.always: Answer = Server.serve
        self.is_closing = threading.Event()  # ends endless answers
        self.requests: list[dict[str, str]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(dict(self.headers) | {"path": self.path})
                answer = outer.answers.pop(0) if outer.answers else outer.always
                try:
                    answer(outer, self)
                    self.wfile.flush()
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client disconnected, as it should
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

    def serve(self, handler, start: int | None = None, cut: int | None = None, pause_s: float = 0) -> None:
        """Send the requested range, or from `start` if given, and break the connection at byte `cut`.

        With a pause, the body is sent in pieces of 20 kB.
        """
        wanted, size = handler.headers.get("Range"), len(self.body)
        start = int(wanted[len("bytes=") : -1]) if wanted and start is None else start or 0
        if wanted and start >= size:
            return self.send(handler, 416, b"not satisfiable", Content_Range=f"bytes */{size}")
        headers = {"Content_Length": str(size - start)}
        if wanted and start:
            headers["Content_Range"] = f"bytes {start}-{size - 1}/{size}"
        body = self.body[start : size if cut is None else max(cut, start)]
        piece = 20_000 if pause_s else size
        self.send(handler, 206 if wanted and start else 200, body[:piece], **headers)
        for position in range(piece, len(body), piece):
            self.is_closing.wait(pause_s)
            handler.wfile.write(body[position : position + piece])
        return None

    @staticmethod
    def send(handler, code: int, body: bytes = b"", **headers: str) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    def ranges(self) -> list[int | None]:
        """Return the start of the range of each request, None for the complete file."""
        ranges = (headers.get("Range") for headers in self.requests)
        return [wanted and int(wanted.removeprefix("bytes=").removesuffix("-")) for wanted in ranges]


def cut(at: int) -> Answer:
    """Break the connection after this byte of the file."""
    return lambda server, handler: server.serve(handler, cut=at)


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    """Answer with a status."""
    return lambda server, handler: server.send(handler, code, body, **headers)

"""A headless Chromium that a test opens pages in, drags on and asks; over pipes, without any package.

The protocol is Chrome's own (https://chromedevtools.github.io/devtools-protocol). By --remote-debugging-pipe
Chromium reads JSON messages from its file 3 and writes them to its file 4, each ended by a zero byte.
"""

import base64
import contextlib
import fcntl
import io
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
from PIL import Image

FLAGS = [
    "--headless",
    "--no-sandbox",  # it would refuse to run as root
    "--use-gl=angle",
    "--use-angle=swiftshader",  # WebGL without a GPU
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-pipe",
]
ANSWER_S = 120
OURS = 10  # file descriptors from here on are ours; 3 and 4 are Chromium's


def find_chromium():
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One tab; `requests` and `complaints` gather what the page asks for and what its console says."""

    def __init__(self, program, profile):
        read, out = os.pipe()
        back, write = os.pipe()
        theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, OURS) for end in (read, write)]
        self._out, self._in = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, OURS) for end in (out, back))
        for end in (read, out, back, write):
            os.close(end)

        def hand_over():
            os.dup2(theirs[0], 3)
            os.dup2(theirs[1], 4)

        command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        self._process = subprocess.Popen(command, preexec_fn=hand_over, pass_fds=(3, 4), **silent)
        for end in theirs:
            os.close(end)
        self._rest, self._count, self._tab = b"", 0, None
        self.requests, self.complaints = [], []
        (page,) = [t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        attached = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._tab = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def close(self):
        with contextlib.suppress(OSError):
            self.ask("Browser.close")
        self._process.wait(ANSWER_S)
        os.close(self._out)
        os.close(self._in)

    def ask(self, method, **parameters):
        """Send a command and return its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._tab:
            message["sessionId"] = self._tab
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._note(answer)

    def _read(self):
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], ANSWER_S)
            part = os.read(self._in, 1 << 20) if ready else b""
            if not part:
                raise OSError("Chromium does not answer")
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event):
        told = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif event["method"] == "Runtime.exceptionThrown" or (
            event["method"] == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert")
        ):
            self.complaints.append(told)
        elif event["method"] == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.complaints.append(told["entry"])

    def open(self, path: Path, width=800, height=600):
        """Open a page of ours and wait until it has drawn its shapes."""
        self.requests.clear()
        self.complaints.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=path.resolve().as_uri())
        until = time.monotonic() + ANSWER_S
        while self.value("document.body?.dataset.ready") != "yes":
            assert time.monotonic() < until, self.complaints
            time.sleep(0.05)
        self.drawn()

    def drawn(self):
        """Wait for the second frame from now: what the page has changed is drawn then."""
        frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
        assert self.value(frames) == 1

    def value(self, expression):
        """Return what JavaScript makes of an expression in the page."""
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def picture(self):
        """Return what the window shows, (h, w, 3) int."""
        png = base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)

    def mouse(self, kind, x, y, **more):
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def drag(self, start, end):
        held = {"button": "left", "buttons": 1, "clickCount": 1}
        self.mouse("mousePressed", *start, **held)
        for share in (0.5, 1):
            self.mouse("mouseMoved", *(a + share * (b - a) for a, b in zip(start, end, strict=True)), **held)
        self.mouse("mouseReleased", *end, **held)
        self.drawn()

    def click(self, selector):
        self.value(f"document.querySelector({selector!r}).click()")
        self.drawn()

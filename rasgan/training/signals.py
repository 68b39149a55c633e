"""Stop after the current step on Ctrl-C, SIGTERM or a closed terminal; at once on a second Ctrl-C."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # SIGBREAK is Ctrl-Break on Windows
SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


class StopRequest:
    """Whether, and when, the training was asked to stop."""

    def __init__(self) -> None:
        self.made_at = math.inf  # in seconds of `time.monotonic`; infinity until a signal arrives

    @property
    def is_made(self) -> bool:
        """Whether a signal has arrived."""
        return self.made_at < math.inf


@contextmanager
def stop_requests(request: StopRequest, on_request: Callable[[], None]) -> Iterator[None]:
    """Convert the first of `SIGNALS` inside the block into a stop request and call `on_request`.

    A second Ctrl-C raises KeyboardInterrupt, but SIGTERM and SIGHUP may come twice: torchrun sends them too.
    A signal that was ignored before the block, as SIGHUP is under nohup, stays ignored.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        if not request.is_made:
            request.made_at = time.monotonic()
            on_request()
        elif signal.Signals(number).name not in ("SIGTERM", "SIGHUP"):
            raise KeyboardInterrupt

    handled = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

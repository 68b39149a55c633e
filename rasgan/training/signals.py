"""Stop after the current step on Ctrl-C, SIGTERM or a closed terminal; at once on a second Ctrl-C."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def known(*names: str) -> list[signal.Signals]:
    """Return those signals that this system has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


SIGNALS = known("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
IMPATIENT = known("SIGINT", "SIGBREAK")


class StopRequest:
    """Whether, and when, the training was asked to stop."""

    def __init__(self) -> None:
        self.made_at = math.inf  # on the clock `time.monotonic`; inf until a signal arrives

    @property
    def is_made(self) -> bool:
        """Whether a signal has arrived."""
        return self.made_at < math.inf


@contextmanager
def stop_requests(request: StopRequest, on_request: Callable[[], None]) -> Iterator[None]:
    """Convert the first SIGINT or SIGTERM inside the block into a stop request and call `on_request`.

    A second Ctrl-C (or Ctrl-Break) is a KeyboardInterrupt, but SIGTERM may come twice, from torchrun too.
    A signal that is ignored, as SIGHUP is under nohup, stays so.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        if not request.is_made:
            request.made_at = time.monotonic()
            on_request()
        elif number in IMPATIENT:
            raise KeyboardInterrupt

    heeded = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Ctrl-C, SIGTERM and a closed terminal ask for an end at the next safe moment; Ctrl-C again ends at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def known(*names: str) -> list[signal.Signals]:
    """Return those signals that this system has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


SIGNALS = known("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Ctrl-C, an end that is asked for, a terminal that is closed, Ctrl-Break; not every system has all."""

IMPATIENT = known("SIGINT", "SIGBREAK")


class StopRequest:
    """Whether somebody asked for an end."""

    def __init__(self) -> None:
        self.is_made = False


@contextmanager
def stop_requests(on_request: Callable[[], None]) -> Iterator[StopRequest]:
    """Turn the first signal inside the block into a request, of which `on_request` is told.

    A second Ctrl-C (or Ctrl-Break) is a KeyboardInterrupt. SIGTERM may come twice for one end: from torchrun,
    and from whoever ended torchrun. What is ignored, as a closed terminal is under nohup, stays so.
    """
    request = StopRequest()

    def handle(number: int, _frame: FrameType | None) -> None:
        if not request.is_made:
            request.is_made = True
            on_request()
        elif number in IMPATIENT:
            raise KeyboardInterrupt

    heeded = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heeded}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

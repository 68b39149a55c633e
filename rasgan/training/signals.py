"""Ctrl-C, SIGTERM and a closed terminal ask for an end at the next safe moment; a second one ends at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]
"""Ctrl-C, an end that is asked for, a terminal that is closed, Ctrl-Break; not every system has all."""


class StopRequest:
    """Whether somebody asked for an end."""

    def __init__(self) -> None:
        self.is_made = False


@contextmanager
def stop_requests(on_request: Callable[[], None]) -> Iterator[StopRequest]:
    """Turn the first signal inside the block into a request, of which `on_request` is told.

    A second one is a KeyboardInterrupt. What is ignored, as a closed terminal is under nohup, stays so.
    """
    request = StopRequest()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if request.is_made:
            raise KeyboardInterrupt
        request.is_made = True
        on_request()

    heeded = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heeded}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

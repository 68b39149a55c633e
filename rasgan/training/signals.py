"""Ctrl-C and SIGTERM ask for an end at the next safe moment; a second one ends at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether somebody asked for an end."""

    def __init__(self) -> None:
        self.is_made = False


@contextmanager
def stop_requests(on_request: Callable[[], None]) -> Iterator[StopRequest]:
    """Turn the first signal inside the block into a request, of which `on_request` is told.

    A second one is a KeyboardInterrupt.
    """
    request = StopRequest()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if request.is_made:
            raise KeyboardInterrupt
        request.is_made = True
        on_request()

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

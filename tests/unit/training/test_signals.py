"""Stop requests by signals."""

import importlib
import signal

import pytest

from rasgan.training import signals


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_first_signal_requests_a_stop_and_a_second_ctrl_c_interrupts(number):
    before, requests = signal.getsignal(number), []
    if before == signal.SIG_IGN:
        pytest.skip(f"{number.name} is ignored here, as under nohup")
    request = signals.StopRequest()
    with signals.stop_requests(request, lambda: requests.append(number)):
        assert not request.is_made
        signal.raise_signal(number)
        assert request.is_made
        if number in (signal.SIGTERM, getattr(signal, "SIGHUP", None)):
            signal.raise_signal(number)  # is ignored
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert requests == [number]
    assert signal.getsignal(number) == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        request = signals.StopRequest()
        with signals.stop_requests(request, lambda: None):
            signal.raise_signal(signal.SIGHUP)
        assert not request.is_made
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no signal can stand for SIGBREAK here")
def test_ctrl_break_works_like_ctrl_c(monkeypatch):
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    importlib.reload(signals)
    try:
        request = signals.StopRequest()
        with signals.stop_requests(request, lambda: None):
            signal.raise_signal(signal.SIGBREAK)
            assert request.is_made
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGBREAK)
    finally:
        monkeypatch.undo()
        importlib.reload(signals)

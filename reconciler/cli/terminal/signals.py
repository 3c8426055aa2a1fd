"""INT, TERM and HUP while something is being done in the cluster: the first one asks to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event

from reconciler.cli.hints import with_options
from reconciler.errors import ExitStatus


@contextmanager
def signals(
    stop: list[int], answer: Callable[[], str], has_ended: Callable[[], bool]
) -> Iterator[None]:
    """The first INT, TERM or HUP asks the run to stop; during a rollback it changes nothing. The
    second one stops at once: the journal says what is left, and a person decides.

    A further HUP does not count: when a terminal closes, kernel, shell and service manager may each
    send one. With nohup it stays ignored.

    `stop` gets the numbers of the signals; `answer` says what the first one leads to; `has_ended`
    whether nothing is left to stop.
    """

    def heard(number: int, frame: object) -> None:
        del frame
        if number == signal.SIGHUP and stop:
            return
        stop.append(number)
        if len(stop) == 1:
            _shout(f"{answer()}; signal again to stop at once")
            return
        if has_ended():
            os._exit(128 + number)
        _shout("stopped at once: `pvectl status` shows what is done, `pvectl resume` finishes it")
        os._exit(ExitStatus.NOT_RESTORED)

    if threading.current_thread() is not threading.main_thread():
        _LISTENING.append(heard)
        try:
            yield
        finally:
            _LISTENING.remove(heard)
        return
    with _heeded(heard):
        yield


_LISTENING: list[Callable[[int, object], None]] = []
"""What runs in other threads than the main one, which alone hears signals."""


@contextmanager
def passed_on(halt: Event, again: Sequence[str]) -> Iterator[None]:
    """Pass the first signal on to all runs in threads, and set `halt`; the second one stops all of
    them at once. `again`: the options that select the same clusters."""

    def heard(number: int, frame: object) -> None:
        if halt.is_set() and number == signal.SIGHUP:
            return
        if halt.is_set():
            told = "stopped at once: `pvectl status` shows what is done"
            _shout(with_options(told, again))
            os._exit(ExitStatus.NOT_RESTORED)
        halt.set()
        for one in tuple(_LISTENING):
            one(number, frame)

    with _heeded(heard):
        yield


@contextmanager
def _heeded(heard: Callable[[int, object], None]) -> Iterator[None]:
    """Handle INT, TERM and HUP for a while; with nohup, HUP stays ignored."""
    heeded = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heeded.append(signal.SIGHUP)
    before = {number: signal.signal(number, heard) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _shout(text: str) -> None:
    """From a signal handler, which may have interrupted any other output."""
    with suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), f"\n{text}\n".encode())

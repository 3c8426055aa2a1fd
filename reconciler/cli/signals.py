"""Signals that stop a run: the first one in order, the second one at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from reconciler.errors import ExitStatus
from reconciler.execution.journal.replay import open_request, point_of_no_return
from reconciler.execution.run.context import RunContext
from reconciler.kinds import kind_of
from reconciler.model.change import Undo
from reconciler.model.run import OutgoingRequest


@contextmanager
def signals(stop: list[int], runs: Sequence[RunContext]) -> Iterator[None]:
    """The first INT, TERM or HUP asks the run to stop; during a rollback it changes nothing. The
    second one stops at once: the journal says what is left, and a person decides.

    A further HUP does not count: when a terminal closes, kernel, shell and service manager may each
    send one. With nohup it stays ignored.

    `stop` gets the numbers of the signals; `runs` holds the run once it has begun.
    """

    def heard(number: int, frame: object) -> None:
        del frame
        if number == signal.SIGHUP and stop:
            return
        stop.append(number)
        if len(stop) == 1:
            _shout(f"{_answer(runs)}; signal again to stop at once")
            return
        if any(run.state.is_finished for run in runs):
            os._exit(128 + number)
        _shout("stopped at once: `pvectl status` shows what is done, `pvectl resume` finishes it")
        os._exit(ExitStatus.NOT_RESTORED)

    heeded = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heeded.append(signal.SIGHUP)
    before = {number: signal.signal(number, heard) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _answer(runs: Sequence[RunContext]) -> str:
    """What the first signal leads to."""
    if not runs:
        return "stopping as soon as the lock is released"
    state, steps = runs[0].state, runs[0].steps
    if state.is_finished:
        return "the run has ended"
    if state.is_rolling_back:
        return "the rollback continues to its end"
    if state.is_overtaken:
        return "finishing the request, then stopping: another run may have written since"
    if point_of_no_return(state, steps) or _is_irreversible(open_request(state, steps)):
        return "finishing the request, then stopping: the run cannot be rolled back any more"
    return "finishing the request, then rolling back"


def _is_irreversible(being_sent: tuple[OutgoingRequest, float] | None) -> bool:
    """Whether the request that is being sent cannot be undone."""
    changes = being_sent[0].changes if being_sent else ()
    return any(kind_of(change.address).writes.undo(change) is Undo.NONE for change in changes)


def _shout(text: str) -> None:
    """From a signal handler, which may have interrupted any other output."""
    with suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), f"\n{text}\n".encode())

"""`--lock-timeout`: wait for another run to end, instead of ending at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.terminal.output import info
from reconciler.errors import Locked
from reconciler.execution.journal import store
from reconciler.execution.lock.local import refuse_running
from reconciler.execution.lock.record import lock_records
from reconciler.execution.lock.refusals import reject_live
from reconciler.model.api import Api
from reconciler.text.humanize import duration

_Held = TypeVar("_Held")

POLL = 2.0
"""Seconds between two looks at the lock."""


def wait_for_turn(common: CommonOptions, api: Api, folder: Path) -> None:
    """Return once no run of this machine or another one writes, before a plan is made.

    Raises Locked when `--lock-timeout` is over, and JournalUnfinished.
    """
    if not common.lock_timeout:
        store.refuse_to_begin(folder)
        return

    def look() -> AbstractContextManager[object]:
        store.refuse_to_begin(folder)
        reject_live(lock_records(api), time.time())
        return ExitStack()

    with patiently(common, look):
        pass


def wait_while_running(common: CommonOptions, folder: Path) -> None:
    """Return once no run of this machine writes; raises Locked when `--lock-timeout` is over."""

    def look() -> AbstractContextManager[object]:
        refuse_running(folder)
        return ExitStack()

    with patiently(common, look):
        pass


@contextmanager
def patiently(
    common: CommonOptions, enter: Callable[[], AbstractContextManager[_Held]]
) -> Iterator[_Held]:
    """Enter what another run may hold, again and again for as long as `--lock-timeout` says."""
    until = time.monotonic() + common.lock_timeout
    told = False
    with ExitStack() as stack:
        while True:
            try:
                held = stack.enter_context(enter())
                break
            except Locked as locked:
                if not locked.passes or time.monotonic() >= until:
                    raise
                if not told:
                    info(common, f"waiting up to {duration(common.lock_timeout)}: {locked.summary}")
                told = True
            time.sleep(min(POLL, max(0.0, until - time.monotonic())))
        yield held

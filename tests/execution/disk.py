"""A disk that is full, broken or read-only, for journals only."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from reconciler.errors import JournalFailed, PvectlError
from reconciler.execution.journal.journal import read_journal
from reconciler.model.run import DONE, RunReport
from tests.execution.checks import Points, all_points
from tests.execution.size import count
from tests.execution.worlds import Bench, is_as_before, is_declared


@dataclass
class Disk:
    """Replaces `os` in the journal's module; `broken(what, number)` chooses the error.

    `what` is `write`, `fsync`, `ftruncate` or `unlink`; `number` counts writes, from 1.
    """

    broken: Callable[[str, int], int]
    writes: int = 0
    failed: int = 0
    names: Any = field(default=os)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.names, name)

    def write(self, descriptor: int, data: bytes) -> int:
        self.writes += 1
        self._check("write")
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        self._check("fsync")
        os.fsync(descriptor)

    def ftruncate(self, descriptor: int, size: int) -> None:
        self._check("ftruncate")
        os.ftruncate(descriptor, size)

    def _check(self, what: str) -> None:
        number = self.broken(what, self.writes)
        if number:
            self.failed += 1
            raise OSError(number, os.strerror(number))


def full(at: int, folder: Path) -> Callable[[str, int], int]:
    """No space from write `at` on, until the reserve is given back."""

    def broken(what: str, number: int) -> int:
        kept = any(folder.glob("*.reserve"))
        return errno.ENOSPC if what == "write" and number >= at and kept else 0

    return broken


def quite_full(at: int, folder: Path) -> Callable[[str, int], int]:
    """No space at all from write `at` on: others take what is given back."""
    del folder
    return lambda what, number: errno.ENOSPC if what == "write" and number >= at else 0


def unsynced(at: int, folder: Path) -> Callable[[str, int], int]:
    """The disk does not take write `at` when it is to keep it, and is well again afterwards."""
    del folder
    came: list[int] = []

    def broken(what: str, number: int) -> int:
        if what != "fsync" or number < at or came:
            return 0
        came.append(number)
        return errno.EIO

    return broken


def read_only(at: int, folder: Path) -> Callable[[str, int], int]:
    """The file system turns read-only at write `at`."""
    del folder
    return lambda _, number: errno.EROFS if number >= at else 0


FAULTS = (full, quite_full, unsynced, read_only)


@contextmanager
def journals_on(disk: Disk) -> Iterator[None]:
    with mock.patch("reconciler.execution.journal.journal.os", disk):
        yield


def journal_writes(bench: Bench) -> int:
    """How many records a run without a fault makes after its beginning."""
    disk, path = Disk(lambda *_: 0), bench.begin()
    with journals_on(disk):
        report, _ = bench.apply(bench.world.api, path)
    assert report.complete
    bench.reset()
    return disk.writes


def nothing_without_its_record(bench: Bench, state: Any, points: Points = all_points) -> None:
    """Restored, or the journal leads on; never done with a record missing.

    That each request has its record when it is sent is checked by the bench itself.
    """
    for fault in FAULTS:
        for at in points(range(1, journal_writes(bench) + 1)):
            path = bench.begin()
            disk = Disk(fault(at, path.parent))
            try:
                with journals_on(disk):
                    report = bench.apply(bench.world.api, path)[0]
            except JournalFailed:
                is_as_before(bench.world, bench.before)
            else:
                _ended_well(bench, state, path, report, failed=bool(disk.failed))
            bench.reset()
            assert disk.failed, "the fault did not come"
            count(f"disk {fault.__name__}")


def a_full_disk_is_rolled_back(bench: Bench) -> None:
    """The reserve is enough for the rollback."""
    for at in (4, journal_writes(bench) - 1):
        path = bench.begin()
        with journals_on(Disk(full(at, path.parent))):
            report = bench.apply(bench.world.api, path)[0]
        assert report.restored, report
        is_as_before(bench.world, bench.before)
        assert read_journal(path)[-1].name == "end"
        bench.reset()


def _ended_well(bench: Bench, state: Any, path: Path, report: RunReport, *, failed: bool) -> None:
    if not failed:
        assert report.complete, report
    elif report.restored:
        is_as_before(bench.world, bench.before)
    else:
        assert report.outcome != DONE, report
        assert isinstance(report.failure, PvectlError)
        assert read_journal(path)
        again = bench.resume(path)
        if again.restored:
            is_as_before(bench.world, bench.before)
        else:
            assert again.complete, again
            is_declared(bench.world, state)
